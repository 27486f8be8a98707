"""Each cause of a full server, made on a real one of each flavour: level, cause and first step are right."""

import re
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
import redis

from redis_oom_tui.models.breakdown import Share
from redis_oom_tui.models.scan import Pace, ScanOptions
from redis_oom_tui.models.trend import Rates
from redis_oom_tui.models.verdict import Finding, Verdict
from redis_oom_tui.rules.breakdown import breakdown_of
from redis_oom_tui.rules.clients import with_clients
from redis_oom_tui.rules.emergency import in_vain
from redis_oom_tui.rules.findings import find
from redis_oom_tui.rules.info import snapshot_from_info
from redis_oom_tui.rules.info_checks import with_expired, with_settings
from redis_oom_tui.rules.verdict import judge
from redis_oom_tui.rules.verdict.causes import CAUSES
from redis_oom_tui.rules.verdict.clauses import WAIT
from redis_oom_tui.server.expired_sample import expired_among
from redis_oom_tui.server.replies import info_in
from tests.server.test_verdict_live import write
from tests.support.servers import RunningServer, available, module_with_keys, started
from tests.support.sources import opened
from tests.support.waiting import until

MIB = 2**20
EVERY = ("redis6", "redis7", "redis8", "valkey")
SEVEN_ON = EVERY[1:]


class Scene:
    """A server in the making: `client` for the test's own hands, `hold` for connections that stay until the end."""

    def __init__(self, server: RunningServer, stack: ExitStack) -> None:
        self.server = server
        self.client: redis.Redis = stack.enter_context(server.client())
        self._stack = stack

    def hold(self, *commands: tuple[bytes, ...], raw: bytes = b"", count: int = 1) -> list[socket.socket]:
        """Connections that send this and then neither go on nor read."""
        lines = [self._stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(count)]
        for line in lines:
            line.connect(self.server.socket_path)
            line.sendall(b"".join(map(packed, commands)) + raw)
        return lines

    def keys(self, count: int, size: int, name: str = "k", ttl: int | None = None) -> None:
        """So many strings; writes that are refused are let go."""
        pipeline = self.client.pipeline(transaction=False)
        for number in range(count):
            pipeline.set(f"{name}:{number}", b"x" * size, ex=ttl)
        pipeline.execute(raise_on_error=False)

    def used(self) -> int:
        return int(self.client.info("memory")["used_memory"])

    def limit_at(self, share: float) -> None:
        """Set maxmemory so that what is used now is `share` of it."""
        self.client.config_set("maxmemory", int(self.used() / share))

    def wait(self, section: str, field: str, at_least: int) -> None:
        """Until INFO tells so much."""
        until(lambda: int(self.client.info(section)[field]) >= at_least, f"{field} {at_least}")

    def several(self, commands: Iterable[tuple[object, ...]]) -> None:
        pipeline = self.client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        pipeline.execute(raise_on_error=False)


