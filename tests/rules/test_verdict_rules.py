"""Each rule of the verdict is the only reason for at least one state: without it another rule speaks there."""

from typing import Any

import pytest

from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.keys import KeyId, KeyRow
from redis_oom_tui.models.scan import ScanState, ScanView
from redis_oom_tui.models.snapshot import LimitSource, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Forecast, Rates, Trend
from redis_oom_tui.rules import verdict as verdicts
from redis_oom_tui.rules.emergency import in_vain
from redis_oom_tui.rules.verdict import judge
from redis_oom_tui.rules.verdict.causes import CAUSES
from redis_oom_tui.rules.verdict.facts import Facts
from tests.rules.snapshots import GIB, MIB, snapshot_of

UNREPORTED: dict[str, Any] = {"limit_source": LimitSource.NOT_REPORTED}
SOON = Forecast(Trend.GROWING, 1e6, (1200.0, 2400.0), 600.0)
CHURN = Rates(seconds=10.0, evicted_keys=5000, keyspace_hits=100, keyspace_misses=900)


def foreign(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, server=replace(snapshot.server, flavour="other", product="Dragonfly"))


NAMED = (ClientBuffer(1, "10.0.0.7:4431", b"n" * MIB),) * 300
GIANT = KeyRow(KeyId(0, b"export:2026"), "list", 900 * MIB, None)
SCAN_OF_ONE = ScanView(
    ScanState.COMPLETE, scanned_keys=1000, total_keys=1000, bytes_seen=990 * MIB, explained_share=0.99, top=(GIANT,)
)
SCAN_OF_LITTLE = replace(SCAN_OF_ONE, bytes_seen=90 * MIB, explained_share=0.09, top=())


STATES: dict[str, tuple[Snapshot, dict[str, Any]]] = {
    "loading": (snapshot_of(activity={"loading": True}), {}),
    "replica_own_limit": (snapshot_of(used=960 * MIB, role="replica", activity={"minds_limit": True}), {}),
    "refusing": (snapshot_of(used=1001 * MIB, over_ms=500), {}),
    "writes_blocked": (snapshot_of(activity={"last_save_failed": True, "save_needed": True}), {}),
    "count_unknown": (replace(snapshot_of(), memory=replace(snapshot_of().memory, used_bytes=None)), {}),
    "in_no_key": (
        snapshot_of(used=960 * MIB, memory={"clients_normal_bytes": 900 * MIB, "overhead_bytes": 910 * MIB}),
        {},
    ),
    "over_limit": (snapshot_of(used=1001 * MIB, policy="allkeys-lru", over_ms=2500), {}),
    "close_to_limit": (snapshot_of(used=960 * MIB), {}),
    "replica": (snapshot_of(role="replica", activity={"master_link_up": False}), {}),
    "last_save_failed": (snapshot_of(activity={"last_save_failed": True}), {}),
    "contradictory": (snapshot_of(used=4 * GIB, limit=None, memory={"host_bytes": 3 * GIB, "rss_bytes": GIB}), {}),
    "host_full": (snapshot_of(used=45 * GIB, limit=None, memory={"rss_bytes": 62 * GIB}), {}),
    "machine_full": (snapshot_of(memory={"host_free_bytes": GIB}), {}),
    "swapped": (snapshot_of(used=4 * GIB, limit=32 * GIB, memory={"rss_bytes": GIB}), {}),
    "fragmented": (snapshot_of(used=4 * GIB, limit=32 * GIB, memory={"rss_bytes": 12 * GIB}), {}),
    "churning": (snapshot_of(used=999 * MIB, policy="allkeys-lru"), {"rates": CHURN}),
    "crowded": (snapshot_of(used=999 * MIB, policy="allkeys-lru"), {"scan": SCAN_OF_ONE}),
    "growing": (snapshot_of(used=700 * MIB), {"forecast": SOON}),
    "evicting": (snapshot_of(used=999 * MIB, policy="allkeys-lru"), {"rates": Rates(seconds=10.0, evicted_keys=50)}),
    "full_cache": (snapshot_of(used=999 * MIB, policy="allkeys-lru"), {}),
    "no_limit": (snapshot_of(limit=None), {}),
    "limit_unknown": (snapshot_of(limit=None, memory=UNREPORTED), {}),
    "foreign_rss": (foreign(snapshot_of(used=500 * MIB, memory={"rss_bytes": 980 * MIB})), {}),
}


def test_each_rule_has_a_state_of_its_own() -> None:
    assert [rule.name for rule in verdicts.RULES] == list(STATES)


def test_each_declared_rule_is_asked_and_tells_how_to_confirm_it() -> None:
    assert {rule.name for rule in verdicts.DECLARED} == {*STATES, "healthy"}
    for name, (snapshot, more) in STATES.items():
        assert judge(snapshot, **more).confirm, name


