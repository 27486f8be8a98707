"""Which names a pattern or a glob holds: the splitting that counted them decides, for a plan, a scan and the screen.

As text, `user:<id>` holds the names with one part behind `user:` that varies, and `user:*` everything below `user:`.
"""

import functools
import re
from collections.abc import Iterable

from redis_oom_tui.formatting.pattern_text import parsed, text
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyPattern
from redis_oom_tui.rules import patterns
from redis_oom_tui.rules.patterns import PatternCache, wild


class Matcher:
    """Asks of many names whether `pattern` holds them; what was found for alike names is looked up."""

    def __init__(self, pattern: KeyPattern) -> None:
        self._pattern = pattern
        self._others = tuple(None if names is None else frozenset(names) for names in pattern.others)
        self._known: PatternCache[tuple[bytes, bool]] = PatternCache(
            patterns.Normaliser(pattern.delimiters), lambda normal: (normal, self._holds(normal))
        )

    def held(self, names: list[bytes]) -> list[bool]:
        """Of each of `names`, whether the pattern holds it."""
        return [held for _, held in self._known.patterns_of(names)]

    def kept(self, names: list[bytes]) -> list[bytes]:
        """Those of `names` that the pattern holds."""
        return [name for name, held in zip(names, self.held(names), strict=True) if held]

    def _holds(self, normal: bytes) -> bool:
        pattern = self._pattern
        found = patterns.parts(normal, pattern.delimiters)
        if len(found) != len(pattern.parts) and not (pattern.below and len(found) > len(pattern.parts)):
            return False
        others = self._others or (None,) * len(pattern.parts)
        return all(
            part == wanted if left_out is None else wild(part, pattern.delimiters) == wanted and part not in left_out
            for part, wanted, left_out in zip(found, pattern.parts, others, strict=False)
        )


@functools.lru_cache(maxsize=64)
def matcher(pattern: KeyPattern) -> Matcher:
    """A matcher of `pattern`, the same one again for the same pattern."""
    return Matcher(pattern)


def one_name(pattern: KeyPattern | None) -> bytes | None:
    """The name of the only key that a pattern holds; None where it may hold several.

    >>> one_name(KeyPattern((b"jobs:", b"done"))), one_name(KeyPattern((b"jobs:", b"\\0")))
    (b'jobs:done', None)
    """
    if pattern is None or pattern.below or any(patterns.VARIABLE in part for part in pattern.parts):
        return None
    return b"".join(pattern.parts)


def held(wanted: Iterable[KeyPattern], names: list[bytes]) -> list[bool]:
    """Of each of `names`, whether any of the patterns holds it."""
    answers = [matcher(pattern).held(names) for pattern in wanted]
    return answers[0] if len(answers) == 1 else [any(each) for each in zip(*answers, strict=True)]


def glob(pattern: KeyPattern) -> bytes:
    r"""The narrowest glob that takes every name of `pattern`; it may take others as well.

    >>> glob(KeyPattern((b"a[1]:", b"\0")))
    b'a\\[1\\]:*'
    """
    return patterns.glob(b"".join(pattern.parts) + (patterns.VARIABLE if pattern.below else b""))


def read(typed: str, delimiters: bytes = b":") -> KeyPattern:
    r"""The pattern that `text` or `shown` wrote, or a person typed. Raises BadInput.

    >>> read("user:<id>") == KeyPattern((b"user:", b"\0")), read("user:*") == KeyPattern((b"user:",), below=True)
    (True, True)
    """
    pattern = parsed(typed, delimiters)
    path = b"".join(pattern.parts)
    counted = tuple(patterns.parts(patterns.Normaliser(delimiters).name(path), delimiters)) if path else pattern.parts
    if counted != pattern.parts:
        instead = text(KeyPattern(counted, pattern.below, delimiters))
        raise BadInput(
            f"No key is counted under {typed!r}: a part that varies is written <id>, as in {instead!r}, and a pattern"
            f" has at most {patterns.DEEPEST} parts. Use --key for one key, or --match for a glob"
        )
    return pattern


