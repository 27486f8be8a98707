"""The armed cleanup and a million real keys: what it takes is counted on the server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from redis_oom_tui.actions.deployment import Standalone
from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.files.ledger import Ledger
from redis_oom_tui.models.config import Emergency, NamedPlan, WatchSettings
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.emergency import EmergencyCleanup, EmergencyJob
from redis_oom_tui.monitor.output import Note
from redis_oom_tui.ports.operator import Operator
from redis_oom_tui.rules.alerts import AlertBook
from redis_oom_tui.rules.verdict import judge
from redis_oom_tui.server.live import LiveServer
from tests.support.servers import RunningServer, started

MILLION = 1_000_000
BOUNDS = Emergency(
    plan="cache", armed=True, max_keys=100, max_bytes=20_000, max_keys_per_hour=250, max_bytes_per_hour=10**9
)


@pytest.fixture
def crowded() -> Iterator[RunningServer]:
    """A million small keys that the plan names, fifty that it does not, and a limit just above them."""
    with started("valkey", "enable-debug-command yes") as server, server.client(socket_timeout=60) as client:
        client.execute_command("DEBUG POPULATE", MILLION, "cache", 20)
        client.mset({f"session:{number}": "x" * 1000 for number in range(50)})
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] / 0.97))
        yield server


async def test_no_run_and_no_hour_takes_more_than_its_bounds(
    crowded: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redis_oom_tui.monitor.emergency._SEARCH_SECONDS", 0.2)

    @contextlib.asynccontextmanager
    async def connect(_node: str) -> AsyncIterator[Operator]:
        server = LiveServer(crowded.connection)
        operator = LiveOperator(Standalone(server), audit_path=tmp_path / "audit.jsonl", folder=tmp_path)
        await server.open()
        try:
            yield operator
        finally:
            await operator.close()
            await server.close()

    watched = LiveServer(crowded.connection)
    snapshot = await watched.snapshot()
    await watched.close()
    verdict = judge(snapshot)
    assert verdict.rule == "close-critical"
    notes, said = list[Note](), list[str]()
    job = EmergencyJob("cache", NamedPlan("cache", Criteria(patterns=(b"cache:*",))), BOUNDS, connect)
    left = []
    with crowded.client() as client:
        # A search finds fewer than its bound on a crowded machine: the hour then takes more runs.
        for number in range(12):
            # As another watch at another address of the server: only the ledger knows what was taken before.
            book = AlertBook(f"cache-{number}:6379", WatchSettings())
            ledger = Ledger(tmp_path / "emergency.json")
            armed = EmergencyCleanup(
                job, book, ledger, Clock(), log=notes.append, tell=lambda event: said.append(event.reason)
            )
            await armed.clean(snapshot, verdict, asyncio.Event())
            left.append(int(client.dbsize()))
            if "hourly cap reached" in notes[-1].text:
                break
        assert client.exists(*[f"session:{number}" for number in range(50)]) == 50
    taken = [before - after for before, after in zip([MILLION + 50, *left], left, strict=False)]
    assert max(taken) <= 100
    assert (sum(taken), taken[-1]) == (250, 0)
    assert "hourly cap reached" in notes[-1].text
    assert len(said) == len(list(filter(None, taken)))
    assert f"{taken[0]} deleted" in said[0]
    assert f'"delete {taken[0]} keys' in (tmp_path / "audit.jsonl").read_text()
