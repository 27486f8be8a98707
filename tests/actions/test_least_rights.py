"""docs/permissions.md's least rights for acting are enough for every action, on every server."""

import re
from pathlib import Path

import redis

from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.models.action import Action, BackupChoice
from redis_oom_tui.models.address import ClientBuffer, Secret
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Operation, Outcome
from redis_oom_tui.models.stepped import FinishedRequest, ListEnd, ShrinkRequest
from redis_oom_tui.models.structs import replace
from tests.apps import samples
from tests.support.acting import fill, operating, planned
from tests.support.documents import page
from tests.support.servers import RunningServer

CACHE = Criteria(patterns=(b"cache:*",))


def lines(*blocks: str) -> list[list[str]]:
    """The ACL commands of these blocks, all for one user."""
    found = [re.search(rf"```{block}\n(.*?)```", page("permissions"), re.DOTALL) for block in blocks]
    joined = "".join(block[1] for block in found if block is not None)
    return [line.replace("oom-reader", "sre").replace("oom-operator", "sre").split() for line in joined.splitlines()]


async def shrunk_and_restored(operator: LiveOperator, client: redis.Redis) -> None:
    """Each type that can be shrunk, and put back."""
    client.rpush("list", *"abc")
    client.zadd("zset", {"a": 1, "b": 2, "c": 3})
    client.hset("hash", mapping={"go:a": 1, "stay": 2})
    client.sadd("set", "go:a", "stay")
    for n in range(1, 4):
        client.xadd("stream", {"f": n}, id=f"{n}-0")
    client.xgroup_create("stream", "group", id="0")
    client.xreadgroup("group", "reader", {"stream": ">"}, count=1)
    for key in ("list", "zset", "hash", "set", "stream"):
        end = ListEnd.LEFT if key == "list" else None
        chosen = {"matching": b"go:*"} if key in {"hash", "set"} else {"keep_last": 2}
        request = ShrinkRequest(KeyId(0, key.encode()), oldest_end=end, **chosen)  # type: ignore[arg-type]
        plan = await operator.steps.plan_shrink(request).run()
        view = await operator.steps.run_shrink(plan, backup=BackupChoice()).run()
        assert dict(view.counts) == {Outcome.DELETED: 1}, view.ended
        if key == "stream":
            client.delete(key)
        report = await operator.restore(Path(str(view.backup_path))).run()
        assert not report.failed, report.ended
        client.delete(key)


async def finished_and_restored(operator: LiveOperator, client: redis.Redis) -> None:
    """Finished jobs, and all of them back."""
    keys = samples.load("bullmq").keys
    samples.write(client, keys)
    plan = await operator.steps.plan_finished(FinishedRequest("bullmq", 0)).run()
    view = await operator.steps.run_finished(plan, backup=BackupChoice()).run()
    assert dict(view.counts) == {Outcome.DELETED: plan.going}, view.ended
    report = await operator.restore(Path(str(view.backup_path))).run()
    assert not report.failed, report.ended
    client.delete(*keys)


async def test_the_least_rights_are_enough_for_every_action(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, [b"cache:1", b"cache:2", b"other"])
        for words in lines("acl", "acl-act", "acl-look", "acl-shrink", "acl-jobs"):
            client.execute_command(*words)
        connection = replace(server.connection, username="sre", password=Secret("PASSWORD"))
        async with operating(connection, tmp_path) as operator:
            await operator.learn()
            assert [operator.why_not(action) for action in Action if action is not Action.EMERGENCY] == [None] * 10
            plan = await planned(operator, CACHE)
            assert plan.flags == ()
            view = await operator.run(plan, backup=BackupChoice()).run()
            assert dict(view.counts) == {Outcome.DELETED: 2}
            report = await operator.restore(Path(str(view.backup_path))).run()
            assert not report.failed, report.ended
            plan = await planned(operator, CACHE, operation=Operation.EXPIRE, expire_seconds=3600)
            view = await operator.run(plan, backup=BackupChoice()).run()
            assert dict(view.counts) == {Outcome.EXPIRING: 2}
            assert not (await operator.restore(Path(str(view.backup_path))).run()).failed
            assert (
                await operator.settings.apply(await operator.settings.propose("maxmemory", "1gb"), persist=True)
            ).persisted == "OK"
            await shrunk_and_restored(operator, client)
            await finished_and_restored(operator, client)
            assert (await operator.purge()).ok
            assert (await operator.reap()).ok
            with server.client() as victim:
                me = victim.client_info()
                assert (await operator.kill_client(ClientBuffer(int(me["id"]), str(me["addr"])))).ok
        assert client.dbsize() == 3
