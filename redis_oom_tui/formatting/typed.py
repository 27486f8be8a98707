"""Values read from JSON, each checked for its type and range before anything uses it."""

import base64
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from redis_oom_tui.formatting.sanitize import unescape_exact
from redis_oom_tui.models.errors import BadInput

T = TypeVar("T")
Check = Callable[[object], T]

# Servers tell counters of 64 bits, and sums of them are kept: what is larger was never ours.
_LARGEST = 2**100
# Unix seconds up to the year 9999: what a date can be made of.
_LATEST = 253402300799.0
_LARGEST_DB = 2**31 - 1


class Damaged(ValueError):
    """A value that is not what it should be; the text says what is wrong with it, after the name of the member."""


def parse(raw: bytes | str) -> Any:
    """The JSON in `raw`; raises Damaged for anything else, however deep or large it is.

    >>> parse("[1]")
    [1]
    """
    try:
        return json.loads(raw)
    except RecursionError:
        raise Damaged("its values are nested too deep") from None
    except (ValueError, MemoryError):
        raise Damaged("it is not JSON") from None


def members(value: object) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise Damaged("is not a JSON object")
    return value


def text(value: object) -> str:
    """A string that can be written to a terminal or a file."""
    if not isinstance(value, str):
        raise Damaged("is not a string")
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        raise Damaged("is not a string of whole characters")
    return value


def printable(value: object) -> str:
    """A string without control characters."""
    found = text(value)
    if not found.isprintable():
        raise Damaged("holds control characters")
    return found


def whole(value: object) -> int:
    """A whole number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise Damaged("is not a whole number")
    if not -_LARGEST < value < _LARGEST:
        raise Damaged("is too large a number")
    return value


def tally(value: object) -> int:
    """A whole number from 0."""
    found = whole(value)
    if found < 0:
        raise Damaged("is less than 0")
    return found


def database(value: object) -> int:
    """The number of a database."""
    found = tally(value)
    if found > _LARGEST_DB:
        raise Damaged("is too large a number")
    return found


def number(value: object) -> float:
    """A number, whole or not, as it is in the file; not infinite."""
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, float):
        raise Damaged("is not a finite number")
    try:
        return whole(value)
    except Damaged as error:
        raise Damaged(str(error).replace("whole number", "number")) from None


def moment(value: object) -> float:
    """A time in Unix seconds."""
    found = number(value)
    if not 0 <= found <= _LATEST:
        raise Damaged("is not a time in Unix seconds")
    return found


def flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise Damaged("is neither true nor false")
    return value


def base64_bytes(value: object) -> bytes:
    """Bytes written in base64."""
    try:
        return base64.b64decode(text(value).encode("ascii"), validate=True)
    except ValueError:
        raise Damaged("is not base64") from None


def exact_bytes(value: object) -> bytes:
    """Bytes as `words.hostile.exact` writes them."""
    try:
        return unescape_exact(text(value))
    except (BadInput, UnicodeError):
        raise Damaged("is not a name as this tool writes it") from None


def optional(check: Check[T]) -> Check[T | None]:
    """What `check` takes, or null."""
    return lambda value: None if value is None else check(value)


def several(check: Check[T]) -> Check[tuple[T, ...]]:
    """A list of what `check` takes."""

    def checked(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise Damaged("is not a list")
        return tuple(check(one) for one in value)

    return checked


def row(*checks: Check[Any]) -> Check[tuple[Any, ...]]:
    """A list of as many values as there are checks, each for one of them."""

    def checked(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) != len(checks):
            raise Damaged(f"is not a list of {len(checks)} values")
        return tuple(check(one) for check, one in zip(checks, value, strict=True))

    return checked


def one_of(kind: Callable[[Any], T]) -> Check[T]:
    """A value of an enumeration."""

    def checked(value: object) -> T:
        try:
            return kind(value)
        except (ValueError, TypeError):
            raise Damaged("is not a value that is known here") from None

    return checked


def taken(found: Mapping[str, Any], name: str, check: Check[T]) -> T:
    """The member `name` of a JSON object, checked; raises Damaged, with its name, where it is missing or wrong.

    >>> taken({"db": "0"}, "db", whole)
    Traceback (most recent call last):
    redis_oom_tui.formatting.typed.Damaged: `db` is not a whole number
    """
    if name not in found:
        raise Damaged(f"`{name}` is missing")
    try:
        return check(found[name])
    except Damaged as error:
        raise Damaged(f"`{name}` {error}") from None


def given(found: Mapping[str, Any], name: str, check: Check[T], default: T) -> T:
    """As `taken`, or `default` where the member is missing."""
    return taken(found, name, check) if name in found else default


def all_taken(found: Mapping[str, Any], checks: Mapping[str, Check[Any]]) -> dict[str, Any]:
    """Each member named in `checks`, checked."""
    return {name: taken(found, name, check) for name, check in checks.items()}


KEY_ROW: Mapping[str, Check[Any]] = {
    "type": text,
    "size": optional(whole),
    "ttl_ms": optional(whole),
    "idle_seconds": optional(whole),
    "frequency": optional(whole),
    "encoding": optional(text),
    "elements": optional(whole),
    "measured": flag,
    "suspect": flag,
}
"""A row of a key, but for its identity."""

KEY_ROW_LATER: Mapping[str, Check[Any]] = {"size_low": optional(whole), "size_high": optional(whole)}
"""What rows of earlier versions do not have."""


def key_row(found: Mapping[str, Any]) -> dict[str, Any]:
    """What `found` says of a key's row."""
    return all_taken(found, KEY_ROW) | {name: given(found, name, check, None) for name, check in KEY_ROW_LATER.items()}
