"""The verdict on one look at a server: cause, level and first step."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Rates
from redis_oom_tui.models.verdict import Level, Thresholds
from redis_oom_tui.rules.verdict import judge, unknown
from tests.rules.snapshots import GIB, MIB, snapshot_of

FULL: dict[str, Any] = {"used": 1000 * MIB + 5, "limit": 1000 * MIB}


BACKLOG = {"replication_backlog_bytes": 900 * MIB, "overhead_bytes": 910 * MIB}


HOGS = {"clients_normal_bytes": 900 * MIB, "overhead_bytes": 910 * MIB}


def second(first: Snapshot, *, later: float = 10.0, counters: dict[str, Any] | None = None, **memory: Any) -> Snapshot:
    """The same server some seconds after."""
    return replace(
        first,
        taken_monotonic=first.taken_monotonic + later,
        taken_at=first.taken_at + later,
        memory=replace(first.memory, **memory),
        counters=replace(first.counters, **(counters or {})),
    )


def test_commands_that_need_no_memory_were_refused_for_another_reason() -> None:
    before = snapshot_of(**FULL, refused=100, over_ms=5000)
    by_command = {"config|get": 900, "scan": 700, "client|no-evict": 600, "set": 400, "xgroup|create": 7}
    verdict = judge(second(before, counters={"refused_writes_total": 512, "refused_by_command": by_command}), before)
    assert verdict.reason.endswith("mostly SET XGROUP|CREATE.")


def test_one_look_suffices_where_the_server_has_a_clock() -> None:
    assert judge(snapshot_of(**FULL, over_ms=300)).level is Level.OOM
    assert judge(snapshot_of(**FULL, over_ms=0)).rule == "close-critical"


def test_one_look_at_an_old_server_goes_by_its_memory() -> None:
    verdict = judge(snapshot_of(**FULL, over_ms=None, counters={"refused_is_lower_bound": True}, refused=7))
    assert verdict.level is Level.OOM
    assert "at least 7 writes refused since restart or RESETSTAT" in verdict.evidence


def test_a_single_large_write_may_be_refused_well_below_the_limit() -> None:
    before = snapshot_of(used=960 * MIB)
    verdict = judge(second(before, counters={"refused_writes_total": 1}), before)
    assert verdict.level is Level.OOM
    assert "96% of 1000 MiB" in verdict.reason


def test_volatile_policy_without_ttl_is_noeviction_by_another_name() -> None:
    verdict = judge(snapshot_of(**FULL, policy="volatile-lru", over_ms=100, keys=22_000))
    assert verdict.rule == "refusing-no-ttl"
    assert "volatile-lru can only evict keys with a TTL, and none of the 22,000 keys has one" in verdict.reason
    assert judge(snapshot_of(used=900 * MIB, policy="volatile-lru", keys=22_000)).rule == "close-warning"


@pytest.mark.parametrize(("memory", "policy"), [(HOGS, "noeviction"), (HOGS, "allkeys-lru"), (BACKLOG, "noeviction")])
def test_buffers_are_named_before_the_policy(memory: dict[str, Any], policy: str) -> None:
    before = snapshot_of(**FULL, policy=policy, over_ms=100, memory=memory)
    verdict = judge(second(before, counters={"refused_writes_total": 3}), before)
    assert verdict.rule == ("refusing-buffers" if memory is HOGS else "refusing-backlog")
    assert re.search(r"(holds?|use) 900\.\d MiB of it, not data", verdict.reason)
    near = judge(snapshot_of(used=960 * MIB, policy=policy, memory=memory))
    assert (near.level, near.rule) == (Level.CRITICAL, "buffers" if memory is HOGS else "close-backlog")
    assert ("evicts keys to make room for it" in near.reason) == (policy == "allkeys-lru")


def test_a_backlog_on_top_of_data_does_not_make_deletions_vain() -> None:
    backlog = {"replication_backlog_bytes": 160 * MIB, "overhead_bytes": 170 * MIB}
    verdict = judge(snapshot_of(used=970 * MIB, memory=backlog))
    assert (verdict.rule, "will not help" in verdict.first_step) == ("close-backlog", False)
    mostly = judge(snapshot_of(used=970 * MIB, memory=BACKLOG))
    assert (mostly.rule, "will not help" in mostly.first_step) == ("close-backlog", True)


def test_least_recently_modified_is_judged_as_the_other_policies() -> None:
    """Redis 8.6 and later, which cannot be had here."""
    full = {"used": 1001 * MIB, "over_ms": 500}
    assert judge(snapshot_of(**full, policy="volatile-lrm")).rule == "refusing-no-ttl"
    assert judge(snapshot_of(used=999 * MIB, policy="allkeys-lrm")).rule == "full-cache"
    few = judge(snapshot_of(used=960 * MIB, policy="volatile-lrm", expires=20))
    assert (few.rule, "volatile-lrm" in few.reason) == ("close-critical", True)


def test_what_a_fork_has_copied_counts_towards_the_host() -> None:
    forked = {"rss_bytes": 60 * GIB, "fork_copied_bytes": 3 * GIB}
    alone = snapshot_of(used=45 * GIB, limit=None, memory=forked)
    assert judge(replace(alone, activity=replace(alone.activity, saving=False))).level is Level.WARNING
    verdict = judge(replace(alone, activity=replace(alone.activity, saving=True)))
    assert (verdict.rule, verdict.level) == ("host-full", Level.CRITICAL)
    assert "3.0 GiB of it copied by a BGSAVE that runs" not in verdict.reason  # under a twentieth of the host
    more = snapshot_of(
        used=45 * GIB, limit=None, memory={**forked, "fork_copied_bytes": 8 * GIB}, activity={"saving": True}
    )
    assert "8.0 GiB of it copied by a BGSAVE that runs (copy-on-write)" in judge(more).reason
    assert judge(more).first_step.startswith("Wait for the fork to end")


def test_a_replica_that_keeps_to_its_own_limit_differs_from_its_primary() -> None:
    full = snapshot_of(used=999 * MIB, policy="allkeys-lru", role="replica", activity={"minds_limit": True})
    assert (judge(full).rule, judge(full).level) == ("replica-own-limit", Level.WARNING)
    assert "evicts what its primary keeps" in judge(full).reason
    ignoring = replace(full, activity=replace(full.activity, minds_limit=False))
    assert "a limit that it ignores while it is one" in judge(ignoring).reason
    unknown = replace(full, activity=replace(full.activity, minds_limit=None))
    assert judge(unknown, rates=Rates(seconds=1.0, evicted_keys=5)).rule == "replica-own-limit"
    assert judge(unknown).rule == "healthy"


def test_what_no_key_holds_on_a_replica_is_named_with_its_cure() -> None:
    hogged = {"clients_normal_bytes": 700 * MIB, "overhead_bytes": 720 * MIB}
    for minds, rule in ((True, "replica-own-limit"), (False, "replica-limit")):
        verdict = judge(
            snapshot_of(
                used=1100 * MIB, policy="allkeys-lru", role="replica", memory=hogged, activity={"minds_limit": minds}
            )
        )
        assert verdict.rule == rule
        assert "buffers use 700.0 MiB of it, not data" in verdict.reason
        assert verdict.first_step.startswith("Kill the client holding the buffers")


def test_a_replica_below_its_own_limit_has_lost_nothing_yet() -> None:
    near = snapshot_of(used=850 * MIB, role="replica", activity={"minds_limit": True})
    for policy, does in (("noeviction", "refuses writes of its primary"), ("allkeys-lru", "evicts what its primary")):
        verdict = judge(replace(near, memory=replace(near.memory, policy=policy)))
        assert (does in verdict.reason, "once it is full" in verdict.reason) == (True, True)
        assert "copy all data again" not in verdict.first_step
    evicting = snapshot_of(used=999 * MIB, policy="allkeys-lru", role="replica", activity={"minds_limit": True})
    verdict = judge(evicting, rates=Rates(seconds=1.0, evicted_keys=5))
    assert "once it is full" not in verdict.reason
    assert "copy all data again" in verdict.first_step


def test_buffers_that_do_not_count_are_not_blamed() -> None:
    memory = {"clients_replicas_bytes": 1800 * MIB, "overhead_bytes": 1810 * MIB, "not_counted_bytes": 1790 * MIB}
    verdict = judge(snapshot_of(used=1900 * MIB, memory=memory))
    assert (verdict.level, verdict.rule) == (Level.OK, "healthy")


def test_clients_booked_above_used_memory_are_not_believed() -> None:
    memory = {"clients_normal_bytes": 160 * MIB, "overhead_bytes": 161 * MIB}
    assert judge(snapshot_of(used=int(2.6 * MIB), limit=64 * MIB, memory=memory)).rule == "healthy"


def test_a_limit_below_the_empty_server() -> None:
    verdict = judge(snapshot_of(used=1_100_000, limit=1_000_000, over_ms=2000, keys=0, policy="allkeys-lru"))
    assert verdict.rule == "refusing-tiny-limit"
    assert "the empty server alone takes 1.0 MiB" in verdict.reason


def test_nothing_left_to_evict() -> None:
    memory = {"overhead_bytes": 900 * MIB, "aof_buffer_bytes": 880 * MIB}
    verdict = judge(snapshot_of(**FULL, policy="allkeys-lru", keys=0, over_ms=2000, memory=memory))
    assert verdict.level is Level.OOM
    assert "no key is left to evict" in verdict.reason


def test_evicting_too_slowly() -> None:
    before = snapshot_of(**FULL, policy="allkeys-lru", over_ms=2500)
    assert judge(before).rule == "behind"
    assert judge(before).level is Level.CRITICAL
    verdict = judge(second(before, counters={"refused_writes_total": 4}), before)
    assert verdict.rule == "refusing-behind"
    assert "allkeys-lru does not make room fast enough; 4 refused" in verdict.reason


def test_a_full_cache_that_evicts_is_no_outage() -> None:
    before = snapshot_of(used=999 * MIB, policy="allkeys-lru", counters={"evicted_keys_total": 10})
    verdict = judge(second(before, counters={"evicted_keys_total": 5010}), before)
    assert (verdict.level, verdict.rule) == (Level.OK, "evicting")
    assert "500 keys/s at 99.9% of 1000 MiB, no write refused" in verdict.reason
    assert judge(before).rule == "full-cache"
    assert judge(before).level is Level.OK


def test_evicting_so_hard_that_nothing_hits() -> None:
    started = {"evicted_keys_total": 0, "keyspace_hits_total": 0, "keyspace_misses_total": 0}
    before = snapshot_of(used=999 * MIB, policy="allkeys-lru", counters=started)
    gained = {"evicted_keys_total": 5000, "keyspace_hits_total": 100, "keyspace_misses_total": 900}
    verdict = judge(second(before, counters=gained), before)
    assert (verdict.level, verdict.rule) == (Level.WARNING, "churning")
    assert "keys live about 2s, hit rate only 10%" in verdict.reason
    useful = {**gained, "keyspace_hits_total": 9000}
    assert judge(second(before, counters=useful), before).rule == "evicting"
    # A few look-ups are this tool's own, of keys that are gone by then.
    own = {**gained, "keyspace_hits_total": 0, "keyspace_misses_total": 30}
    assert judge(second(before, counters=own), before).rule == "evicting"


def test_a_clock_that_a_pause_keeps_going_is_no_refusal() -> None:
    for paused, rule in ((True, "healthy"), (False, "refusing-noeviction"), (None, "healthy")):
        assert judge(snapshot_of(used=100 * MIB, over_ms=9000, activity={"paused": paused})).rule == rule
    assert "clients seem to be paused" in " ".join(judge(snapshot_of(used=100 * MIB, over_ms=9000)).evidence)
    # Some room may be that of an object freed in the background since the server's own look.
    assert judge(snapshot_of(used=999 * MIB, over_ms=9000)).rule == "refusing-noeviction"
    assert judge(snapshot_of(**FULL, over_ms=9000, activity={"paused": True})).rule == "refusing-noeviction"


def test_few_values_churn_only_where_one_more_has_no_room() -> None:
    evicted = {"evicted_keys_total": 30_000}
    for used, rule in ((160, "healthy"), (900, "churning")):
        few = snapshot_of(used=used * MIB, policy="allkeys-lru", keys=1 if used == 160 else 5, counters=evicted)
        assert judge(few).rule == rule


@pytest.mark.parametrize(
    ("share", "level"), [(0.5, Level.OK), (0.79, Level.OK), (0.81, Level.WARNING), (0.951, Level.CRITICAL)]
)
def test_closeness_to_a_hard_limit(share: float, level: Level) -> None:
    assert judge(snapshot_of(used=int(share * 1000 * MIB))).level is level


def test_thresholds_are_the_callers() -> None:
    assert judge(snapshot_of(used=750 * MIB), thresholds=Thresholds(0.7, 0.9)).level is Level.WARNING


def test_few_keys_to_evict_make_no_soft_limit() -> None:
    verdict = judge(snapshot_of(used=960 * MIB, policy="volatile-ttl", keys=1000, expires=20))
    assert verdict.level is Level.CRITICAL
    assert "only 20 of 1,000 keys may be evicted by volatile-ttl" in verdict.reason
    assert judge(snapshot_of(used=960 * MIB, policy="volatile-ttl", keys=1000, expires=900)).rule == "full-cache"


def test_no_limit_is_said_and_is_no_alarm() -> None:
    verdict = judge(snapshot_of(limit=None))
    assert (verdict.level, verdict.rule) == (Level.OK, "no-limit")
    assert verdict.reason == "No limit is set: it uses 100.0 MiB of the 64.0 GiB its host has, and writes are accepted."


@pytest.mark.parametrize("limit", [None, 64 * GIB])
@pytest.mark.parametrize(("rss", "level"), [(55 * GIB, Level.WARNING), (62 * GIB, Level.CRITICAL)])
def test_a_full_host_without_a_limit_below_it(limit: int | None, rss: int, level: Level) -> None:
    verdict = judge(snapshot_of(used=45 * GIB, limit=limit, memory={"rss_bytes": rss}))
    assert (verdict.level, verdict.rule) == (level, "host-full")


def test_small_servers_are_not_called_fragmented() -> None:
    assert judge(snapshot_of(used=MIB, memory={"rss_bytes": 10 * MIB, "fragmentation_ratio": 10.0})).rule == "healthy"
    wasteful = snapshot_of(used=4 * GIB, limit=32 * GIB, memory={"rss_bytes": 12 * GIB})
    assert judge(wasteful).rule == "fragmented"


def test_swapping_shows_as_less_resident_than_used() -> None:
    swapping = snapshot_of(used=4 * GIB, limit=32 * GIB, memory={"rss_bytes": GIB})
    assert judge(swapping).rule == "swapped"
    untouched = {"rss_bytes": GIB, "replication_backlog_bytes": 3 * GIB}
    assert judge(snapshot_of(used=4 * GIB, limit=32 * GIB, memory=untouched)).rule == "healthy"


def test_a_failed_save_blocks_writes_whatever_the_memory() -> None:
    before = snapshot_of(activity={"last_save_failed": True})
    assert judge(before).rule == "save-failed"
    verdict = judge(second(before, counters={"errors_by_kind": {"MISCONF": 3}}), before)
    assert (verdict.level, verdict.rule) == (Level.CRITICAL, "misconf")
    quiet = snapshot_of(counters={"errors_by_kind": {"NOREPLICAS": 2}})
    assert judge(quiet).rule == "healthy"
    assert judge(second(quiet, counters={"errors_by_kind": {"NOREPLICAS": 9}}), quiet).rule == "noreplicas"


def test_a_loading_server_serves_nobody() -> None:
    verdict = judge(snapshot_of(**FULL, activity={"loading": True}, over_ms=100))
    assert (verdict.level, verdict.rule) == (Level.CRITICAL, "loading")


def test_a_replica_is_not_refusing_but_may_be_once_promoted() -> None:
    verdict = judge(snapshot_of(used=2000 * MIB, role="replica", policy="allkeys-lru", over_ms=None))
    assert (verdict.level, verdict.rule) == (Level.WARNING, "replica-limit")
    assert "would evict keys if promoted" in verdict.reason
    assert judge(snapshot_of(role="replica", activity={"master_link_up": False})).rule == "replica-link"
    assert judge(snapshot_of(used=960 * MIB, role="replica", activity={"master_link_up": True})).level is Level.OK


def test_what_is_still_being_freed_is_told() -> None:
    verdict = judge(snapshot_of(**FULL, over_ms=100, memory={"lazyfree_pending_objects": 3}))
    assert "3 deleted objects are still being freed in the background" in verdict.evidence


def test_an_unreachable_server_is_unknown() -> None:
    verdict = unknown("cache-1:6379 does not answer.")
    assert verdict.level.exit_code == 3


@given(
    used=st.integers(0, 2**50),
    limit=st.none() | st.integers(1, 2**50),
    policy=st.sampled_from(["noeviction", "volatile-ttl", "allkeys-lfu", "unknown", "allkeys-lrm"]),
    keys=st.integers(0, 10**9),
    clients=st.none() | st.integers(0, 2**50),
    rss=st.none() | st.integers(0, 2**50),
    over_ms=st.none() | st.integers(0, 10**9),
)
def test_there_is_always_one_sentence(
    used: int, limit: int | None, policy: str, keys: int, clients: int | None, rss: int | None, over_ms: int | None
) -> None:
    memory = {"clients_normal_bytes": clients, "rss_bytes": rss}
    verdict = judge(snapshot_of(used, limit, policy, keys=keys, over_ms=over_ms, memory=memory))
    assert verdict.reason.endswith(".")
    assert "\n" not in verdict.reason
    assert verdict.evidence


@pytest.mark.parametrize(
    ("used", "sentence"),
    [(795, "at 79.5%"), (799.9999, "at 79.9%"), (800, "at 80%"), (805, "at 80%"), (949.9, "at 94.9%")],
)
def test_a_percentage_never_stands_beyond_the_threshold_that_it_is_below(used: float, sentence: str) -> None:
    assert sentence in judge(snapshot_of(used=int(used * MIB))).reason


@given(used=st.integers(1, 2000 * MIB), warn=st.floats(0.5, 0.9))
def test_the_percentage_agrees_with_the_level(used: int, warn: float) -> None:
    snapshot = snapshot_of(used=used, over_ms=0)
    verdict = judge(snapshot, thresholds=Thresholds(warn, 0.95))
    shown = float(re.findall(r"at ([\d.]+)%", verdict.reason)[0])
    assert (shown >= 95) == (snapshot.memory.pressure >= 0.95)  # type: ignore[operator]
    assert (shown >= 100) == (snapshot.memory.pressure >= 1.0)  # type: ignore[operator]
    assert shown >= round(warn * 100, 3) or verdict.level is Level.OK
