"""A restore outlives lost connections, a frozen server and a server's end."""

import asyncio
import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from redis_oom_tui.actions.context import snapshot_until_lost
from redis_oom_tui.files.audit import AuditFile
from redis_oom_tui.models import timeouts
from redis_oom_tui.models.action import BackupChoice, RestoreOutcome
from redis_oom_tui.models.errors import ServerUnreachable
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.live import LiveServer
from tests.actions.test_interrupted import NAMES
from tests.support.acting import fill, operating, planned
from tests.support.servers import RunningServer, started

pytestmark = pytest.mark.usefixtures("gives_up_soon")

CACHE = Criteria(patterns=(b"cache:*",))


@pytest.fixture
def lasting(flavour: str) -> Iterator[RunningServer]:
    """A server whose data outlives a SIGKILL."""
    with started(flavour, "appendonly yes", "appendfsync always") as running:
        yield running


async def test_a_lost_node_whose_slots_another_serves_is_not_waited_for(
    valkey: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeouts, "GIVE_UP", 60.0)

    async def superseded() -> bool:
        return True

    server = LiveServer(valkey.connection)
    server.superseded = superseded
    try:
        assert (await snapshot_until_lost(server, lambda: False)).server.run_id
        valkey.kill()
        with pytest.raises(ServerUnreachable):
            async with asyncio.timeout(20):
                await snapshot_until_lost(server, lambda: False)
    finally:
        await server.close()


async def test_a_restore_outlives_its_connection(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server.client() as client:
        fill(client, NAMES)
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.run(await planned(operator, CACHE), backup=BackupChoice()).run()
            me = client.client_id()
            batch = AuditFile.batch

            def cutting(self: AuditFile, *arguments: Any) -> None:
                batch(self, *arguments)
                for other in client.client_list():
                    if int(other["id"]) != me:
                        client.client_kill_filter(_id=other["id"])

            monkeypatch.setattr(AuditFile, "batch", cutting)
            report = await operator.restore(Path(str(view.backup_path))).run()
        assert not report.failed, report.ended
        assert client.dbsize() == len(NAMES)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_restore_outlives_a_server_that_is_frozen_for_longer_than_one_question(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    monkeypatch.setattr(timeouts, "GIVE_UP", 10.0)
    hurried = replace(server.connection, read_timeout_seconds=0.3)
    frozen: list[threading.Timer] = []
    with server.client() as client:
        fill(client, NAMES)
        async with operating(hurried, tmp_path) as operator:
            view = await operator.run(await planned(operator, CACHE), backup=BackupChoice()).run()
            step = {"before": "batch", "after": "done"}[when]
            written: Callable[..., None] = getattr(AuditFile, step)

            def freezing(self: AuditFile, action_id: str, number: int, *rest: Any) -> None:
                written(self, action_id, number, *rest)
                if number == 2:
                    os.kill(server.pid, signal.SIGSTOP)
                    frozen.append(threading.Timer(1.5, os.kill, (server.pid, signal.SIGCONT)))
                    frozen[0].start()

            monkeypatch.setattr(AuditFile, step, freezing)
            try:
                report = await operator.restore(Path(str(view.backup_path))).run()
            finally:
                for timer in frozen:
                    timer.join()
        assert frozen
        assert not report.failed, report.ended
        assert client.dbsize() == len(NAMES)


@pytest.mark.parametrize("asked", [1, 2, 4])
async def test_a_restore_outlives_the_loss_of_any_of_its_connections(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: int
) -> None:
    """The look at the memory between two batches has a connection of its own."""
    with server.client() as client:
        fill(client, NAMES)
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.run(await planned(operator, CACHE), backup=BackupChoice()).run()
            read_info, reads = LiveServer.snapshot, itertools.count(1)

            async def cut(self: LiveServer, *section: str) -> Any:
                if next(reads) == asked:
                    client.client_kill_filter(_type="normal", skipme=True)
                    raise ServerUnreachable("Connection closed by server.")
                return await read_info(self, *section)

            monkeypatch.setattr(LiveServer, "snapshot", cut)
            report = await operator.restore(Path(str(view.backup_path))).run()
        assert not report.failed, report.ended
        assert client.dbsize() == len(NAMES)


async def test_a_restore_does_not_go_on_with_another_server(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server.client() as client:
        fill(client, NAMES)
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.run(await planned(operator, CACHE), backup=BackupChoice()).run()
            read_info, reads = LiveServer.snapshot, itertools.count(1)

            async def restarted(self: LiveServer, *section: str) -> Any:
                seen = await read_info(self, *section)
                if next(reads) < 4:
                    return seen
                return replace(seen, server=replace(seen.server, run_id="0" * 40))

            monkeypatch.setattr(LiveServer, "snapshot", restarted)
            report = await operator.restore(Path(str(view.backup_path))).run()
        assert report.failed
        assert "its run id changed" in str(report.ended)
        assert 0 < client.dbsize() < len(NAMES)


@pytest.mark.parametrize("batches", [2, 4], ids=["in the middle", "at its end"])
async def test_what_a_restarted_server_has_lost_again_is_not_said_to_be_restored(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    with server.client() as client:
        fill(client, NAMES[:400])
    async with operating(server.connection, tmp_path) as operator:
        view = await operator.run(await planned(operator, CACHE), backup=BackupChoice()).run()
        done, left = AuditFile.done, 100 * batches

        def restarting(self: AuditFile, action_id: str, number: int, outcomes: Any, *rest: Any) -> None:
            nonlocal left
            done(self, action_id, number, outcomes, *rest)
            before, left = left, left - len(outcomes)
            if left <= 0 < before:
                server.kill()
                server.start()

        monkeypatch.setattr(AuditFile, "done", restarting)
        restoring = operator.restore(Path(str(view.backup_path)))
        report = await restoring.run()
    assert left <= 0
    assert (report.failed, report.unsure, report.resumable, report.complete) == (True, True, True, False)
    assert "its run id changed" in str(report.ended)
    assert "is gone: it holds no key now" in str(report.ended)


async def test_a_restore_cut_off_by_the_servers_end_goes_on_when_it_is_back(
    lasting: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lasting.client() as client:
        fill(client, NAMES)
    async with operating(lasting.connection, tmp_path) as operator:
        view = await operator.run(await planned(operator, CACHE), backup=BackupChoice()).run()
        done = AuditFile.done

        def killing(self: AuditFile, action_id: str, number: int, *rest: Any) -> None:
            done(self, action_id, number, *rest)
            if number == 3:
                lasting.kill()

        with monkeypatch.context() as patched:
            patched.setattr(AuditFile, "done", killing)
            report = await operator.restore(Path(str(view.backup_path))).run()
        assert report.failed
        assert report.resumable
        lasting.start()
        report = await operator.restore(Path(str(view.backup_path))).run()
        assert not report.failed, report.ended
        assert report.counts[RestoreOutcome.EXISTS] >= 200
    with lasting.client() as client:
        assert client.dbsize() == len(NAMES)
