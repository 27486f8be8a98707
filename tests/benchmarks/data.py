"""A keyspace for the benchmarks: half strings, the rest of the other types, in some hundred patterns."""

import random
import socket

from tests.support.servers import RunningServer

_CHUNK = 2000


def fill(server: RunningServer, keys: int, seed: int = 1) -> None:
    """Write `keys` keys."""
    chance = random.Random(seed)
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(server.socket_path)
        replies = link.makefile("rb")
        for start in range(0, keys, _CHUNK):
            commands = [_key(number, chance) for number in range(start, min(start + _CHUNK, keys))]
            link.sendall(b"".join(commands))
            for _ in commands:
                if replies.readline().startswith(b"-"):
                    raise RuntimeError("the server refused a write")


def _key(number: int, chance: random.Random) -> bytes:
    kind = number % 10
    part = chance.randrange(40)
    if kind < 3:
        value = b"x" * chance.randrange(20, 300)
        return _command(b"SET", b"session:app%d:%032x" % (part % 7, chance.getrandbits(128)), value, b"EX", b"86400")
    if kind < 5:
        return _command(b"SET", b"cache:page-%s:%d" % (_word(part), number), b"y" * chance.randrange(20, 200))
    if kind < 7:
        fields = [b"%s%d" % (name, n) for n in range(chance.randrange(1, 8)) for name in (b"field", b"value")]
        return _command(b"HSET", b"user:%d:profile" % number, *fields)
    if kind == 7:
        return _command(b"SADD", b"tags:%s:%d" % (_word(part), number), *_members(chance))
    if kind == 8:
        scored = [part for n, member in enumerate(_members(chance)) for part in (b"%d" % n, member)]
        return _command(b"ZADD", b"board:%d:%s" % (number, _word(part)), *scored)
    return _command(b"RPUSH", b"queue:%s:%d" % (_word(part), number), *_members(chance))


def _members(chance: random.Random) -> list[bytes]:
    return [b"member-%d" % n for n in range(chance.randrange(1, 8))]


def _word(number: int) -> bytes:
    return bytes((98 + number % 20, 97, 98 + number // 20, 101))


def _command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
