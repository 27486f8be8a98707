"""The server's clock: what every time that is compared with one of its own, or set there, is taken from."""

import re
from typing import Any

from redis_oom_tui.models.errors import CommandMissing, ServerBusy
from redis_oom_tui.rules import expected_state
from redis_oom_tui.rules.expected_state import ServerTime
from redis_oom_tui.server.mutations.exclusive_connection import Command, ExclusiveConnection
from redis_oom_tui.server.resp import packed

ASKED: tuple[Command, ...] = (("TIME",), ("INFO", "server"))
"""What is asked for it. TIME may be refused where INFO is not, and INFO may leave the time out."""
PACKED_TIME = b"".join(packed([str(word).encode() for word in command]) for command in ASKED)

_MICROSECONDS = re.compile(rb"server_time_usec:(\d+)")
_LRU_CLOCK = re.compile(rb"lru_clock:(\d+)")


async def server_time(channel: ExclusiveConnection) -> ServerTime:
    """The server's time now. Raises one of `models.errors`."""
    return told_time(await channel.call(ASKED))


def told_time(replies: Any) -> ServerTime:
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
    told = _MICROSECONDS.search(info)
    if told is None:
        raise CommandMissing("The server does not tell its time: TIME is refused, and INFO leaves it out")
    return int(told[1]) // 1000
