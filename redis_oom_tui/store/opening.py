"""From a connection to the source that it means."""

from redis_oom_tui.models.address import Connection
from redis_oom_tui.store.fleet.cluster import ClusterSource
from redis_oom_tui.store.live import LiveServer


def source_for(connection: Connection) -> LiveServer | ClusterSource:
    """One server, or with `cluster` all of them; nothing connects yet."""
    return ClusterSource(connection) if connection.cluster else LiveServer(connection)
