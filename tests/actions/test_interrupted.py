"""Safety rule 10: whatever is lost half-way, the audit file, the backup and the server agree on what was deleted."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from redis_oom_tui.actions.saving import Saver
from redis_oom_tui.files.audit import AuditFile
from redis_oom_tui.files.backup import BackupWriter
from redis_oom_tui.files.backup_lines import Record
from redis_oom_tui.files.backup_reading import read_records
from redis_oom_tui.files.plans import load_plan
from redis_oom_tui.formatting.sanitize import unescape_exact
from redis_oom_tui.models import timeouts
from redis_oom_tui.models.action import Action, BackupChoice, RestoreOutcome
from redis_oom_tui.models.errors import ServerUnreachable
from redis_oom_tui.models.plan import Criteria, Operation, Outcome
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations import connections as lines
from redis_oom_tui.server.mutations.connections import ExclusiveConnection
from redis_oom_tui.server.mutations.key_mutator import KeyMutator, KeyReplies
from redis_oom_tui.server.mutations.script_calls import Check
from tests.support.acting import NO_BACKUP, audited, fill, names_of, operating, planned, server_of, stepped
from tests.support.servers import RunningServer, started
from tests.support.waiting import until

CACHE = Criteria(patterns=(b"cache:*",))
NAMES = [b"cache:%d" % n for n in range(3000)]


@pytest.fixture
def lasting(flavour: str) -> Iterator[RunningServer]:
    """A server whose data outlives a SIGKILL."""
    with started(flavour, "appendonly yes", "appendfsync always") as running:
        yield running


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "GIVE_UP", 1.0)


def agree(server: RunningServer, folder: Path, backup: Path | None) -> None:
    """Hold the audit file and the backup against the server: what is said to be deleted is not there, what no batch
    named is there, and all that is gone is in the backup."""
    with server.client() as client:
        there = set(client.scan_iter(b"cache:*", count=5000))
    said, in_doubt = audited(folder / "audit.jsonl")
    deleted = {name for name, letter in said.items() if letter == "d"}
    assert not deleted & there
    gone = set(NAMES) - there
    unknown = {name for name, letter in said.items() if letter in "fgu"}
    assert gone <= deleted | in_doubt | unknown
    if backup is not None:
        saved = {record.id.key for record in read_records(backup) if record is not None}
        assert gone <= saved


@pytest.mark.parametrize("backup", [False, True], ids=["no backup", "backup"])
@pytest.mark.parametrize("step", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("flavour", ["valkey", "redis6"])
async def test_the_server_is_killed(
    lasting: RunningServer, tmp_path: Path, backup: bool, step: str, number: int
) -> None:
    with lasting.client() as client:
        fill(client, NAMES)

    def kill(at: int) -> None:
        if at == number:
            lasting.kill()

    async with operating(lasting.connection, tmp_path) as operator:
        plan = await planned(operator, CACHE)
        hooks: dict[str, Any] = {step: kill}
        run = await stepped(operator, plan, backup=BackupChoice(wanted=backup), **hooks)
        view = await run.run()
        assert view.failed
        assert "refuses connections" in str(view.ended) or "does not exist" in str(view.ended)
        lasting.start()
        # A backup in which nothing was saved is not shown.
        agree(lasting, tmp_path, None if view.backup_path is None else Path(view.backup_path))
        with lasting.client() as client:
            there = set(client.scan_iter(b"cache:*", count=5000))
        assert names_of(run, Outcome.NOT_ATTEMPTED) <= there
        assert not backup or view.backup_path is not None or there == set(NAMES)
        again = await operator.run(plan, backup=NO_BACKUP).run()
        assert "make the plan again" in str(again.ended)
        assert again.counts == {Outcome.NOT_ATTEMPTED: len(NAMES)}
        await operator.run(await planned(operator, CACHE), backup=NO_BACKUP).run()
    with lasting.client() as client:
        assert client.dbsize() == 0


@pytest.mark.parametrize("backup", [False, True], ids=["no backup", "backup"])
async def test_the_connection_is_lost_and_the_run_goes_on(server: RunningServer, tmp_path: Path, backup: bool) -> None:
    with server.client() as client:
        fill(client, NAMES)
        me = client.client_id()

        def cut(number: int) -> None:
            for other in client.client_list():
                if int(other["id"]) != me:
                    client.client_kill_filter(_id=other["id"])

        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            run = await stepped(operator, plan, before=cut, backup=BackupChoice(wanted=backup))
            view = await run.run()
        assert not view.failed, view.ended
        # Without NO-TOUCH, a key whose copy was lost on the way looks used, and is kept.
        kept = names_of(run, Outcome.CHANGED) if backup and server.flavour != "valkey" else set()
        assert set(client.scan_iter(b"cache:*", count=5000)) == kept
        assert set(view.counts) <= {Outcome.DELETED, Outcome.IN_DOUBT} | ({Outcome.CHANGED} if kept else set())
        agree(server, tmp_path, Path(str(view.backup_path)) if backup else None)


async def test_no_key_is_sent_to_be_deleted_before_its_copy_is_on_disk(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[bytes] = []
    on_disk: set[bytes] = set()
    early: set[bytes] = set()
    add, flush, delete = BackupWriter.add, BackupWriter.flush, KeyMutator.delete

    def adding(self: BackupWriter, *records: Record) -> None:
        add(self, *records)
        added.extend(record.id.key for record in records)

    def flushing(self: BackupWriter) -> None:
        names = tuple(added)
        flush(self)
        on_disk.update(names)

    def deleting(self: KeyMutator, checks: Sequence[Check]) -> AsyncGenerator[KeyReplies, None]:
        early.update({check.id.key for check in checks} - on_disk)
        return delete(self, checks)

    monkeypatch.setattr(BackupWriter, "add", adding)
    monkeypatch.setattr(BackupWriter, "flush", flushing)
    monkeypatch.setattr(KeyMutator, "delete", deleting)
    with server.client() as client:
        fill(client, NAMES)
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.run(await planned(operator, CACHE), backup=BackupChoice()).run()
        assert dict(view.counts) == {Outcome.DELETED: len(NAMES)}
    assert on_disk == set(NAMES)
    assert not early


class Deaf(ExclusiveConnection):
    """A connection on which the reply to the next deletion is lost, after the server carried it out."""

    deaf = 0

    async def replies(self, names: Sequence[str]) -> list[Any]:
        replies = await super().replies(names)
        if Deaf.deaf:
            Deaf.deaf -= 1
            await self.abandon()
            raise ServerUnreachable("the reply was lost")
        return replies


async def test_after_a_lost_reply_the_keys_are_read_again_and_not_guessed(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "ExclusiveConnection", Deaf)
    monkeypatch.setattr(Deaf, "deaf", 1)
    with server.client() as client:
        fill(client, NAMES)
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            run = operator.run(plan, backup=NO_BACKUP)
            view = await run.run()
        assert not view.failed, view.ended
        gone = list(run.outcomes(frozenset({Outcome.IN_DOUBT})))
        assert gone
        assert {one.detail for one in gone} == {"the reply was lost; it is gone now, perhaps by this run"}
        assert f"{len(gone)} may have been deleted" in str(view.ended)
        assert "gone already" not in str(view.ended)
        assert view.counts[Outcome.DELETED] == len(NAMES) - len(gone)
        assert client.dbsize() == 0


async def test_two_lost_replies_in_a_row_end_the_run_with_what_is_not_known(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "ExclusiveConnection", Deaf)
    with server.client() as client:
        fill(client, NAMES)
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)

            def lose(number: int) -> None:
                Deaf.deaf = 99
                client.set(b"cache:0", b"changed, so the second try meets it")

            monkeypatch.setattr(Deaf, "deaf", 0)
            run = await stepped(operator, plan, before=lose)
            view = await run.run()
        assert client.get(b"cache:0") is not None
        assert view.failed or view.counts.get(Outcome.CHANGED) == 1
        assert Outcome.FAILED not in view.counts
        assert Outcome.GONE not in view.counts
        agree(server, tmp_path, None)


async def test_a_lost_reply_to_an_expiry_is_read_back(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "ExclusiveConnection", Deaf)
    with server.client() as client:
        fill(client, NAMES[:300])
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE, operation=Operation.EXPIRE, expire_seconds=3600)
            monkeypatch.setattr(Deaf, "deaf", 1)
            view = await operator.run(plan, backup=BackupChoice()).run()
        assert dict(view.counts) == {Outcome.EXPIRING: 300}
        assert all(client.ttl(name) > 0 for name in NAMES[:300])  # type: ignore[operator]


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

            async def cut(self: LiveServer) -> Any:
                if next(reads) == asked:
                    client.client_kill_filter(_type="normal", skipme=True)
                    raise ServerUnreachable("Connection closed by server.")
                return await read_info(self)

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

            async def restarted(self: LiveServer) -> Any:
                seen = await read_info(self)
                if next(reads) < 4:
                    return seen
                return replace(seen, server=replace(seen.server, run_id="0" * 40))

            monkeypatch.setattr(LiveServer, "snapshot", restarted)
            report = await operator.restore(Path(str(view.backup_path))).run()
        assert report.failed
        assert "its run id changed" in str(report.ended)
        assert 0 < client.dbsize() < len(NAMES)


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


REFUSALS: dict[str, tuple[Callable[[Any], object], str]] = {
    "NOREPLICAS": (lambda client: client.config_set("min-replicas-to-write", 1), "NOREPLICAS"),
    "READONLY": (lambda client: client.execute_command("REPLICAOF", "127.0.0.1", "1"), "no writes"),
    "NOPERM": (lambda client: client.execute_command("ACL", "SETUSER", "default", "-unlink"), "unlink"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_refusal_met_half_way_ends_in_a_sentence_and_a_report(
    server: RunningServer, tmp_path: Path, refusal: str
) -> None:
    provoke, words = REFUSALS[refusal]
    with server.client() as client:
        fill(client, NAMES)
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            run = await stepped(operator, plan, before=lambda number: number == 2 and provoke(client))
            view = await run.run()
        assert view.failed
        assert words.lower() in str(view.ended).lower()
        assert view.counts[Outcome.NOT_ATTEMPTED] > 0
        # What is refused to every key is no key's failure: the rest was not attempted.
        assert (view.counts.get(Outcome.FAILED, 0) > 0) == (refusal == "NOPERM")
        there = set(client.scan_iter(b"cache:*", count=5000))
        assert there == names_of(run, Outcome.NOT_ATTEMPTED) | names_of(run, Outcome.FAILED)


async def test_a_failed_save_blocks_deletions_and_that_is_said(flavour: str, tmp_path: Path) -> None:
    with started(flavour, "save 3600 1", "dbfilename blocked.rdb") as server, server.client() as client:
        fill(client, NAMES)
        (server.folder / "blocked.rdb" / "x").mkdir(parents=True)
        client.bgsave()
        until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", "a failed save")
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            assert any("refuses deletions just now" in flag and "MISCONF" in flag for flag in plan.flags)
            view = await operator.run(plan, backup=BackupChoice()).run()
        assert "MISCONF" in str(view.ended)
        assert dict(view.counts) == {Outcome.NOT_ATTEMPTED: len(NAMES)}
        assert Outcome.DELETED not in view.counts
        assert client.dbsize() == len(NAMES)


async def test_a_server_restarted_since_the_plan_is_another_server(lasting: RunningServer, tmp_path: Path) -> None:
    with lasting.client() as client:
        fill(client, NAMES[:10])
    async with operating(lasting.connection, tmp_path) as operator:
        plan = await planned(operator, CACHE)
        lasting.kill()
        lasting.start()
        view = await operator.run(plan, backup=BackupChoice()).run()
    assert "run id changed" in str(view.ended)
    with lasting.client() as client:
        assert client.dbsize() == 10


async def test_a_cancelled_run_is_written_down(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, NAMES)
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            run = await stepped(operator, plan, after=lambda number: number == 2 and task.cancel())
            task = asyncio.ensure_future(run.run())
            with pytest.raises(asyncio.CancelledError):
                await task
            entry = operator.history()[0]
        assert entry.ok is False
        assert "The tool ended" in entry.result
        agree(server, tmp_path, None)


async def test_keys_saved_but_not_deleted_by_a_run_that_was_cut_off_are_deleted_by_the_next(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saving is a use of the key where there is no NO-TOUCH: the next run knows it by its copy."""
    save = Saver.save

    async def cut_off(self: Saver, *arguments: Any) -> Any:
        await save(self, *arguments)
        raise asyncio.CancelledError

    with server.client() as client:
        fill(client, NAMES[:100])
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            with monkeypatch.context() as patched:
                patched.setattr(Saver, "save", cut_off)
                with pytest.raises(asyncio.CancelledError):
                    await operator.run(plan, backup=BackupChoice()).run()
            assert client.dbsize() == 100
            client.append(b"cache:5", b"changed since")
            run = operator.run(plan, backup=BackupChoice())
            view = await run.run()
        assert dict(view.counts) == {Outcome.DELETED: 99, Outcome.CHANGED: 1}
        assert client.keys() == [b"cache:5"]


