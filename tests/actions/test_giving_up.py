"""A server that falls silent half-way is waited for as long as is stated, and no longer."""

import contextlib
import time
from pathlib import Path
from typing import Any

import pytest

from redis_oom_tui.files.audit import AuditFile
from redis_oom_tui.models import timeouts
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.plan import Criteria, Outcome
from redis_oom_tui.models.scan import ScanOptions, ScanState
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.scan.connection import ScanConnection
from redis_oom_tui.server.scan.keyspace import KeyspaceScan
from tests.support.acting import fill, operating, planned
from tests.support.servers import RunningServer

CACHE = Criteria(patterns=(b"cache:*",))
SILENCE, GIVE_UP = 0.5, 2.0
# A first silence, all tries together, and what a loaded machine takes.
BOUND = 5 * (SILENCE + GIVE_UP)


@pytest.fixture(autouse=True)
def _shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "GIVE_UP", GIVE_UP)


@pytest.mark.parametrize("backup", [True, False], ids=["backup", "no backup"])
async def test_a_cleanup_of_a_frozen_server_ends_in_time(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backup: bool
) -> None:
    with server.client() as client:
        fill(client, [b"cache:%d" % n for n in range(5000)])
    async with operating(server.connection, tmp_path) as operator:
        plan = await planned(operator, CACHE)
    connection = replace(server.connection, read_timeout_seconds=SILENCE)
    async with operating(connection, tmp_path) as operator:
        with contextlib.ExitStack() as frozen:
            batch, began = AuditFile.batch, 0.0

            def freezing(self: AuditFile, action_id: str, number: int, keys: Any) -> None:
                nonlocal began
                batch(self, action_id, number, keys)
                if number == 3:
                    frozen.enter_context(server.frozen())
                    began = time.monotonic()

            monkeypatch.setattr(AuditFile, "batch", freezing)
            view = await operator.run(plan, backup=BackupChoice(wanted=backup)).run()
            took = time.monotonic() - began
    assert view.failed
    assert took < BOUND, view.ended
    assert "did not answer" in str(view.ended)
    assert view.counts[Outcome.NOT_ATTEMPTED] > 0


async def test_a_scan_of_a_frozen_server_ends_in_time(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with server.client() as client:
        fill(client, [b"cache:%d" % n for n in range(5000)])
    ask, pages, began = ScanConnection.ask, 0, 0.0
    live = LiveServer(replace(server.connection, read_timeout_seconds=SILENCE))
    with contextlib.ExitStack() as frozen:

        async def freezing(self: ScanConnection, buffer: bytes, replies: int) -> list[Any]:
            nonlocal pages, began
            pages += 1
            if pages == 20:
                frozen.enter_context(server.frozen())
                began = time.monotonic()
            return await ask(self, buffer, replies)

        monkeypatch.setattr(ScanConnection, "ask", freezing)
        view = await KeyspaceScan(live, ScanOptions(), patience_seconds=GIVE_UP).run()
        took = time.monotonic() - began
        await live.close()
    assert view.state is ScanState.FAILED
    assert took < BOUND
    assert "did not answer" in str(view.error)
