"""Finished jobs go with all that belongs to them; waiting and active ones never, nor what only looks alike."""

import asyncio
import os
import re
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import redis

from redis_oom_tui.actions.finished_run import FinishedRun
from redis_oom_tui.files.audit import AuditFile
from redis_oom_tui.models.action import BackupChoice, RestoreOutcome
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.plan import Outcome
from redis_oom_tui.models.stepped import FinishedRequest
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import finished
from tests.apps import samples
from tests.support.acting import NO_BACKUP, operating
from tests.support.finished_jobs import PREFIXES, frozen, photograph, states
from tests.support.servers import RunningServer
from tests.support.shapes import used_at_rest


@pytest.mark.parametrize("prefix", PREFIXES, ids=["bare", "prefixed"])
async def test_completed_jobs_go_whole_and_come_back_whole(
    server: RunningServer, tmp_path: Path, prefix: bytes
) -> None:
    with server.client() as client:
        samples.write(client, samples.load("bullmq").keys, prefix)
        before, lists = photograph(client), states(client, prefix)
        done = lists["completed"]
        assert done
        others = set().union(*(jobs for state, jobs in lists.items() if state != "completed"))
        assert others
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator)
            assert {job.member for job in plan.jobs} == done
            assert photograph(client) == before
            view = await operator.steps.run_finished(plan, backup=BackupChoice()).run()
            assert dict(view.counts) == {Outcome.DELETED: len(done)}, view.ended
            left = photograph(client)
            for job in done:
                assert not [name for name in left if name.startswith(prefix + b"bull:mail:" + job + b":")]
                assert prefix + b"bull:mail:" + job not in left
            assert states(client, prefix) == {**lists, "completed": set()}
            belonging = {name for name in before if name not in left}
            assert {name: of for name, of in before.items() if name not in belonging} == left
            report = await operator.restore(Path(str(view.backup_path))).run()
            assert dict(report.counts) == {RestoreOutcome.RESTORED: len(done)}, report.ended
            assert photograph(client) == before
            again = await operator.restore(Path(str(view.backup_path))).run()
            assert dict(again.counts) == {RestoreOutcome.EXISTS: len(done)}


async def test_failed_jobs_go_only_when_asked_for(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        samples.write(client, samples.load("bullmq").keys)
        failed = states(client)["failed"]
        assert failed
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator, state="failed")
            assert {job.member for job in plan.jobs} == failed
            assert "cannot be retried" in " ".join(finished.consent(plan, BackupChoice()))
            with pytest.raises(BadInput, match="--state completed or failed"):
                await frozen(operator, state="waiting")


async def test_a_job_that_is_retried_or_worked_at_meanwhile_is_kept(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        samples.write(client, samples.load("bullmq").keys)
        first, second, *rest = sorted(states(client)["completed"])
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator)
            client.zrem("bull:mail:completed", first)
            client.rpush("bull:mail:wait", first)
            client.set(b"bull:mail:" + second + b":lock", "worker")
            view = await operator.steps.run_finished(plan, backup=BackupChoice()).run()
        counts = {Outcome.GONE: 1, Outcome.CHANGED: 1, Outcome.DELETED: len(rest)}
        assert dict(view.counts) == {outcome: number for outcome, number in counts.items() if number}, view.ended
        assert "somebody works at it" in str(view.ended)
        assert client.exists(b"bull:mail:" + first) == client.exists(b"bull:mail:" + second) == 1


async def test_a_job_that_changes_after_it_was_saved_is_kept(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        samples.write(client, samples.load("bullmq").keys)
        done = states(client)["completed"]

        class Meddled(FinishedRun):
            async def _deleted(self, *args: Any) -> Outcome:
                client.hset(b"bull:mail:" + args[2].member, "returnvalue", "newer")
                return await super()._deleted(*args)

        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator)
            view = await Meddled(operator._context, operator.deployment, plan, BackupChoice()).run()
        assert dict(view.counts) == {Outcome.CHANGED: len(done)}
        assert states(client)["completed"] == done
        assert all(client.hget(b"bull:mail:" + job, "returnvalue") == b"newer" for job in done)


async def test_it_is_allowed_at_oom(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        samples.write(client, samples.load("bullmq").keys)
        client.set("ballast", b"x" * 3_000_000)
        client.config_set("maxmemory", 1_500_000)
        with pytest.raises(redis.OutOfMemoryError):
            client.set("more", "x" * 1000)
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator)
            view = await operator.steps.run_finished(plan, backup=BackupChoice()).run()
        assert dict(view.counts) == {Outcome.DELETED: plan.going}, view.ended


