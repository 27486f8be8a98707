"""Replies as the types that they must have: no reply is believed before it was looked at, whoever it came from.

Everything here raises what redis-py raises for a broken protocol, which `errors.translated` makes one of ours; a
refusal among the replies is raised as it is.
"""

from collections.abc import Sequence
from typing import Any

from redis import exceptions

_LARGEST_CURSOR = 2**64


def data(reply: object) -> bytes:
    """A bulk or simple string."""
    if isinstance(reply, bytes):
        return reply
    raise _unexpected(reply, "a string")


def whole(reply: object) -> int:
    """An integer."""
    if isinstance(reply, int):
        return reply
    raise _unexpected(reply, "an integer")


def array(reply: object, length: int | None = None) -> list[Any]:
    """An array, of `length` items where that is given."""
    if isinstance(reply, list) and (length is None or len(reply) == length):
        return reply
    raise _unexpected(reply, "an array" if length is None else f"an array of {length}")


def strings(reply: object) -> list[bytes]:
    """An array of strings."""
    found = array(reply)
    # Asked of every page of a scan: the types of all at once, in C.
    if set(map(type, found)) <= {bytes}:
        return found
    raise _unexpected(found, "an array of strings")


def page(reply: object) -> tuple[int, list[bytes]]:
    """The next cursor and the names of a SCAN."""
    cursor, names = array(reply, 2)
    if isinstance(cursor, bytes) and cursor.isdigit() and len(cursor) <= 20 and int(cursor) < _LARGEST_CURSOR:
        return int(cursor), strings(names)
    raise _unexpected(cursor, "a cursor")


def pairs(reply: object) -> dict[bytes, bytes]:
    """An array of names and values in turn; empty where an odd number came."""
    found = strings(reply)
    if len(found) % 2:
        raise _unexpected(found, "names and values")
    return dict(zip(found[::2], found[1::2], strict=True))


def at_least(reply: object, length: int) -> Sequence[Any]:
    """An array of `length` items or more."""
    found = array(reply)
    if len(found) < length:
        raise _unexpected(found, f"an array of {length} or more")
    return found


def _unexpected(reply: object, wanted: str) -> Exception:
    if isinstance(reply, exceptions.RedisError):
        return reply
    return exceptions.InvalidResponse(f"{wanted} was expected, and {type(reply).__name__} came")
