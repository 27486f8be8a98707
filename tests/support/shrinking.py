"""A large key of each kind, what of it may go, and a run that is meddled with."""

from collections.abc import Callable
from typing import Any

import redis

from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.actions.shrink import ShrinkRun
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.stepped import ListEnd, ShrinkPlan, ShrinkRequest

KEY = KeyId(0, b"giant \xff")
NAME = KEY.key
# Redis 8.2 has it, and crashes with it.
WITHOUT_NO_TOUCH = {"redis6", "redis7", "redis8"}


def request(**choice: Any) -> ShrinkRequest:
    return ShrinkRequest(KEY, **choice)


def filled(client: redis.Redis, kind: str, number: int = 1200) -> None:
    """A key of so many elements, oldest first, with odd bytes in them."""
    pipeline = client.pipeline(transaction=False)
    for n in range(number):
        if kind == "stream":
            pipeline.xadd(NAME, {b"f\\": b"v%d\xff" % n}, id=f"{1_700_000_000_000 + n}-1")
        elif kind == "list":
            pipeline.rpush(NAME, b"job %d\x00" % n)
        elif kind == "zset":
            pipeline.zadd(NAME, {b"m%d" % n: 1_700_000_000 + n})
        elif kind == "hash":
            pipeline.hset(NAME, b"%s:%d" % (b"old" if n < number - 200 else b"new", n), b"v" * 20)
        else:
            pipeline.sadd(NAME, b"%s:%d" % (b"old" if n < number - 200 else b"new", n))
    pipeline.execute()


CHOICES: dict[str, dict[str, Any]] = {
    "stream": {"keep_last": 200},
    "list": {"keep_last": 200, "oldest_end": ListEnd.LEFT},
    "zset": {"keep_last": 200},
    "hash": {"matching": b"old:*"},
    "set": {"matching": b"old:*"},
}


def content(client: redis.Redis) -> Any:
    """All that the key holds, in its order where it has one."""
    readers: dict[bytes | str, Callable[[], Any]] = {
        b"stream": lambda: client.xrange(NAME),
        b"list": lambda: client.lrange(NAME, 0, -1),
        b"zset": lambda: client.zrange(NAME, 0, -1, withscores=True),
        b"hash": lambda: client.hgetall(NAME),
        b"set": lambda: client.smembers(NAME),
        b"none": lambda: None,
    }
    return readers[client.type(NAME)]()


async def frozen(operator: LiveOperator, kind: str = "", **choice: Any) -> ShrinkPlan:
    return await operator.steps.plan_shrink(request(**(CHOICES[kind] if kind else choice))).run()


class MeddledRun(ShrinkRun):
    """A run that calls `between` before the first removal, when what goes has been read and saved."""

    between: Callable[[], object] | None = None

    async def _remove(self, *args: Any) -> None:
        if self.between is not None:
            between, self.between = self.between, None
            between()
        await super()._remove(*args)


def meddled(operator: LiveOperator, plan: ShrinkPlan, between: Callable[[], object]) -> MeddledRun:
    run = MeddledRun(operator._context, operator.deployment, plan, BackupChoice())
    run.between = between
    return run