async def test_what_jobs_hold_is_told_before_and_what_they_freed_after(server: RunningServer, tmp_path: Path) -> None:
    small = dict.fromkeys(
        ["name", "opts", "timestamp", "finishedOn", "processedOn", "returnvalue", "attemptsMade"], "1"
    )
    with server.client() as client:
        samples.write(client, samples.load("bullmq").keys)
        client.delete("bull:mail:completed")
        for number in range(200):
            client.hset(f"bull:mail:9{number}", mapping={**small, "data": "x" * 30_000})
            client.zadd("bull:mail:completed", {f"9{number}": 1_700_000_000_000})
        client.config_set("maxmemory", 100_000_000)
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator)
            assert plan.going == 200
            assert plan.about_bytes is not None
            assert 200 * 30_000 <= plan.about_bytes <= 200 * 45_000
            view = await operator.steps.run_finished(plan, backup=NO_BACKUP).run()
        assert re.search(
            r"Deleted 200 of 200 jobs; used memory fell by [5-9]\.\d MiB, to \d+\.\d% of maxmemory\.", str(view.ended)
        ), view.ended


def _with_many_done(client: redis.Redis) -> None:
    samples.write(client, samples.load("bullmq").keys)
    for number in range(300):
        client.hset(f"bull:mail:9{number}", mapping={"name": "n", "data": "{}", "timestamp": "1", "finishedOn": "1"})
        client.zadd("bull:mail:completed", {f"9{number}": 1_700_000_000_000})


@pytest.mark.parametrize("frozen_server", [False, True], ids=["cut", "frozen"])
async def test_a_run_outlives_its_connection_and_a_frozen_server(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frozen_server: bool
) -> None:
    timer = threading.Timer(0.8, os.kill, (server.pid, signal.SIGCONT))
    written, hurried = AuditFile.batch, replace(server.connection, read_timeout_seconds=0.3)
    with server.client() as client:
        _with_many_done(client)

        def losing(self: AuditFile, action_id: str, number: int, *rest: Any) -> None:
            written(self, action_id, number, *rest)
            if number == 2 and frozen_server:
                os.kill(server.pid, signal.SIGSTOP)
                timer.start()
            elif number == 2:
                client.client_kill_filter(_type="normal", skipme=True)

        monkeypatch.setattr(AuditFile, "batch", losing)
        async with operating(hurried, tmp_path) as operator:
            plan = await frozen(operator)
            view = await operator.steps.run_finished(plan, backup=NO_BACKUP).run()
        if frozen_server:
            timer.join()
        assert not view.failed, view.ended
        assert set(view.counts) <= {Outcome.DELETED, Outcome.IN_DOUBT}
        # The one that was on its way when the server stopped may have gone by that.
        assert view.counts[Outcome.DELETED] >= len(plan.jobs) - 1
        assert not states(client)["completed"]


@pytest.mark.usefixtures("gives_up_soon")
async def test_of_a_server_that_was_killed_meanwhile_no_figure_is_told(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        _with_many_done(client)
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator)
            run = operator.steps.run_finished(plan, backup=NO_BACKUP)
            running = asyncio.create_task(run.run())
            while not run.view().counts.get(Outcome.DELETED, 0):
                await asyncio.sleep(0)
            server.kill()
            view = await running
    assert view.failed
    assert view.counts[Outcome.NOT_ATTEMPTED] > 0
    assert "were not attempted; what used memory fell by is not known." in str(view.ended)
    assert view.used_now_bytes is None


async def test_a_job_too_large_to_save_is_kept_without_a_trace(valkey: RunningServer, tmp_path: Path) -> None:
    with valkey.client() as client:
        samples.write(client, samples.load("bullmq").keys)
        async with operating(valkey.connection, tmp_path) as operator:
            plan = await frozen(operator)
            view = await operator.steps.run_finished(plan, backup=BackupChoice(max_key_bytes=10)).run()
            assert dict(view.counts) == {Outcome.FAILED: plan.going}
            assert "too large to save" in str(view.ended)
            assert view.backup_path is None
            view = await operator.steps.run_finished(plan, backup=NO_BACKUP).run()
            assert dict(view.counts) == {Outcome.DELETED: plan.going}


