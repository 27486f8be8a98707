"""Each cause of a full server, made on a real one of each flavour: level, cause and first step are right."""

import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from redis_oom_tui.formatting.server import advice_with_commands
from redis_oom_tui.models.breakdown import Share
from redis_oom_tui.models.scan import Pace, ScanOptions
from redis_oom_tui.models.trend import Rates
from redis_oom_tui.models.verdict import Finding, Level, Verdict
from redis_oom_tui.rules.breakdown import breakdown_of
from redis_oom_tui.rules.clients import with_clients
from redis_oom_tui.rules.emergency import in_vain
from redis_oom_tui.rules.findings import find
from redis_oom_tui.rules.info import snapshot_from_info
from redis_oom_tui.rules.info_fields import with_expired, with_settings
from redis_oom_tui.rules.verdict import judge
from redis_oom_tui.rules.verdict.causes import CAUSES
from redis_oom_tui.rules.verdict.clauses import WAIT
from redis_oom_tui.server.info_reader import expired_among
from redis_oom_tui.server.replies import info_in
from tests.server import scenes
from tests.server.scenes import EVERY, MIB, SEVEN_ON
from tests.server.test_verdict_live import write
from tests.support.scene import Scene
from tests.support.servers import RunningServer, available, module_with_keys, started
from tests.support.sources import opened


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


