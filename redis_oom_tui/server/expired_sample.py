"""How many of some keys have expired and are still held: one page of SCAN, which drops those that it meets."""

from redis import exceptions

from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.rules.info_checks import most_expiring
from redis_oom_tui.server.client import make_client
from redis_oom_tui.server.errors import translated
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.replies import data, info_in, page

_PAGE = 500


async def expired_among(server: LiveServer, snapshot: Snapshot) -> tuple[int, int]:
    """Of some keys of the database with most TTLs, how many had expired, and how many live. Raises `models.errors`.

    Nothing but the server's own count tells of the first: no command shows a key that has expired.
    """
    database = most_expiring(snapshot)
    if database is None:
        return 0, 0
    client = make_client(server.connection, db=database.db)
    try:
        with translated(server.address, "SCAN"):
            pipeline = client.pipeline(transaction=False)
            pipeline.execute_command("INFO", "stats")
            pipeline.execute_command("SCAN", "0", "COUNT", _PAGE)
            pipeline.execute_command("INFO", "stats")
            before, names, after = await pipeline.execute(raise_on_error=False)
            if any(isinstance(reply, exceptions.RedisError) for reply in (before, names, after)):
                return 0, 0
            return max(0, _expired(after) - _expired(before)), len(page(names)[1])
    finally:
        await client.aclose()


def _expired(reply: object) -> int:
    expired = str(info_in(data(reply)).get("expired_keys", ""))
    return int(expired) if expired.isdecimal() else 0
