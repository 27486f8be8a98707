"""Keys whose sizes a few sampled elements get wrong, and what really becomes free when they go."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import redis

Fill = Callable[[redis.Redis], list[bytes]]


def _in_parts(items: Iterable[Any], send: Callable[[list[Any]], Any], step: int = 1000) -> None:
    """Send the items, so many in one command."""
    waiting = list(items)
    for start in range(0, len(waiting), step):
        send(waiting[start : start + step])


def _scripted(client: redis.Redis, command: str, times: int, *keys: bytes) -> None:
    """Have the server carry out `command`, Lua with the number `n` in it, so many times."""
    client.eval(f"for n = 1, {times} do redis.call({command}) end", len(keys), *keys)


def jobs(number: int, fields: int, large: int = 10_000) -> Fill:
    """Hashes as a job queue keeps them: small fields, and one that holds nearly everything."""

    def fill(client: redis.Redis) -> list[bytes]:
        names = [b"bull:mail:%d" % at for at in range(number)]
        value: dict[Any, Any] = {b"field%d" % at: b"x" * 20 for at in range(fields - 1)} | {b"data": b"d" * large}
        pipeline = client.pipeline(transaction=False)
        for name in names:
            pipeline.hset(name, mapping=value)
        pipeline.execute()
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
        _scripted(client, "'XGROUP', 'CREATECONSUMER', KEYS[1], 'g', 'c' .. n", 1500, name)


def _hash(client: redis.Redis) -> list[bytes]:
    _in_parts(range(8000), lambda part: client.hset(b"big:hash", mapping={b"f%d" % at: b"v" * 80 for at in part}))
    client.hset(b"big:hash", b"giant", b"x" * 4_000_000)
    return [b"big:hash"]


def _even_hash(client: redis.Redis) -> list[bytes]:
    _in_parts(range(30_000), lambda part: client.hset(b"big:even", mapping={b"f%d" % at: b"v" * 80 for at in part}))
    return [b"big:even"]


def _set(client: redis.Redis) -> list[bytes]:
    _in_parts(range(20_000), lambda part: client.sadd(b"big:set", *[b"member:%d:" % at + b"m" * 40 for at in part]))
    return [b"big:set"]


def _zset(client: redis.Redis) -> list[bytes]:
    _in_parts(range(8000), lambda part: client.zadd(b"big:zset", {b"member:%d" % at: at for at in part}))
    client.zadd(b"big:zset", {b"x" * 4_000_000: -1})
    return [b"big:zset"]


def _list(client: redis.Redis) -> list[bytes]:
    _in_parts(range(20_000), lambda part: client.rpush(b"big:list", *[b"y" * 200 for _ in part]))
    client.lpush(b"big:list", b"x" * 4_000_000)
    return [b"big:list"]


def _consumers(client: redis.Redis) -> list[bytes]:
    client.xadd(b"big:stream", {b"a": b"1"})
    client.xgroup_create(b"big:stream", b"group", b"$")
    _scripted(client, "'XGROUP', 'CREATECONSUMER', 'big:stream', 'group', 'consumer-' .. n", 20_000)
    return [b"big:stream"]


def _pending(client: redis.Redis) -> list[bytes]:
    _scripted(client, "'XADD', 'big:pending', '*', 'a', string.rep('x', 20)", 20_000)
    client.xgroup_create(b"big:pending", b"group", b"0")
    for at in range(4):
        client.execute_command(
            "XREADGROUP", "GROUP", b"group", b"c%d" % at, "COUNT", "5000", "STREAMS", b"big:pending", ">"
        )
    return [b"big:pending"]


def _one_in_many(client: redis.Redis) -> list[bytes]:
    names = [b"many:%d" % at for at in range(3000)]
    client.mset(dict.fromkeys(names, b"x" * 300))
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
