"""Reading values while somebody's script keeps the server busy: it is held and asked again, and nothing is missed."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.scan import Pace, ScanOptions
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.scan.connection import ScanConnection
from tests.support.busy import SOON, Script, script
from tests.support.servers import RunningServer, started
from tests.support.sources import opened

KEYS = 400


@pytest.fixture
def busy(flavour: str) -> Iterator[tuple[RunningServer, Script]]:
    """A server of some sessions, and a script of 0.4 s that is still to be sent."""
    with started(flavour, SOON) as server:
        with server.client() as client:
            client.mset({b"session:%d" % n: b"v" * 50 for n in range(KEYS)})
            client.hset("profile", mapping={f"f{n}": "v" * 100 for n in range(50)})
        with script(server, 0.4) as made:
            yield server, made


@pytest.mark.in_turn
@pytest.mark.parametrize("exchange", [1, 2, 3])
async def test_samples_of_values_miss_nothing(
    busy: tuple[RunningServer, Script], monkeypatch: pytest.MonkeyPatch, exchange: int
) -> None:
    server, made = busy
    async with opened(server.connection) as live:
        assert isinstance(live, LiveServer)
        view = await live.scan(ScanOptions(pace=Pace.FULL_SPEED)).run()
        quiet = await live.samples(view)
        ask, met = ScanConnection.ask, 0

        async def hooked(self: ScanConnection, buffer: bytes, replies: int) -> list[Any]:
            nonlocal met
            met += b"SCAN" in buffer or b"USAGE" in buffer or b"memory" in buffer
            if met == exchange:
                await asyncio.to_thread(made.start)
            return await ask(self, buffer, replies)

        monkeypatch.setattr(ScanConnection, "ask", hooked)
        found = await live.samples(view)
    assert met > exchange
    assert found == quiet


async def test_details_of_a_key_wait_for_the_end_of_the_script(busy: tuple[RunningServer, Script]) -> None:
    server, made = busy
    async with opened(server.connection) as live:
        assert isinstance(live, LiveServer)
        quiet = await live.details(KeyId(0, b"profile"))
        await asyncio.to_thread(made.start)
        found = await live.details(KeyId(0, b"profile"))
    assert found is not None
    assert quiet is not None
    assert (found.row.size, found.row.elements, found.preview) == (quiet.row.size, quiet.row.elements, quiet.preview)
