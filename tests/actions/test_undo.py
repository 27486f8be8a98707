"""Safety rule 4: what is deleted can come back, and where it cannot, that is said before and after."""

import itertools
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from redis_oom_tui.actions import restore
from redis_oom_tui.files.backup import BackupWriter
from redis_oom_tui.files.backup_lines import Record
from redis_oom_tui.files.backup_reading import as_lines, read_records
from redis_oom_tui.models.action import BackupChoice, RestoreOutcome
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.errors import BadInput, ServerUnreachable
from redis_oom_tui.models.plan import Criteria, Operation, Outcome, Plan
from redis_oom_tui.models.snapshot import Server
from redis_oom_tui.server.call_throttle import CallThrottle
from redis_oom_tui.server.mutations.connections import ExclusiveConnection
from tests.support.acting import ALL, fill, names_of, operating, planned
from tests.support.keyspace import one_of_each, photograph
from tests.support.servers import RunningServer


async def test_backup_delete_restore_gives_the_same_keyspace(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        one_of_each(client)
        if server.flavour == "valkey":
            client.execute_command("HSET", "hash with field ttl", "f", "v", "g", "w")
            client.execute_command("HEXPIRE", "hash with field ttl", 5000, "FIELDS", 1, "f")
        before, began = photograph(client), time.monotonic()
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.run(await planned(operator, ALL), backup=BackupChoice()).run()
            assert dict(view.counts) == {Outcome.DELETED: len(before)}
            assert client.dbsize() == 0
            report = await operator.restore(Path(str(view.backup_path))).run()
        assert dict(report.counts) == {RestoreOutcome.RESTORED: len(before)}
        after, passed = photograph(client), time.monotonic() - began
        if server.flavour == "valkey":
            (left,) = client.execute_command("HTTL", "hash with field ttl", "FIELDS", 1, "f")
            assert 4990 <= left <= 5000
    assert after.keys() == before.keys()
    for name, (content, ttl) in before.items():
        assert after[name][0] == content, name
        assert after[name][1] == ttl if ttl < 0 else ttl - passed - 1 <= after[name][1] <= ttl, name


async def test_idle_times_come_back_older_by_what_has_passed(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, [b"k"], idle=5000)
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.run(await planned(operator, ALL), backup=BackupChoice()).run()
            await operator.restore(Path(str(view.backup_path))).run()
        assert 4999 <= client.object("idletime", b"k") <= 5100  # type: ignore[operator]


async def test_restore_never_overwrites(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, [b"a", b"b"])
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.run(await planned(operator, ALL), backup=BackupChoice()).run()
            client.set(b"a", b"newer")
            report = await operator.restore(Path(str(view.backup_path))).run()
        assert dict(report.counts) == {RestoreOutcome.RESTORED: 1, RestoreOutcome.EXISTS: 1}
        assert client.get(b"a") == b"newer"


async def test_a_key_that_would_have_expired_since_stays_away(valkey: RunningServer, tmp_path: Path) -> None:
    plan = Plan((), Criteria(), 0.0, "s", hash="0")
    writer = BackupWriter(tmp_path / "b", plan, Server("valkey", "9.1.2", "master", Address()), 0.0)
    with valkey.client() as client:
        client.set(b"k", b"v")
        payload = client.dump(b"k")
        client.delete(b"k")
        writer.add(Record(0, b"k", "string", payload, expires_ms=1000, saved_ms=1))  # type: ignore[arg-type]
        writer.close()
        async with operating(valkey.connection, tmp_path) as operator:
            report = await operator.restore(tmp_path / "b").run()
        assert dict(report.counts) == {RestoreOutcome.EXPIRED: 1}
        assert client.dbsize() == 0


async def test_values_of_another_version_are_refused_in_a_sentence(server: RunningServer, tmp_path: Path) -> None:
    plan = Plan((), Criteria(), 0.0, "elsewhere:1", hash="0")
    writer = BackupWriter(tmp_path / "b", plan, Server("redis", "99.0", "master", Address()), 0.0)
    writer.add(Record(0, b"k", "string", b"\x00\x01v\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00", saved_ms=1))
    writer.close()
    async with operating(server.connection, tmp_path) as operator:
        report = await operator.restore(tmp_path / "b").run()
    assert "made by redis 99.0" in str(report.ended)
    assert report.failed
    assert not report.resumable


async def test_keys_over_the_cap_are_named_in_the_plan_and_in_the_backup(server: RunningServer, tmp_path: Path) -> None:
    choice = BackupChoice(max_key_bytes=10_000)
    with server.client() as client:
        client.set(b"giant", b"x" * 50_000)
        client.set(b"small", b"x")
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, ALL)
            assert any("1 key " in words and "no undo" in words for words in operator.consent(plan, choice))
            view = await operator.run(plan, backup=choice).run()
            assert client.dbsize() == 0
            report = await operator.restore(Path(str(view.backup_path))).run()
        assert (report.left_out_keys, report.left_out) == (1, ("giant",))
        assert client.keys() == [b"small"]


