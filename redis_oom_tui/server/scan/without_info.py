"""A scan of a server that refuses INFO: by DBSIZE it is known which databases hold keys, and little else."""

from collections.abc import Iterable, Mapping

from redis import exceptions

from redis_oom_tui.models.address import Connection
from redis_oom_tui.server.client import make_client
from redis_oom_tui.server.decode import whole

# As many as servers have unless told otherwise; further ones can be named.
_DATABASES = range(16)


async def keys_held(connection: Connection, databases: Iterable[int] | None) -> Mapping[int, int]:
    """Keys by database, of those that hold any; of `databases`, where they are named. Raises redis-py's errors."""
    held: dict[int, int] = {}
    for db in _DATABASES if databases is None else databases:
        client = make_client(connection, db=db)
        try:
            keys = whole(await client.execute_command("DBSIZE"))
        except exceptions.ConnectionError:
            # Databases are numbered without a gap: the first that is not there was the last to ask.
            if not held and db == 0:
                raise
            break
        except exceptions.ResponseError:
            if db == 0 or databases is not None:
                raise
            break
        finally:
            await client.aclose()
        if keys or databases is not None:
            held[db] = keys
    return held


def note(refusal: Exception) -> str:
    """What the figures of such a scan leave out."""
    return f"{refusal}: so shares of used memory, idle times and what the scan costs are not told"
