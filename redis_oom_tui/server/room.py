"""What is free for replies on a server now."""

from redis.asyncio import Redis

from redis_oom_tui.rules.headroom import headroom_in
from redis_oom_tui.server.replies import info_in


async def room_now(client: "Redis") -> int | None:
    """Bytes free below maxmemory, None where nothing bounds a reply, 0 where INFO is refused. Raises redis errors."""
    pipeline = client.pipeline(transaction=False)
    for section in ("memory", "keyspace", "replication"):
        pipeline.execute_command("INFO", section)
    replies = await pipeline.execute(raise_on_error=False)
    if not all(isinstance(reply, bytes) for reply in replies):
        return 0
    return headroom_in(info_in(b"\n".join(replies)))
