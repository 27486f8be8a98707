"""The states that `savings` measures: each shows a finding, and has its advice taken.

A `Variant` makes the same states in another size and with other lengths: what is fitted to one set of data shows by it.
"""

import random
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.server.scenes import EVERY, MIB, SEVEN_ON
from tests.server.test_applications_live import delete_finished, queue
from tests.server.test_savings_live import Command, documents, word
from tests.support.scene import Scene

Change = Callable[[Scene], object]


class Variant(NamedTuple):
    """`size` times as many keys, scripts or bytes; other contents by `seed`, and other lengths unless it is 0."""

    size: float = 1.0
    seed: int = 0

    def many(self, number: int) -> int:
        """So many of what a state counts."""
        return max(1, round(number * self.size))

    def long(self, length: int) -> int:
        """A length near this one: for the same length the same each time."""
        return round(length * (self.dice(length).uniform(0.8, 1.25) if self.seed else 1))

    def dice(self, *words: object) -> random.Random:
        """Chance that is the same each time."""
        return random.Random(f"{self.seed}:{words}")


@dataclass(frozen=True)
class Case:
    """A state that shows a finding, and its advice taken: in place, or as the data would be on another server."""

    finding: str
    make: Change
    cure: Change | None = None
    instead: Iterable[Command] = ()
    config: tuple[str, ...] = ()
    flavours: tuple[str, ...] = EVERY


def cases(variant: Variant) -> dict[str, Case]:
    """Every state in this variant, by its name."""
    parts = (_clients, _servers, _giants, _grouping, _names, _values, _limits, _lasting, _jobs, _results)
    return {name: case for part in parts for name, case in part(variant)}


Cases = Iterator[tuple[str, Case]]


def _written(commands: list[Command]) -> Change:
    return lambda scene: scene.several(commands)


def _emptied(scene: Scene) -> None:
    scene.client.flushall()


def _kill(scene: Scene) -> None:
    for client in scene.client.client_list():
        if int(client["tot-mem"]) > 500_000:
            scene.client.client_kill_filter(_id=client["id"])


def _close_all(scene: Scene) -> None:
    mine = scene.client.client_id()
    for client in scene.client.client_list():
        if int(client["id"]) != mine:
            scene.client.client_kill_filter(_id=client["id"])


def _clients(variant: Variant) -> Cases:
    def half(size: int, count: int) -> Change:
        sent = variant.long(variant.many(size))

        def make(scene: Scene) -> None:
            raw = b"*3\r\n$3\r\nSET\r\n$1\r\nh\r\n$%d\r\n" % (sent + 9) + b"x" * (sent - 10)
            scene.hold(raw=raw, count=count)
            time.sleep(1.0)

        return make

    def monitored(scene: Scene) -> None:
        scene.hold((b"MONITOR",))
        time.sleep(0.1)
        scene.keys(variant.many(1500), variant.long(5000), "same")
        scene.client.flushall()

    def limited(scene: Scene) -> None:
        scene.client.config_set("maxmemory-clients", "5%")
        time.sleep(1.0)

    limit = (f"maxmemory {variant.many(60)}mb",)
    yield "query buffers, closed", Case("client-hogs", half(5_000_000, 3), _kill)
    yield "small query buffers, closed", Case("client-hogs", half(1_500_000, 6), _kill)
    yield "a MONITOR, closed", Case("monitor", monitored, _kill)
    yield (
        "maxmemory-clients 5%",
        Case("maxmemory-clients", half(5_000_000, 3), limited, config=limit, flavours=SEVEN_ON),
    )


