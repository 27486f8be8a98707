"""What is said of a key that was to be changed, its value where that was to be saved, and the server's clock."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from redis_oom_tui.models.errors import CommandMissing, NotRedis, ServerBusy, TriageError
from redis_oom_tui.rules import expected_state
from redis_oom_tui.rules.expected_state import ServerTime
from redis_oom_tui.server.errors import in_script
from redis_oom_tui.server.mutations.connections import Command, ExclusiveConnection
from redis_oom_tui.server.mutations.scripts import Reply
from redis_oom_tui.server.resp import packed

_REPLIES = {reply.value: reply for reply in Reply}
ReplyOrError = Reply | TriageError
"""What became of one key: a Reply, or an error of ours."""
_SAVED = [bytes, int, int, int, int, int]


class Saved(Struct, frozen=True, gc=False):
    """A key's value as DUMP gives it, with what DUMP leaves out; None where the key has none or it is not known.

    `now_ms` is the server's time then, in Unix milliseconds.
    """

    payload: bytes
    ttl_ms: int | None
    idle_seconds: int | None
    frequency: int | None
    now_ms: int
    size: int | None = None

    @property
    def digest(self) -> str:
        """What is compared before the key is deleted."""
        return digest(self.payload)


class Limit(NamedTuple):
    """How large a key may be that is read, and how many bytes at once; `unsized`: also one whose size nobody knows."""

    most: int
    at_once: int
    unsized: bool = False


class Uncopied(NamedTuple):
    """A key that was not read, as its copy would have been too large: its size, None where nobody knows."""

    size: int | None


def digest(payload: bytes) -> str:
    """The SHA-1 of a DUMP, as the scripts work it out on the server."""
    return hashlib.sha1(payload, usedforsecurity=False).hexdigest()


def reply_or_error(reply: object) -> ReplyOrError:
    """A reply about one key: a number of `Reply`, or a refusal. Raises NotRedis for anything else."""
    if isinstance(reply, TriageError):
        return reply
    if isinstance(reply, int) and reply in _REPLIES:
        return _REPLIES[reply]
    if isinstance(reply, bytes):
        return in_script(reply.decode("utf-8", "replace"))
    raise nonsense()


def replies_of_all(reply: object, keys: int) -> list[Any]:
    """The replies about so many keys that came as one array; a refusal of them all counts for each."""
    if isinstance(reply, TriageError):
        return [reply] * keys
    if isinstance(reply, list) and len(reply) == keys:
        return reply
    raise nonsense()


def integer(reply: object) -> int | TriageError:
    """A number, or why there is none. Raises NotRedis for anything else."""
    if isinstance(reply, (int, TriageError)):
        return reply
    raise nonsense()


def string(reply: object) -> bytes | TriageError:
    """A string, or why there is none. Raises NotRedis for anything else."""
    if isinstance(reply, (bytes, TriageError)):
        return reply
    raise nonsense()


def pairs(reply: object) -> dict[bytes, bytes] | TriageError:
    """Names and values in turn, or why there are none. Raises NotRedis for anything else."""
    if isinstance(reply, TriageError):
        return reply
    if isinstance(reply, list) and not len(reply) % 2 and all(isinstance(word, bytes) for word in reply):
        return dict(zip(reply[::2], reply[1::2], strict=True))
    raise nonsense()


def nonsense() -> NotRedis:
    """What is raised for a reply that no server of ours gives."""
    return NotRedis("The server answered what neither Redis nor Valkey answers, so nothing more was sent to it")


def saved(reply: Sequence[Any]) -> Saved | Uncopied:
    """A saved value from DUMP, PTTL, idle time, frequency, size, of which -1 are none or not known, and the
    server's time; or what is there instead, the size alone. Raises NotRedis for anything else.
    """
    kinds = list(map(type, reply))
    if kinds == [int]:
        return Uncopied(None if reply[0] < 0 else reply[0])
    if kinds != _SAVED:
        raise nonsense()
    payload, ttl, idle, frequency, size, now_ms = reply
    return Saved(
        payload,
        None if ttl < 0 else ttl,
        None if idle < 0 else idle,
        None if frequency < 0 else frequency,
        now_ms,
        None if size < 0 else size,
    )


def saved_or_error(replies: Sequence[Any]) -> list[Saved | Uncopied | ReplyOrError]:
    """What is said of each key: its value, as `saved` returns it, or what `reply_or_error` returns. Raises NotRedis."""
    if set(map(type, replies)) == {list} and set(map(len, replies)) == {len(_SAVED)}:
        # As it is nearly always: looked at by columns, in half the time.
        columns = list(zip(*replies, strict=True))
        if [set(map(type, column)) for column in columns] == [{kind} for kind in _SAVED]:
            payloads, ttls, idles, frequencies, sizes, times = columns
            return list(map(Saved, payloads, _known(ttls), _known(idles), _known(frequencies), times, _known(sizes)))
    return [saved(reply) if isinstance(reply, list) else reply_or_error(reply) for reply in replies]


def _known(numbers: Sequence[int]) -> list[int | None]:
    return [None if number < 0 else number for number in numbers]


ASKED: tuple[Command, ...] = (("TIME",), ("INFO", "server"))
"""What is asked for it. TIME may be refused where INFO is not, and INFO may leave the time out."""
PACKED_TIME = b"".join(packed([str(word).encode() for word in command]) for command in ASKED)

_MICROSECONDS = re.compile(rb"server_time_usec:(\d+)")
_LRU_CLOCK = re.compile(rb"lru_clock:(\d+)")


async def server_time(channel: ExclusiveConnection) -> ServerTime:
    """The server's time now. Raises one of `models.errors`."""
    return time_of_replies(await channel.call(ASKED))


def time_of_replies(replies: Any) -> ServerTime:
    """The time by the replies to what was `ASKED`. Raises ServerBusy, and CommandMissing where it is not told."""
    time, info = replies
    for reply in replies:
        if isinstance(reply, ServerBusy):
            raise reply
    info = info if isinstance(info, bytes) else b""
    clock = _LRU_CLOCK.search(info)
    return expected_state.server_time(_milliseconds(time, info), None if clock is None else int(clock[1]))


def _milliseconds(time: Any, info: bytes) -> int:
    if isinstance(time, list) and len(time) == 2 and all(isinstance(part, bytes) and part.isdigit() for part in time):
        return int(time[0]) * 1000 + int(time[1]) // 1000
    spent = _MICROSECONDS.search(info)
    if spent is None:
        raise CommandMissing("The server does not report its time: TIME is refused, and INFO leaves it out")
    return int(spent[1]) // 1000
