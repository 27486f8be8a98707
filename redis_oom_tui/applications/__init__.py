"""The applications that are known: one TOML file each in this folder, and the shapes of names that it writes.

A shape such as `bull:<queue>:<id>` takes `bull:mail:42`: `<word>` is text without a colon, `<word#>` a number, a hash
or a UUID, `<word...>` any text; `<prefix>` is what stands before, and may be empty. A shape that does not say where its
prefix stands takes one that ends with no letter or digit: `myapp:` and `myapp_`.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TypeVar

from msgspec import Struct

from redis_oom_tui.formatting.typed import Damaged, converted
from redis_oom_tui.models.application import Application, GuessedUse
from redis_oom_tui.models.errors import BadInput

_TOKEN = re.compile(r"<([a-z]+)(\.\.\.|#)?>")
PREFIX = "prefix"
# By the mark behind its name. A part that varies is a NUL byte in a normalised name.
_INSIDE = {"": rb"[^:]+", "...": rb".+", "#": rb"(?:\x00|[0-9a-fA-F-]*[0-9][0-9a-fA-F-]*)"}
_OWN_PREFIX = rb"(?P<prefix>|.*?[^A-Za-z0-9])"


class Shape(Struct, frozen=True, dict=True):
    """A shape: pieces are literal bytes, or a placeholder's name with the mark behind it."""

    text: str
    pieces: tuple[bytes | tuple[str, str], ...]

    @cached_property
    def literal(self) -> bytes:
        """The longest text that every name of this shape has."""
        return max((piece for piece in self.pieces if isinstance(piece, bytes)), key=len, default=b"")

    @cached_property
    def placeholders(self) -> frozenset[str]:
        """The names of what varies, the prefix among them only where the shape says where it stands."""
        return frozenset(piece[0] for piece in self.pieces if not isinstance(piece, bytes))

    @cached_property
    def _regex(self) -> re.Pattern[bytes]:
        return self._compiled({})

    def match(self, name: bytes) -> dict[str, bytes] | None:
        r"""What the placeholders stand for in `name`, the prefix among them; None for a name of another shape.

        >>> shape("rq:job:<id>").match(b"myapp:rq:job:\0")
        {'prefix': b'myapp:', 'id': b'\x00'}
        """
        if self.literal not in name:
            return None
        found = self._regex.fullmatch(name)
        return None if found is None else found.groupdict()

    def within(self, values: Mapping[str, Sequence[bytes]]) -> re.Pattern[bytes]:
        """A pattern of the names in which placeholders stand for one of `values`."""
        return self._compiled(values)

    def name(self, values: Mapping[str, bytes]) -> bytes:
        """The name in which the placeholders stand for `values`; KeyError where one is not given.

        >>> shape("bull:<queue>:<id>").name({"prefix": b"my:", "queue": b"mail", "id": b"7"})
        b'my:bull:mail:7'
        """
        own = b"" if PREFIX in self.placeholders else values.get(PREFIX, b"")
        return own + b"".join(piece if isinstance(piece, bytes) else values[piece[0]] for piece in self.pieces)

    def _compiled(self, values: Mapping[str, Sequence[bytes]]) -> re.Pattern[bytes]:
        own = b""
        if PREFIX not in self.placeholders:
            own = _part((PREFIX, ""), values) if PREFIX in values else _OWN_PREFIX
        return re.compile(own + b"".join(_part(piece, values) for piece in self.pieces), re.DOTALL)


def _part(piece: bytes | tuple[str, str], values: Mapping[str, Sequence[bytes]]) -> bytes:
    if isinstance(piece, bytes):
        return re.escape(piece)
    name, mark = piece
    any_text = rb".*" if name == PREFIX else _INSIDE[mark]
    inside = b"|".join(map(re.escape, values[name])) if name in values else any_text
    return b"(?P<%b>%b)" % (name.encode(), inside)


@lru_cache(maxsize=2048)
def shape(text: str) -> Shape:
    """`text` read as a shape. Raises BadInput where a placeholder stands twice."""
    pieces: list[bytes | tuple[str, str]] = []
    position = 0
    for token in _TOKEN.finditer(text):
        if token.start() > position:
            pieces.append(text[position : token.start()].encode())
        pieces.append((token[1], token[2] or ""))
        position = token.end()
    if text[position:]:
        pieces.append(text[position:].encode())
    names = [piece[0] for piece in pieces if not isinstance(piece, bytes)]
    if len(names) != len(set(names)):
        raise BadInput(f"{text!r} has a placeholder twice")
    return Shape(text, tuple(pieces))


T = TypeVar("T")


class BadEntry(ValueError):
    """A file of an application is not as it must be: the sentence names the file and the field."""


@cache
def known_applications() -> tuple[Application, ...]:
    """Every application, by name. Raises BadEntry."""
    folder = files(__name__)
    entries = [file for file in folder.iterdir() if file.name.endswith(".toml") and not file.name.startswith("_")]
    return tuple(sorted(map(read_entry, entries), key=lambda application: application.name.lower()))


@cache
def guessed_uses() -> tuple[GuessedUse, ...]:
    """What names and types tell without an application, in the order in which they are asked. Raises BadEntry."""
    return _read(files(__name__) / "_uses.toml", _Uses).uses


class _Uses(Struct, forbid_unknown_fields=True):
    uses: tuple[GuessedUse, ...]


def read_entry(file: Traversable) -> Application:
    """The application that `file` tells of. Raises BadEntry."""
    application = _read(file, Application)
    for fault in (*_bad_shapes(application), *_unknown_kinds(application)):
        raise BadEntry(f"{file.name}: {fault}")
    return application


def _read(file: Traversable, kind: type[T]) -> T:
    try:
        return converted(tomllib.loads(file.read_text("utf-8")), kind)
    except (tomllib.TOMLDecodeError, Damaged) as error:
        raise BadEntry(f"{file.name}: {error}") from None


def _bad_shapes(application: Application) -> Iterator[str]:
    for number, kind in enumerate(application.keys):
        for text in kind.names:
            try:
                shape(text)
            except BadInput as error:
                yield f"`keys[{number}].names` {error}"


def _unknown_kinds(application: Application) -> Iterator[str]:
    """What names a kind of key that the file does not have, and kinds of one name."""
    known = [kind.id for kind in application.keys]
    named = [(f"keys[{n}].id", kind.id) for n, kind in enumerate(application.keys) if known.index(kind.id) != n]
    yield from (f"`{place}` {kind!r} is there twice" for place, kind in named)
    for place, kind in _named_kinds(application):
        if kind not in known:
            yield f"`{place}` names {kind!r}, which is none of its keys"


def _named_kinds(application: Application) -> Iterator[tuple[str, str]]:
    for number, kind in enumerate(application.keys):
        yield from ((f"keys[{number}].beside", other) for other in kind.beside)
    for number, evidence in enumerate(application.evidence):
        yield from ((f"evidence[{number}].keys", kind_id) for kind_id in evidence.keys)
        yield from ((f"evidence[{number}].fields", kind_id) for kind_id in evidence.fields)
    for number, setting in enumerate(application.settings):
        yield from ((f"settings[{number}].bounds", kind_id) for kind_id in setting.bounds)
    for number, work in enumerate(application.finished):
        named = (work.index, work.job, *work.belongs)
        yield from ((f"finished[{number}]", kind_id) for kind_id in named if kind_id)
    for number, orphans in enumerate(application.orphans):
        yield from ((f"orphans[{number}]", kind_id) for kind_id in (orphans.keys, orphans.index))
