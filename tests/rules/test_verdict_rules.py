"""Each rule of the verdict is the only reason for at least one state: without it another rule speaks there."""

from typing import Any

import pytest

from redis_oom_tui.models.snapshot import LimitSource, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Forecast, Rates, Trend
from redis_oom_tui.rules import verdict as verdicts
from redis_oom_tui.rules.verdict import judge
from redis_oom_tui.rules.verdict.causes import CAUSES
from tests.rules.snapshots import GIB, MIB, look

UNREPORTED: dict[str, Any] = {"limit_source": LimitSource.NOT_REPORTED}
SOON = Forecast(Trend.GROWING, 1e6, 8e5, 2e6, (1200.0, 2400.0), 600.0)
CHURN = Rates(seconds=10.0, evicted_keys=5000, keyspace_hits=100, keyspace_misses=900)


def foreign(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, server=replace(snapshot.server, flavour="other", product="Dragonfly"))


STATES: dict[str, tuple[Snapshot, dict[str, Any]]] = {
    "loading": (look(activity={"loading": True}), {}),
    "refusing": (look(used=1001 * MIB, over_ms=500), {}),
    "writes_blocked": (look(activity={"last_save_failed": True, "save_needed": True}), {}),
    "count_unknown": (replace(look(), memory=replace(look().memory, used_bytes=None)), {}),
    "buffers": (look(used=960 * MIB, memory={"clients_normal_bytes": 900 * MIB, "overhead_bytes": 910 * MIB}), {}),
    "over_limit": (look(used=1001 * MIB, policy="allkeys-lru", over_ms=2500), {}),
    "close_to_limit": (look(used=960 * MIB), {}),
    "replica": (look(role="replica", activity={"master_link_up": False}), {}),
    "last_save_failed": (look(activity={"last_save_failed": True}), {}),
    "contradictory": (look(used=4 * GIB, limit=None, memory={"host_bytes": 3 * GIB, "rss_bytes": GIB}), {}),
    "host_full": (look(used=45 * GIB, limit=None, memory={"rss_bytes": 62 * GIB}), {}),
    "swapped": (look(used=4 * GIB, limit=32 * GIB, memory={"rss_bytes": GIB}), {}),
    "fragmented": (look(used=4 * GIB, limit=32 * GIB, memory={"rss_bytes": 12 * GIB}), {}),
    "churning": (look(used=999 * MIB, policy="allkeys-lru"), {"rates": CHURN}),
    "growing": (look(used=700 * MIB), {"forecast": SOON}),
    "evicting": (look(used=999 * MIB, policy="allkeys-lru"), {"rates": Rates(seconds=10.0, evicted_keys=50)}),
    "full_cache": (look(used=999 * MIB, policy="allkeys-lru"), {}),
    "no_limit": (look(limit=None), {}),
    "limit_unknown": (look(limit=None, memory=UNREPORTED), {}),
    "foreign_rss": (foreign(look(used=500 * MIB, memory={"rss_bytes": 980 * MIB})), {}),
}


def test_each_rule_has_a_state_of_its_own() -> None:
    assert [rule.name for rule in verdicts.RULES] == list(STATES)


def test_each_declared_rule_is_asked_and_tells_how_to_confirm_it() -> None:
    assert {rule.name for rule in verdicts.DECLARED} == {*STATES, "healthy"}
    for name, (snapshot, more) in STATES.items():
        assert judge(snapshot, **more).confirm, name


def test_each_cause_has_a_state_of_its_own() -> None:
    full: dict[str, Any] = {"used": 1001 * MIB, "over_ms": 500}
    held = {"overhead_bytes": 910 * MIB}
    states = {
        "links": look(**full, memory={"cluster_links_bytes": 900 * MIB, **held}),
        "buffers": look(**full, memory={"clients_normal_bytes": 900 * MIB, **held}),
        "tiny-limit": look(used=1_100_000, limit=1_000_000, over_ms=500),
        "scripts": look(**full, memory={"scripts_bytes": 900 * MIB, **held}),
        "tracking": look(**full, activity={"tracking_keys": 10**7}),
        "nothing-left": look(**full, keys=0),
        "no-ttl": look(**full, policy="volatile-lru"),
        "behind": look(**full, policy="allkeys-lru", counters={"errors_by_kind": {"OOM": 3}}),
        "noeviction": look(**full),
    }
    assert [cause.name for cause in CAUSES] == list(states)
    for name, snapshot in states.items():
        verdict = judge(snapshot, rates=Rates(seconds=1.0, refused_writes=3))
        cause = next(cause for cause in CAUSES if cause.name == name)
        assert verdict.rule == f"refusing-{name}"
        assert (verdict.first_step, verdict.confirm) == (cause.first_step, cause.confirm)


@pytest.mark.parametrize("name", STATES)
def test_without_the_rule_another_verdict_is_given(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot, more = STATES[name]
    told = judge(snapshot, **more)
    rest = tuple(rule for rule in verdicts.RULES if rule.name != name)
    monkeypatch.setattr(verdicts, "RULES", rest)
    assert judge(snapshot, **more).rule != told.rule, told.rule
