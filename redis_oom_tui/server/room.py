"""What is free for replies on a server now."""

from redis.asyncio import Redis

from redis_oom_tui.rules.headroom import headroom_in
from redis_oom_tui.server.replies import info_in


async def room_now(client: "Redis", stated_limit: int | None) -> int | None:
    """Bytes free below maxmemory, None where nothing bounds a reply, 0 where INFO is refused. Raises redis errors.

    `stated_limit` is the operator's word for the limit of a server that tells none.
    """
    pipeline = client.pipeline(transaction=False)
    for section in ("memory", "keyspace", "replication"):
        pipeline.execute_command("INFO", section)
    replies = await pipeline.execute(raise_on_error=False)
    if not all(isinstance(reply, bytes) for reply in replies):
        return 0
    return headroom_in(info_in(b"\n".join(replies)), stated_limit)
