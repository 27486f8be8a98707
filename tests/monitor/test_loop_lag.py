"""What of a long answer was this process's own delay."""

import asyncio
import time

from redis_oom_tui.monitor.clock import LoopLag
from tests.support.waiting import be_late, stand_still, stays


async def test_a_loop_that_is_kept_busy_is_told_apart_from_a_silent_server():
    asyncio.get_running_loop().call_later(0.01, stand_still, 0.4)
    began = time.monotonic()
    with LoopLag() as own:
        await be_late(0.02)
    assert time.monotonic() - began - own.seconds < 0.25


async def test_a_silent_server_is_not_excused():
    began = time.monotonic()
    with LoopLag() as own:
        while time.monotonic() - began < 0.4:
            await asyncio.sleep(0.01)
    # However late the loop is, what it was on time for is the server's.
    assert 0.0 <= own.seconds < time.monotonic() - began


async def test_its_beat_ends_with_the_question():
    with LoopLag() as own:
        pass
    seconds = own.seconds
    assert await stays(lambda: own.seconds == seconds)