def packed(words: Sequence[bytes]) -> bytes:
    """A command as it goes over the wire."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


@dataclass(frozen=True)
class State:
    """How it is made, and what is right: the rule while writes are refused, words of the reason and of the first step.

    `levels` are those that are right; `write` says that somebody writes while one looks.
    """

    make: Callable[[Scene], object]
    rule: str
    reason: str
    step: str
    config: tuple[str, ...] = ()
    flavours: tuple[str, ...] = EVERY
    levels: str = "oom critical"
    write: bool = True


_HALF = b"*3\r\n$3\r\nSET\r\n$1\r\nh\r\n$6000000\r\n" + b"x" * 4_000_000


def _full(scene: Scene) -> None:
    scene.keys(1100, 10_000)


def _few_evictable(scene: Scene) -> None:
    scene.keys(1000, 5000)
    scene.keys(20, 5000, "short", ttl=5000)
    scene.limit_at(0.97)


def _lowered(scene: Scene) -> None:
    scene.keys(500, 10_000)
    scene.client.config_set("maxmemory", 3 * MIB)
    time.sleep(0.2)


def _loaded(scene: Scene) -> None:
    scene.keys(500, 10_000)
    scene.client.save()
    scene.server.kill()
    with (scene.server.folder / "server.conf").open("a") as file:
        file.write("maxmemory 3mb\n")
    scene.server.start()
    time.sleep(0.2)


def _field_ttls(scene: Scene) -> None:
    scene.several(("HSET", f"h:{n}", "f", "x" * 10_000) for n in range(400))
    scene.several(("HEXPIRE", f"h:{n}", 9000, "FIELDS", 1, "f") for n in range(400))
    scene.keys(1000, 10_000)


def _query_buffers(scene: Scene) -> None:
    scene.keys(100, 10_000)
    scene.hold(raw=_HALF, count=3)
    # The server books each client's buffers when its cron comes round to it.
    scene.wait("memory", "mem_clients_normal", 10_000_000)


def _large_value(scene: Scene) -> None:
    """By a client that has written before: its next value is arriving."""
    scene.keys(500, 10_000)
    scene.hold((b"SET", b"k:0", b"x"), raw=b"*3\r\n$3\r\nSET\r\n$1\r\nh\r\n$30000000\r\n" + b"x" * 8_000_000)
    scene.wait("memory", "mem_clients_normal", 7_000_000)


def _many_arguments(scene: Scene) -> None:
    """A command of many arguments, of which those that are whole have left the query buffer."""
    pairs = [b"$5\r\nk%04d\r\n$10000\r\n%b\r\n" % (n, b"x" * 10_000) for n in range(1200)]
    scene.keys(10, 1000)
    scene.hold(raw=b"*9001\r\n$4\r\nMSET\r\n" + b"".join(pairs))
    scene.wait("memory", "used_memory", 12_000_000)


def _buffers_over_half_data(scene: Scene) -> None:
    """Fine without them: 58 % data."""
    scene.keys(580, 10_000)
    scene.hold(raw=_HALF)
    scene.wait("memory", "mem_clients_normal", 3_500_000)
    # 6.2 takes what is spare of such a buffer back a little later.
    time.sleep(0.6)
    scene.limit_at(1.03)


def _slow_readers(scene: Scene) -> None:
    scene.client.set("blob", b"x" * 1_000_000)
    scene.hold(*[(b"GET", b"blob")] * 6, count=2)
    scene.wait("memory", "mem_clients_normal", 8_000_000)


def _slow_subscriber(scene: Scene) -> None:
    scene.hold((b"CLIENT", b"SETNAME", b"feed"), (b"SUBSCRIBE", b"news"))
    until(lambda: scene.client.pubsub_numsub("news")[0][1], "a subscriber")
    scene.several(("PUBLISH", "news", b"x" * 10_000) for _ in range(1200))


def _shared_messages(scene: Scene) -> None:
    """Valkey keeps a large message once, and books little of it to those who have not read it."""
    scene.keys(100, 1000)
    scene.hold((b"CLIENT", b"SETNAME", b"feed"), (b"SUBSCRIBE", b"news"))
    until(lambda: scene.client.pubsub_numsub("news")[0][1], "a subscriber")
    scene.several(("PUBLISH", "news", b"x" * 1_000_000) for _ in range(9))


def _monitor(scene: Scene) -> None:
    scene.hold((b"MONITOR",))
    time.sleep(0.1)
    for _ in range(3):
        scene.keys(600, 5000, "same")
        scene.client.flushall()
    # Valkey frees them in a thread: until it has, the limit would be set too high.
    until(lambda: not scene.client.info("memory")["lazyfree_pending_objects"], "freed")
    scene.keys(1, 10)
    scene.limit_at(1.03)


def _multi(scene: Scene) -> None:
    """On 6.2 it is booked nowhere."""
    scene.hold((b"MULTI",), *[(b"SET", b"k%d" % n, b"x" * 10_000) for n in range(1200)])
    until(lambda: any(one["multi"] == "1200" for one in scene.client.client_list()), "all commands to be queued")
    scene.limit_at(1.03)


def _connections(scene: Scene) -> None:
    scene.keys(10, 1000)
    scene.hold((b"PING",), count=600)
    scene.wait("clients", "connected_clients", 600)
    time.sleep(1.2)
    scene.limit_at(1.03)


def _backlog(scene: Scene) -> None:
    scene.hold((b"PSYNC", b"?", b"-1"))
    until(lambda: scene.client.info("replication")["connected_slaves"], "a replica")
    scene.several(("SET", "hot", b"x" * 100_000) for _ in range(130))
    scene.client.config_set("maxmemory", 10 * MIB)
    time.sleep(0.2)


def _scripts(scene: Scene) -> None:
    scene.several(("SCRIPT", "LOAD", f"return '{n:020000}'") for n in range(450))


def _functions(scene: Scene) -> None:
    body = "#!lua name=lib{0}\nredis.register_function('f{0}', function() return '{1}' end)"
    scene.several(("FUNCTION", "LOAD", body.format(n, "x" * 20_000)) for n in range(250))
    scene.keys(5, 10)
    scene.limit_at(1.02)


def _tracking(scene: Scene) -> None:
    asked = b"HELLO 3\r\nCLIENT TRACKING ON\r\n" + b"".join(b"GET user:%d\r\n" % n for n in range(60_000))
    scene.hold(raw=asked)
    scene.wait("stats", "tracking_total_keys", 60_000)
    scene.limit_at(1.02)


def _channels(scene: Scene) -> None:
    scene.hold(*[(b"SUBSCRIBE", *(b"c%05d" % (n * 1000 + i) for i in range(1000))) for n in range(30)])
    scene.wait("stats", "pubsub_channels", 30_000)
    time.sleep(0.3)
    scene.limit_at(1.02)


def _patterns(scene: Scene) -> None:
    """Each pattern is compared with each message, so the test publishes none."""
    scene.hold(*[(b"PSUBSCRIBE", *(b"p%05d*" % (n * 1000 + i) for i in range(1000))) for n in range(20)])
    scene.wait("stats", "pubsub_patterns", 20_000)
    time.sleep(0.3)
    scene.limit_at(1.02)


def _shard_channels(scene: Scene) -> None:
    scene.hold(*[(b"SSUBSCRIBE", *(b"s%05d" % (n * 1000 + i) for i in range(1000))) for n in range(30)])
    scene.wait("stats", "pubsubshard_channels", 30_000)
    time.sleep(0.3)
    scene.limit_at(1.02)


def _expired(scene: Scene, living: int = 0) -> None:
    """The server's own cycle stands still, as it would be far behind."""
    scene.client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    scene.keys(living, 1000, "user")
    scene.several(("SET", f"session:{n}", "x" * 1000, "PX", 1) for n in range(9000))