STATES: dict[str, State] = {
    "noeviction, full": State(
        scenes.full, "refusing-noeviction", "noeviction evicts nothing", "Find the large keys", ("maxmemory 10mb",)
    ),
    "noeviction, full, and then buffers": State(
        scenes.full_then_busy, "refusing-noeviction", "noeviction evicts nothing", "Find the large keys",
        ("maxmemory 10mb",),
    ),
    "noeviction though all keys expire": State(
        scenes.all_expire, "refusing-noeviction", "noeviction evicts nothing, though all [0-9]+ keys have a TTL",
        "Find the large keys.* volatile-lru .Limits. evicts it instead of refusing", ("maxmemory 10mb",),
    ),
    "volatile-lru without a TTL": State(
        scenes.full, "refusing-no-ttl", "none of the .* keys has one", "give keys a TTL",
        ("maxmemory 10mb", "maxmemory-policy volatile-lru"),
    ),
    "volatile-lfu without a TTL": State(
        scenes.full, "refusing-no-ttl", "none of the .* keys has one", "give keys a TTL",
        ("maxmemory 10mb", "maxmemory-policy volatile-lfu"),
    ),
    "one database of many": State(
        scenes.one_database, "refusing-noeviction", "noeviction evicts nothing",
        "Find the large keys", ("maxmemory 10mb",)
    ),
    "refused before, room now": State(
        scenes.refused_before, "healthy", "writes refused since.* a limit that was lower then", "",
        ("maxmemory 10mb",), levels="ok", write=False
    ),
    "lowered, and evicted since": State(
        scenes.lowered_and_evicted, "full-cache", "normal for a full cache", "", ("maxmemory-policy allkeys-lfu",),
        levels="ok", write=False,
    ),
    "clients paused, full": State(
        scenes.paused, "refusing-lowered", "Refuses writes when its pause ends.* paused.*CLIENT PAUSE",
        "First end the pause .CLIENT UNPAUSE", flavours=SEVEN_ON, levels="oom", write=False,
    ),
    "clients paused, a cache": State(
        scenes.paused, "full-cache", "nothing is evicted meanwhile, as clients .* paused", "",
        ("maxmemory-policy allkeys-lru",), SEVEN_ON, "ok", write=False,
    ),
    "a failover that waits, full": State(
        scenes.failing_over, "refusing-lowered", "Refuses writes when its pause ends.*its replica is in step .FAILOVER",
        "First end the pause .* FAILOVER ABORT", ("repl-diskless-sync yes", "repl-diskless-sync-delay 1000"),
        levels="oom", write=False,
    ),
    "few large values": State(
        scenes.few_large_values, "churning", "it holds only . keys?, of .*: each new value evicts others",
        "Find who caches such large values", ("maxmemory 8mb", "maxmemory-policy allkeys-lru"), levels="warning",
        write=False,
    ),
    "pattern subscriptions": State(scenes.patterns, "refusing-channels", "pub/sub", "CLIENT LIST"),
    "shard channels": State(
        scenes.shard_channels, "refusing-channels", "pub/sub", "CLIENT LIST", flavours=SEVEN_ON
    ),
    "one key is the cache, allkeys-lfu": State(
        scenes.giant, "crowded", "one key, export:2026, holds .* of it", "See that key first",
        ("maxmemory-policy allkeys-lfu",), levels="warning", write=False,
    ),
    "volatile-ttl with TTLs of fields only": State(
        scenes.field_ttls, "refusing-no-ttl", "TTLs of hash fields, which 400 of them have, do not count",
        "give keys a TTL",
        ("maxmemory 10mb", "maxmemory-policy volatile-ttl"), ("redis8", "valkey"),
    ),
    "few may be evicted": State(
        scenes.few_evictable, "close-critical", "only 20 of 1,020 keys may be evicted by volatile-lru",
        "give more keys a TTL", ("maxmemory-policy volatile-lru",), write=False,
    ),
    "limit lowered": State(
        scenes.lowered, "refusing-lowered",
        "it holds .* more than maxmemory .lowered, or passed by one command or script., and noevi",
        "Raise maxmemory again", ("maxmemory 10mb",),
    ),
    "loaded more than the limit": State(
        scenes.loaded, "refusing-lowered", "it loaded .* more than its limit from disk when it started", "maxmemory",
        flavours=SEVEN_ON,
    ),
    "query buffers": State(
        scenes.query_buffers, "refusing-buffers",
        "3 clients, the first a client sending a large value or an incomplete",
        "Kill the client whose command never ends", ("maxmemory 12mb",),
    ),
    "a large value being sent": State(
        scenes.large_value, "refusing-buffers", "a client sending a large value .last SET. holds",
        "have them written in parts", ("maxmemory 12mb",),
    ),
    "a command of many arguments": State(
        scenes.many_arguments, "refusing-buffers", "a client sending a large value or an incomplete command",
        "Kill the client whose", ("maxmemory 12mb",),
    ),
    "expired keys": State(
        scenes.expired, "refusing-expired", "keys have expired and still hold memory",
        "frees the expired|has freed them",
        ("maxmemory 8mb", "enable-debug-command yes"), SEVEN_ON,
    ),
    "buffers over 58 % of data": State(
        scenes.buffers_over_half_data, "refusing-buffers", "client and replica buffers use", "Kill the client whose",
    ),
    "slow readers": State(
        scenes.slow_readers, "refusing-buffers", "a client that does not read its replies", "does not read its replies",
        ("maxmemory 11mb",), EVERY[:3],
    ),
    "a slow subscriber": State(
        scenes.slow_subscriber, "refusing-buffers", "a subscriber named feed", "Kill the subscriber",
        ("maxmemory 11mb", "client-output-buffer-limit pubsub 0 0 0"),
    ),
    "a slow subscriber that is booked nowhere": State(
        scenes.shared_messages, "refusing-unexplained", "there is a subscriber named feed .* that does not read",
        "Kill the subscriber that does not read", ("maxmemory 8mb", "client-output-buffer-limit pubsub 0 0 0"),
        ("valkey",),
    ),
    "a MONITOR": State(scenes.monitor, "refusing-buffers", "a MONITOR client", "Kill the MONITOR client"),
    "a long MULTI": State(
        scenes.multi, "refusing-buffers", "a client with a long MULTI", "Kill the client with the long MULTI",
        flavours=SEVEN_ON,
    ),
    "a long MULTI that is booked nowhere": State(
        scenes.multi, "refusing-nothing-left",
        "held by no key .there is a client with a long MULTI .* of 1,200 commands",
        "Kill the client with the long MULTI.* who is connected", flavours=("redis6",),
    ),
    "many connections": State(
        scenes.connections, "refusing-connections", "60. connections hold",
        "give it a pool", flavours=("redis6", "redis7"),
    ),
    "the backlog": State(
        scenes.backlog, "refusing-backlog", "the replication backlog holds", "CONFIG SET repl-backlog-size 1mb",
        ("repl-backlog-size 9mb", "repl-diskless-sync yes", "repl-diskless-sync-delay 1000"),
    ),
    "buffers of a replica that do not count": State(
        scenes.waiting_replica, "healthy", "Healthy", "",
        ("maxmemory 60mb", "repl-diskless-sync yes", "repl-diskless-sync-delay 0", "rdb-key-save-delay 10000000"),
        levels="ok",
    ),
    "scripts": State(scenes.scripts, "refusing-scripts", "cached scripts hold", "FLUSH.* NOSCRIPT", ("maxmemory 8mb",)),
    "functions": State(
        scenes.functions, "refusing-functions", "function libraries hold", "FUNCTION DELETE", flavours=SEVEN_ON
    ),
    "tracking": State(scenes.tracking, "refusing-tracking", "client-side caching", "tracking-table-max-keys"),
    "tracked prefixes": State(
        scenes.tracked_prefixes, "refusing-tracking", "client-side caching", "track fewer prefixes"
    ),
    "a long slow log": State(
        scenes.slow_log, "refusing-nothing-left", "no key is left to evict, and .* is held by no key", "SLOWLOG LEN",
        ("maxmemory 9mb", "slowlog-log-slower-than 0", "slowlog-max-len 100000"),
    ),
    "one key made at once": State(
        scenes.made_at_once, "refusing-giant", "one key, bitmap, holds", "See that key first", ("maxmemory 10mb",)
    ),
    "channels": State(scenes.channels, "refusing-channels", "pub/sub channels", "CLIENT LIST"),
    "watched keys": State(
        scenes.watched, "refusing-watched", "watched keys", "CLIENT LIST", flavours=("redis8", "valkey")
    ),
    "client names": State(
        scenes.client_names, "refusing-names", "names that clients gave themselves hold",
        "Close the clients with the long",
    ),
    "one key is the cache": State(
        scenes.giant, "crowded", "one key, export:2026, holds .* of it", "See that key first",
        ("maxmemory-policy allkeys-lru",), levels="warning", write=False,
    ),
    "one key fills it": State(
        scenes.queue, "refusing-giant", "one key, queue, holds", "See that key first", ("maxmemory 11mb",)
    ),
    "a module that tells no sizes": State(
        scenes.module, "refusing-modules", "1 key of the module graph, which tells no sizes, may hold",
        "GRAPH.MEMORY USAGE",
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


@pytest.mark.in_turn
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
    of_client = state.rule == "refusing-buffers" or "booked nowhere" in name
    assert (verdict.client_id is not None) == of_client
    # Whom to kill is told by its id, in the findings as well.
    assert not [one.advice for one in found if "CLIENT KILL ID n" in advice_with_commands(one, ())]
    # What no key holds is cured neither by a higher limit nor by a deletion.
    cause = next((cause for cause in CAUSES if state.rule.endswith(f"-{cause.name}")), None)
    if cause is not None and not cause.in_keys:
        assert "raise-limit" not in {finding.id for finding in found}
        assert in_vain(verdict.rule)
    if name in ("pattern subscriptions", "shard channels"):
        assert any(one.id == "client-hogs" and one.title.startswith("A subscriber holds") for one in found)
    if name == "refused before, room now":
        assert any("a limit that was lower then, or large values" in one.title for one in found)
    if name == "a long slow log":
        assert "slowlog-max-len 100000: its log may be long" in found[0].evidence
    if name == "buffers of a replica that do not count":
        (hog,) = (one for one in found if one.id == "client-hogs")
        assert (hog.level, "does not count towards maxmemory" in hog.evidence[-1]) == (Level.WARNING, True)
    if name == "functions":
        assert found[0].id == "functions"
    if name == "many connections":
        assert found[0].id == "many-connections"
        assert "without a name over the unix socket" in found[0].evidence[1]


def test_memory_that_is_still_being_freed(flavour: str) -> None:
    """INFO comes in one pipeline with the deletion: the server has had no time for all of it."""
    with started(flavour) as server, ExitStack() as stack:
        scene = Scene(server, stack)
        for start in range(0, 150_000, 1000):
            scene.client.hset("big", mapping={f"f{number}": "v" for number in range(start, start + 1000)})
        # Several, freed one after another: on a busy machine one is gone before INFO has its turn.
        copies = [f"big{number}" for number in range(6)]
        for copy in copies:
            scene.client.copy("big", copy)
        scene.limit_at(1.02)
        scene.client.response_callbacks.clear()
        pipeline = scene.client.pipeline(transaction=False)
        _, info = pipeline.execute_command("UNLINK", "big", *copies).execute_command("INFO", "all").execute()
    now = snapshot_from_info(info_in(info), address=server.connection.address, monotonic=0.0, wall=0.0)
    verdict = judge(now, rates=Rates(seconds=1.0, refused_writes=1))
    assert verdict.rule == "refusing-freeing"
    assert re.search(r"\d deleted objects? (is|are) still being freed in the background \(.* pending\)", verdict.reason)
    assert verdict.first_step == WAIT


async def test_what_tracking_holds_is_no_room_for_data_and_explains_what_keys_do_not(flavour: str) -> None:
    with started(flavour, "maxmemory 64mb") as server, ExitStack() as stack:
        scene = Scene(server, stack)
        scene.keys(100, 100)
        scenes.tracking(scene)
        async with opened(server.connection) as live:
            snapshot = await live.snapshot()
            view = await live.scan(ScanOptions(pace=Pace.FULL_SPEED)).run()
        split = breakdown_of(snapshot)
        assert split.data_room_bytes is not None
        assert split.size(Share.TRACKING) > 3 * MIB
        assert split.data_room_bytes + split.size(Share.TRACKING) <= snapshot.memory.maxmemory_bytes - MIB // 4
        assert view.contradiction is None
