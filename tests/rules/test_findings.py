"""Findings from INFO, CLIENT LIST and settings: ranked, told once, and none on a healthy server."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.models.address import ClientBuffer, LargeCommand
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.keys import KeyId, KeyRow, PatternSample, SampledKey
from redis_oom_tui.models.scan import PatternRow, ScanState, ScanView
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Rates
from redis_oom_tui.models.verdict import Finding, Level
from redis_oom_tui.rules.clients import ClientKind, rank
from redis_oom_tui.rules.findings import Case, examine, find
from redis_oom_tui.rules.sampled_values import summarize
from redis_oom_tui.rules.verdict import judge
from tests.rules.snapshots import GIB, MIB, snapshot_of

DAY = 86_400


def pattern_row(
    pattern: bytes, keys: int, size: int, *, no_ttl: int = 0, kind: str = "string", **more: Any
) -> PatternRow:
    lasting = size * no_ttl // max(1, keys)
    return PatternRow(
        pattern, pattern, keys, size, 0.0, no_ttl, **{"types": ((kind, keys),), "no_ttl_bytes": lasting, **more}
    )


def giant(key: bytes, kind: str, size: int, **more: Any) -> KeyRow:
    return KeyRow(KeyId(0, key), kind, size, **more)


def scanned(*pattern_rows: PatternRow, top: tuple[KeyRow, ...] = (), **more: Any) -> ScanView:
    keys = sum(row.keys for row in pattern_rows)
    figures = {"scanned_keys": keys, "total_keys": keys, "state": ScanState.COMPLETE, **more}
    return ScanView(patterns=pattern_rows, top=top, bytes_seen=sum(row.size for row in pattern_rows), **figures)


def findings(snapshot: Snapshot, scan: ScanView | None = None, **more: Any) -> dict[str, Finding]:
    found = find(snapshot, scan, **more)
    for finding in found:
        assert finding.title
        assert finding.advice.endswith(".")
        assert finding.evidence
        if finding.saves_bytes is not None:
            assert 0 <= finding.saves_bytes[0] <= finding.saves_bytes[1]
    return {finding.id: finding for finding in found}


HEALTHY_SCAN = scanned(
    pattern_row(b"user:*", 900, 50 * MIB, kind="hash"),
    pattern_row(b"session:*", 100, 10 * MIB, no_ttl=0),
    top=(giant(b"user:7", "hash", 30_000), giant(b"session:3", "string", 20_000, ttl_ms=3_600_000, idle_seconds=60)),
    explained_share=0.93,
)


@pytest.mark.parametrize(
    "snapshot",
    [
        snapshot_of(),
        snapshot_of(limit=None),
        snapshot_of(used=MIB, memory={"rss_bytes": 9 * MIB, "fragmentation_ratio": 8.0}),
        snapshot_of(used=999 * MIB, policy="allkeys-lru", counters={"evicted_keys_total": 10**6}),
        snapshot_of(expires=990, policy="volatile-lru"),
    ],
)
def test_a_healthy_server_has_no_findings(snapshot: Snapshot) -> None:
    settings = {"maxmemory-clients": "0", "maxmemory-samples": "5", "lazyfree-lazy-eviction": "no"}
    ordinary = (ClientBuffer(1, "10.0.0.1:5", total_bytes=22_000), ClientBuffer(2, "10.0.0.2:5", flags="P"))
    assert find(snapshot, HEALTHY_SCAN, ordinary, settings=settings) == ()


def test_the_gravest_come_first_and_then_what_saves_most() -> None:
    scan = scanned(top=(giant(b"a", "hash", 60 * MIB), giant(b"b", "stream", 90 * MIB)))
    monitor = ClientBuffer(9, "10.0.0.9:1", flags="O", total_bytes=800 * MIB)
    found = find(snapshot_of(used=960 * MIB), scan, (monitor,))
    assert found[0].level is Level.CRITICAL
    levels = [finding.level.exit_code for finding in found]
    assert levels == sorted(levels, reverse=True)
    warnings = [finding.id for finding in found if finding.level is Level.WARNING]
    assert warnings.index("stream-untrimmed") < warnings.index("giant-key")


def test_who_holds_buffers() -> None:
    monitor = ClientBuffer(5, "10.0.0.5:9", flags="O", total_bytes=20_000, command=b"monitor")
    slow = ClientBuffer(6, "10.0.0.6:9", b"feed", b"jedis", flags="P", total_bytes=300 * MIB, output_bytes=299 * MIB)
    sender = ClientBuffer(7, "10.0.0.7:9", total_bytes=90 * MIB, query_bytes=90 * MIB, command=b"NULL")
    assert [hog.kind for hog in rank((monitor, slow, sender))] == [
        ClientKind.SUBSCRIBER,
        ClientKind.SENDER,
        ClientKind.MONITOR,
    ]
    memory = {"clients_normal_bytes": 390 * MIB, "overhead_bytes": 400 * MIB}
    found = findings(snapshot_of(used=900 * MIB, memory=memory), None, clients=(monitor, slow, sender))
    assert found["monitor"].remedy is not None
    assert found["monitor"].remedy.client_id == 5
    hogs = found["client-hogs"]
    assert hogs.title == "2 clients hold 390.0 MiB of buffers"
    assert "a subscriber named feed from 10.0.0.6:9 (lib jedis) holds 300.0 MiB" in hogs.evidence[0]
    assert "stream" in hogs.in_the_application
    assert "maxmemory-clients" not in found
    assert "maxmemory-clients" in findings(
        snapshot_of(used=900 * MIB, memory=memory), settings={"maxmemory-clients": "0"}
    )


def test_what_is_not_allowed_here_is_said_beside_the_advice() -> None:
    managed = Capabilities().without(Feature.CONFIG_SET, "unknown command 'CONFIG'").without(Feature.CLIENT_KILL, "no")
    hog = ClientBuffer(1, "10.0.0.1:1", total_bytes=500 * MIB, output_bytes=500 * MIB)
    found = findings(snapshot_of(used=960 * MIB), clients=(hog,), capabilities=managed)
    assert found["raise-limit"].evidence[-1] == "not available here: CONFIG SET (unknown command 'CONFIG')"
    assert "CONFIG SET is refused here: set it in the provider's console" in found["raise-limit"].advice
    assert found["client-hogs"].evidence[-1] == "not available here: CLIENT KILL (no)"
    assert not any("not available" in text for text in findings(snapshot_of(used=960 * MIB))["raise-limit"].evidence)


def test_a_hostile_client_name_is_harmless() -> None:
    hog = ClientBuffer(1, "10.0.0.1:1", b"\x1b[2J", b"[red]", total_bytes=500 * MIB, output_bytes=500 * MIB)
    evidence = findings(snapshot_of(), None, clients=(hog,))["client-hogs"].evidence[0]
    assert "\x1b" not in evidence


def test_memory_that_is_no_data() -> None:
    found = findings(
        snapshot_of(used=900 * MIB, memory={"replication_backlog_bytes": 600 * MIB, "overhead_bytes": 610 * MIB})
    )
    assert found["backlog"].level is Level.CRITICAL
    found = findings(snapshot_of(memory={"scripts_bytes": 5 * MIB}, activity={"cached_scripts": 9000}))
    assert found["scripts"].title == "9,000 cached scripts take 5.0 MiB"
    found = findings(snapshot_of(activity={"pubsub_channels": 50_000, "tracking_keys": 80_000}))
    assert {"channels", "tracking"} <= set(found)


def test_limits_that_do_not_fit_the_host() -> None:
    assert findings(snapshot_of(used=20 * GIB, limit=None))["no-limit"].level is Level.OK
    assert findings(snapshot_of(used=40 * GIB, limit=None))["no-limit"].level is Level.WARNING
    assert "limit-over-host" in findings(snapshot_of(limit=64 * GIB))
    raised = findings(snapshot_of(used=960 * MIB))["raise-limit"]
    assert raised.remedy is not None
    assert raised.remedy.value == str(1500 * MIB)
    assert "raise-limit" not in findings(snapshot_of(used=960 * MIB, memory={"host_bytes": 2 * GIB}))
    over = findings(snapshot_of(used=3000 * MIB))["raise-limit"].remedy
    assert over is not None
    assert int(over.value or 0) > 3000 * MIB


def test_policies_that_do_not_fit_the_data() -> None:
    useless = findings(snapshot_of(used=960 * MIB, policy="volatile-lru"))["volatile-no-ttl"]
    assert useless.level is Level.CRITICAL
    cache = findings(snapshot_of(used=900 * MIB, expires=900), scanned(volatile_keys=900, volatile_bytes=400 * MIB))
    assert "they hold 400.0 MiB" in cache["cache-noeviction"].evidence
    queues = scanned(
        pattern_row(b"queue:*", 500, 50 * MIB, kind="list", no_ttl=500), pattern_row(b"page:*", 500, 50 * MIB)
    )
    store = findings(snapshot_of(policy="allkeys-lru"), queues)["store-allkeys"]
    assert "queue:*" in store.evidence[0]
    assert "store-allkeys" not in findings(snapshot_of(policy="noeviction"), queues)


def test_settings_far_from_the_usual() -> None:
    busy = snapshot_of(used=960 * MIB, policy="allkeys-lru")
    assert findings(busy, settings={"maxmemory-samples": "1"})["samples"].remedy is not None
    assert "samples" in findings(busy, settings={"maxmemory-samples": "64"})
    scan = scanned(top=(giant(b"g", "hash", 40 * MIB, ttl_ms=1000),))
    lazy = {"lazyfree-lazy-eviction": "no", "lazyfree-lazy-expire": "no"}
    assert {"lazyfree-lazy-eviction", "lazyfree-lazy-expire"} <= set(findings(busy, scan, settings=lazy))


def test_fragmentation_by_bytes() -> None:
    wasteful = snapshot_of(used=GIB, limit=8 * GIB, memory={"rss_bytes": 2 * GIB, "allocator": "jemalloc-5.3.0"})
    found = findings(wasteful, settings={"activedefrag": "no"})["fragmentation"]
    assert found.level is Level.OK
    assert found.remedy is not None
    assert "does not count towards maxmemory" in found.advice
    assert "give it time" in findings(wasteful, settings={"activedefrag": "yes"})["fragmentation"].advice
    libc = replace(wasteful, memory=replace(wasteful.memory, allocator="libc"))
    other = findings(libc, settings={"activedefrag": "no"})["fragmentation"]
    assert (other.remedy, "MEMORY PURGE do nothing" in other.advice) == (None, True)
    full_host = replace(wasteful, memory=replace(wasteful.memory, host_bytes=2 * GIB))
    assert findings(full_host)["fragmentation"].level is Level.WARNING


NAMES = st.binary(max_size=30) | st.sampled_from([b"user:*:name", b"user:*:mail", b"session:*", b"a" * 70 + b":*", b""])


KINDS = st.sampled_from(["string", "hash", "zset", "set", "list", "stream", "ReJSON-RL"])


COUNTS = st.integers(0, 10**7)


@st.composite
def hostile_scans(draw: st.DrawFn) -> tuple[ScanView, tuple[PatternSample, ...]]:
    rows, samples = [], []
    for name in draw(st.lists(NAMES, max_size=6)):
        keys, kind = draw(st.integers(1, 10**6)), draw(KINDS)
        idle = draw(st.none() | st.tuples(COUNTS, COUNTS, COUNTS))
        no_ttl = draw(st.integers(0, keys))
        rows.append(pattern_row(name, keys, draw(COUNTS) * 100, no_ttl=no_ttl, kind=kind, idle_quantiles=idle))
        values = [
            SampledKey(name, draw(COUNTS), "hashtable", draw(COUNTS), draw(st.binary(max_size=9))) for _ in range(2)
        ]
        samples.append(summarize(name, kind, values))
    top = tuple(
        giant(
            name, draw(KINDS), draw(COUNTS) * 10, ttl_ms=draw(st.none() | COUNTS), idle_seconds=draw(st.none() | COUNTS)
        )
        for name in draw(st.lists(NAMES, max_size=4))
    )
    return scanned(*rows, top=top), tuple(samples)


@given(case=hostile_scans(), client=st.binary(max_size=20), used=st.integers(0, 2**40))
def test_whatever_is_scanned_findings_are_harmless_text(
    case: tuple[ScanView, tuple[PatternSample, ...]], client: bytes, used: int
) -> None:
    scan, samples = case
    hog = ClientBuffer(1, "10.0.0.1:1", client, client, client, client, "O", total_bytes=used // 2)
    for finding in find(
        snapshot_of(used=used, policy="allkeys-lru"), scan, (hog,), values=samples, before=HEALTHY_SCAN
    ):
        for text in (finding.title, finding.advice, finding.in_the_application, *finding.evidence):
            assert text.isprintable()
        assert finding.saves_bytes is None or 0 <= finding.saves_bytes[0] <= finding.saves_bytes[1]


@pytest.mark.parametrize(("address", "name"), [("", b""), ("?:0", b""), ("10.0.0.7:4711", b""), ("", b"importer")])
def test_a_script_that_sends_large_values_has_no_address(address: str, name: bytes) -> None:
    one = LargeCommand(b"HSET", b"hot:3", 9 * MIB, snapshot_of().taken_at - 60, address, name)
    (found,) = [
        each for each in examine(Case(snapshot_of(99 * MIB, 100 * MIB), large=(one,))) if each.id == "large-writers"
    ]
    who = {
        b"importer": " by importer",
        b"": " from 10.0.0.7:4711" if "4711" in address else " by a script (EVAL): the server does not say whose",
    }[name]
    assert found.title == f"Commands of up to 9.0 MiB are sent: HSET of hot:3{who}"
    assert ("client name or address" in found.advice) == ("script" not in who)


def test_a_large_value_of_long_ago_is_not_sent_now() -> None:
    now = snapshot_of(99 * MIB, 100 * MIB)
    old = LargeCommand(b"SET", b"old", 9 * MIB, now.taken_at - 3 * DAY, "10.0.0.7:4711")
    fresh = LargeCommand(b"SET", b"fresh", 5 * MIB, now.taken_at - 5, "10.0.0.8:4711")

    def large_writers(*large: LargeCommand, skew: float = 0.0) -> Finding:
        case = Case(replace(now, clock_skew_seconds=skew), large=large)
        return next(each for each in examine(case) if each.id == "large-writers")

    alone = large_writers(old)
    assert (alone.level, alone.title.partition(":")[0]) == (
        Level.WARNING,
        "Commands of up to 9.0 MiB were sent 3 days ago",
    )
    both = large_writers(old, fresh)
    assert (both.level, both.title.partition(":")[0]) == (Level.CRITICAL, "Commands of up to 5.0 MiB are sent")
    assert both.evidence[0].endswith("9.0 MiB, 3 days ago")
    # The log is by the server's clock.
    assert "were sent a day ago" in large_writers(old, skew=-2.0 * DAY).title


def test_findings_and_verdict_name_one_cause() -> None:
    """What came and went is seen only between two looks: a higher limit cures that, and no client holds it."""
    memory = {"clients_normal_bytes": 60 * MIB, "overhead_bytes": 70 * MIB}
    now, rates = snapshot_of(99 * MIB, 100 * MIB, memory=memory), Rates(seconds=1.0, refused_writes=3)
    clients = (ClientBuffer(4, "10.0.0.7:4711", total_bytes=1000),)
    verdict = judge(now, rates=rates, clients=clients)
    assert verdict.rule == "refusing-large"
    assert "raise maxmemory in Limits" in verdict.first_step
    seen = Case(now, clients=clients, rates=rates)
    assert seen.cause.name == "large"
    assert "raise-limit" in {finding.id for finding in examine(seen)}
    # Clients that each hold less than a hog, and together all of it, have not gone.
    many = tuple(ClientBuffer(n, f"10.0.0.7:{n}", total_bytes=900_000, output_bytes=900_000) for n in range(70))
    assert judge(now, rates=rates, clients=many).rule == "refusing-buffers"


def test_a_replica_is_a_hog_by_what_it_holds_beyond_the_backlog() -> None:
    """Since 7.0 what replicas have not read is one buffer, the backlog in it."""
    replica = ClientBuffer(4, "10.0.0.7:6379", flags="S", total_bytes=19 * MIB, output_bytes=19 * MIB)
    shared = snapshot_of(used=25 * MIB, limit=100 * MIB, memory={"replication_backlog_bytes": 18 * MIB})
    assert "client-hogs" not in findings(shared, clients=(replica,))
    alone = snapshot_of(used=25 * MIB, limit=100 * MIB, memory={"replication_backlog_bytes": MIB})
    assert findings(alone, clients=(replica,))["client-hogs"].title.startswith("A replica holds 19.0 MiB")