def _one_database(scene: Scene) -> None:
    """Database 9 holds nearly all; the others a key each."""
    for number in (0, 3, 15):
        scene.several([("SELECT", number), ("SET", "k", "v")])
    scene.several([("SELECT", 9), *(("SET", f"k:{n}", b"x" * 10_000) for n in range(1100)), ("SELECT", 0)])


def _refused_before(scene: Scene) -> None:
    """Refused until the limit was raised; now a third is used."""
    scene.keys(1100, 10_000)
    scene.client.config_set("maxmemory", 30 * MIB)


def _lowered_and_evicted(scene: Scene) -> None:
    """Eviction has brought it under its new limit already."""
    scene.keys(2000, 5000)
    scene.client.config_set("maxmemory", 6 * MIB)
    scene.keys(200, 5000, "later")
    # Some room for the connections of the look, which would be made by evicting more.
    scene.client.config_set("maxmemory", 6 * MIB + 300_000)


def _watched(scene: Scene) -> None:
    """By several clients: each new key is compared with all that its client watches."""
    for client in range(10):
        names = [b"w%d:%05d" % (client, number) for number in range(3000)]
        scene.hold((b"WATCH", *names))
    scene.wait("clients", "total_watched_keys", 30_000)
    scene.limit_at(1.02)


