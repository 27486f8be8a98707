"""The states that `savings` measures: each shows a finding, and has its advice taken."""

import random
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.server.scenes import EVERY, MIB, SEVEN_ON, Scene
from tests.server.test_applications_live import delete_finished, queue
from tests.server.test_savings_live import Command, collections, documents, long_named, users, word

Change = Callable[[Scene], object]


@dataclass(frozen=True)
class Case:
    """A state that shows a finding, and its advice taken: in place, or as the data would be on another server."""

    finding: str
    make: Change
    cure: Change | None = None
    instead: Iterable[Command] = ()
    config: tuple[str, ...] = ()
    flavours: tuple[str, ...] = EVERY


def _kill(scene: Scene) -> None:
    for client in scene.client.client_list():
        if int(client["tot-mem"]) > 500_000:
            scene.client.client_kill_filter(_id=client["id"])


def _separate(length: int, fields: int, *ttl: object) -> list[Command]:
    names = (b"name", b"email", b"plan", b"last_seen")
    return [
        (b"SET", b"user:%d:%s" % (user, field), value, *ttl)
        for user, values in enumerate(users(length))
        for field, value in zip(names[:fields], values, strict=False)
    ]


def _grouped(length: int, fields: int, ttl: int = 0) -> list[Command]:
    names = (b"name", b"email", b"plan", b"last_seen")
    made: list[Command] = [
        (b"HSET", b"user:%d" % user, *(part for pair in zip(names[:fields], values, strict=False) for part in pair))
        for user, values in enumerate(users(length))
    ]
    return made + [(b"EXPIRE", b"user:%d" % user, ttl) for user in range(4000) if ttl]


def _mixed(count: int, small: int, large: int, lasting: float) -> list[Command]:
    """Sessions of which some never expire, and those are as large as `large`."""
    rng = random.Random(small * large)
    return [
        (b"SET", b"session:%d" % n, b"x" * large)
        if rng.random() < lasting
        else (b"SET", b"session:%d" % n, b"x" * small, b"EX", 50_000)
        for n in range(count)
    ]


def _lasting(commands: Iterable[Command]) -> list[Command]:
    return [command for command in commands if b"EX" in command]


