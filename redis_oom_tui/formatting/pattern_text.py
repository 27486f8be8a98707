"""Patterns as text: what a table shows, what `--pattern` takes, what files hold; and how much wider their globs are."""

import re
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import escape_exact
from redis_oom_tui.formatting.typed import Damaged, converted, exact_bytes
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyPattern
from redis_oom_tui.models.scan import PatternRow

VARIABLE = b"\0"
"""What a part that varies becomes in a pattern: a byte that is rare in names, unlike `*`."""

LONGEST_TEXT = 4096
"""Beyond it a pattern has no text to copy: it leaves out too many names to list them."""

_TOKEN = re.compile(
    r"\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\U00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4}|\\[\\*<>|]|<id>|<any>|<other>"
    r"|<other than (?:\\.|[^\\>])*>|\*|[^\\]",
    re.DOTALL,
)
_LISTED = re.compile(r"(?:\\.|[^\\|])+", re.DOTALL)
_MARKS = re.compile(rb"<(?=id>|any>|other>|other than |\Z)")


def parsed(typed: str, delimiters: bytes) -> KeyPattern:
    """What `text` or `shown` wrote, or a person typed. Raises BadInput."""
    reader = _Reader(delimiters)
    tokens = _tokens(typed)
    for index, token in enumerate(tokens):
        reader.take(token, last=index == len(tokens) - 1)
    return reader.pattern()


def shown(pattern: KeyPattern, *, alone: bool = False) -> bytes:
    r"""`pattern` as a table shows it, `*` for what varies; `parsed` takes it, except where `<other>` stands in it.

    `alone` says that its last part is all there is below the part before, so that `user:*` needs no `<id>`.

    >>> shown(KeyPattern((b"user:", b"\0:", b"cart"))), shown(KeyPattern((b"user:", b"\0")))
    (b'user:*:cart', b'user:<id>')
    """
    pieces = []
    for part, others in zip(pattern.parts, pattern.others or (None,) * len(pattern.parts), strict=True):
        if others is not None:
            pieces.append((b"<other>" if others else b"<any>") + part[1:])
        else:
            # Two stars side by side would read as any name at all.
            mark = b"<id>" if VARIABLE * 2 in part else b"*"
            pieces.append(mark.join(_escaped(literal) for literal in part.split(VARIABLE)))
    if pattern.below:
        pieces.append(b"*")
    elif pattern.parts[-1:] == (VARIABLE,):
        plain = not pattern.others or pattern.others[-1] is None
        pieces[-1] = b"*" if alone else b"<id>" if plain else pieces[-1]
    return b"".join(pieces)


def _escaped(literal: bytes) -> bytes:
    return _MARKS.sub(rb"\\<", literal.replace(b"\\", b"\\\\").replace(b"*", b"\\*"))


def text(pattern: KeyPattern) -> str | None:
    r"""`pattern` in printable ASCII, for `--pattern`; None where it leaves out too many names to list them.

    >>> text(KeyPattern((b"user:", b"\0"))), text(KeyPattern((b"v*:",), below=True))
    ('user:<id>', 'v\\*:*')
    """
    pieces: list[str] = []
    for part, others in zip(pattern.parts, pattern.others or (None,) * len(pattern.parts), strict=True):
        if others is None:
            pieces.append(_literal(part))
        elif not others:
            pieces.append("<any>" + _literal(part[1:]))
        elif sum(map(len, others)) > LONGEST_TEXT:
            return None
        else:
            names = "|".join(_literal(name[: -1 if len(part) > 1 else None], "|>") for name in others)
            pieces.append(f"<other than {names}>{_literal(part[1:])}")
    whole = "".join(pieces) + ("*" if pattern.below else "")
    return whole if len(whole) <= LONGEST_TEXT else None


def cleanup_options(pattern: KeyPattern) -> list[str]:
    r"""The options by which `cleanup` takes exactly the keys of `pattern`; none where it has no text.

    >>> cleanup_options(KeyPattern((b"user/", b"\0"), delimiters=b"/"))
    ['--pattern', 'user/<id>', '--delimiter', '/']
    """
    select = text(pattern)
    if select is None:
        return []
    delimiters = pattern.delimiters.decode("utf-8", "surrogateescape")
    if "\\" in delimiters or not delimiters.isprintable():
        delimiters = escape_exact(pattern.delimiters)
    return ["--pattern", select, *(["--delimiter", delimiters] if delimiters != ":" else [])]


def _literal(raw: bytes, more: str = "") -> str:
    found = []
    for byte in raw:
        char = chr(byte)
        if not byte:
            found.append("<id>")
        elif char in "*<\\" or char in more:
            found.append("\\" + char)
        else:
            found.append(char if 32 <= byte < 127 else f"\\x{byte:02x}")
    return "".join(found)


def _tokens(typed: str) -> list[str]:
    found, position = [], 0
    while position < len(typed):
        symbol = _TOKEN.match(typed, position)
        if symbol is None:
            raise BadInput(f"{typed!r} has a lone backslash: write \\\\ for one, \\* for a star, \\xNN for a byte")
        found.append(symbol[0])
        position = symbol.end()
    return found