def _client_names(scene: Scene) -> None:
    scene.hold((b"CLIENT", b"SETNAME", b"n" * 60_000), count=150)
    time.sleep(0.4)
    scene.limit_at(1.02)


def _giant(scene: Scene) -> None:
    for _ in range(90):
        scene.client.rpush("export:2026", *[b"x" * 9000] * 10)
    scene.keys(300, 3000)
    scene.limit_at(0.87)  # what a look takes itself may evict keys at a limit closer by


def _queue(scene: Scene) -> None:
    for _ in range(90):
        scene.client.rpush("queue", *[b"x" * 9000] * 10)
    scene.keys(300, 10_000)


def _module(scene: Scene) -> None:
    scene.client.execute_command(
        "GRAPH.QUERY", "people", "UNWIND range(1, 60000) AS i CREATE (:P {name: 'name' + toString(i), n: i})"
    )
    # What building it took is given back a little later.
    time.sleep(0.6)
    scene.limit_at(1.02)


STATES: dict[str, State] = {
    "noeviction, full": State(
        _full, "refusing-noeviction", "noeviction evicts nothing", "Find the large keys", ("maxmemory 10mb",)
    ),
    "volatile-lru without a TTL": State(
        _full, "refusing-no-ttl", "none of the .* keys has one", "give keys a TTL",
        ("maxmemory 10mb", "maxmemory-policy volatile-lru"),
    ),
    "volatile-lfu without a TTL": State(
        _full, "refusing-no-ttl", "none of the .* keys has one", "give keys a TTL",
        ("maxmemory 10mb", "maxmemory-policy volatile-lfu"),
    ),
    "one database of many": State(
        _one_database, "refusing-noeviction", "noeviction evicts nothing", "Find the large keys", ("maxmemory 10mb",)
    ),
    "refused before, room now": State(
        _refused_before, "healthy", "writes refused since.* a limit that was lower then", "",
        ("maxmemory 10mb",), levels="ok", write=False
    ),
    "lowered, and evicted since": State(
        _lowered_and_evicted, "full-cache", "normal for a full cache", "", ("maxmemory-policy allkeys-lfu",),
        levels="ok", write=False,
    ),
    "pattern subscriptions": State(_patterns, "refusing-channels", "pub/sub", "CLIENT LIST"),
    "shard channels": State(
        _shard_channels, "refusing-channels", "pub/sub", "CLIENT LIST", flavours=SEVEN_ON
    ),
    "one key is the cache, allkeys-lfu": State(
        _giant, "crowded", "one key, export:2026, holds .* of it", "See that key first",
        ("maxmemory-policy allkeys-lfu",), levels="warning", write=False,
    ),
    "volatile-ttl with TTLs of fields only": State(
        _field_ttls, "refusing-no-ttl", "TTLs of hash fields, which 400 of them have, do not count", "give keys a TTL",
        ("maxmemory 10mb", "maxmemory-policy volatile-ttl"), ("redis8", "valkey"),
    ),
    "few may be evicted": State(
        _few_evictable, "close-critical", "only 20 of 1,020 keys may be evicted by volatile-lru",
        "give more keys a TTL", ("maxmemory-policy volatile-lru",), write=False,
    ),
    "limit lowered": State(
        _lowered, "refusing-lowered", "it holds .* more than maxmemory .lowered, or passed by a script., and noevi",
        "Raise maxmemory again", ("maxmemory 10mb",),
    ),
    "loaded more than the limit": State(
        _loaded, "refusing-lowered", "it loaded .* more than its limit from disk when it started", "maxmemory",
        flavours=SEVEN_ON,
    ),
    "query buffers": State(
        _query_buffers, "refusing-buffers", "3 clients, the first a client sending a large value or an incomplete",
        "Kill the client whose command never ends", ("maxmemory 12mb",),
    ),
    "a large value being sent": State(
        _large_value, "refusing-buffers", "a client sending a large value .last SET. holds",
        "have them written in parts", ("maxmemory 12mb",),
    ),
    "a command of many arguments": State(
        _many_arguments, "refusing-buffers", "a client sending a large value or an incomplete command",
        "Kill the client whose", ("maxmemory 12mb",),
    ),
    "expired keys": State(
        _expired, "refusing-expired", "keys have expired and still hold memory", "frees the expired|has freed them",
        ("maxmemory 8mb", "enable-debug-command yes"), SEVEN_ON,
    ),
    "buffers over 58 % of data": State(
        _buffers_over_half_data, "refusing-buffers", "client and replica buffers use", "Kill the client whose",
    ),
    "slow readers": State(
        _slow_readers, "refusing-buffers", "a client that does not read its replies", "does not read its replies",
        ("maxmemory 11mb",), EVERY[:3],
    ),
    "a slow subscriber": State(
        _slow_subscriber, "refusing-buffers", "a subscriber named feed", "Kill the subscriber",
        ("maxmemory 11mb", "client-output-buffer-limit pubsub 0 0 0"),
    ),
    "a slow subscriber that is booked nowhere": State(
        _shared_messages, "refusing-unexplained", "there is a subscriber named feed .* that does not read",
        "Kill the subscriber that does not read", ("maxmemory 8mb", "client-output-buffer-limit pubsub 0 0 0"),
        ("valkey",),
    ),
    "a MONITOR": State(_monitor, "refusing-buffers", "a MONITOR client", "Kill the MONITOR client"),
    "a long MULTI": State(
        _multi, "refusing-buffers", "a client with a long MULTI", "Kill the client with the long MULTI",
        flavours=SEVEN_ON,
    ),
    "a long MULTI that is booked nowhere": State(
        _multi, "refusing-nothing-left", "held by no key .there is a client with a long MULTI .* of 1,200 commands",
        "Kill the client with the long MULTI.* who is connected", flavours=("redis6",),
    ),
    "many connections": State(
        _connections, "refusing-connections", "60. connections hold", "give it a pool", flavours=("redis6", "redis7"),
    ),
    "the backlog": State(
        _backlog, "refusing-backlog", "the replication backlog holds", "CONFIG SET repl-backlog-size 1mb",
        ("repl-backlog-size 9mb", "repl-diskless-sync yes", "repl-diskless-sync-delay 1000"),
    ),
    "scripts": State(_scripts, "refusing-scripts", "cached scripts hold", "FLUSH.* NOSCRIPT", ("maxmemory 8mb",)),
    "functions": State(
        _functions, "refusing-functions", "function libraries hold", "FUNCTION DELETE", flavours=SEVEN_ON
    ),
    "tracking": State(_tracking, "refusing-tracking", "client-side caching", "tracking-table-max-keys"),
    "channels": State(_channels, "refusing-channels", "pub/sub channels", "CLIENT LIST"),
    "watched keys": State(
        _watched, "refusing-watched", "watched keys", "CLIENT LIST", flavours=("redis8", "valkey")
    ),
    "client names": State(
        _client_names, "refusing-names", "names that clients gave themselves hold", "Close the clients with the long",
    ),
    "one key is the cache": State(
        _giant, "crowded", "one key, export:2026, holds .* of it", "See that key first",
        ("maxmemory-policy allkeys-lru",), levels="warning", write=False,
    ),
    "one key fills it": State(
        _queue, "refusing-giant", "one key, queue, holds", "See that key first", ("maxmemory 11mb",)
    ),
    "a module that tells no sizes": State(
        _module, "refusing-modules", "1 key of the module graph, which tells no sizes, may hold", "GRAPH.MEMORY USAGE",
        (f"loadmodule {module_with_keys()}",), ("redis8",),
    ),
}  # fmt: skip
CELLS = [(name, flavour) for name, state in STATES.items() for flavour in state.flavours if flavour in available()]