def _texts(seed: int, length: int) -> list[bytes]:
    """Log lines, which pack less well than JSON."""
    rng = random.Random(seed)
    return [b" ".join(word(rng, rng.randrange(3, 9)) for _ in range(length // 6)) for _ in range(1200)]


def _half(scene: Scene, size: int = 5_000_000, count: int = 3) -> None:
    scene.hold(raw=b"*3\r\n$3\r\nSET\r\n$1\r\nh\r\n$%d\r\n" % (size + 9) + b"x" * (size - 10), count=count)
    time.sleep(1.0)


def _subscribed(length: int) -> Change:
    def make(scene: Scene) -> None:
        names = [b"%0*d" % (length, n) for n in range(20_000)]
        scene.hold(*[(b"SUBSCRIBE", *names[at : at + 1000]) for at in range(0, 20_000, 1000)])
        scene.wait("stats", "pubsub_channels", 20_000)

    return make


def _tracked(clients: int) -> Change:
    def make(scene: Scene) -> None:
        asked = b"HELLO 3\r\nCLIENT TRACKING ON\r\n" + b"".join(b"GET user:%d\r\n" % n for n in range(30_000))
        scene.hold(raw=asked, count=clients)
        scene.wait("stats", "tracking_total_items", 30_000 * clients)

    return make


def _close_all(scene: Scene) -> None:
    mine = scene.client.client_id()
    for client in scene.client.client_list():
        if int(client["id"]) != mine:
            scene.client.client_kill_filter(_id=client["id"])


def _no_tracking(scene: Scene) -> None:
    scene.client.config_set("tracking-table-max-keys", 1)
    for _ in range(60):
        scene.client.ping()
        if scene.client.info("stats")["tracking_total_keys"] <= 1:
            break
        time.sleep(0.1)


def _monitored(scene: Scene) -> None:
    scene.hold((b"MONITOR",))
    time.sleep(0.1)
    scene.keys(1500, 5000, "same")
    scene.client.flushall()


def _backlog(scene: Scene) -> None:
    """Kept after its replica has gone: what a replica still has to read cannot be freed."""
    (replica,) = scene.hold((b"PSYNC", b"?", b"-1"))
    time.sleep(0.2)
    scene.several(("SET", "hot", b"x" * 100_000) for _ in range(200))
    replica.close()
    scene.client.config_set("maxmemory", 30 * MIB)


def _giant(kind: str) -> Change:
    def make(scene: Scene) -> None:
        rng = random.Random(kind)
        for _ in range(60):
            items = [word(rng, rng.randrange(8, 60)) for _ in range(500)]
            if kind == "hash":
                scene.client.hset("big", mapping={item: item for item in items})
            elif kind == "set":
                scene.client.sadd("big", *items)
            elif kind == "zset":
                scene.client.zadd("big", {item: rng.random() for item in items})
            elif kind == "list":
                scene.client.rpush("big", *items)
            elif kind == "stream":
                scene.several(("XADD", "big", "*", "f", item) for item in items)
            else:
                scene.client.append("big", b"".join(items))

    return make


_JSON = [(b"SET", b"cart:%d" % n, value) for n, value in documents(3)]
_LOGS = [(b"SET", b"log:%d" % n, text) for n, text in enumerate(_texts(4, 3000))]
_SMALL = [(b"SET", b"cart:%d" % n, value[:700]) for n, value in documents(8)]
_LASTING = ((300, 300, 0.1), (200, 800, 0.1), (900, 250, 0.2), (300, 1200, 0.25), (60, 60, 0.2))
_LOOP = "for i=1,10 do redis.call('get', KEYS[1]..i) end return a"
_ENTRIES = {"hash": "hash-max-{}-entries", "zset": "zset-max-{}-entries", "set": "set-max-intset-entries"}


def _packed(kind: str) -> Change:
    def cure(scene: Scene) -> None:
        name = _ENTRIES[kind].format("ziplist" if scene.server.flavour == "redis6" else "listpack")
        scene.client.config_set(name, 2000)
        scene.client.flushall()
        scene.several(collections(kind))

    return cure


_REPLIES = [f"0f0d00b0-2222-4333-8444-{number:012d}.reply.celery.pidbox" for number in range(30)]
_RESULT = b'{"status": "SUCCESS", "result": "%b", "date_done": null, "task_id": "a", "traceback": null, "children": []}'


def _replies(scene: Scene) -> None:
    """Reply queues of Celery of several lengths, every second of them bound."""
    chance = random.Random(3)
    for number, name in enumerate(_REPLIES):
        scene.client.lpush(name, *(b"r" * chance.randrange(200, 9000) for _ in range(chance.randrange(5, 60))))
        if number % 2:
            scene.client.sadd("_kombu.binding.reply.celery.pidbox", "\x06\x16".join((name[:36], "", name)))
    scene.client.sadd("_kombu.binding.celery", "celery\x06\x16\x06\x16celery")


def _events(scene: Scene) -> None:
    """A queue whose jobs are removed, and whose stream of events keeps their results."""
    scene.client.hset("bull:mail:meta", mapping={"version": "bullmq:5.1.0", "opts.maxLenEvents": 10000})
    scene.client.set("bull:mail:id", 5000)
    scene.client.zadd("bull:mail:completed", {"4999": 1_700_000_001_000})
    scene.client.hset("bull:mail:4999", mapping={"name": "send", "data": "{}", "opts": "{}", "atm": 1})
    scene.several(
        (b"XADD", b"bull:mail:events", b"*", b"event", b"completed", b"jobId", b"%d" % n, b"returnvalue", b"r" * 900)
        for n in range(5000)
    )


CASES: dict[str, Case] = {
    "query buffers, closed": Case("client-hogs", _half, _kill),
    "small query buffers, closed": Case("client-hogs", lambda s: _half(s, 1_500_000, 6), _kill),
    "maxmemory-clients 5%": Case(
        "maxmemory-clients", _half, lambda s: (s.client.config_set("maxmemory-clients", "5%"), time.sleep(1.0)),
        config=("maxmemory 60mb",), flavours=SEVEN_ON,
    ),
    "a MONITOR, closed": Case("monitor", _monitored, _kill),
    "backlog, lowered to 1 MiB": Case(
        "backlog", _backlog, lambda s: s.client.config_set("repl-backlog-size", MIB),
        config=("repl-backlog-size 14mb", "repl-diskless-sync yes", "repl-diskless-sync-delay 1000"),
    ),
    "scripts of 400 bytes": Case(
        "scripts", lambda s: s.several(("SCRIPT", "LOAD", f"return '{n:0400}'") for n in range(6000)),
        lambda s: s.client.script_flush("SYNC"),
    ),
    "scripts of 5 KB": Case(
        "scripts", lambda s: s.several(("SCRIPT", "LOAD", f"return '{n:05000}'") for n in range(1500)),
        lambda s: s.client.script_flush("SYNC"),
    ),
    "scripts with code": Case(
        "scripts",
        lambda s: s.several(("SCRIPT", "LOAD", f"local a={n} {_LOOP}") for n in range(6000)),
        lambda s: s.client.script_flush("SYNC"),
    ),
    "channels of 10 letters": Case("channels", _subscribed(10), _close_all),
    "channels of 60 letters": Case("channels", _subscribed(60), _close_all),
    "channels of 120 letters": Case("channels", _subscribed(120), _close_all),
    "tracking, one client": Case("tracking", _tracked(1), _no_tracking),
    "tracking, three clients": Case("tracking", _tracked(3), _no_tracking),
    **{
        f"a giant {kind}, deleted": Case(id_, _giant(kind), lambda s: s.client.unlink("big"))
        for kind, id_ in (
            ("hash", "giant-key"), ("set", "giant-key"), ("zset", "zset-log"), ("list", "queue-growing"),
            ("stream", "stream-untrimmed"), ("string", "giant-key"),
        )
    },
    **{
        f"grouping {fields} of {length}{' with TTL' if ttl else ''}": Case(
            "hash-grouping",
            lambda s, a=length, f=fields, t=ttl: s.several(_separate(a, f, *((b"EX", t) if t else ()))),
            instead=_grouped(length, fields, ttl),
        )
        for length, fields, ttl in ((6, 2, 0), (20, 3, 0), (40, 4, 0), (6, 3, 50_000), (20, 3, 50_000), (40, 4, 50_000))
    },
    **{
        f"long names of {len(prefix)}": Case(
            "long-names", lambda s, p=prefix: s.several(long_named(p)),
            instead=list(long_named(b":".join(part[:4] if len(part) > 8 else part for part in prefix.split(b":")))),
        )
        for prefix in (
            b"application:production:customers:preferences", b"warehouse-service:inventory-levels",
            b"recommendations:personalised:frontpage-widgets:carousel-items",
        )
    },
    **{
        f"padded numbers of {digits}": Case(
            "numbers-as-text",
            lambda s, d=digits: s.several((b"SET", b"counter:%06d" % n, b"%0*d" % (d, n * 7)) for n in range(10_000)),
            instead=[(b"SET", b"counter:%06d" % n, b"%d" % (n * 7)) for n in range(10_000)],
            flavours=("valkey",),
        )
        for digits in (10, 14, 24)
    },
    "JSON, compressed": Case(
        "compressible", lambda s: s.several(_JSON),
        instead=[(b"SET", name, zlib.compress(value)) for _, name, value in _JSON], flavours=("valkey",),
    ),
    "log lines, compressed": Case(
        "compressible", lambda s: s.several(_LOGS),
        instead=[(b"SET", name, zlib.compress(value)) for _, name, value in _LOGS], flavours=("valkey",),
    ),
    "small JSON, compressed": Case(
        "compressible", lambda s: s.several(_SMALL),
        instead=[(b"SET", name, zlib.compress(value)) for _, name, value in _SMALL], flavours=("valkey",),
    ),
    **{
        f"{kind} just over the limit": Case(
            "encoding-limit", lambda s, k=kind: s.several(collections(k)), _packed(kind),
            flavours=("valkey",) if kind == "set" else EVERY,
        )
        for kind in _ENTRIES
    },
    **{
        f"stragglers {large}/{small}": Case(
            "no-ttl-stragglers", lambda s, c=commands: s.several(c), instead=_lasting(commands)
        )
        for small, large, commands in (
            (small, large, _mixed(6000, small, large, lasting))
            for small, large, lasting in _LASTING
        )
    },
    "sessions without TTL": Case(
        "no-ttl-family", lambda s: s.several((b"SET", b"session:%d" % n, b"x" * 300) for n in range(5000)),
        lambda s: s.client.flushall(),
    ),
    "a cache of hashes without TTL": Case(
        "no-ttl-family",
        lambda s: s.several((b"HSET", b"cache:%d" % n, b"a", b"x" * 50, b"b", b"y" * 90) for n in range(4000)),
        lambda s: s.client.flushall(),
    ),
    **{
        f"finished jobs of BullMQ, {done} of {done + waiting}": Case(
            "finished-work",
            lambda s, d=done, w=waiting: queue(s.client, "mail", completed=d, failed=0, waiting=w, data=b"x" * 3000),
            lambda s: delete_finished(s.client, "mail", "completed"),
            config=("latency-tracking no",), flavours=("valkey",),
        )
        for done, waiting in ((900, 0), (600, 900), (200, 2000))
    },
    "reply queues of Celery without a binding": Case(
        "orphaned-keys", _replies, lambda s: s.client.delete(*_REPLIES[::2]), flavours=("valkey",)
    ),
    "results of Celery, deleted": Case(
        "application-data",
        lambda s: s.several(
            (b"SET", b"celery-task-meta-%08x-0000-4000-8000-%012x" % (n, n * 7), _RESULT % (b"x" * (n % 9 * 400)))
            for n in range(3000)
        ),
        lambda s: s.client.flushall(), flavours=("valkey",),
    ),
    "events of BullMQ, deleted": Case(
        "application-data", _events, lambda s: s.client.unlink("bull:mail:events"), flavours=("valkey", "redis7")
    ),
    "tiny rate limits without TTL": Case(
        "no-ttl-family", lambda s: s.several((b"SET", b"rate:%d" % n, b"7") for n in range(20_000)),
        lambda s: s.client.flushall(),
    ),
}  # fmt: skip
