"""Writes that are tried again, with redis-py's asyncio client."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import redis
import redis.asyncio

from redis_oom_tui.resilience import AsyncNamespaceCleanup, AsyncOomRetry, is_oom
from tests.server.test_resilience import SET_SCRIPT, Helper, fill, hold, load_cache, relieve
from tests.server.test_resilience_cluster import _cluster_of_one, _serving, fill_cluster
from tests.support.cluster import clustered
from tests.support.servers import RunningServer

ASYNC_FORMS: list[Callable[[redis.asyncio.Redis, AsyncOomRetry], Awaitable[object]]] = [
    lambda client, retry: retry.call(client.set, "k", "v"),
    lambda client, retry: retry.call(client.eval, SET_SCRIPT, 1, "k", "v"),
    lambda client, retry: retry.execute(client.pipeline(transaction=False).set("k", "v")),
    lambda client, retry: retry.execute(client.pipeline().set("k", "v").get("k")),
]


@pytest.mark.in_turn
@pytest.mark.parametrize("form", ASYNC_FORMS, ids=["single", "script", "pipeline", "transaction"])
async def test_asyncio_gets_through(
    server: RunningServer, form: Callable[[redis.asyncio.Redis, AsyncOomRetry], Awaitable[object]]
) -> None:
    helper = Helper(server)
    retry = AsyncOomRetry(retries=4, base_seconds=0.005, cap_seconds=0.02, before_retry=helper)
    with server.client() as sync:
        fill(sync)
    async with redis.asyncio.Redis(unix_socket_path=server.socket_path) as client:
        await form(client, retry)
        assert await client.get("k") == b"v"
    assert helper.heard == [1, 2]


@pytest.mark.in_turn
@pytest.mark.parametrize("form", ASYNC_FORMS, ids=["single", "script", "pipeline", "transaction"])
async def test_asyncio_gives_up(
    server: RunningServer, form: Callable[[redis.asyncio.Redis, AsyncOomRetry], Awaitable[object]]
) -> None:
    with server.client() as sync:
        fill(sync)
    async with redis.asyncio.Redis(unix_socket_path=server.socket_path) as client:
        with pytest.raises(redis.ResponseError) as caught:
            await form(client, AsyncOomRetry(retries=2, base_seconds=0.005, cap_seconds=0.01))
    assert is_oom(caught.value)


async def test_asyncio_takes_a_coroutine_as_hook(server: RunningServer) -> None:
    with server.client() as sync:
        fill(sync)

    async def mend(error: Exception, failures: int) -> None:
        await asyncio.sleep(0)
        with server.client() as other:
            relieve(other)

    async with redis.asyncio.Redis(unix_socket_path=server.socket_path) as client:
        assert await AsyncOomRetry(base_seconds=0.005, before_retry=mend).call(client.set, "k", "v")


async def test_asyncio_cleanup(server: RunningServer) -> None:
    with server.client() as sync:
        load_cache(sync)
        hold(sync, 200_000)
    async with redis.asyncio.Redis(unix_socket_path=server.socket_path) as client:
        cleanup = AsyncNamespaceCleanup(client, b"cache:[a]:", max_keys=150)
        await AsyncOomRetry(retries=6, base_seconds=0.01, cap_seconds=0.05, before_retry=cleanup).call(
            client.set, "k", "v"
        )
        assert 0 < cleanup.deleted_total <= 900
        assert await client.exists("cache:[a]:pinned", "cache:[a]:fresh", "cache:a:other") == 3


async def test_asyncio_takes_a_cluster_pipeline(flavour: str) -> None:
    with _cluster_of_one(flavour) as server, server.client() as client:
        port = _serving(client)
        fill(client)
        async with redis.asyncio.RedisCluster(host="127.0.0.1", port=port) as cluster:
            helper = Helper(server)
            retry = AsyncOomRetry(retries=4, base_seconds=0.005, cap_seconds=0.02, before_retry=helper)
            pipeline = cluster.pipeline()
            pipeline.set("a", "1").get("missing").set("b", "2")
            assert await retry.execute(pipeline) == [True, None, True]
            assert helper.heard == [1, 2]


async def test_asyncio_makes_room_on_every_node_of_a_cluster() -> None:
    with clustered(2, replicas=False) as running:
        fill_cluster(running)
        async with redis.asyncio.RedisCluster(host="127.0.0.1", port=running.primaries[0].port) as cluster:
            cleanup = AsyncNamespaceCleanup(cluster, b"cache:", max_keys=300, idle_over_seconds=0)
            retry = AsyncOomRetry(retries=6, base_seconds=0.01, cap_seconds=0.05, before_retry=cleanup)
            assert [await retry.call(cluster.set, name, "v") for name in ("a", "b", "c")] == [True] * 3
            assert 0 < cleanup.deleted_total <= 1500
            rest = 1500 - cleanup.deleted_total
            assert sum([await cleanup() for _ in range(20)]) == rest
