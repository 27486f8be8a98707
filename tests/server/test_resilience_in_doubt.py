"""Keys of a cleanup of `redis_oom_tui.resilience` of which no reply tells whether they were deleted."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from redis_oom_tui.models.address import Connection
from redis_oom_tui.resilience import AsyncNamespaceCleanup, NamespaceCleanup
from tests.server.test_resilience import load_cache
from tests.support.proxy import Streams, _command, _Proxy, _reply
from tests.support.servers import RunningServer
from tests.support.waiting import be_late, until_async


class Cut(_Proxy):
    """Carries everything but the reply to the 21st deletion, which the server carried out: it closes once in its place,
    or is `silent`.
    """

    def __init__(self, upstream: Connection, *, silent: bool) -> None:
        super().__init__(upstream)
        self.silent = silent
        self.deletions = 0

    async def serve(self, client: Streams, server: Streams) -> None:
        """One command after the other."""
        while True:
            raw, words = await _command(client[0])
            server[1].write(raw)
            reply = await _reply(server[0])
            self.deletions += words[0].upper() == b"EVAL"
            if self.deletions == 21 and words[0].upper() == b"EVAL":
                if self.silent:
                    await be_late(60)
                return
            client[1].write(reply)
            await client[1].drain()


@contextmanager
def cut(server: RunningServer, *, silent: bool = False) -> Iterator[tuple[int, Cut]]:
    """The port of a `Cut` before the server, and itself."""
    proxy = Cut(server.connection, silent=silent)
    proxy.start()
    try:
        yield proxy.connection.address.port, proxy
    finally:
        proxy.stop()


def load(client: redis.Redis) -> None:
    """Keys that a cleanup takes, all of them."""
    load_cache(client)
    client.delete("cache:[a]:pinned", "cache:[a]:fresh", "cache:a:other")


# By how often redis-py asks: what it says of its second try tells of the first one's keys that they are gone.
TOLD = {1: (21, 0, 50), 2: (50, 29, 21)}
# These send no pipeline a second time.
ONCE = redis.__version__.startswith("5.")


@pytest.mark.parametrize("tries", [1, 2])
def test_keys_without_a_reply_are_in_doubt_and_count_against_the_bound(server: RunningServer, tries: int) -> None:
    with server.client() as own, cut(server) as (port, _):
        load(own)
        with redis.Redis(port=port, protocol=2, retry=Retry(NoBackoff(), tries - 1)) as client:
            cleanup = NamespaceCleanup(client, b"cache:[a]:", max_keys=50)
            assert cleanup() == cleanup.deleted_total
            gone = 1000 - own.dbsize()
            assert (gone, cleanup.deleted_total, cleanup.in_doubt_total) == TOLD[1 if ONCE else tries]
            assert list(cleanup.lost) == [""] * (ONCE or tries == 1)
            doubtful = cleanup.in_doubt_total
            assert cleanup() == 50
            assert (1000 - own.dbsize() - gone, cleanup.in_doubt_total) == (50, doubtful)


@pytest.mark.parametrize("tries", [1, 2])
async def test_asyncio_tells_them_as_well(valkey: RunningServer, tries: int) -> None:
    with valkey.client() as own, cut(valkey) as (port, _):
        load(own)
        async with redis.asyncio.Redis(port=port, protocol=2, retry=AsyncRetry(NoBackoff(), tries - 1)) as client:
            cleanup = AsyncNamespaceCleanup(client, b"cache:[a]:", max_keys=50)
            assert await cleanup() == cleanup.deleted_total
            assert (1000 - own.dbsize(), cleanup.deleted_total, cleanup.in_doubt_total) == TOLD[1 if ONCE else tries]


async def test_a_cleanup_that_is_cancelled_leaves_what_it_asked_for_in_doubt(valkey: RunningServer) -> None:
    with valkey.client() as own, cut(valkey, silent=True) as (port, proxy):
        load(own)
        async with redis.asyncio.Redis(port=port, protocol=2) as client:
            cleanup = AsyncNamespaceCleanup(client, b"cache:[a]:", max_keys=50)
            running = asyncio.ensure_future(cleanup())
            await until_async(lambda: proxy.deletions == 21, "the deletion that is not answered")
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert (1000 - own.dbsize(), cleanup.deleted_total, cleanup.in_doubt_total) == (21, 0, 50)
