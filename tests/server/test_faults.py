"""Between tool and server something breaks: one sentence within the stated timeouts, and never a wrong number."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from redis_oom_tui.models.errors import NotRedis, ServerUnreachable, TriageError
from redis_oom_tui.models.scan import Pace, ScanOptions, ScanState
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.live import LiveServer
from tests.support.proxy import Faults, Wire, wired
from tests.support.servers import RunningServer

KEYS = 37
# A hang would be caught here: many times what the timeouts below allow.
BOUND = 10.0


@pytest.fixture
def wire(valkey: RunningServer) -> Iterator[Wire]:
    with valkey.client() as client:
        client.mset({f"k{n}": "v" * 100 for n in range(KEYS)})
    with wired(valkey.connection) as proxy:
        yield proxy


@contextlib.asynccontextmanager
async def looking(wire: Wire, patience: float = 3.0) -> AsyncIterator[LiveServer]:
    live = LiveServer(replace(wire.connection, connect_timeout_seconds=patience, read_timeout_seconds=patience))
    try:
        yield live
    finally:
        await live.close()


@pytest.mark.parametrize("pace", list(Pace))
async def test_a_scan_over_a_long_way_comes_to_its_end(wire: Wire, pace: Pace) -> None:
    wire.faults = Faults(delay=0.15)
    async with looking(wire) as live:
        view = await asyncio.wait_for(live.scan(ScanOptions(pace=pace)).run(), 3 * BOUND)
    assert (view.state, view.scanned_keys, view.error) == (ScanState.COMPLETE, KEYS, None)


async def test_a_long_way_takes_few_round_trips(wire: Wire, valkey: RunningServer) -> None:
    with valkey.client() as client:
        client.mset({f"more:{n}": "v" * 100 for n in range(2000)})
    wire.faults = Faults(delay=0.1)
    wire.turns = 0
    async with looking(wire) as live:
        view = await live.scan(ScanOptions()).run()
    assert (view.state, view.scanned_keys) == (ScanState.COMPLETE, KEYS + 2000)
    # Pages of twelve keys would be 170.
    assert wire.turns < 60


async def test_a_delay_and_a_trickle_cost_time_and_nothing_else(wire: Wire) -> None:
    async with looking(wire) as live:
        for faults in (Faults(delay=0.2), Faults(bytes_per_second=10_000)):
            wire.faults = faults
            await live.open()
            assert (await live.snapshot()).keys == KEYS


async def test_a_long_reply_over_a_slow_link_is_slow_and_not_lost(wire: Wire, valkey: RunningServer) -> None:
    """CLIENT LIST of many clients, and a scan's pages, take several times as long as silence may."""
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(valkey.client()).ping()
        async with looking(wire, 0.4) as live:
            await live.open()
            wire.faults = Faults(bytes_per_second=15_000)
            assert len(await live.clients()) >= 60
            view = await live.scan(ScanOptions()).run()
    assert (view.state, view.scanned_keys) == (ScanState.COMPLETE, KEYS)


@pytest.mark.parametrize("passed", [0, 1, 4, 40, 700, 3000])
async def test_a_reply_cut_short(wire: Wire, passed: int) -> None:
    wire.faults = Faults(cut_after=passed)
    async with looking(wire) as live:
        with pytest.raises(ServerUnreachable, match="closed the connection"):
            await asyncio.wait_for(_open_and_look(live), BOUND)
        wire.faults = Faults()
        assert (await live.snapshot()).keys == KEYS


async def _open_and_look(live: LiveServer) -> None:
    await live.open()
    await live.snapshot()


FAULTS = {
    "silence": (Faults(silent=True), ServerUnreachable, "did not answer in time"),
    "reset": (Faults(reset=True), ServerUnreachable, "closed the connection"),
    "http": (Faults(garbage=b"HTTP/1.1 502 Bad Gateway\r\n\r\n"), NotRedis, "does not speak the Redis protocol"),
    "noise": (Faults(garbage=bytes(range(256))), NotRedis, "does not speak the Redis protocol"),
    "huge": (Faults(garbage=b"$99999999999999999999\r\n"), NotRedis, "does not speak the Redis protocol"),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_in_the_middle_is_a_sentence_and_heals(wire: Wire, name: str) -> None:
    faults, error, words = FAULTS[name]
    async with looking(wire, 0.5) as live:
        await live.open()
        wire.faults = faults
        for _ in range(2):
            with pytest.raises(error, match=words) as raised:
                await asyncio.wait_for(live.snapshot(), BOUND)
            assert str(live.address) in str(raised.value)
            assert "\n" not in str(raised.value)
        wire.faults = Faults()
        wire.drop()
        snapshot = await _healed(live)
    assert snapshot.keys == KEYS


async def _healed(live: LiveServer):  # type: ignore[no-untyped-def]
    """One failure is allowed: the connection that was open when the fault ended."""
    try:
        return await live.snapshot()
    except TriageError:
        return await live.snapshot()


async def test_a_late_reply_is_never_taken_for_the_next_one(wire: Wire) -> None:
    """INFO's reply comes after its timeout; what is asked next must not be answered by it."""
    async with looking(wire, 0.3) as live:
        await live.open()
        wire.faults = Faults(delay=0.6)
        with pytest.raises(ServerUnreachable):
            await live.snapshot()
        wire.faults = Faults()
        for _ in range(3):
            assert (await live.snapshot()).keys == KEYS
            assert len(await live.clients()) >= 1


async def test_a_lost_reply_is_not_asked_for_again(wire: Wire, valkey: RunningServer) -> None:
    """What changes the server is sent once, whatever becomes of its reply."""
    async with looking(wire, 0.3) as live:
        client = live.client(changing=True)
        await client.ping()
        wire.faults = Faults(silent=True)
        with pytest.raises(Exception, match="Timeout"):
            await client.execute_command("UNLINK", "k1")
    with valkey.client() as witness:
        assert witness.info("commandstats")["cmdstat_unlink"]["calls"] == 1
        assert witness.dbsize() == KEYS - 1