def _byte(symbol: str) -> bytes:
    """What a symbol for literal text stands for."""
    if symbol[0] != "\\":
        return symbol.encode("utf-8", "surrogateescape")
    if symbol[1] == "x":
        return bytes.fromhex(symbol[2:])
    if symbol[1] in "uU":
        return chr(int.from_bytes(bytes.fromhex(symbol[2:]), "big")).encode("utf-8", "surrogatepass")
    return symbol[1].encode()


class _Reader:
    """Puts the parts of a pattern together from the tokens of its text."""

    def __init__(self, delimiters: bytes) -> None:
        self._delimiters = delimiters
        self._parts: list[bytes] = []
        self._others: list[tuple[bytes, ...] | None] = []
        self._part = b""
        self._left_out: list[bytes] | None = None
        self._below = False

    def take(self, symbol: str, *, last: bool) -> None:
        if symbol.startswith("<other") or symbol == "<any>":
            self._take_others(symbol)
        elif symbol == "<id>":
            self._add(VARIABLE)
        elif symbol == "*":
            self._below = last and not self._part and self._left_out is None
            self._add(b"" if self._below else VARIABLE)
        else:
            for byte in _byte(symbol):
                self._add(bytes((byte,)))

    def _take_others(self, symbol: str) -> None:
        if symbol == "<other>":
            raise BadInput(
                "<other> stands for all names without a row of their own: take `select` of hogs --json, which lists"
                " those that it leaves out, or give cleanup --saved-scan FILE, from hogs --save FILE"
            )
        if self._part:
            raise BadInput(f"{symbol[:40]!r} stands for a whole part of a name: nothing may stand before it there")
        listed = [] if symbol == "<any>" else _LISTED.findall(symbol[len("<other than ") : -1])
        self._left_out = [b"".join(map(_listed_byte, _tokens(name))) for name in listed]
        self._part = VARIABLE

    def _add(self, piece: bytes) -> None:
        if piece and piece in self._delimiters:
            self._close(piece)
        elif self._left_out is not None and piece:
            raise BadInput("<any> and <other than ...> stand for a whole part of a name: nothing may follow them there")
        else:
            self._part += piece

    def _close(self, end: bytes) -> None:
        self._parts.append(self._part + end)
        self._others.append(None if self._left_out is None else tuple(sorted(one + end for one in self._left_out)))
        self._part, self._left_out = b"", None

    def pattern(self) -> KeyPattern:
        if self._part or not (self._parts or self._below):
            self._close(b"")
        others = tuple(self._others) if any(each is not None for each in self._others) else ()
        return KeyPattern(tuple(self._parts), self._below, self._delimiters, others)


def _listed_byte(symbol: str) -> bytes:
    return VARIABLE if symbol == "<id>" else _byte(symbol)


class _Fields(Struct, frozen=True):
    """A pattern in JSON, its names as `escape_exact` writes them."""

    parts: tuple[str, ...]
    below: bool
    delimiters: str
    others: tuple[tuple[str, ...] | None, ...]


def fields(pattern: KeyPattern) -> dict[str, Any]:
    """`pattern` as plain values, for files."""
    return {
        "parts": _escaped_names(pattern.parts),
        "below": pattern.below,
        "delimiters": escape_exact(pattern.delimiters),
        "others": [None if names is None else _escaped_names(names) for names in pattern.others],
    }


def from_fields(found: object) -> KeyPattern:
    """What `fields` wrote; raises Damaged for anything else."""
    read = converted(found, _Fields)
    if len(read.others) not in (0, len(read.parts)):
        raise Damaged("it is not a pattern")
    others = tuple(None if names is None else tuple(map(exact_bytes, names)) for names in read.others)
    return KeyPattern(tuple(map(exact_bytes, read.parts)), read.below, exact_bytes(read.delimiters), others)


def _escaped_names(names: Sequence[bytes]) -> list[str]:
    return [escape_exact(name) for name in names]


def keys_of_globs(rows: Sequence[PatternRow]) -> list[int]:
    """Of each row, how many of the scanned keys its glob takes at least: more than its own where the glob is wider."""
    below: dict[tuple[int | None, bytes | None], list[PatternRow]] = {}
    for row in rows:
        below.setdefault((row.db, row.parent), []).append(row)
    return [_taken(row, below) for row in rows]


def _taken(row: PatternRow, below: dict[tuple[int | None, bytes | None], list[PatternRow]]) -> int:
    if row.select is None or (row.select.below and not any(VARIABLE in part for part in row.select.parts)):
        return row.keys
    taken = 0
    literals = _path(row.select).split(VARIABLE)
    glob = re.compile(b".*".join(map(re.escape, literals)), re.DOTALL).fullmatch
    waiting = list(below.get((row.db, None), ()))
    while waiting:
        other = waiting.pop()
        if other.select is not None and glob(_path(other.select)):
            taken += other.keys
        else:
            waiting += below.get((row.db, other.pattern), ())
    return max(taken, row.keys)


def _path(pattern: KeyPattern) -> bytes:
    return b"".join(pattern.parts) + (VARIABLE if pattern.below else b"")
