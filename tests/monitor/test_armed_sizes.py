"""The armed cleanup beside keys whose sizes a few sampled elements get wrong: what it takes, and what the hour pays."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from redis_oom_tui.actions.deployment import Standalone
from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.files.ledger import Ledger
from redis_oom_tui.models.config import Emergency, NamedPlan, WatchSettings
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.models.verdict import Level, Verdict
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.emergency import EmergencyCleanup, EmergencyJob
from redis_oom_tui.monitor.output import Note
from redis_oom_tui.ports.operator import Operator
from redis_oom_tui.rules.alerts import AlertBook
from redis_oom_tui.rules.verdict import judge
from redis_oom_tui.server.live import LiveServer
from tests.support.scene import Scene
from tests.support.servers import RunningServer
from tests.support.shapes import SHAPES, jobs, used_at_rest
from tests.support.waiting import until

MIB = 1024 * 1024
BOUNDS = Emergency(plan="jobs", armed=True, max_bytes=MIB, max_bytes_per_hour=MIB + MIB // 2, backup=False)


async def _clean(
    server: RunningServer, folder: Path, criteria: Criteria, *, judged: bool = False
) -> tuple[list[Note], list[str], int]:
    """One armed cleanup, of a full server or as `judged`: what it logs and tells, and what its hour was charged."""

    @contextlib.asynccontextmanager
    async def connect(_node: str) -> AsyncIterator[Operator]:
        live = LiveServer(server.connection)
        operator = LiveOperator(Standalone(live), audit_path=folder / "audit.jsonl", folder=folder)
        await live.open()
        try:
            yield operator
        finally:
            await operator.close()
            await live.close()

    watched = LiveServer(server.connection)
    snapshot = await watched.snapshot()
    await watched.close()
    notes: list[Note] = []
    said: list[str] = []
    ledger = Ledger(folder / "emergency.json")
    book = AlertBook(str(snapshot.server.address), WatchSettings())
    job = EmergencyJob("jobs", NamedPlan("jobs", criteria), BOUNDS, connect)
    armed = EmergencyCleanup(job, book, ledger, Clock(), log=notes.append, tell=lambda event: said.append(event.reason))
    verdict = judge(snapshot) if judged else Verdict(Level.CRITICAL, "Full.", "close-critical")
    await armed.clean(snapshot, verdict, asyncio.Event())
    return notes, said, sum(spent.size for spent in ledger.spent(book.server, time.time()))


@pytest.mark.parametrize("fields", [11, 30, 200])
async def test_neither_a_run_nor_the_hour_takes_more_than_its_bytes(
    server: RunningServer, tmp_path: Path, fields: int
) -> None:
    criteria = Criteria(patterns=(b"bull:*",))
    with server.client() as client:
        jobs(600, fields)(client)
        before = used_at_rest(client)
        _, _, first = await _clean(server, tmp_path, criteria)
        after = used_at_rest(client)
        assert before - after <= 1.02 * MIB
        assert 0.8 * MIB < first <= 1.15 * MIB
        await _clean(server, tmp_path, criteria)
        _, _, hour = await _clean(server, tmp_path, criteria)
        assert before - used_at_rest(client) <= 1.55 * MIB
        assert hour <= 1.7 * MIB
        assert client.dbsize() > 300


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if "jobs" not in shape and shape != "one giant in many"])
async def test_one_key_larger_than_the_bound_stays(server: RunningServer, tmp_path: Path, shape: str) -> None:
    with server.client() as client:
        SHAPES[shape](client)
        notes, _, spent = await _clean(server, tmp_path, Criteria(patterns=(b"big:*",)))
        assert client.dbsize() == 1
    assert spent == 0
    assert "nothing to do" in notes[-1].text


@pytest.mark.parametrize(("keys", "helps"), [(1200, True), (20, False)])
async def test_beside_a_backlog_keys_go_only_where_they_hold_most(
    server: RunningServer, tmp_path: Path, keys: int, helps: bool
) -> None:
    with contextlib.ExitStack() as stack:
        scene = Scene(server, stack)
        scene.client.config_set("repl-backlog-size", 6 * MIB)
        with contextlib.ExitStack() as held:
            replica = Scene(server, held)
            replica.hold((b"PSYNC", b"?", b"-1"))
            until(lambda: scene.client.info("replication")["connected_slaves"], "a replica")
        scene.several(("SET", "hot", b"x" * 100_000) for _ in range(80))
        scene.keys(keys, 10_000, "job")
        until(lambda: not scene.client.info("replication")["connected_slaves"], "a replica that left")
        scene.limit_at(0.97)
        notes, reports, _ = await _clean(server, tmp_path, Criteria(patterns=(b"job:*",)), judged=True)
        left = len(scene.client.keys("job:*"))
    assert (left < keys) == bool(reports) == helps
    if not helps:
        assert "deleting keys does not help while the verdict is 'close-backlog': At 9" in notes[-1].text
        assert "First step: Lower repl-backlog-size" in notes[-1].text
