"""Sources that are open for as long as a test looks at them."""

import contextlib
from collections.abc import AsyncIterator

from redis_oom_tui.models.address import Connection
from redis_oom_tui.server.cluster.source import ClusterSource
from redis_oom_tui.server.live import LiveServer


@contextlib.asynccontextmanager
async def opened(connection: Connection) -> AsyncIterator[LiveServer]:
    """One server."""
    source = LiveServer(connection)
    try:
        await source.open()
        yield source
    finally:
        await source.close()


@contextlib.asynccontextmanager
async def cluster_opened(connection: Connection) -> AsyncIterator[ClusterSource]:
    """A whole cluster, by the node that `connection` leads to."""
    source = ClusterSource(connection)
    try:
        await source.open()
        yield source
    finally:
        await source.close()
