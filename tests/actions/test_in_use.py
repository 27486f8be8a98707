"""Safety rule 3 for keys that are in use: what is written after the preview is kept, or is in the backup."""

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from redis_oom_tui.files.backup_reading import read_records
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.plan import Outcome
from redis_oom_tui.rules.expected_state import ReadSpan
from redis_oom_tui.server.mutations.key_reader import KeyReader
from tests.support.acting import ALL, NO_BACKUP, fill, names_of, operating, planned
from tests.support.servers import NO_SCRIPTS, RunningServer, started
from tests.support.waiting import be_late

KEYS = 200
# Seconds: within one tick of the clock of idle times, at the next, and after some.
SOONER_OR_LATER = (0.0, 0.5, 1.0, 2.2, 3.2)


@pytest.fixture(params=["script", "steps"])
def ways(request: pytest.FixtureRequest, flavour: str) -> Iterator[RunningServer]:
    """A server that allows scripts, and one that does not."""
    lines = NO_SCRIPTS if request.param == "steps" else ()
    with started(flavour, *lines) as running:
        yield running


def _write(client: redis.Redis, kind: str, value: bytes) -> None:
    pipeline = client.pipeline(transaction=False)
    for number in range(KEYS):
        if kind == "string":
            pipeline.set(f"s{number}", value)
        elif kind == "hash":
            pipeline.hset(f"h{number}", "field", value)
        else:
            pipeline.set(f"e{number}", b"a" * 100, nx=True)
            pipeline.expire(f"e{number}", 5000)
            pipeline.persist(f"e{number}")
    pipeline.execute()


async def test_a_fresh_key_that_is_written_after_the_preview_is_kept(flavour: str, tmp_path: Path) -> None:
    """Sooner or later, with scripts and without: it was overwritten, or was given an expiry and none again."""
    cases = enumerate(itertools.product(((), NO_SCRIPTS), SOONER_OR_LATER))
    # They mostly wait: side by side, each on a server of its own.
    async with asyncio.TaskGroup() as group:
        for number, (lines, after) in cases:
            group.create_task(_keeps_what_is_written(flavour, lines, tmp_path / str(number), after))


async def _keeps_what_is_written(flavour: str, lines: tuple[str, ...], folder: Path, after: float) -> None:
    with started(flavour, *lines) as server, server.client() as client:
        for kind in ("string", "hash", "expiry"):
            _write(client, kind, b"a" * 100)
        async with operating(server.connection, folder) as operator:
            plan = await planned(operator, ALL)
            await be_late(after)
            for kind in ("string", "hash", "expiry"):
                _write(client, kind, b"b" * 100)
            view = await operator.run(plan, backup=NO_BACKUP).run()
        assert view.counts == {Outcome.CHANGED: 3 * KEYS}, (lines, after, view.ended)
        assert client.dbsize() == 3 * KEYS


async def test_a_fresh_key_that_nobody_uses_any_more_goes(ways: RunningServer, tmp_path: Path) -> None:
    with ways.client() as client:
        for kind in ("string", "hash"):
            _write(client, kind, b"a" * 100)
        async with operating(ways.connection, tmp_path) as operator:
            plan = await planned(operator, ALL)
            assert not plan.flags[1:], plan.flags
            assert all(not key.in_use and (key.idle_seconds or 0) >= 1 for key in plan.keys)
            view = await operator.run(plan, backup=NO_BACKUP).run()
        assert view.counts == {Outcome.DELETED: 2 * KEYS}, view.ended
        assert client.dbsize() == 0


async def test_a_second_is_waited_for_once_and_not_in_each_database(
    valkey: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited, wait = [], KeyReader.wait_until_over

    async def noted(reader: KeyReader, span: ReadSpan) -> None:
        waited.append(span)
        await wait(reader, span)

    monkeypatch.setattr(KeyReader, "wait_until_over", noted)
    async with operating(valkey.connection, tmp_path) as operator:
        # Keys that were written a tick before they are read are not in use: then once more.
        while len(waited) < 8:
            waited.clear()
            for db in range(16):
                with valkey.client(db=db) as client:
                    client.set("k", "v")
            await planned(operator, ALL)
    # A key that was read again as the clock ticked is read a third time.
    assert len(set(waited)) <= 3


@pytest.mark.parametrize("backup", [BackupChoice(), NO_BACKUP], ids=["backup", "no backup"])
async def test_a_key_in_constant_use_goes_with_its_last_value_saved_or_stays(
    ways: RunningServer, tmp_path: Path, backup: BackupChoice
) -> None:
    """A rival writes the same keys all the time, during the preview and during the run."""
    with ways.client() as client:
        _write(client, "string", b"a%09d" % 0)
        async with operating(ways.connection, tmp_path) as operator:
            stop = asyncio.Event()
            writing = asyncio.create_task(_keep_writing(client, stop))
            try:
                plan = await planned(operator, ALL)
                in_use = sum(key.in_use for key in plan.keys)
                assert any("in use at this preview" in flag for flag in plan.flags) == (in_use > 0)
                # Those that had not been written in the new second when they were read again are now.
                await be_late(0.5)
            finally:
                # A thread is not cancelled: its last write must have ended before the values are read.
                stop.set()
                await writing
            before = {name: client.get(name) for name in client.scan_iter(count=1000)}
            run = operator.run(plan, backup=backup)
            view = await run.run()
            if not backup.wanted:
                assert view.counts == {Outcome.CHANGED: KEYS}, view.ended
                return
            gone = names_of(run, Outcome.DELETED)
            assert view.counts.get(Outcome.CHANGED, 0) + len(gone) == KEYS, view.ended
            if gone:
                saved = {record.key for record in read_records(Path(str(view.backup_path))) if record is not None}
                assert saved >= gone
                await operator.restore(Path(str(view.backup_path))).run()
        assert {name: client.get(name) for name in before} == before


async def _keep_writing(client: redis.Redis, stop: asyncio.Event) -> None:
    number = 0
    while not stop.is_set():
        number += 1
        await asyncio.to_thread(_write, client, "string", b"a%09d" % number)
        await asyncio.sleep(0.05)


async def test_a_fork_since_the_preview_stops_a_deletion_without_backup(flavour: str, tmp_path: Path) -> None:
    """While the server's child lives, no use of a key shows: the preview did not say so."""
    with started(flavour, "rdb-key-save-delay 20000") as server, server.client() as client:
        fill(client, [b"k%d" % number for number in range(KEYS)])
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, ALL)
            client.bgsave()
            view = await operator.run(plan, backup=NO_BACKUP).run()
            assert "BGSAVE or AOF rewrite began since the preview" in str(view.ended)
            assert client.dbsize() == KEYS
            plan = await planned(operator, ALL)
            assert any("written now is lost unseen" in flag for flag in plan.flags)
            view = await operator.run(plan, backup=BackupChoice()).run()
        assert view.counts == {Outcome.DELETED: KEYS}, view.ended