async def test_keys_over_the_cap_can_be_kept(server: RunningServer, tmp_path: Path) -> None:
    choice = BackupChoice(max_key_bytes=10_000, keep_unsaved=True)
    with server.client() as client:
        client.set(b"giant", b"x" * 50_000)
        client.set(b"small", b"x")
        async with operating(server.connection, tmp_path) as operator:
            run = operator.run(await planned(operator, ALL), backup=choice)
            await run.run()
        assert client.keys() == [b"giant"]
        assert names_of(run, Outcome.FAILED) == {b"giant"}


async def test_a_run_stops_when_the_backup_is_full(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, [b"k%d" % n for n in range(2000)], b"x" * 1000)
        async with operating(server.connection, tmp_path) as operator:
            choice = BackupChoice(max_total_bytes=3_000)
            run = operator.run(await planned(operator, ALL), backup=choice)
            view = await run.run()
        assert "reached its cap" in str(view.ended)
        saved = {record.key for record in read_records(Path(str(view.backup_path))) if record}
        assert names_of(run, Outcome.DELETED) == saved
        assert client.dbsize() == 2000 - len(saved) > 0


async def test_without_room_for_the_backup_nothing_is_deleted(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, [b"a"])
        (tmp_path / "taken").write_text("precious")
        async with operating(server.connection, tmp_path) as operator:
            choice = BackupChoice(path=tmp_path / "taken")
            view = await operator.run(await planned(operator, ALL), backup=choice).run()
        assert "cannot be written" in str(view.ended)
        assert client.dbsize() == 1
        assert (tmp_path / "taken").read_text() == "precious"


async def test_expiring_spreads_the_ends_keeps_earlier_ones_and_can_be_taken_back(
    server: RunningServer, tmp_path: Path
) -> None:
    with server.client() as client:
        fill(client, [b"k%d" % n for n in range(200)])
        client.expire(b"k0", 300)
        client.expire(b"k1", 90_000)
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, ALL, operation=Operation.EXPIRE, expire_seconds=3600)
            client.get(b"k3")
            run = operator.run(plan, backup=BackupChoice())
            view = await run.run()
            counts = dict(view.counts)
            assert counts[Outcome.EXPIRING] == 198
            assert names_of(run, Outcome.CHANGED) == {b"k0", b"k3"}
            ends = sorted(client.ttl(b"k%d" % n) for n in range(1, 200) if n != 3)  # type: ignore[type-var]
            assert ends[0] > 0
            assert ends[-1] <= 3601
            assert ends[-1] - ends[0] > 1800
            assert 0 < client.ttl(b"k0") <= 300  # type: ignore[operator]
            client.expire(b"k4", 80_000)
            client.delete(b"k6")
            report = await operator.restore(Path(str(view.backup_path))).run()
        # k4, and those that the plan itself had left alone.
        assert report.counts[RestoreOutcome.CHANGED] == 3
        assert "1 is gone and cannot be restored" in str(report.ended)
        assert client.ttl(b"k5") == -1
        assert 89_000 < client.ttl(b"k1") <= 90_000  # type: ignore[operator]
        assert client.ttl(b"k4") > 70_000  # type: ignore[operator]