def _servers(variant: Variant) -> Cases:
    backlog, script = f"{variant.many(14)}mb", variant.many(6000)

    def replicated(scene: Scene) -> None:
        """Kept after its replica has gone: what a replica still has to read cannot be freed."""
        (replica,) = scene.hold((b"PSYNC", b"?", b"-1"))
        time.sleep(0.2)
        scene.several(("SET", "hot", b"x" * 100_000) for _ in range(variant.many(200)))
        replica.close()
        scene.client.config_set("maxmemory", variant.many(30 * MIB))

    def subscribed(length: int) -> Change:
        number = variant.many(20_000)

        def make(scene: Scene) -> None:
            names = [b"%0*d" % (length, n) for n in range(number)]
            scene.hold(*[(b"SUBSCRIBE", *names[at : at + 1000]) for at in range(0, number, 1000)])
            scene.wait("stats", "pubsub_channels", number)

        return make

    yield (
        "backlog, lowered to 1 MiB",
        Case(
            "backlog",
            replicated,
            lambda scene: scene.client.config_set("repl-backlog-size", MIB),
            config=(f"repl-backlog-size {backlog}", "repl-diskless-sync yes", "repl-diskless-sync-delay 1000"),
        ),
    )
    loop = "for i=1,10 do redis.call('get', KEYS[1]..i) end return a"
    for what, number, body in (
        ("of 40 bytes", 2 * script, lambda n: f"return '{n:0{variant.long(40)}}'"),
        ("of 400 bytes", script, lambda n: f"return '{n:0{variant.long(400)}}'"),
        ("of 5 KB", script // 4, lambda n: f"return '{n:0{variant.long(5000)}}'"),
        ("with code", script, lambda n: f"local a={n} {loop}"),
    ):
        texts = [("SCRIPT", "LOAD", body(n)) for n in range(number)]
        flush = Case("scripts", _written(texts), lambda scene: scene.client.script_flush("SYNC"))
        yield f"scripts {what}", flush
    for length in (10, 60, 120):
        yield f"channels of {length} letters", Case("channels", subscribed(variant.long(length)), _close_all)


def _adding(kind: str, items: list[bytes], rng: random.Random) -> list[tuple[object, ...]]:
    """Commands that add these to one key."""
    if kind == "stream":
        return [("XADD", "big", "*", "f", item) for item in items]
    words: dict[str, tuple[object, ...]] = {
        "hash": ("HSET", "big", *(part for item in items for part in (item, item))),
        "set": ("SADD", "big", *items),
        "set of numbers": ("SADD", "big", *(rng.randrange(10**9) for _ in range(1000))),
        "zset": ("ZADD", "big", *(part for item in items for part in (rng.random(), item))),
        "list": ("RPUSH", "big", *items),
        "string": ("APPEND", "big", b"".join(items)),
    }
    return [words[kind]]


def _giants(variant: Variant) -> Cases:
    least, most = variant.long(8), variant.long(60)

    def giant(kind: str) -> Change:
        def make(scene: Scene) -> None:
            rng = variant.dice(kind)
            for _ in range(variant.many(60)):
                items = [word(rng, rng.randrange(least, most)) for _ in range(500)]
                scene.several(_adding(kind, items, rng))

        return make

    ids = {"zset": "zset-log", "list": "queue-growing", "stream": "stream-untrimmed"}
    for kind in ("hash", "set", "set of numbers", "zset", "list", "stream", "string"):
        deleted = Case(ids.get(kind, "giant-key"), giant(kind), lambda scene: scene.client.unlink("big"))
        yield f"a giant {kind}, deleted", deleted


def _grouping(variant: Variant) -> Cases:
    names = (b"name", b"email", b"plan", b"last_seen")
    users = range(variant.many(4000))
    for length, fields, ttl in ((6, 2, 0), (20, 3, 0), (40, 4, 0), (6, 3, 50_000), (20, 3, 50_000), (40, 4, 50_000)):
        rng, mean = variant.dice(length), variant.long(length)
        values = [[word(rng, min(64, max(1, int(rng.gauss(mean, mean / 6))))) for _ in names] for _ in users]
        expiry: tuple[bytes | int, ...] = (b"EX", ttl) if ttl else ()
        separate: list[Command] = [
            (b"SET", b"user:%d:%s" % (user, field), value, *expiry)
            for user in users
            for field, value in zip(names[:fields], values[user], strict=False)
        ]
        one: list[Command] = [
            (b"HSET", b"user:%d" % user, *(p for pair in zip(names[:fields], values[user], strict=False) for p in pair))
            for user in users
        ]
        one += [(b"EXPIRE", b"user:%d" % user, ttl) for user in users if ttl]
        name = f"grouping {fields} of {length}{' with TTL' if ttl else ''}"
        yield name, Case("hash-grouping", _written(separate), instead=one)


def _names(variant: Variant) -> Cases:
    def named(prefix: bytes) -> list[Command]:
        return [(b"SET", b"%s:%06d" % (prefix, n), b"v" * variant.long(20)) for n in range(variant.many(10_000))]

    for prefix in (
        b"application:production:customers:preferences",
        b"warehouse-service:inventory-levels",
        b"recommendations:personalised:frontpage-widgets:carousel-items",
        b"integration-tests:results",
    ):
        long = b":".join(part + b"x" * (variant.seed % 4) if len(part) > 8 else part for part in prefix.split(b":"))
        short = b":".join(part[:4] if len(part) > 8 else part for part in long.split(b":"))
        yield f"long names of {len(prefix)}", Case("long-names", _written(named(long)), instead=named(short))


def _json(variant: Variant, most: int) -> list[bytes]:
    """Carts of different lengths, cut after so many bytes."""
    text = {name: value[:most] for name, value in documents(variant.seed + 3, variant.many(1500))}
    return list(text.values())


def _values(variant: Variant) -> Cases:
    """Only Valkey lets values be read without a trace."""
    counters = range(variant.many(10_000))
    for digits in (10, 14, 24):
        padded, plain = (
            [(b"SET", b"counter:%06d" % n, b"%0*d" % (least, n * 7)) for n in counters] for least in (digits, 1)
        )
        case = Case("numbers-as-text", _written(padded), instead=plain, flavours=("valkey",))
        yield f"padded numbers of {digits}", case
    rng, length = variant.dice("lines"), variant.long(500)
    lines = [b" ".join(word(rng, rng.randrange(3, 9)) for _ in range(length)) for _ in range(variant.many(1200))]
    for name, values in (
        ("JSON", _json(variant, 10**6)),
        ("small JSON", _json(variant, variant.long(700))),
        ("log lines", lines),
    ):
        large, packed = (
            [(b"SET", b"value:%d" % n, value) for n, value in enumerate(several)]
            for several in (values, map(zlib.compress, values))
        )
        yield f"{name}, compressed", Case("compressible", _written(large), instead=packed, flavours=("valkey",))


def _limits(variant: Variant) -> Cases:
    """Collections just over their limit; on others than Valkey, how many members there are leaves a trace."""
    rng, keys, length = variant.dice("members"), range(variant.many(40)), variant.long(12)
    made: dict[str, list[Command]] = {
        "hash": [(b"HSET", b"hash:%d" % n, *(word(rng, length) for _ in range(2 * 700))) for n in keys],
        "zset": [
            (b"ZADD", b"zset:%d" % n, *(part for m in range(200) for part in (b"%d" % m, word(rng, length))))
            for n in keys
        ],
        "set": [(b"SADD", b"set:%d" % n, *(b"%d" % rng.randrange(10**9) for _ in range(800))) for n in keys],
    }
    setting = {
        "hash": "hash-max-listpack-entries",
        "zset": "zset-max-listpack-entries",
        "set": "set-max-intset-entries",
    }
    for kind, commands in made.items():

        def cure(scene: Scene, name: str = setting[kind], commands: list[Command] = commands) -> None:
            scene.client.config_set(name, 2000)
            scene.client.flushall()
            scene.several(commands)

        yield f"{kind} just over the limit", Case("encoding-limit", _written(commands), cure, flavours=("valkey",))


def _lasting(variant: Variant) -> Cases:
    for small, large, lasting in ((300, 300, 0.1), (200, 800, 0.1), (900, 250, 0.2), (300, 1200, 0.25), (60, 60, 0.2)):
        rng = variant.dice(small * large)
        keys: list[Command] = [
            (b"SET", b"session:%d" % n, b"x" * variant.long(large))
            if rng.random() < lasting
            else (b"SET", b"session:%d" % n, b"x" * variant.long(small), b"EX", 50_000)
            for n in range(variant.many(6000))
        ]
        expiring = [command for command in keys if b"EX" in command]
        yield f"stragglers {large}/{small}", Case("no-ttl-stragglers", _written(keys), instead=expiring)
    body, other = b"x" * variant.long(300), b"y" * variant.long(90)
    cached = [(b"HSET", b"cache:%d" % n, b"a", b"x" * 50, b"b", other) for n in range(variant.many(4000))]
    for name, commands in (
        ("sessions without TTL", [(b"SET", b"session:%d" % n, body) for n in range(variant.many(5000))]),
        ("a cache of hashes without TTL", cached),
        ("tiny rate limits without TTL", [(b"SET", b"rate:%d" % n, b"7") for n in range(variant.many(20_000))]),
    ):
        yield name, Case("no-ttl-family", _written(list(commands)), _emptied)


_RESULT = b'{"status": "SUCCESS", "result": "%b", "date_done": null, "task_id": "a", "traceback": null, "children": []}'


def _jobs(variant: Variant) -> Cases:
    for done, waiting in ((900, 0), (600, 900), (200, 2000)):
        counts = {"completed": variant.many(done), "failed": 0, "waiting": variant.many(waiting) if waiting else 0}

        def make(scene: Scene, counts: dict[str, int] = counts) -> None:
            queue(scene.client, "mail", **counts, data=b"x" * variant.long(3000))

        def cure(scene: Scene) -> None:
            delete_finished(scene.client, "mail", "completed")

        name = f"finished jobs of BullMQ, {done} of {done + waiting}"
        yield name, Case("finished-work", make, cure, flavours=("valkey",))
    events: list[Command] = [
        (b"HSET", b"bull:mail:meta", b"version", b"bullmq:5.1.0", b"opts.maxLenEvents", 10000),
        (b"SET", b"bull:mail:id", 5000),
        (b"ZADD", b"bull:mail:completed", 1_700_000_001_000, b"4999"),
        (b"HSET", b"bull:mail:4999", b"name", b"send", b"data", b"{}", b"opts", b"{}", b"atm", 1),
    ]
    event, value = (b"XADD", b"bull:mail:events", b"*", b"event", b"completed", b"jobId"), b"r" * variant.long(900)
    events += [(*event, b"%d" % n, b"returnvalue", value) for n in range(variant.many(5000))]
    made, on = _written(events), ("valkey", "redis7")
    unlink = Case("application-data", made, lambda scene: scene.client.unlink("bull:mail:events"), flavours=on)
    yield "events of BullMQ, deleted", unlink


def _results(variant: Variant) -> Cases:
    replies = [f"0f0d00b0-2222-4333-8444-{number:012d}.reply.celery.pidbox" for number in range(variant.many(30))]

    def unbound(scene: Scene) -> None:
        """Reply queues of Celery of several lengths, every second of them bound."""
        chance = variant.dice("replies")
        for number, name in enumerate(replies):
            scene.client.lpush(name, *(b"r" * chance.randrange(200, 9000) for _ in range(chance.randrange(5, 60))))
            if number % 2:
                scene.client.sadd("_kombu.binding.reply.celery.pidbox", "\x06\x16".join((name[:36], "", name)))
        scene.client.sadd("_kombu.binding.celery", "celery\x06\x16\x06\x16celery")

    orphans = Case("orphaned-keys", unbound, lambda scene: scene.client.delete(*replies[::2]), flavours=("valkey",))
    yield "reply queues of Celery without a binding", orphans
    results: list[Command] = [
        (b"SET", b"celery-task-meta-%08x-0000-4000-8000-%012x" % (n, n * 7), _RESULT % (b"x" * (n % 9 * 400)))
        for n in range(variant.many(3000))
    ]
    yield "results of Celery, deleted", Case("application-data", _written(results), _emptied, flavours=("valkey",))
