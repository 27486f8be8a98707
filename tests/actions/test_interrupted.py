"""Safety rule 10: whatever is lost half-way, the audit file, the backup and the server agree on what was deleted."""

import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from redis_oom_tui.files.backup import BackupWriter
from redis_oom_tui.files.backup_lines import Record
from redis_oom_tui.files.backup_reading import read_records
from redis_oom_tui.models.action import Action, BackupChoice
from redis_oom_tui.models.errors import ServerUnreachable
from redis_oom_tui.models.plan import Criteria, Outcome
from redis_oom_tui.rules.expected_state import Expected
from redis_oom_tui.server.mutations.key_mutator import KeyMutator, KeyReplies
from tests.support.acting import NO_BACKUP, audited, fill, names_of, operating, planned, server_of, stepped
from tests.support.servers import RunningServer, started
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("gives_up_soon")

CACHE = Criteria(patterns=(b"cache:*",))


NAMES = [b"cache:%d" % n for n in range(3000)]


@pytest.fixture
def lasting(flavour: str) -> Iterator[RunningServer]:
    """A server whose data outlives a SIGKILL."""
    with started(flavour, "appendonly yes", "appendfsync always") as running:
        yield running


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
        saved = {record.key for record in read_records(backup) if record is not None}
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
        added.extend(record.key for record in records)

    def flushing(self: BackupWriter) -> None:
        names = tuple(added)
        flush(self)
        on_disk.update(names)

    def deleting(self: KeyMutator, wanted: Sequence[Expected]) -> AsyncGenerator[KeyReplies, None]:
        early.update({want.id.key for want in wanted} - on_disk)
        return delete(self, wanted)

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
    assert "was restarted since the plan was made" in str(view.ended)
    with lasting.client() as client:
        assert client.dbsize() == 10


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
            why = str(operator.why_not(Action.DELETE))
            assert "is a replica" in why
            assert why.endswith("connect to its primary, 127.0.0.1:1")
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
