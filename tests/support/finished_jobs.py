"""Finished jobs of BullMQ: their plan, what is left of a queue, and what each key holds."""

from typing import Any

import redis

from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.models.stepped import FinishedPlan, FinishedRequest
from tests.support.keyspace import photograph as with_ttls

PREFIXES = [b"", b"myapp:"]


def photograph(client: redis.Redis) -> dict[bytes, Any]:
    """Each key's content; that expiries come back is another test's."""
    return {name: content for name, (content, _) in with_ttls(client).items()}


async def frozen(operator: LiveOperator, application: str = "bullmq", **more: Any) -> FinishedPlan:
    return await operator.steps.plan_finished(
        FinishedRequest(application, **{"older_than_seconds": 0, "queue": b"mail", **more})
    ).run()


def states(client: redis.Redis, prefix: bytes = b"") -> dict[str, set[bytes]]:
    """The jobs of the queue by what BullMQ's lists say of them."""
    found: dict[str, set[Any]] = {}
    for name in ("completed", "failed", "wait", "active", "delayed", "prioritized", "paused"):
        key = prefix + b"bull:mail:" + name.encode()
        kind = client.type(key)
        found[name] = (
            set(client.zrange(key, 0, -1) if kind == b"zset" else client.lrange(key, 0, -1))
            if kind != b"none"
            else set()
        )
    return found