FULL: dict[str, Any] = {"used": 1001 * MIB, "over_ms": 500}
HELD = {"overhead_bytes": 910 * MIB}
LAZY, DEAD = {"lazyfree_pending_objects": 3}, {"expired_stale_percent": 9.0, "errors_by_kind": {"OOM": 3}}
CAUSED: dict[str, tuple[Snapshot, ScanView | None]] = {
    "refusing-links": (snapshot_of(**FULL, memory={"cluster_links_bytes": 900 * MIB, **HELD}), None),
    "refusing-migration": (snapshot_of(**FULL, memory={"migration_bytes": 900 * MIB, **HELD}), None),
    "refusing-backlog": (snapshot_of(**FULL, memory={"replication_backlog_bytes": 900 * MIB, **HELD}), None),
    "refusing-replicas": (snapshot_of(**FULL, memory={"clients_replicas_bytes": 900 * MIB, **HELD}), None),
    "refusing-names": (snapshot_of(**FULL), None),
    "refusing-connections": (
        snapshot_of(**FULL, memory={"clients_normal_bytes": 900 * MIB, **HELD}, activity={"connected_clients": 9000}),
        None,
    ),
    "refusing-large": (snapshot_of(used=50 * MIB), None),
    "refusing-buffers": (snapshot_of(**FULL, memory={"clients_normal_bytes": 900 * MIB, **HELD}), None),
    "refusing-tiny-limit": (snapshot_of(used=1_100_000, limit=1_000_000, over_ms=500), None),
    "refusing-scripts": (snapshot_of(**FULL, memory={"scripts_bytes": 900 * MIB, **HELD}), None),
    "refusing-functions": (snapshot_of(**FULL, memory={"functions_bytes": 900 * MIB, **HELD}), None),
    "refusing-tracking": (snapshot_of(**FULL, activity={"tracking_keys": 10**7}), None),
    "refusing-channels": (snapshot_of(**FULL, activity={"pubsub_channels": 4 * 10**6}), None),
    "refusing-watched": (snapshot_of(**FULL, activity={"watched_keys": 5 * 10**6}), None),
    "refusing-freeing": (snapshot_of(**FULL, keys=0, memory=LAZY), None),
    "refusing-nothing-left": (snapshot_of(**FULL, keys=0), None),
    "refusing-modules": (snapshot_of(**FULL), replace(SCAN_OF_LITTLE, unsized_keys=3)),
    "refusing-unexplained": (snapshot_of(**FULL), SCAN_OF_LITTLE),
    "refusing-rehashing": (
        snapshot_of(**FULL, memory={"rehashing_bytes": 64 * MIB, "overhead_bytes": 200 * MIB}),
        None,
    ),
    "refusing-lowered": (snapshot_of(used=1200 * MIB, over_ms=500), None),
    "refusing-giant": (snapshot_of(**FULL), SCAN_OF_ONE),
    "refusing-expired": (snapshot_of(**FULL, expires=1000, counters=DEAD), None),
    "refusing-no-ttl": (snapshot_of(**FULL, policy="volatile-lru"), None),
    "refusing-paused": (snapshot_of(**FULL, policy="allkeys-lru", activity={"paused": True}), None),
    "refusing-few-evictable": (snapshot_of(**FULL, policy="volatile-lru", expires=20), None),
    "refusing-behind": (snapshot_of(**FULL, policy="allkeys-lru", counters={"errors_by_kind": {"OOM": 3}}), None),
    "refusing-noeviction": (snapshot_of(**FULL), None),
}


def test_each_cause_has_a_state_of_its_own() -> None:
    assert [f"refusing-{cause.name}" for cause in CAUSES] == list(CAUSED)
    for name, (snapshot, scan) in CAUSED.items():
        rates = Rates(seconds=1.0, refused_writes=3)
        clients = NAMED if name == "refusing-names" else ()
        verdict = judge(snapshot, rates=rates, scan=scan, clients=clients)
        cause = next(cause for cause in CAUSES if f"refusing-{cause.name}" == name)
        assert verdict.rule == name
        facts = Facts(snapshot, rates=rates, scan=scan, clients=clients)
        assert (verdict.first_step, verdict.confirm) == (cause.first_step(facts), cause.confirm)
        assert cause.clause(facts) in verdict.reason


def test_what_no_key_holds_is_no_reason_to_raise_the_limit_or_to_delete() -> None:
    """But for a limit below the empty server, where only a higher one helps."""
    facts = Facts(snapshot_of(used=1001 * MIB, keys=0))
    for cause in CAUSES:
        if not cause.cured_by_limit:
            assert "maxmemory" not in cause.first_step(facts).replace("maxmemory-clients", ""), cause.name
            assert in_vain(f"refusing-{cause.name}"), cause.name
            assert in_vain(f"close-{cause.name}"), cause.name


@pytest.mark.parametrize("name", STATES)
def test_without_the_rule_another_verdict_is_given(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot, more = STATES[name]
    verdict = judge(snapshot, **more)
    rest = tuple(rule for rule in verdicts.RULES if rule.name != name)
    monkeypatch.setattr(verdicts, "RULES", rest)
    assert judge(snapshot, **more).rule != verdict.rule, verdict.rule


def test_no_policy_of_redis_is_advised_to_another_product() -> None:
    expiring = snapshot_of(used=960 * MIB, expires=1000)
    assert "volatile-lru" in judge(expiring).first_step
    assert "volatile-lru" not in judge(foreign(expiring)).first_step
