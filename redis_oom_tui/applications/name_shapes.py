r"""Shapes of names, as the files of applications write them: `bull:<queue>:<id>` takes `bull:mail:42`.

`<word>` is text without a colon, `<word#>` a number, a hash or a UUID, `<word...>` any text; `<prefix>` is what stands
before, and may be empty. A shape that does not say where its prefix stands takes one that ends with no letter or
digit: `myapp:` and `myapp_`.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache

from msgspec import Struct

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
