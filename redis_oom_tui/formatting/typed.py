"""JSON read into typed structs: what does not fit is Damaged, one sentence that says where and why."""

import json
import re
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from redis_oom_tui.formatting.sanitize import unescape_exact
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyId, KeyRow

T = TypeVar("T")

# Servers tell counters of 64 bits: what is larger was never ours, and no float could hold it.
Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Database = Annotated[int, Meta(ge=0, le=2**31 - 1)]
# A number stays whole or not, as it is in the file: a plan's hash is over its text.
Number = Whole | float
# Unix seconds up to the year 9999: what a date can be made of.
UnixTime = Annotated[int, Meta(ge=0, le=253402300799)] | Annotated[float, Meta(ge=0, le=253402300799.0)]

_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "bytes": "base64",
    "array": "a list",
    "object": "a JSON object",
    "null": "null",
}
_EXPECTED = re.compile(r"Expected `([a-z| ]+)`, got")
_MISSING = re.compile(r"Object missing required field (`\w+`)")
_UNKNOWN = re.compile(r"Object contains unknown field `(\w+)`")
_PLACE = re.compile(r" - at `(?:key in )?\$\.?(.*)`$")
_ROW_PLACE = re.compile(r"\[(\d+)\]")


class Damaged(ValueError):
    """A value that is not what it should be; the text says what is wrong with it, and where."""


class KeyRecord(Struct, kw_only=True):
    """A key's row as saved scans hold it: the name in base64."""

    db: Database
    key: bytes
    node: str = ""
    type: str
    size: Whole | None
    ttl_ms: Whole | None
    idle_seconds: Whole | None
    frequency: Whole | None
    encoding: str | None
    elements: Whole | None
    measured: bool
    suspect: bool
    # Rows of earlier versions do not have these.
    size_low: Whole | None = None
    size_high: Whole | None = None

    def row(self) -> KeyRow:
        """The row that was written."""
        fields = {name: getattr(self, name) for name in _ROW_FIELDS}
        return KeyRow(KeyId(self.db, self.key, self.node), **fields)


_ROW_FIELDS = tuple(name for name in KeyRecord.__struct_fields__ if name not in ("db", "key", "node"))


def key_fields(row: KeyRow) -> dict[str, Any]:
    """What a `KeyRecord` of `row` holds, by name, but for who it is."""
    return {name: getattr(row, name) for name in _ROW_FIELDS}


def encoded(value: object) -> bytes:
    """`value` as JSON. A path of bytes that are no text is escaped, as the standard library does."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value)).encode("ascii")


def decoded(decoder: "msgspec.json.Decoder[T] | msgspec.msgpack.Decoder[T]", raw: bytes) -> T:
    """What `decoder` makes of JSON or MessagePack in `raw`; raises Damaged for anything else, however deep or large.

    >>> decoded(msgspec.json.Decoder(list[int]), b"[1]")
    [1]
    >>> decoded(msgspec.json.Decoder(KeyRecord), b'{"db": "0"}')
    Traceback (most recent call last):
    redis_oom_tui.formatting.typed.Damaged: `db` is not a whole number
    """
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise Damaged(_sentence(str(error), decoder.type)) from None
    except RecursionError:
        raise Damaged("its values are nested too deep") from None
    except (ValueError, MemoryError):
        raise Damaged("it is not JSON") from None


def converted(value: object, kind: type[T], *, with_bytes: bool = False) -> T:
    """`value`, which came out of JSON, as a `kind`; `with_bytes`, bytes stand in it already. Raises Damaged."""
    try:
        return msgspec.convert(value, kind, builtin_types=(bytes,) if with_bytes else ())
    except (msgspec.ValidationError, RecursionError) as error:
        raise Damaged(_sentence(str(error), kind)) from None


def printable(*texts: str) -> None:
    """Raise Damaged where one of `texts` has control characters."""
    if not all(map(str.isprintable, texts)):
        raise Damaged("it holds control characters")


def exact_bytes(text: str) -> bytes:
    """Bytes as `sanitize.escape_exact` writes them. Raises Damaged."""
    try:
        return unescape_exact(text)
    except (BadInput, UnicodeError):
        raise Damaged("a name in it is not as this tool writes it") from None


def _sentence(error: str, kind: Any) -> str:
    """msgspec's sentence in our words."""
    missing, expected, place = _MISSING.match(error), _EXPECTED.match(error), _PLACE.search(error)
    if unknown := _UNKNOWN.match(error):
        return f"`{'' if place is None or not place[1] else f'{place[1]}.'}{unknown[1]}` is not known here"
    if missing:
        return f"{missing[1]} is missing"
    what = "it" if place is None or not place[1] else f"`{_named(place[1], kind)}`"
    if expected:
        return f"{what} is not {' or '.join(_WORDS.get(word, word) for word in expected[1].split(' | '))}"
    if ">=" in error or "<=" in error or "out of range" in error:
        return f"{what} is out of range"
    if "length" in error:
        return f"{what} is a list of another length"
    return f"{what} is not base64" if "base64" in error else f"{what} is not a value that is known here"


def _named(place: str, kind: Any) -> str:
    index = _ROW_PLACE.fullmatch(place)
    return str(kind.__struct_fields__[int(index[1])]) if index and hasattr(kind, "__struct_fields__") else place
