"""Keys whose sizes a few sampled elements get wrong, and what really becomes free when they go."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import redis

Fill = Callable[[redis.Redis], list[bytes]]


def _piped(client: redis.Redis, items: Iterable[Any], send: Callable[[Any, Any], Any], step: int = 2000) -> None:
    waiting = list(items)
    for start in range(0, len(waiting), step):
        pipeline = client.pipeline(transaction=False)
        for item in waiting[start : start + step]:
            send(pipeline, item)
        pipeline.execute()


def jobs(number: int, fields: int, large: int = 10_000) -> Fill:
    """Hashes as a job queue keeps them: small fields, and one that holds nearly everything."""

    def fill(client: redis.Redis) -> list[bytes]:
        names = [b"bull:mail:%d" % at for at in range(number)]
        value = {b"field%d" % at: b"x" * 20 for at in range(fields - 1)} | {b"data": b"d" * large}
        _piped(client, names, lambda pipeline, name: pipeline.hset(name, mapping=value), 100)
        return names

    return fill


def zset_and_set_with_large_members(client: redis.Redis) -> None:
    """Two keys of 130,000 small members and nine large ones: `part:zset` and `part:set`."""
    for start in range(0, 130_000, 10_000):
        names = [b"%010d" % at for at in range(start, start + 10_000)]
        client.zadd(b"part:zset", dict.fromkeys(names, 1))
        client.sadd(b"part:set", *[b"m:" + name for name in names])
    for at in range(9):
        client.zadd(b"part:zset", {b"%d" % at + b"x" * 1_777_777: 1})
        client.sadd(b"part:set", b"%d" % at + b"x" * 1_777_777)


def streams_with_consumers(client: redis.Redis, number: int) -> None:
    """So many streams of 1500 consumers each: most servers count far too much for them."""
    for name in [b"s%d" % at for at in range(number)]:
        client.xadd(name, {b"a": b"1"})
        client.xgroup_create(name, b"g", b"$")
        pipeline = client.pipeline(transaction=False)
        for at in range(1500):
            pipeline.execute_command("XGROUP", "CREATECONSUMER", name, b"g", b"c%d" % at)
        pipeline.execute()


def _hash(client: redis.Redis) -> list[bytes]:
    _piped(client, range(8000), lambda pipeline, at: pipeline.hset(b"big:hash", b"f%d" % at, b"v" * 80))
    client.hset(b"big:hash", b"giant", b"x" * 4_000_000)
    return [b"big:hash"]


def _even_hash(client: redis.Redis) -> list[bytes]:
    _piped(client, range(30_000), lambda pipeline, at: pipeline.hset(b"big:even", b"f%d" % at, b"v" * 80))
    return [b"big:even"]


def _set(client: redis.Redis) -> list[bytes]:
    _piped(client, range(20_000), lambda pipeline, at: pipeline.sadd(b"big:set", b"member:%d:" % at + b"m" * 40))
    return [b"big:set"]


def _zset(client: redis.Redis) -> list[bytes]:
    _piped(client, range(8000), lambda pipeline, at: pipeline.zadd(b"big:zset", {b"member:%d" % at: at}))
    client.zadd(b"big:zset", {b"x" * 4_000_000: -1})
    return [b"big:zset"]


def _list(client: redis.Redis) -> list[bytes]:
    _piped(client, range(20_000), lambda pipeline, at: pipeline.rpush(b"big:list", b"y" * 200))
    client.lpush(b"big:list", b"x" * 4_000_000)
    return [b"big:list"]


def _consumers(client: redis.Redis) -> list[bytes]:
    client.xadd(b"big:stream", {b"a": b"1"})
    client.xgroup_create(b"big:stream", b"group", b"$")
    _piped(
        client,
        range(20_000),
        lambda pipeline, at: pipeline.execute_command(
            "XGROUP", "CREATECONSUMER", b"big:stream", b"group", b"consumer-%d" % at
        ),
    )
    return [b"big:stream"]


def _pending(client: redis.Redis) -> list[bytes]:
    _piped(client, range(20_000), lambda pipeline, at: pipeline.xadd(b"big:pending", {b"a": b"x" * 20}))
    client.xgroup_create(b"big:pending", b"group", b"0")
    for at in range(4):
        client.execute_command(
            "XREADGROUP", "GROUP", b"group", b"c%d" % at, "COUNT", "5000", "STREAMS", b"big:pending", ">"
        )
    return [b"big:pending"]


def _one_in_many(client: redis.Redis) -> list[bytes]:
    names = [b"many:%d" % at for at in range(3000)]
    _piped(client, names, lambda pipeline, name: pipeline.set(name, b"x" * 300))
    client.set(b"many:giant", b"x" * 4_000_000)
    return [*names, b"many:giant"]


SHAPES: dict[str, Fill] = {
    "jobs of 11 fields": jobs(400, 11),
    "jobs of 30 fields": jobs(400, 30),
    "jobs of 200 fields": jobs(200, 200),
    "hash with a giant field": _hash,
    "even hash": _even_hash,
    "set": _set,
    "zset with a giant member": _zset,
    "list with a giant head": _list,
    "stream with many consumers": _consumers,
    "stream with many pending": _pending,
    "one giant in many": _one_in_many,
}


def used_at_rest(client: redis.Redis) -> int:
    """used_memory once nothing waits to be freed, and the buffers of what was just sent are gone."""
    least, since = _used(client), time.monotonic()
    while time.monotonic() - since < 0.3:
        now = _used(client)
        if now < least - 1024:
            least, since = now, time.monotonic()
        time.sleep(0.02)
    return least


def _used(client: redis.Redis) -> int:
    memory = client.info("memory")
    while memory.get("lazyfree_pending_objects"):
        memory = client.info("memory")
    return int(memory["used_memory"])
