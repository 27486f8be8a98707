"""A run that took nothing offers no backup to put back, and claims no memory that it freed."""

from pathlib import Path

from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.files.backup_reading import read_records
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.plan import Criteria, Operation, Outcome, RunView
from tests.support.acting import fill, operating, planned
from tests.support.servers import RunningServer

CACHE = Criteria(patterns=(b"cache:*",))


def undo_of_last(operator: LiveOperator) -> str:
    """What the log would put back for the last action."""
    return operator.history()[0].undo


def offers_nothing(view: RunView) -> bool:
    return view.backup_path is None and view.backup_files == ()


async def test_a_plan_whose_keys_are_gone_leaves_no_empty_backup(valkey: RunningServer, tmp_path: Path) -> None:
    with valkey.client() as client:
        fill(client, [b"cache:1", b"cache:2"])
        async with operating(valkey.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            client.append(b"cache:2", b"more")
            first = await operator.run(plan, backup=BackupChoice()).run()
            assert dict(first.counts) == {Outcome.DELETED: 1, Outcome.CHANGED: 1}
            assert undo_of_last(operator) == first.backup_path
            text = operator.consent(plan, BackupChoice())[1]
            assert "ended: Deleted 1 of 2 keys" in text
            assert text.endswith(f"Its copies are in {first.backup_path}")
            again = await operator.run(plan, backup=BackupChoice()).run()
            assert dict(again.counts) == {Outcome.GONE: 1, Outcome.CHANGED: 1}
            assert offers_nothing(again)
            assert again.ended == (
                "Deleted 0 of 2 keys; 1 was skipped, as it changed or may have;"
                " 1 was gone already (1 deleted by an earlier run of this plan)."
            )
            assert undo_of_last(operator) == ""
            (backup,) = operator.backups()
            assert (backup.path, backup.keys, backup.held_bytes) == (first.backup_path, 1, plan.keys[0].size)


async def test_what_was_too_large_to_save_is_named_and_not_offered(valkey: RunningServer, tmp_path: Path) -> None:
    with valkey.client() as client:
        fill(client, [b"cache:1"])
        async with operating(valkey.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            path = tmp_path / "backup"
            view = await operator.run(plan, backup=BackupChoice(path=path, max_key_bytes=10)).run()
            assert dict(view.counts) == {Outcome.DELETED: 1}
            assert offers_nothing(view)
            assert [record is not None and bool(record.left_out) for record in read_records(path)] == [True]
        assert client.dbsize() == 0


async def test_an_expiry_that_no_key_took_has_none_to_put_back(valkey: RunningServer, tmp_path: Path) -> None:
    with valkey.client() as client:
        fill(client, [b"cache:1"])
        client.expire(b"cache:1", 20)
        async with operating(valkey.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE, operation=Operation.EXPIRE, expire_seconds=100_000)
            view = await operator.run(plan, backup=BackupChoice()).run()
            assert dict(view.counts) == {Outcome.CHANGED: 1}
            assert offers_nothing(view)
            assert operator.backups() == ()