@functools.lru_cache(maxsize=256)
def compiled_glob(pattern: bytes) -> re.Pattern[bytes]:
    r"""`pattern` as Redis reads it (util.c, stringmatchlen), for `fullmatch`; linear in the length of a name.

    >>> [bool(compiled_glob(b"u[a-c]?\\*").fullmatch(name)) for name in (b"ub1*", b"ud1*", b"ub12")]
    [True, False, False]
    >>> bool(compiled_glob(b"[red]*").fullmatch(b"evening")), bool(compiled_glob(b"*a*b").fullmatch(b"xaxbb"))
    (True, True)
    """
    pieces: list[bytes] = [b""]
    position = 0
    while position < len(pattern):
        char = pattern[position : position + 1]
        if char == b"*":
            if pieces[-1] or len(pieces) == 1:
                pieces.append(b"")
            position += 1
        elif char == b"[":
            piece, position = _class(pattern, position + 1)
            pieces[-1] += piece
        else:
            if char == b"\\" and position + 1 < len(pattern):
                position += 1
                char = pattern[position : position + 1]
                pieces[-1] += re.escape(char)
            else:
                pieces[-1] += b"." if char == b"?" else re.escape(char)
            position += 1
    # The server matches the empty name with * alone: its loop over the pattern never begins for any other.
    begin = b"" if pattern in (b"", b"*") else b"(?=.)"
    return re.compile(begin + _joined(pieces), re.DOTALL)


def _joined(pieces: list[bytes]) -> bytes:
    """The pieces between stars as one expression that never looks back past a star it has settled."""
    if len(pieces) == 1:
        return pieces[0]
    middle = b"".join(b"(?>.*?" + piece + b")" for piece in pieces[1:-1])
    return pieces[0] + middle + b".*" + pieces[-1]


def _class(pattern: bytes, position: int) -> tuple[bytes, int]:
    """A bracket class, from behind its `[`: its expression, and where the pattern goes on (its end, if unclosed)."""
    negated = pattern[position : position + 1] == b"^"
    position += negated
    allowed: set[int] = set()
    while position < len(pattern) and pattern[position] != ord("]"):
        if pattern[position] == ord("\\") and position + 1 < len(pattern):
            allowed.add(pattern[position + 1])
            position += 2
        elif position + 2 < len(pattern) and pattern[position + 1] == ord("-"):
            low, high = sorted(map(_signed, (pattern[position], pattern[position + 2])))
            allowed.update(byte % 256 for byte in range(low, high + 1))
            position += 3
        else:
            allowed.add(pattern[position])
            position += 1
    if not allowed:
        return (b"." if negated else b"(?!)"), position + 1
    members = b"".join(b"\\x%02x" % byte for byte in sorted(allowed))
    return b"[" + (b"^" if negated else b"") + members + b"]", position + 1


def _signed(byte: int) -> int:
    """As the server's `char` has it on x86, where a range up to \\xff runs down instead; ARM alone differs."""
    return byte - 256 if byte > 127 else byte


def contains(whole: KeyPattern, part: KeyPattern) -> bool:
    """Whether `whole` holds every name that `part` does."""
    longer = len(part.parts) - len(whole.parts)
    if longer < 0 or (not whole.below and (longer > 0 or part.below)):
        return False
    return all(_part_contains(whole, part, index) for index in range(len(whole.parts)))


def disjoint(one: KeyPattern, other: KeyPattern) -> bool:
    """Whether no name is held by both."""
    longer = len(one.parts) - len(other.parts)
    if (longer < 0 and not one.below) or (longer > 0 and not other.below):
        return True
    return any(_parts_disjoint(one, other, index) for index in range(min(len(one.parts), len(other.parts))))


def _left_out(pattern: KeyPattern, index: int) -> tuple[bytes, ...] | None:
    return pattern.others[index] if pattern.others else None


def _part_contains(whole: KeyPattern, part: KeyPattern, index: int) -> bool:
    wanted, found = whole.parts[index], part.parts[index]
    left_out, more = _left_out(whole, index), _left_out(part, index)
    if left_out is None:
        return more is None and wanted == found
    if more is None:
        return wild(found, whole.delimiters) == wanted and found not in left_out
    return wanted == found and set(left_out) <= set(more)


def _parts_disjoint(one: KeyPattern, other: KeyPattern, index: int) -> bool:
    first, second = one.parts[index], other.parts[index]
    left, right = _left_out(one, index), _left_out(other, index)
    if (left is None) == (right is None):
        return first != second
    plain, rest, named = (second, first, left) if left is not None else (first, second, right)
    return wild(plain, one.delimiters) != rest or plain in (named or ())