async def test_age_and_queue_choose(valkey: RunningServer, tmp_path: Path) -> None:
    with valkey.client() as client:
        samples.write(client, samples.load("bullmq").keys)
        seconds, _ = client.time()
        for job in client.zrange("bull:mail:completed", 0, -1):
            client.zadd("bull:mail:completed", {job: (seconds - 100) * 1000})
        async with operating(valkey.connection, tmp_path) as operator:
            assert (await frozen(operator, older_than_seconds=3600)).going == 0
            assert (await frozen(operator, older_than_seconds=50)).going > 0
            with pytest.raises(BadInput, match="of BullMQ is here for queue mial; there is one for mail"):
                await frozen(operator, queue=b"mial")
            assert (await frozen(operator, queue=b"mail")).going > 0


async def test_what_only_looks_alike_is_left_alone(valkey: RunningServer, tmp_path: Path) -> None:
    with valkey.client() as client:
        client.zadd("game:chess:completed", {"7": 1_700_000_000_000})
        client.hset("game:chess:7", "winner", "white")
        async with operating(valkey.connection, tmp_path) as operator:
            for queue in (None, b"chess", b"mail"):
                with pytest.raises(BadInput, match="No list of completed jobs of BullMQ is here") as raised:
                    await frozen(operator, queue=queue)
                assert "there is one" not in str(raised.value)
            with pytest.raises(BadInput, match="is no application that is known"):
                await frozen(operator, application="nonsense")


async def test_jobs_of_rq_go_by_the_time_in_their_hash(valkey: RunningServer, tmp_path: Path) -> None:
    with valkey.client() as client:
        samples.write(client, samples.load("rq").keys)
        before = photograph(client)
        async with operating(valkey.connection, tmp_path) as operator:
            plan = await operator.steps.plan_finished(FinishedRequest("RQ", 0)).run()
            assert plan.going > 0
            view = await operator.steps.run_finished(plan, backup=BackupChoice()).run()
            assert dict(view.counts) == {Outcome.DELETED: plan.going}, view.ended
            gone = before.keys() - photograph(client).keys()
            assert {job.keys[0] for job in plan.jobs} <= gone
            assert not [name for name in gone if b":queue:" in name or b":workers" in name]
            report = await operator.restore(Path(str(view.backup_path))).run()
            assert dict(report.counts) == {RestoreOutcome.RESTORED: plan.going}
            assert photograph(client) == before


@pytest.mark.parametrize("name", ["bull", "bullmq", "bullmq_python"])
async def test_waiting_and_active_jobs_of_each_sample_stay(valkey: RunningServer, tmp_path: Path, name: str) -> None:
    with valkey.client() as client:
        samples.write(client, samples.load(name).keys)
        before = photograph(client)
        async with operating(valkey.connection, tmp_path) as operator:
            application = samples.load(name).application
            for state in ("completed", "failed"):
                plan = await frozen(operator, application, state=state, queue=None)
                await operator.steps.run_finished(plan, backup=NO_BACKUP).run()
        after = photograph(client)
        waiting = {
            key.rpartition(b":")[0] + b":" + job
            for key in before
            if key.endswith((b":wait", b":active", b":delayed", b":prioritized"))
            for job in (client.lrange(key, 0, -1) if client.type(key) == b"list" else client.zrange(key, 0, -1))
        }
        lists = {key for key in before if key.endswith((b":wait", b":active", b":delayed", b":meta", b":id"))}
        assert waiting & before.keys()
        for key in (waiting & before.keys()) | lists:
            assert after[key] == before[key], key


async def test_no_key_of_others_is_evicted_for_the_copy_of_a_large_job(server: RunningServer, tmp_path: Path) -> None:
    """Only the others can be evicted here; the first run has the server's own first costs behind it."""
    with server.client() as client:
        samples.write(client, samples.load("bullmq").keys)
        async with operating(server.connection, tmp_path) as operator:
            await operator.steps.run_finished(await frozen(operator), backup=BackupChoice()).run()
            pipeline = client.pipeline(transaction=False)
            for number in range(4):
                pipeline.hset(f"bull:mail:{number}", mapping={"data": b"x" * 6_000_000, "finishedOn": "1700000000001"})
                pipeline.zadd("bull:mail:completed", {str(number): 1_700_000_000_001})
            for number in range(20_000):
                pipeline.set(f"other:{number}", b"y" * 200, ex=90_000)
            pipeline.execute()
            plan = await frozen(operator)
            client.config_set("maxmemory-policy", "volatile-lru")
            client.config_set("maxmemory", used_at_rest(client) + 200_000)
            view = await operator.steps.run_finished(plan, backup=BackupChoice()).run()
        others = sum(1 for _ in client.scan_iter("other:*", count=5000))
    assert dict(view.counts) == {Outcome.FAILED: 4}, view.ended
    assert "4 were kept, as no copy could be saved" in str(view.ended)
    assert "free below maxmemory" in str(view.ended)
    assert others > 19_000
