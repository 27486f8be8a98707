"""What takes too long is ended; what does not is left alone, whoever else cancels it."""

import asyncio
import socket

import pytest

from redis_oom_tui.server.tasks import ReusableTimeout
from tests.support.waiting import be_late, stand_still


async def test_what_never_ends_is_ended() -> None:
    with pytest.raises(TimeoutError), ReusableTimeout(0.01):
        await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_what_is_soon_done_moves_the_timer_and_sets_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    alarm = ReusableTimeout(30.0)
    with alarm:
        await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "call_at", lambda *_: pytest.fail("a second timer"))
    for _ in range(3):
        with alarm:
            pass


async def test_an_alarm_that_rings_for_what_is_over_gives_the_next_its_whole_time() -> None:
    alarm = ReusableTimeout(0.1)
    with alarm:
        await be_late(0.06)
    began = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError), alarm:
        await asyncio.Event().wait()
    assert asyncio.get_running_loop().time() - began >= 0.099


async def test_it_rings_again_after_it_has_rung_and_after_it_has_rung_for_nothing() -> None:
    alarm = ReusableTimeout(0.01)
    for _ in range(2):
        with pytest.raises(TimeoutError), alarm:
            await asyncio.Event().wait()
    with alarm:
        await asyncio.sleep(0)
    await be_late(0.03)
    with pytest.raises(TimeoutError), alarm:
        await asyncio.Event().wait()


async def test_what_came_while_this_process_had_no_turn_is_read() -> None:
    here, there = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=here)
    alarm = ReusableTimeout(0.05)

    async def read() -> bytes:
        with alarm:
            return await reader.read(1)

    with there:
        reading = asyncio.create_task(read())
        await asyncio.sleep(0)
        there.send(b"x")
        stand_still(0.2)
        assert await reading == b"x"
        reading = asyncio.create_task(read())
        await asyncio.sleep(0)
        stand_still(0.2)
        with pytest.raises(TimeoutError):
            await reading
    writer.close()
    await writer.wait_closed()


async def test_a_cancellation_by_somebody_else_stays_one() -> None:
    entered = asyncio.Event()

    async def work() -> None:
        with ReusableTimeout(30.0):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelled_by_somebody_while_it_rings_it_says_cancelled() -> None:
    task: asyncio.Task[None] | None = None

    async def work() -> None:
        with ReusableTimeout(0.01):
            try:
                await asyncio.Event().wait()
            finally:
                assert task is not None
                task.cancel()

    task = asyncio.create_task(work())
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_one_around_another_and_only_the_shorter_rings() -> None:
    with ReusableTimeout(30.0):
        with pytest.raises(TimeoutError), ReusableTimeout(0.01):
            await asyncio.Event().wait()
        await asyncio.sleep(0)


async def test_what_breaks_by_itself_says_why() -> None:
    with pytest.raises(ConnectionResetError), ReusableTimeout(30.0):
        raise ConnectionResetError
