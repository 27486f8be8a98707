"""aiocache: entries with and without a namespace, and a decorated call."""

import asyncio
import sys
from urllib.parse import urlsplit

from aiocache import Cache, cached


async def main() -> None:
    where = urlsplit(sys.argv[1])
    cache = Cache(Cache.REDIS, endpoint=where.hostname, port=where.port, namespace="main")
    await cache.set("key", "value")
    await cache.set("other", "value", ttl=60)

    @cached(cache=Cache.REDIS, endpoint=where.hostname, port=where.port, ttl=60)
    async def add(x, y):
        return x + y

    await add(1, 2)
    await cache.close()


asyncio.run(main())