def cleanup(
    server: RunningServer, state: Path, *options: str, run: Sequence[str] = ("-m", "redis_oom_tui")
) -> subprocess.Popen[bytes]:
    """The command itself, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, *run, "-s", server.socket_path, "cleanup", *options],
        env={**os.environ, "XDG_STATE_HOME": str(state)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [0, 3])
@pytest.mark.parametrize("flavour", ["valkey", "redis6"])
async def test_the_tool_is_killed_and_the_saved_plan_finishes_what_it_began(
    server: RunningServer, tmp_path: Path, number: int
) -> None:
    folder, plan = tmp_path / "redis-oom-tui", tmp_path / "plan"
    many = [*NAMES, *(b"cache:x%d" % n for n in range(3000))]
    with server.client() as client:
        fill(client, many)
        saved = cleanup(server, tmp_path, "--match", "cache:*", "--save-plan", str(plan))
        saved.communicate()
        backup = tmp_path / "backup"
        tool = cleanup(server, tmp_path, "--plan", str(plan), "--yes", "--backup", str(backup))
        audit = folder / "audit.jsonl"
        batches = (b'"phase":"batch"', b'"phase":"done"')[number % 2]
        until(
            lambda: tool.poll() is not None or (audit.exists() and audit.read_bytes().count(batches) > number // 2),
            "a batch or the end",
        )
        tool.send_signal(signal.SIGKILL)
        tool.communicate()
        there = set(client.scan_iter(b"cache:*", count=5000))
        said, in_doubt = audited(audit)
        deleted = {name for name, letter in said.items() if letter == "d"}
        gone = set(many) - there
        assert deleted <= gone <= deleted | in_doubt
        assert gone <= {record.id.key for record in read_records(backup) if record is not None}
        again = cleanup(
            server, tmp_path, "--plan", str(plan), "--yes", "--no-backup", "--hash", load_plan(plan).hash[:8], "--json"
        )
        output = again.communicate()
        assert again.returncode == 0, output
        came_to = {unescape_exact(key["key"]): key for key in json.loads(output[0])["keys"]}
        assert {name for name, key in came_to.items() if key["outcome"] == "in doubt"} == gone - deleted
        assert all(came_to[name]["detail"] == "an earlier run of this plan deleted it" for name in deleted)
        left = set(client.scan_iter(b"cache:*", count=5000))
        if server.flavour == "valkey":
            assert not left
        # Without NO-TOUCH, a key that was being saved when the tool was killed looks used, and is kept.
        assert left <= in_doubt
        async with operating(server.connection, tmp_path) as operator:
            await operator.run(await planned(operator, Criteria(patterns=(b"*",))), backup=NO_BACKUP).run()
        assert client.dbsize() == 0


HELD = """
import runpy, sys, time
from pathlib import Path
from redis_oom_tui.files.audit import AuditFile
done, go = AuditFile.done, Path(sys.argv.pop(1))
def held(self, action_id, number, *rest):
    done(self, action_id, number, *rest)
    while not go.exists():
        time.sleep(0.01)
