"""In a cluster finished jobs go and come back where all that is theirs is in one slot."""

import asyncio
from pathlib import Path

import pytest
import redis

from redis_oom_tui.files.backup_reading import read_head, read_records
from redis_oom_tui.formatting.keys import slot_of
from redis_oom_tui.models import timeouts
from redis_oom_tui.models.action import BackupChoice, RestoreOutcome
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.plan import Outcome
from redis_oom_tui.rules import finished
from tests.actions.test_cluster import acting
from tests.support.acting import NO_BACKUP
from tests.support.cluster import RunningCluster, clustered, take_over
from tests.support.finished_jobs import frozen


def written(cluster: RunningCluster, queue: str) -> None:
    """Jobs of a queue, two done and one waiting, each key on the node of its slot."""
    with redis.RedisCluster("127.0.0.1", cluster.primaries[0].port) as client:
        client.hset(f"{queue}:meta", "version", "bullmq:5")
        for number in range(3):
            client.hset(f"{queue}:{number}", mapping={"name": "mail", "data": "x" * 5000, "ats": 1, "timestamp": 1})
        client.rpush(f"{queue}:0:logs", "log")
        client.zadd(f"{queue}:completed", {"0": 1_600_000_000_000, "1": 1_600_000_000_001})
        client.rpush(f"{queue}:wait", "2")


def move(cluster: RunningCluster, slot: int) -> None:
    """Begin to move a slot: what has a key that is not there is asked for again until all of it has moved."""
    source = cluster.owner(slot)
    heir = next(node for node in cluster.primaries if node is not source)
    for node, way, other in ((heir, "IMPORTING", source), (source, "MIGRATING", heir)):
        with node.server.client() as client:
            client.execute_command("CLUSTER SETSLOT", slot, way, other.id)


def names(cluster: RunningCluster) -> set[bytes]:
    with redis.RedisCluster("127.0.0.1", cluster.primaries[0].port) as client:
        return set(client.keys(target_nodes=redis.RedisCluster.PRIMARIES))


async def test_in_a_cluster_jobs_of_one_slot_go_and_others_are_refused(tmp_path: Path) -> None:
    queues = ["{bull}:mail", "bull:{orders}", "bull:{images}"]
    with clustered(replicas=False) as cluster:
        written(cluster, "bull:video")
        async with acting(cluster, tmp_path) as (_, operator):
            with pytest.raises(BadInput, match=r"2 jobs of bull:video:completed must stay: .* share no hash tag"):
                await frozen(operator, queue=None)
            for queue in queues:
                written(cluster, queue)
            before = names(cluster)
            plan = await frozen(operator, queue=None)
            assert {(job.index, job.member) for job in plan.jobs} == {
                (f"{queue}:completed".encode(), member) for queue in queues for member in (b"0", b"1")
            }
            assert "bull:video:completed must stay" in " ".join(finished.consent(plan, BackupChoice()))
            view = await operator.steps.run_finished(plan, backup=BackupChoice()).run()
            assert dict(view.counts) == {Outcome.DELETED: 6}, view.ended
            gone = {f"{queue}:{rest}".encode() for queue in queues for rest in ("0", "0:logs", "1", "completed")}
            assert before - names(cluster) == gone
            path = Path(str(view.backup_path))
            holders = {f"127.0.0.1:{cluster.owner(slot_of(job.index)).port}" for job in plan.jobs}
            assert {record.node for record in read_records(path) if record is not None} == holders
            assert set(read_head(path).node_skew_seconds) == holders
            report = await operator.restore(Path(str(view.backup_path))).run()
            assert dict(report.counts) == {RestoreOutcome.RESTORED: 6}, report.ended
            assert names(cluster) == before
            move(cluster, slot_of(b"images"))
            plan = await frozen(operator, queue=b"{images}")
            for backup in (BackupChoice(), NO_BACKUP):
                view = await operator.steps.run_finished(plan, backup=backup).run()
                assert dict(view.counts) == {Outcome.CHANGED: 2}
                assert "Kept, as its slot moves to another node." in str(view.ended)
            assert names(cluster) == before


async def test_the_jobs_of_a_primary_that_dies_go_on_its_replica(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The dead node is not asked for so long: another has its slots by then.
    monkeypatch.setattr(timeouts, "GIVE_UP", 60.0)
    many, queue = 600, "{bull}:mail"
    with clustered() as cluster:
        written(cluster, queue)
        owner = cluster.owner(slot_of(b"bull"))
        with owner.server.client() as client:
            for number in range(1000, 1000 + many):
                client.hset(f"{queue}:{number}", mapping={"name": "mail", "data": "x", "ats": 1, "timestamp": 1})
                client.zadd(f"{queue}:completed", {str(number): 1_600_000_000_000})
            client.wait(1, 0)
        async with acting(cluster, tmp_path) as (_, operator):
            plan = await frozen(operator, queue=None)
            assert plan.going == many + 2
            run = operator.steps.run_finished(plan, backup=NO_BACKUP)
            running = asyncio.create_task(run.run())
            while not run.view().counts.get(Outcome.DELETED, 0):
                await asyncio.sleep(0)
            owner.server.kill()
            assert not running.done()
            take_over(cluster.replicas[cluster.primaries.index(owner)])
            view = await running
        assert not view.failed, view.ended
        assert Outcome.NOT_ATTEMPTED not in view.counts
        assert sum(view.counts.values()) == plan.going
        assert view.counts[Outcome.DELETED] > plan.going / 2
        assert "what used memory fell by is not known" in str(view.ended)
