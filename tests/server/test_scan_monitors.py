"""What watches over a scan is watched over itself: a scan without it ends, in a state that says so."""

import asyncio

import pytest

from redis_oom_tui.models.scan import ScanOptions, ScanState
from redis_oom_tui.server.rate_controller import RateController
from redis_oom_tui.server.scan.top_key_refiner import TopKeyRefiner
from redis_oom_tui.server.scan.workers import ScanWorkers
from tests.support.servers import RunningServer
from tests.support.sources import opened


@pytest.mark.parametrize(
    ("owner", "method", "name"),
    [(RateController, "probed", "latency watch"), (TopKeyRefiner, "refresh", "measuring of the largest keys")],
)
async def test_a_scan_whose_monitor_breaks_is_not_complete(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, owner: type, method: str, name: str
) -> None:
    with server.client() as client:
        client.mset({b"key:%d" % n: b"v" for n in range(3000)})
    async with opened(server.connection) as source:
        scan = source.scan(ScanOptions())
        original = getattr(owner, method)
        turn = ScanWorkers._turn
        broke = False

        def broken(*args: object) -> None:
            nonlocal broke
            if not started:
                return original(*args)
            broke = True
            raise ZeroDivisionError("defect\x1b[31m")

        started = False

        async def slow_turn(*args: object) -> None:
            nonlocal started
            started = True
            while not broke:
                await asyncio.sleep(0.01)
            await turn(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(owner, method, broken)
        monkeypatch.setattr(ScanWorkers, "_turn", slow_turn)
        view = await scan.run()
        assert view.state is ScanState.FAILED
        assert view.error == (
            f"The {name} broke (ZeroDivisionError: defect\\x1b[31m): stopped, as nothing would throttle it"
        )
        monkeypatch.undo()
        # The places of its walks are kept: it goes on from there.
        view = await scan.run()
        assert (view.state, view.scanned_keys) == (ScanState.COMPLETE, 3000)