AuditFile.done = held
runpy.run_module("redis_oom_tui", run_name="__main__")
"""
"""The command itself, standing still behind its first batch until there is a file by the name of its first argument."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_stops_at_the_edge_of_a_batch(valkey: RunningServer, tmp_path: Path, number: int) -> None:
    many = [b"cache:%d" % n for n in range(20_000)]
    with valkey.client() as client:
        fill(client, many)
        go = tmp_path / "go"
        tool = cleanup(valkey, tmp_path, "--match", "cache:*", "--yes", "--no-backup", run=("-c", HELD, str(go)))
        audit = tmp_path / "redis-oom-tui" / "audit.jsonl"
        try:
            until(lambda: audit.exists() and b'"phase":"done"' in audit.read_bytes(), "the first batch")
            tool.send_signal(number)
        finally:
            go.touch()
            output, _ = tool.communicate(timeout=60)
        assert tool.returncode == (130 if number == signal.SIGINT else 1)
        assert b"Interrupted. Deleted" in output
        said, in_doubt = audited(audit)
        assert not in_doubt
        assert set(client.scan_iter(b"cache:*", count=5000)) == {name for name in many if said.get(name) != "d"}


async def test_after_a_restart_nobody_says_what_the_memory_fell_by(lasting: RunningServer, tmp_path: Path) -> None:
    """Another process holds something else: the two figures have nothing to do with each other."""
    with lasting.client() as client:
        fill(client, NAMES)

    def restart(at: int) -> None:
        if at == 1:
            lasting.kill()
            lasting.start()

    async with operating(lasting.connection, tmp_path) as operator:
        plan = await planned(operator, CACHE)
        run = await stepped(operator, plan, after=restart)
        view = await run.run()
    assert view.used_before_bytes is None
    assert "fell by" not in str(view.ended).replace("what used memory fell by is not known", "")
    assert "higher than before" not in str(view.ended)