async def looked_at(server: RunningServer, *, writing: bool) -> tuple[Verdict, tuple[Finding, ...]]:
    """What two looks with a scan tell, with one write by somebody else between them."""
    async with opened(server.connection) as live:
        before = await live.snapshot()
        if writing:
            write(server, "one-more")
        now, settings, clients, _ = await live.read_closely()
        if now.memory.policy == "noeviction":
            now = with_expired(now, *await expired_among(live, now))
        scan = await live.scan(ScanOptions(pace=Pace.FULL_SPEED)).run() if now.keys else None
    now = with_settings(with_clients(now, clients), settings)
    verdict = judge(now, before, clients=clients, scan=scan)
    return verdict, find(now, scan, clients, settings=settings)


@pytest.mark.parametrize(("name", "flavour"), CELLS)
async def test_the_cause_and_the_first_step(name: str, flavour: str) -> None:
    state = STATES[name]
    with started(flavour, *state.config) as server, ExitStack() as stack:
        state.make(Scene(server, stack))
        verdict, found = await looked_at(server, writing=state.write)
    assert verdict.level.value in state.levels.split(), verdict.reason
    assert verdict.rule.partition("-")[2] == state.rule.partition("-")[2] or verdict.rule == state.rule, verdict.reason
    assert re.search(state.reason, verdict.reason), verdict.reason
    assert re.search(state.step, verdict.first_step), verdict.first_step
    # What no key holds is cured neither by a higher limit nor by a deletion.
    cause = next((cause for cause in CAUSES if state.rule.endswith(f"-{cause.name}")), None)
    if cause is not None and not cause.in_keys:
        assert "raise-limit" not in {finding.id for finding in found}
        assert in_vain(verdict.rule)
    if name in ("pattern subscriptions", "shard channels"):
        assert any(one.id == "client-hogs" and one.title.startswith("A subscriber holds") for one in found)
    if name == "refused before, room now":
        assert any("a limit that was lower then, or large values" in one.title for one in found)
    if name == "functions":
        assert found[0].id == "functions"
    if name == "many connections":
        assert found[0].id == "many-connections"
        assert "without a name over the unix socket" in found[0].evidence[1]


