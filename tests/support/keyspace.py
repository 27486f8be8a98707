"""A key of each type, and a picture of all keys to compare with a later one."""

from collections.abc import Callable
from typing import Any

import redis

HOSTILE = (b"", b"[/x]", b"user[1]*", b"\x1b]0;x\x07", b"\xff\xfe\x80", "\u202ek".encode(), b"a b\r\nc", b"n" * 100_000)


def one_of_each(client: redis.Redis) -> None:
    """Keys of every type and encoding, with and without expiry, streams with groups, hostile names."""
    client.set("int", 12345)
    client.set("raw", b"\x00\xff" * 500)
    client.hset("small hash", mapping={"a": 1, "b": "x"})
    client.hset("large hash", mapping={f"f{n}": "v" * 20 for n in range(1000)})
    client.rpush("small list", *"abc")
    client.rpush("large list", *[b"v" * 100] * 1000)
    client.sadd("intset", 1, 2, 3)
    client.sadd("large set", *[f"m{n}" for n in range(1000)])
    client.zadd("small zset", {"a": 1.5, "b": -2})
    client.zadd("large zset", {f"m{n}": n / 3 for n in range(1000)})
    client.pfadd("hyperloglog", *range(2000))
    client.setbit("bitmap", 5000, 1)
    for n in range(50):
        client.xadd("stream", {"f": n})
    client.xgroup_create("stream", "group", id="0")
    client.xreadgroup("group", "reader", {"stream": ">"}, count=10)
    client.set("expiring", "x", ex=5000)
    client.hset("expiring hash", "f", "v")
    client.pexpire("expiring hash", 7_000_123)
    for name in HOSTILE:
        client.set(name, b"hostile")


def photograph(client: redis.Redis) -> dict[bytes, tuple[Any, int]]:
    """Each key's content, in an order that does not depend on its hash table, and its expiry in seconds from now."""
    readers: dict[bytes | str, Callable[[bytes], Any]] = {
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"zset": lambda name: client.zrange(name, 0, -1, withscores=True),
    }
    return {
        name: (readers.get(client.type(name), client.dump)(name), round(client.pttl(name) / 1000))
        for name in client.scan_iter(count=1000)
    }
