"""What this tool itself puts back or deletes is no growth and no fall of the applications' own."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from redis_oom_tui.files.own_actions import OwnActions
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.config import WatchSettings
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.models.trend import Trend
from redis_oom_tui.monitor import poller as polling
from redis_oom_tui.monitor.poller import Poller
from redis_oom_tui.rules import forecast
from redis_oom_tui.server.live import LiveServer
from tests.support.acting import fill, operating, planned
from tests.support.servers import RunningServer

STEPS = 24


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trend is told of a short past, and worked out at each poll."""
    monkeypatch.setattr(forecast, "_LEAST_SECONDS", 0.005)
    monkeypatch.setattr(polling, "_FORECAST_EVERY_SECONDS", 0.0)


@contextlib.asynccontextmanager
async def watched(server: RunningServer, audit: Path | None) -> AsyncIterator[Poller]:
    """A poll of the server; with `audit` it is told by that file what this tool does."""
    source = LiveServer(server.connection)
    poller = Poller(source, WatchSettings(), shared=True)
    if audit is not None:
        poller.ours = OwnActions(audit).since_last
    try:
        yield poller
    finally:
        await poller.close()
        await source.close()


async def trend_and_reason(poller: Poller) -> tuple[Trend, str]:
    state = await poller.poll()
    assert state.verdict is not None, state.error
    return state.forecast.trend, state.verdict.reason


async def test_a_restore_and_a_deletion_of_our_own_are_no_trend(server: RunningServer, tmp_path: Path) -> None:
    audit = tmp_path / "audit.jsonl"
    with server.client() as client:
        for step in range(STEPS):
            fill(client, [b"f%d:%d" % (step, n) for n in range(100)], b"x" * 1000)
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 3 * int(client.info("memory")["used_memory"]))
        async with operating(server.connection, tmp_path) as operator:
            backups: list[Path] = []
            async with watched(server, audit) as knowing, watched(server, None) as blind:
                for step in range(STEPS):
                    plan = await planned(operator, Criteria(patterns=(b"f%d:*" % step,)))
                    backups.append(Path(str((await operator.run(plan, backup=BackupChoice()).run()).backup_path)))
                    fallen = [await trend_and_reason(one) for one in (knowing, blind)]
            assert [trend for trend, _ in fallen] == [Trend.UNKNOWN, Trend.SHRINKING]
            async with watched(server, audit) as knowing, watched(server, None) as blind:
                for path in backups:
                    assert not (await operator.restore(path).run()).failed
                    grown = [await trend_and_reason(one) for one in (knowing, blind)]
                assert [trend for trend, _ in grown] == [Trend.UNKNOWN, Trend.GROWING]
                assert ["Growing: at" in reason for _, reason in grown] == [False, True]
                # What an application writes behind that is growth again.
                for step in range(STEPS):
                    client.set(b"application:%d" % step, b"x" * 100_000)
                    trend, reason = await trend_and_reason(knowing)
                assert trend is Trend.GROWING
                assert "Growing: at" in reason
