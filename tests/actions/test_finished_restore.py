"""Finished jobs come back whole or not at all, once, and are said to be back once they were read again."""

import time
from collections.abc import Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from redis_oom_tui.actions import node_restore
from redis_oom_tui.files.backup import BackupWriter
from redis_oom_tui.files.backup_lines import JobRecord, Record
from redis_oom_tui.models.action import BackupChoice, RestoreOutcome
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.plan import Outcome
from redis_oom_tui.models.snapshot import Server
from redis_oom_tui.models.stepped import FinishedJob, FinishedPlan, FinishedRequest
from redis_oom_tui.rules.expected_state import ServerTime
from redis_oom_tui.server.call_throttle import CallThrottle
from redis_oom_tui.server.mutations import finished as jobs_on
from redis_oom_tui.server.mutations.connections import ExclusiveConnection
from tests.apps import samples
from tests.support.acting import operating
from tests.support.finished_jobs import frozen, states
from tests.support.servers import RunningServer

SERVER = Server("valkey", "9.1.2", "master", Address())


async def test_a_restore_without_room_brings_no_part_of_a_job(valkey: RunningServer, tmp_path: Path) -> None:
    with valkey.client() as client:
        samples.write(client, samples.load("bullmq").keys)
        async with operating(valkey.connection, tmp_path) as operator:
            plan = await frozen(operator)
            view = await operator.steps.run_finished(plan, backup=BackupChoice()).run()
            client.config_set("maxmemory", 1)
            report = await operator.restore(Path(str(view.backup_path))).run()
            assert report.failed
            assert report.resumable
            assert not any(client.exists(job.keys[0]) for job in plan.jobs)
            client.config_set("maxmemory", 0)
            report = await operator.restore(Path(str(view.backup_path))).run()
            assert dict(report.counts) == {RestoreOutcome.RESTORED: plan.going}


async def test_a_job_whose_keys_have_expired_is_not_listed_again(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_time = node_restore.server_time

    async def an_hour_later(channel: ExclusiveConnection) -> ServerTime:
        now = await server_time(channel)
        return now._replace(ms=now.ms + 3_600_000)

    with server.client() as client:
        samples.write(client, samples.load("bullmq").keys)
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator)
            for name in (name for job in plan.jobs for name in job.keys):
                client.expire(name, 1800)
            view = await operator.steps.run_finished(plan, backup=BackupChoice()).run()
            assert dict(view.counts) == {Outcome.DELETED: plan.going}, view.ended
            monkeypatch.setattr(node_restore, "server_time", an_hour_later)
            report = await operator.restore(Path(str(view.backup_path))).run()
        assert dict(report.counts) == {RestoreOutcome.EXPIRED: plan.going}, report.ended
        assert states(client)["completed"] == set()


@pytest.mark.parametrize("kind", ["list", "set", "zset"])
async def test_a_job_that_has_no_keys_is_listed_once(server: RunningServer, tmp_path: Path, kind: str) -> None:
    job = FinishedJob(b"done", kind, b"7", b"5" if kind == "zset" else b"", (b"job:7",))
    path = tmp_path / "b"
    with server.client() as client:
        writer = BackupWriter(path, FinishedPlan(FinishedRequest("x", 0), (job,), 0.0, "s"), SERVER, 5.0)
        record = JobRecord(job.index, kind, job.member, job.score, ())
        writer.add(Record(0, b"job:7", "none", None, job=record))
        writer.close()
        async with operating(server.connection, tmp_path) as operator:
            outcomes = [dict((await operator.restore(path).run()).counts) for _ in range(2)]
            assert outcomes == [{RestoreOutcome.RESTORED: 1}, {RestoreOutcome.EXISTS: 1}]
            assert (client.sort(b"done") if kind != "zset" else client.zrange(b"done", 0, -1)) == [b"7"]


@pytest.mark.parametrize(
    ("call", "instead", "words"),
    [
        (
            "redis.pcall('RESTORE', KEYS[i], ARGV[at]",
            "redis.pcall('RESTORE', KEYS[i], 3600000",
            "its expiry is not that",
        ),
        ("redis.pcall('RESTORE', KEYS[i]", "redis.pcall('RESTORE', KEYS[i] .. 'x'", "the key is not there"),
        ("redis.pcall('ZADD', index", "redis.pcall('ZADD', index .. 'x'", "does not name it"),
    ],
    ids=["expiry", "key", "list"],
)
async def test_a_job_is_said_to_be_back_once_it_was_read_again(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, instead: str, words: str
) -> None:
    script = jobs_on._RESTORE.replace(call.encode(), instead.encode())
    assert script != jobs_on._RESTORE
    with server.client() as client:
        samples.write(client, samples.load("bullmq").keys)
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator)
            view = await operator.steps.run_finished(plan, backup=BackupChoice()).run()
            monkeypatch.setattr(jobs_on, "_RESTORE", script)
            report = await operator.restore(Path(str(view.backup_path))).run()
    assert dict(report.counts) == {RestoreOutcome.FAILED: plan.going}
    assert words in str(report.ended)


async def test_a_job_that_waited_to_be_restored_expires_when_it_should(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paced, waited = node_restore.paced, SimpleNamespace(seconds=0.0)

    async def after_a_minute(throttle: CallThrottle, work: Coroutine[Any, Any, Any], calls: int) -> Any:
        waited.seconds += 60.0
        return await paced(throttle, work, calls)

    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + waited.seconds)
    with server.client() as client:
        samples.write(client, samples.load("bullmq").keys)
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator)
            for name in (name for job in plan.jobs for name in job.keys):
                client.expire(name, 1800)
            view = await operator.steps.run_finished(plan, backup=BackupChoice()).run()
            monkeypatch.setattr(node_restore, "paced", after_a_minute)
            monkeypatch.setattr(node_restore, "time", clock)
            report = await operator.restore(Path(str(view.backup_path))).run()
        assert dict(report.counts) == {RestoreOutcome.RESTORED: plan.going}, report.ended
        assert all(1_700_000 < client.pttl(job.keys[0]) <= 1_741_000 for job in plan.jobs)