def test_memory_that_is_still_being_freed(flavour: str) -> None:
    """INFO comes in one pipeline with the deletion: the server has had no time for the rest."""
    with started(flavour) as server, ExitStack() as stack:
        scene = Scene(server, stack)
        for start in range(0, 150_000, 1000):
            scene.client.hset("big", mapping={f"f{number}": "v" for number in range(start, start + 1000)})
        scene.limit_at(1.02)
        scene.client.response_callbacks.clear()
        pipeline = scene.client.pipeline(transaction=False)
        _, info = pipeline.execute_command("UNLINK", "big").execute_command("INFO", "all").execute()
    now = snapshot_from_info(info_in(info), address=server.connection.address, monotonic=0.0, wall=0.0)
    verdict = judge(now, rates=Rates(seconds=1.0, refused_writes=1))
    assert verdict.rule == "refusing-freeing"
    assert re.search(r"1 deleted object is still being freed in the background \(.* pending\)", verdict.reason)
    assert verdict.first_step == WAIT


async def test_what_tracking_holds_is_no_room_for_data_and_explains_what_keys_do_not(flavour: str) -> None:
    with started(flavour, "maxmemory 64mb") as server, ExitStack() as stack:
        scene = Scene(server, stack)
        scene.keys(100, 100)
        _tracking(scene)
        async with opened(server.connection) as live:
            snapshot = await live.snapshot()
            view = await live.scan(ScanOptions(pace=Pace.FULL_SPEED)).run()
        split = breakdown_of(snapshot)
        assert split.data_room_bytes is not None
        assert split.size(Share.TRACKING) > 3 * MIB
        assert split.data_room_bytes + split.size(Share.TRACKING) <= snapshot.memory.maxmemory_bytes - MIB // 4
        assert view.contradiction is None
