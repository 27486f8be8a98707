"""A server that carries out nothing for a while (somebody's script): held and asked again, and no key pays for it."""

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from redis_oom_tui.files.audit import AuditFile
from redis_oom_tui.models import timeouts
from redis_oom_tui.models.action import BackupChoice, RestoreOutcome
from redis_oom_tui.models.plan import Criteria, Operation, Outcome
from redis_oom_tui.models.scan import Pace, ScanOptions, ScanState
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.scan.connection import ScanConnection, ThrottledConnection
from tests.support.acting import fill, operating, planned
from tests.support.busy import SOON, Script, script
from tests.support.faulty import REFUSALS
from tests.support.proxy import lying
from tests.support.servers import RunningServer, started

KEYS = 3000
CACHE = Criteria(patterns=(b"cache:*",))
SECONDS = 0.2


@pytest.fixture
def busy(flavour: str) -> Iterator[tuple[RunningServer, Script]]:
    """A server of 3000 keys, and a script that is still to be sent."""
    with started(flavour, SOON) as server:
        with server.client() as client:
            fill(client, [b"cache:%d" % n for n in range(KEYS)])
        with script(server, SECONDS) as made:
            yield server, made


def _at_batch(monkeypatch: pytest.MonkeyPatch, number: int, made: Script) -> None:
    """Send the script as the batch of this number is written down."""
    batch = AuditFile.batch

    def hooked(self: AuditFile, action_id: str, at: int, keys: Any) -> None:
        batch(self, action_id, at, keys)
        if at == number:
            made.start()

    monkeypatch.setattr(AuditFile, "batch", hooked)


@pytest.mark.parametrize("backup", [True, False], ids=["backup", "no backup"])
async def test_a_cleanup_goes_on_when_the_script_has_ended(
    busy: tuple[RunningServer, Script], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backup: bool
) -> None:
    server, made = busy
    async with operating(server.connection, tmp_path) as operator:
        plan = await planned(operator, CACHE)
        _at_batch(monkeypatch, 5, made)
        view = await operator.run(plan, backup=BackupChoice(wanted=backup)).run()
    assert not view.failed, view.ended
    assert dict(view.counts) == {Outcome.DELETED: KEYS}
    with server.client() as client:
        assert client.dbsize() == 0


@pytest.mark.parametrize("backup", [True, False], ids=["backup", "no backup"])
async def test_without_eval_a_cleanup_goes_on_as_well(
    flavour: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backup: bool
) -> None:
    monkeypatch.setattr("redis_oom_tui.actions.node_worker.Capabilities.has", lambda *_: False)
    with started(flavour, SOON) as server, server.client() as client, script(server, SECONDS) as made:
        fill(client, [b"cache:%d" % n for n in range(1500)])
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            _at_batch(monkeypatch, 3, made)
            view = await operator.run(plan, backup=BackupChoice(wanted=backup)).run()
        assert dict(view.counts) == {Outcome.DELETED: 1500}, view.ended
        assert client.dbsize() == 0