async def test_a_file_that_is_no_backup_changes_nothing(valkey: RunningServer, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("{}")
    async with operating(valkey.connection, tmp_path) as operator:
        for path in (tmp_path / "x", tmp_path / "missing"):
            with pytest.raises(BadInput):
                operator.restore(path)


@pytest.mark.parametrize("moment", ["before", "made", "inspected"])
async def test_a_backup_that_was_replaced_since_it_was_shown_is_not_restored(
    valkey: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    path, other = tmp_path / "shown", tmp_path / "other"
    with valkey.client() as client:
        async with operating(valkey.connection, tmp_path) as operator:
            for file, names in ((path, [b"a", b"b"]), (other, [b"c"])):
                fill(client, names)
                await operator.run(await planned(operator, ALL), backup=BackupChoice(path=file)).run()
            shown = operator.inspect_backup(path).backup
            if moment == "before":
                other.replace(path)
                with pytest.raises(BadInput, match="was replaced or changed since it was inspected"):
                    operator.restore(path, inspected=shown)
                return
            restoring = operator.restore(path, inspected=shown)
            if moment == "made":
                other.replace(path)
            else:
                inspect = restore.inspect
                monkeypatch.setattr(restore, "inspect", lambda *a, **k: (inspect(*a, **k), other.replace(path))[0])
            report = await restoring.run()
        assert (report.counts.get(RestoreOutcome.RESTORED), report.complete, client.dbsize()) == (None, False, 0)
        assert "was replaced or changed since it was inspected: nothing more is read from it" in str(report.ended)


async def test_a_backup_that_was_touched_since_it_was_shown_is_restored_once_it_is_opened_again(
    valkey: RunningServer, tmp_path: Path
) -> None:
    path = tmp_path / "touched"
    with valkey.client() as client:
        async with operating(valkey.connection, tmp_path) as operator:
            fill(client, [b"a", b"b"])
            await operator.run(await planned(operator, ALL), backup=BackupChoice(path=path)).run()
            shown = operator.inspect_backup(path).backup
            path.touch()
            with pytest.raises(BadInput, match="Open it again to see it as it is"):
                operator.restore(path, inspected=shown)
            report = await operator.restore(path, inspected=operator.inspect_backup(path).backup).run()
        assert (report.counts, report.complete, client.dbsize()) == ({RestoreOutcome.RESTORED: 2}, True, 2)


async def test_backups_are_listed_newest_first(valkey: RunningServer, tmp_path: Path) -> None:
    with valkey.client() as client:
        async with operating(valkey.connection, tmp_path) as operator:
            for name in (b"a", b"b"):
                fill(client, [name])
                await operator.run(await planned(operator, ALL), backup=BackupChoice()).run()
            found = operator.backups()
    assert len(found) == 2
    assert found[0].made_at >= found[1].made_at
    assert {backup.server for backup in found} == {str(valkey.connection.address)}


async def test_a_damaged_backup_is_restored_on_demand_only(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, [b"k%d" % n for n in range(120)])
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.run(await planned(operator, ALL), backup=BackupChoice()).run()
            path = Path(str(view.backup_path))
            lines = list(as_lines(path))
            path.write_bytes(b"".join(lines[:60] + lines[61:]))
            restoring = operator.restore(path)
            report = await restoring.run()
            assert (report.failed, dict(report.counts)) == (True, {RestoreOutcome.NOT_ATTEMPTED: 120})
            assert "119 of 120 keys can be read" in str(report.ended)
            assert client.dbsize() == 0
            report = await operator.restore(path, damaged_ok=True).run()
            assert (report.failed, report.file_damaged) == (False, True)
            assert "is damaged" in str(report.ended)
            assert client.dbsize() == 119


async def test_a_frame_that_somebody_wrote_into_a_value_is_never_restored(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = BackupWriter(
        tmp_path / "theirs", Plan((), Criteria(), 0.0, "x"), Server("x", "9", "master", Address()), 0
    )
    with server.client() as client:
        fill(client, [b"other", b"third"])
        client.set("planted", "admin")
        planted.add(Record(0, b"planted", "string", client.dump("planted")))
        planted.close()
        client.delete("planted")
        # What does not shrink stands in the file as it is.
        noise = random.Random(1).randbytes(20_000)
        client.set("value", noise + (tmp_path / "theirs").read_bytes() + noise)
        monkeypatch.setattr("redis_oom_tui.files.backup_frames._FULL_KEYS", 1)
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.run(await planned(operator, ALL), backup=BackupChoice()).run()
            path = Path(str(view.backup_path))
            raw = path.read_bytes()
            at = raw.index(noise[5000:5050])
            path.write_bytes(raw[: at - 300] + raw[at:])
            report = await operator.restore(path, damaged_ok=True).run()
        assert report.counts[RestoreOutcome.RESTORED] == 2
        assert set(client.keys()) == {b"other", b"third"}


async def test_a_restore_reads_its_file_beside_the_event_loop_and_sends_what_the_throttle_allows(
    valkey: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[str] = set()
    sent: list[int] = []
    took = CallThrottle.took

    def reading(*args: Any, **options: Any) -> Iterator[Record | None]:
        for record in read_records(*args, **options):
            threads.add(threading.current_thread().name)
            yield record

    def counting(self: CallThrottle, keys: int, seconds: float, waited: float = 0.0) -> None:
        sent.append(keys)
        took(self, keys, seconds, waited)

    with valkey.client() as client:
        fill(client, [b"k%d" % n for n in range(1000)])
        async with operating(valkey.connection, tmp_path) as operator:
            view = await operator.run(await planned(operator, ALL), backup=BackupChoice()).run()
            monkeypatch.setattr(restore, "read_records", reading)
            monkeypatch.setattr(CallThrottle, "took", counting)
            report = await operator.restore(Path(str(view.backup_path))).run()
        assert dict(report.counts) == {RestoreOutcome.RESTORED: 1000}
        assert client.dbsize() == 1000
    assert threads
    assert threading.main_thread().name not in threads
    assert (sum(sent), max(sent) <= 400) == (1000, True)


async def test_what_was_told_before_a_loss_counts_as_restored(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, replies = itertools.count(1), ExclusiveConnection.next_replies

    async def losing(self: ExclusiveConnection, number: int, name: str) -> list[Any]:
        if next(calls) == 3:
            await self.abandon()
            raise ServerUnreachable("lost")
        return await replies(self, number, name)

    with server.client() as client:
        fill(client, [b"k%d" % n for n in range(300)])
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.run(await planned(operator, ALL), backup=BackupChoice()).run()
            monkeypatch.setattr(ExclusiveConnection, "next_replies", losing)
            report = await operator.restore(Path(str(view.backup_path))).run()
        assert not report.failed, report.ended
        assert client.dbsize() == 300
    # Of those on their way nobody heard: what is there when they are sent again counts as there already.
    assert 200 < report.counts[RestoreOutcome.RESTORED] < 300
    assert sum(report.counts.values()) == 300
