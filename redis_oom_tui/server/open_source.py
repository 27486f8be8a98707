"""From a connection to the source that it means."""

from typing import TYPE_CHECKING

from redis_oom_tui.models.address import Connection
from redis_oom_tui.server.live import LiveServer

if TYPE_CHECKING:
    from redis_oom_tui.server.cluster.source import ClusterSource


def source_for(connection: Connection) -> "LiveServer | ClusterSource":
    """One server, or with `cluster` all of them; nothing connects yet."""
    if not connection.cluster:
        return LiveServer(connection)
    # What only clusters need is not loaded for `check` on a single server.
    from redis_oom_tui.server.cluster.source import ClusterSource  # noqa: PLC0415

    return ClusterSource(connection)