async def test_an_expiry_and_its_undo_go_on_when_the_script_has_ended(
    busy: tuple[RunningServer, Script], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, made = busy
    async with operating(server.connection, tmp_path) as operator:
        plan = await planned(operator, CACHE, operation=Operation.EXPIRE, expire_seconds=86400)
        _at_batch(monkeypatch, 5, made)
        view = await operator.run(plan, backup=BackupChoice()).run()
        assert dict(view.counts) == {Outcome.EXPIRING: KEYS}, view.ended
        with script(server, SECONDS) as again:
            _at_batch(monkeypatch, 5, again)
            report = await operator.restore(Path(str(view.backup_path))).run()
    assert dict(report.counts) == {RestoreOutcome.RESTORED: KEYS}, report.ended


async def test_a_restore_goes_on_when_the_script_has_ended(
    flavour: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with started(flavour, SOON) as server, server.client() as client:
        fill(client, [b"cache:%d" % n for n in range(KEYS)])
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.run(await planned(operator, CACHE), backup=BackupChoice()).run()
            with script(server, SECONDS) as made:
                _at_batch(monkeypatch, 3, made)
                report = await operator.restore(Path(str(view.backup_path))).run()
        assert dict(report.counts) == {RestoreOutcome.RESTORED: KEYS}, report.ended
        assert client.dbsize() == KEYS


async def test_a_restore_fails_where_the_busy_server_was_restarted_instead(
    server: RunningServer, tmp_path: Path
) -> None:
    """Its last keys were told to wait, and the server that told them is gone: they are not there."""
    busy: list[bool] = []

    def lie(words: tuple[bytes, ...]) -> bytes | None:
        if words[0] == b"RESTORE":
            busy.append(True)
            return REFUSALS["BUSY"]
        if busy and words[0] == b"TIME":
            raise EOFError
        return b"$14\r\nrun_id:another\r\n" if busy and words == (b"INFO", b"server") else None

    with server.client() as client, lying(server.connection, lie) as liar:
        fill(client, [b"cache:%d" % n for n in range(5)])
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.run(await planned(operator, CACHE), backup=BackupChoice()).run()
        async with operating(liar.connection, tmp_path) as operator:
            report = await operator.restore(Path(str(view.backup_path))).run()
        assert client.dbsize() == 0
    assert (report.failed, report.complete) == (True, False), report.ended
    assert dict(report.counts) == {RestoreOutcome.NOT_ATTEMPTED: 5}
    assert "its run id changed" in str(report.ended)


def _at_exchange(monkeypatch: pytest.MonkeyPatch, owner: type, method: str, number: int, made: Script) -> None:
    """Send the script before the question of this number."""
    ask, asked = getattr(owner, method), itertools.count(1)

    async def hooked(self: Any, *arguments: Any) -> Any:
        if next(asked) == number:
            await asyncio.to_thread(made.start)
        return await ask(self, *arguments)

    monkeypatch.setattr(owner, method, hooked)


@pytest.mark.parametrize("pace", [Pace.NORMAL, Pace.FULL_SPEED])
async def test_a_scan_loses_no_key_to_a_script(
    busy: tuple[RunningServer, Script], monkeypatch: pytest.MonkeyPatch, pace: Pace
) -> None:
    server, made = busy
    _at_exchange(monkeypatch, ScanConnection, "ask", 30, made)
    live = LiveServer(server.connection)
    try:
        view = await live.scan(ScanOptions(pace=pace)).run()
    finally:
        await live.close()
    assert (view.state, view.scanned_keys, view.refused_keys) == (ScanState.COMPLETE, KEYS, 0), view.error


async def test_a_plan_loses_no_key_to_a_script(
    busy: tuple[RunningServer, Script], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, made = busy
    _at_exchange(monkeypatch, ThrottledConnection, "exchange", 3, made)
    async with operating(server.connection, tmp_path) as operator:
        plan = await planned(operator, CACHE)
    assert (len(plan.keys), plan.complete) == (KEYS, True)
    assert not any("may not" in flag for flag in plan.flags)


async def test_a_script_without_an_end_ends_the_run_with_the_rest_not_attempted(
    flavour: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeouts, "BUSY", 0.3)
    with started(flavour, SOON) as server, server.client() as client:
        fill(client, [b"cache:%d" % n for n in range(KEYS)])
        with script(server, 60) as made:
            async with operating(server.connection, tmp_path) as operator:
                plan = await planned(operator, CACHE)
                _at_batch(monkeypatch, 3, made)
                view = await operator.run(plan, backup=BackupChoice()).run()
            made.kill()
        assert view.failed
        assert "busy running a script" in str(view.ended)
        assert set(view.counts) <= {Outcome.DELETED, Outcome.NOT_ATTEMPTED}
        assert client.dbsize() == view.counts[Outcome.NOT_ATTEMPTED]
