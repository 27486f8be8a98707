"""A scan whose process was suspended for a while: it tells of the time for which it was under way."""

import asyncio
import time

import pytest

from redis_oom_tui.models.scan import ScanOptions, ScanState
from redis_oom_tui.server import clocks
from redis_oom_tui.server.clocks import ActiveClock
from redis_oom_tui.server.live import LiveServer
from tests.support.acting import fill
from tests.support.servers import RunningServer
from tests.support.waiting import be_late, stand_still


async def test_the_time_for_which_nothing_ran_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "_BEAT_SECONDS", 0.05)
    monkeypatch.setattr(clocks, "_GAP_SECONDS", 0.5)
    watch = ActiveClock(time.monotonic)
    began = time.monotonic()
    watch.start()
    await be_late(0.1)
    # As SIGSTOP does: the loop does not run, and the clock goes on.
    stand_still(1.0)
    assert watch.elapsed < time.monotonic() - began - 0.9
    await be_late(0.1)
    assert 0.1 < watch.elapsed < time.monotonic() - began - 0.9
    watch.stop()
    # A crowded machine may add one of its own.
    assert watch.gaps >= 1
    assert not watch.runs


async def test_a_scan_that_was_suspended_tells_no_absurd_time(
    valkey: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clocks, "_BEAT_SECONDS", 0.05)
    monkeypatch.setattr(clocks, "_GAP_SECONDS", 0.5)
    with valkey.client() as client:
        fill(client, [b"k%d" % number for number in range(25_000)])
    server = LiveServer(valkey.connection)
    await server.open()
    try:
        scan = server.scan(ScanOptions())
        running = asyncio.create_task(scan.run())
        while scan.view().scanned_keys < 2000:
            await asyncio.sleep(0.01)
        before = scan.view()
        stand_still(1.0)
        after = scan.view()
        if after.state is ScanState.RUNNING:
            assert after.elapsed_seconds < before.elapsed_seconds + 0.6
            assert after.keys_per_second > before.keys_per_second / 20
            assert (after.remaining_seconds or 0) < 20 * (before.remaining_seconds or 3)
        whole = await running
        assert whole.scanned_keys == 25_000
    finally:
        await server.close()
