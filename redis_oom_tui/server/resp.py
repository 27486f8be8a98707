"""Commands as they go over the wire: packed by hiredis, and each behind ASKING where that is needed.

Questions about a page of keys are packed into one write by hand, in an eighth of the time that hiredis takes command by
command; any other command goes by `hiredis.pack_command`, which is as fast.
"""

from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from typing import Any

import hiredis
from msgspec import Struct

from redis_oom_tui.rules.sizing import SAMPLES
from redis_oom_tui.server.command_allowlist import CommandAllowlist

ASKING = b"ASKING"

_PACKED = b"*1\r\n$6\r\nASKING\r\n"


def packed(words: Sequence[bytes | str | int]) -> bytes:
    """One command.

    >>> packed([b"PING"])
    b'*1\\r\\n$4\\r\\nPING\\r\\n'
    """
    return bytes(hiredis.pack_command(tuple(words)))  # type: ignore[arg-type]


def asking(buffer: bytes) -> bytes:
    """`buffer`, commands as they go over the wire, with ASKING in front of each: it holds for one command only.

    >>> asking(b"*2\\r\\n$4\\r\\nTYPE\\r\\n$2\\r\\n*1\\r\\n*1\\r\\n$4\\r\\nPING\\r\\n").split(b"ASKING")[1:]
    [b'\\r\\n*2\\r\\n$4\\r\\nTYPE\\r\\n$2\\r\\n*1\\r\\n*1\\r\\n$6\\r\\n', b'\\r\\n*1\\r\\n$4\\r\\nPING\\r\\n']
    """
    parts = []
    start = 0
    while start < len(buffer):
        end = _behind_command(buffer, start)
        parts += [_PACKED, buffer[start:end]]
        start = end
    return b"".join(parts)


def _behind_command(buffer: bytes, start: int) -> int:
    """Where the command that begins at `start` ends. Words may hold anything, so their lengths are followed."""
    words, at = _number(buffer, start)
    for _ in range(words):
        length, at = _number(buffer, at)
        at += length + 2
    return at


def _number(buffer: bytes, start: int) -> tuple[int, int]:
    """The number in the line at `start`, behind its mark, and where the next line begins."""
    end = buffer.index(b"\r\n", start)
    return int(buffer[start + 1 : end]), end + 2


class KeyQuestion(Enum):
    """What is asked of each key, and the words that ask it. None of them leaves a trace in LRU or LFU evidence."""

    SIZE = (b"MEMORY", b"USAGE")
    TYPE = (b"TYPE",)
    TTL = (b"PTTL",)
    IDLE = (b"OBJECT", b"IDLETIME")
    FREQUENCY = (b"OBJECT", b"FREQ")
    ENCODING = (b"OBJECT", b"ENCODING")

    def words(self, key: bytes) -> tuple[bytes, ...]:
        """What asks it of `key`."""
        return (*self.value, key, *_behind(self))


def _behind(column: KeyQuestion) -> tuple[bytes, ...]:
    return (b"SAMPLES", b"%d" % SAMPLES) if column is KeyQuestion.SIZE else ()


_WANTED: dict[KeyQuestion, frozenset[type]] = {
    KeyQuestion.SIZE: frozenset({int, type(None)}),
    KeyQuestion.TYPE: frozenset({bytes}),
    KeyQuestion.TTL: frozenset({int}),
    KeyQuestion.IDLE: frozenset({int, type(None)}),
    KeyQuestion.FREQUENCY: frozenset({int, type(None)}),
    KeyQuestion.ENCODING: frozenset({bytes, type(None)}),
}


def checked(columns: Sequence[KeyQuestion], replies: list[Any]) -> list[Any]:
    """`replies`, of each key one after the other what `columns` ask: each of the type that it must have, or a refusal.

    Raises InvalidResponse.
    """
    for place, column in enumerate(columns):
        for kind in set(map(type, replies[place :: len(columns)])) - _WANTED[column]:
            from redis import exceptions  # noqa: PLC0415 - `check` packs commands without the driver

            if not issubclass(kind, exceptions.RedisError):
                asked = b" ".join(column.value).decode()
                raise exceptions.InvalidResponse(f"{asked} was answered with {kind.__name__}")
    return replies


def _head(words: Sequence[bytes], arguments: int) -> bytes:
    return b"*%d\r\n" % (len(words) + arguments) + b"".join(_bulk(word) for word in words)


def _bulk(word: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(word), word)


_HEADS = {column: _head(column.value, 1 + len(_behind(column))) for column in KeyQuestion}
_TAILS = {column: b"".join(map(_bulk, _behind(column))) for column in KeyQuestion}


class ScanCommand(Struct, frozen=True):
    """How SCAN is asked: the filters stay the same through a scan, the cursor and COUNT do not."""

    match: bytes | None = None
    type: bytes | None = None

    def words(self, cursor: int, count: int) -> tuple[bytes, ...]:
        """The command in its words."""
        words: tuple[bytes, ...] = (b"SCAN", b"%d" % cursor, b"COUNT", b"%d" % count)
        if self.match is not None:
            words += (b"MATCH", self.match)
        return words if self.type is None else (*words, b"TYPE", self.type)

    def packed(self, cursor: int, count: int) -> bytes:
        """The command as it goes over the wire."""
        before, after = _around_the_place(self)
        at, size = b"%d" % cursor, b"%d" % count
        return before % (len(at), at, len(size), size) + after


@lru_cache(maxsize=16)
def _around_the_place(command: ScanCommand) -> tuple[bytes, bytes]:
    """What asks for a page by `command`: a format for cursor and COUNT, and what follows it, which may hold a `%`."""
    words = command.words(0, 0)
    place = [b"$%d\r\n%b\r\n" if word == b"0" else _bulk(word) for word in words[:4]]
    return b"*%d\r\n" % len(words) + b"".join(place), b"".join(map(_bulk, words[4:]))


def packed_by_key(columns: tuple[KeyQuestion, ...], keys: Sequence[bytes]) -> bytes:
    """Each of `columns` asked of the first of `keys`, then of the second: the server has a key still at hand when it is
    asked the next thing about it, and in its processor's cache. One format takes the names of all of them."""
    asked = len(columns)
    names = [b""] * (asked * len(keys))
    for place in range(asked):
        names[place::asked] = keys
    return b"".join(map(_templates(columns).__getitem__, map(len, keys))) % tuple(names)


class _Templates(dict[int, bytes]):
    """What asks for `columns` of one key, `%b` in the places of its name, by the length of the name."""

    def __init__(self, columns: Sequence[KeyQuestion]) -> None:
        self._columns = columns

    def __missing__(self, length: int) -> bytes:
        name = b"$%d\r\n%%b\r\n" % length
        made = self[length] = b"".join([_HEADS[column] + name + _TAILS[column] for column in self._columns])
        return made


@lru_cache(maxsize=16)
def _templates(columns: tuple[KeyQuestion, ...]) -> _Templates:
    return _Templates(columns)


def admit_all(allowlist: CommandAllowlist, command: ScanCommand) -> None:
    """What is packed by hand passes the allowlist too: once for each template that this module can write."""
    allowlist.admit(command.words(0, 1))
    for column in KeyQuestion:
        allowlist.admit(column.words(b""))
