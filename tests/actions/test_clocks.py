"""The server's clock decides, whatever the clock of the computer says that the tool runs on."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from redis_oom_tui.files.backup_lines import record_line
from redis_oom_tui.files.backup_reading import as_lines, read_head, read_records
from redis_oom_tui.models.action import BackupChoice, RestoreOutcome
from redis_oom_tui.models.address import Secret
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Operation, Outcome
from redis_oom_tui.models.stepped import FinishedRequest, ListEnd, ShrinkRequest
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server import info_reader
from redis_oom_tui.server.mutations import value_restorer
from tests.apps import samples
from tests.support.acting import ALL, fill, operating, planned
from tests.support.proxy import lying
from tests.support.servers import NO_SCRIPTS, RunningServer, started
from tests.support.shrinking import KEY, NAME, filled

SKEWS = pytest.mark.parametrize("skew", [-7200, -20, 20, 7200])
DAY_MS = 86_400_000
NAMES = [b"k%d" % number for number in range(60)]


@pytest.fixture(params=["script", "steps", "script without TIME"])
def ways(request: pytest.FixtureRequest, flavour: str) -> Iterator[RunningServer]:
    """A server that allows scripts, one that does not, and one that tells its time in INFO alone."""
    lines = {
        "script": (),
        "steps": NO_SCRIPTS,
        "script without TIME": ('rename-command TIME ""',),
    }
    with started(flavour, *lines[request.param]) as running:
        yield running


def _wall(skew: float) -> Any:
    return lambda: time.time() + skew


def _ends(client: redis.Redis) -> dict[bytes, int]:
    return {name: client.pttl(name) for name in NAMES}


@pytest.mark.in_turn
@SKEWS
async def test_letting_expire_and_taking_it_back(ways: RunningServer, tmp_path: Path, skew: int) -> None:
    with ways.client() as client:
        fill(client, NAMES)
        client.expire(NAMES[0], 90_000)
        async with operating(ways.connection, tmp_path, wall=_wall(skew)) as operator:
            plan = await planned(operator, ALL, operation=Operation.EXPIRE, expire_seconds=3600)
            view = await operator.run(plan, backup=BackupChoice()).run()
            assert view.counts == {Outcome.EXPIRING: len(NAMES)}, view.ended
            given = _ends(client).values()
            assert min(given) > 0
            assert 1_800_000 < max(given) <= 3_601_000
            report = await operator.restore(Path(str(view.backup_path))).run()
        assert report.counts == {RestoreOutcome.RESTORED: len(NAMES)}, report.ended
        ends = _ends(client)
    assert 89_000_000 < ends.pop(NAMES[0]) <= 90_000_000
    assert set(ends.values()) == {-1}


@pytest.mark.in_turn
@SKEWS
async def test_a_restore_gives_each_key_what_is_left_of_its_life(
    ways: RunningServer, tmp_path: Path, skew: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(info_reader, "time", SimpleNamespace(time=_wall(skew)))
    with ways.client() as client:
        fill(client, NAMES)
        for number, name in enumerate(NAMES[:40]):
            client.expire(name, 60 + 100 * number)
        async with operating(ways.connection, tmp_path, wall=_wall(skew)) as operator:
            view = await operator.run(await planned(operator, ALL), backup=BackupChoice()).run()
            assert view.counts == {Outcome.DELETED: len(NAMES)}, view.ended
            report = await operator.restore(Path(str(view.backup_path))).run()
        assert report.counts == {RestoreOutcome.RESTORED: len(NAMES)}, report.ended
        assert read_head(Path(report.path)).clock_skew_seconds == pytest.approx(-skew, abs=1)
        ends, idle = _ends(client), client.object("idletime", NAMES[50])
    for number, name in enumerate(NAMES[:40]):
        assert (55 + 100 * number) * 1000 < ends[name] <= (60 + 100 * number) * 1000
    assert {ends[name] for name in NAMES[40:]} == {-1}
    assert 999 <= idle <= 1030


@pytest.mark.in_turn
@SKEWS
async def test_an_older_backup_has_the_times_of_this_computer(server: RunningServer, tmp_path: Path, skew: int) -> None:
    with server.client() as client:
        fill(client, NAMES[:2])
        client.expire(NAMES[0], 3000)
        async with operating(server.connection, tmp_path, wall=_wall(skew)) as operator:
            view = await operator.run(await planned(operator, ALL), backup=BackupChoice()).run()
            path = Path(str(view.backup_path))
            _as_of_before(path, skew)
            report = await operator.restore(path).run()
        assert report.counts == {RestoreOutcome.RESTORED: 2}, report.ended
        assert 2_990_000 < client.pttl(NAMES[0]) <= 3_001_000


def _as_of_before(path: Path, skew: int) -> None:
    """Make it a backup whose times are those of the computer that made it, as earlier versions wrote."""
    head, *_, end = b"".join(as_lines(path)).splitlines()
    records = [record for record in read_records(path) if record is not None]
    fields = json.loads(head)
    del fields["clock"], fields["clock_skew_seconds"]
    moved = [
        replace(
            record,
            saved_ms=record.saved_ms + skew * 1000,
            expires_ms=None if record.expires_ms is None else record.expires_ms + skew * 1000,
        )
        for record in records
    ]
    path.write_bytes(json.dumps(fields).encode() + b"\n" + b"".join(record_line(record) for record in moved) + end)


async def test_another_server_whose_clock_is_ahead_ends_no_part_of_a_job_early(
    server: RunningServer, tmp_path: Path
) -> None:
    with server.client() as client:
        samples.write(client, samples.load("bullmq").keys)
        async with operating(server.connection, tmp_path) as operator:
            plan = await operator.steps.plan_finished(FinishedRequest("bullmq", older_than_seconds=0)).run()
            names = [name for job in plan.jobs for name in job.keys if client.expire(name, 3600)]
            assert len(names) >= len(plan.jobs) > 0
            view = await operator.steps.run_finished(plan, backup=BackupChoice()).run()
        assert not client.exists(*names)
        with lying(server.connection, _a_day_ahead) as liar:
            async with operating(liar.connection, tmp_path) as operator:
                report = await operator.restore(Path(str(view.backup_path))).run()
        assert dict(report.counts) == {RestoreOutcome.RESTORED: len(plan.jobs)}, report.ended
        assert all(3_590_000 < client.pttl(name) <= 3_601_000 for name in names)


@pytest.mark.parametrize("refused_by", ["rename", "rights"])
async def test_jobs_and_elements_where_time_is_refused(flavour: str, tmp_path: Path, refused_by: str) -> None:
    """INFO tells the time then, also within the scripts that save a job and put elements back."""
    lines = ('rename-command TIME ""',) if refused_by == "rename" else ()
    with started(flavour, *lines) as server, server.client() as client:
        client.execute_command("ACL", "SETUSER", "sre", "on", ">pw", "~*", "&*", "+@all", "-time")
        connection = replace(server.connection, username="sre", password=Secret("pw"))
        samples.write(client, samples.load("bullmq").keys)
        filled(client, "list", 300)
        client.expire(NAME, 9000)
        async with operating(connection, tmp_path) as operator:
            plan = await operator.steps.plan_finished(FinishedRequest("bullmq", older_than_seconds=0)).run()
            names = [name for job in plan.jobs for name in job.keys if client.expire(name, 3600)]
            jobs = await operator.steps.run_finished(plan, backup=BackupChoice()).run()
            assert dict(jobs.counts) == {Outcome.DELETED: len(plan.jobs)}, jobs.ended
            shrink = await operator.steps.plan_shrink(ShrinkRequest(KEY, keep_last=100, oldest_end=ListEnd.LEFT)).run()
            view = await operator.steps.run_shrink(shrink, backup=BackupChoice()).run()
            client.delete(NAME)
            for made, number in ((jobs, len(plan.jobs)), (view, 200)):
                report = await operator.restore(Path(str(made.backup_path))).run()
                assert dict(report.counts) == {RestoreOutcome.RESTORED: number}, report.ended
        assert all(3_590_000 < client.pttl(name) <= 3_601_000 for name in names)
        assert client.llen(NAME) == 200
        assert 8_990_000 < client.pttl(NAME) <= 9_001_000


async def test_nor_the_fields_of_a_hash(server: RunningServer, tmp_path: Path) -> None:
    if server.flavour not in {"valkey", "redis8"}:
        pytest.skip("its hash fields do not expire")
    sent: list[bytes] = []

    def lie(words: tuple[bytes, ...]) -> bytes | None:
        if words[0].startswith(b"EVAL") and b"old" in words:
            sent.append(words[words.index(b"old") + 2])
        return _a_day_ahead(words)

    with server.client() as client:
        client.hset("h", mapping={"old": "a", "new": "b"})
        client.execute_command("HEXPIRE", "h", 3600, "FIELDS", 1, "old")
        (ends,) = client.execute_command("HPEXPIRETIME", "h", "FIELDS", 1, "old")
        async with operating(server.connection, tmp_path) as operator:
            plan = await operator.steps.plan_shrink(ShrinkRequest(KeyId(0, b"h"), matching=b"old")).run()
            view = await operator.steps.run_shrink(plan, backup=BackupChoice()).run()
        with lying(server.connection, lie) as liar:
            async with operating(liar.connection, tmp_path) as operator:
                report = await operator.restore(Path(str(view.backup_path))).run()
        assert dict(report.counts) == {RestoreOutcome.RESTORED: 1}, report.ended
    assert int(sent[-1]) == pytest.approx(ends + DAY_MS, abs=6000)


def _a_day_ahead(words: tuple[bytes, ...]) -> bytes | None:
    """A server that tells a time a day after its own."""
    if words[0] != b"TIME":
        return None
    now = b"%d" % (int(time.time()) + DAY_MS // 1000)
    return b"*2\r\n$%d\r\n%b\r\n$1\r\n0\r\n" % (len(now), now)


async def test_a_key_that_is_not_there_after_all_is_not_said_to_be_put_back(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the reason: the server may say OK and hold nothing, or another expiry."""
    with server.client() as client:
        fill(client, NAMES[:3])
        client.expire(NAMES[2], 3000)
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.run(await planned(operator, ALL), backup=BackupChoice()).run()
            path = Path(str(view.backup_path))
            ours = value_restorer._restore

            def without_life(value: value_restorer.Value, passed_ms: int, idle_limit: int) -> tuple[bytes, ...]:
                name, key, ttl, *more = ours(value, passed_ms, idle_limit)
                return (name, key, {NAMES[1]: b"1", NAMES[2]: b"0"}.get(value.key, ttl), *more)

            monkeypatch.setattr(value_restorer, "_restore", without_life)
            report = await operator.restore(path).run()
        assert report.counts == {RestoreOutcome.RESTORED: 1, RestoreOutcome.FAILED: 2}, report.ended
    assert "the server said OK, but the key is not there" in str(report.ended) or "not that of" in str(report.ended)