async def test_rights_follow_the_role_of_the_server(flavour: str, tmp_path: Path) -> None:
    """A master that was demoted takes no writes from the next look on, and takes them again once it is promoted."""
    with started(flavour) as server, server.client() as client:
        fill(client, NAMES)
        async with operating(server.connection, tmp_path) as operator:
            await operator.learn()
            assert operator.why_not(Action.DELETE) is None
            client.execute_command("REPLICAOF", "127.0.0.1", "1")
            await server_of(operator).snapshot()
            assert "is a replica" in str(operator.why_not(Action.DELETE))
            client.execute_command("REPLICAOF", "NO", "ONE")
            await server_of(operator).snapshot()
            assert operator.why_not(Action.DELETE) is None
            plan = await planned(operator, CACHE)
            view = await operator.run(plan, backup=BackupChoice()).run()
        assert view.counts[Outcome.DELETED] == len(plan.keys)


async def test_rights_are_asked_again_of_a_server_that_was_restarted(lasting: RunningServer, tmp_path: Path) -> None:
    async with operating(lasting.connection, tmp_path) as operator:
        with lasting.client() as client:
            client.execute_command("ACL", "SETUSER", "default", "-unlink")
        await operator.learn()
        assert operator.why_not(Action.DELETE) is not None
        lasting.kill()
        lasting.start()
        with contextlib.suppress(ServerUnreachable):
            # The connection that lay in the pool was closed with the server.
            await server_of(operator).snapshot()
        await server_of(operator).snapshot()
        await operator.learn()
        assert operator.why_not(Action.DELETE) is None
