"""INFO, from servers that say more or less of it, becomes one Snapshot in which unknown is None."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.formatting.sizes import size
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.errors import CommandRefused, NotRedis
from redis_oom_tui.models.snapshot import Database, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.info import snapshot_from_info
from redis_oom_tui.rules.info_fields import with_settings
from redis_oom_tui.rules.verdict import judge
from redis_oom_tui.server.replies import settings_in
from tests.rules.captured import REDIS_6_2, REDIS_7_0, SENTINEL, VALKEY_9_1


def read(info: dict[str, Any], **changed: Any) -> Snapshot:
    return snapshot_from_info({**info, **changed}, address=Address(), monotonic=5.0, wall=1000.0, took=0.002)


def test_redis_6_2_counts_refusals_as_a_lower_bound() -> None:
    snapshot = read(REDIS_6_2)
    assert (snapshot.server.flavour, snapshot.server.version, snapshot.server.mode) == ("redis", "6.2.14", "standalone")
    assert snapshot.counters.refused_writes_total == 19
    assert snapshot.counters.refused_is_lower_bound
    assert snapshot.counters.eviction_exceeded_ms is None
    assert snapshot.counters.refused_by_command == {"set": 19}
    assert snapshot.memory.cluster_links_bytes is None
    assert (snapshot.taken_monotonic, snapshot.taken_at, snapshot.took_seconds) == (5.0, 1000.0, 0.002)


def test_redis_7_0_has_the_clock_of_being_over_the_limit() -> None:
    snapshot = read(REDIS_7_0)
    assert snapshot.counters.eviction_exceeded_ms == 2100
    assert not snapshot.counters.refused_is_lower_bound
    assert snapshot.counters.refused_by_command == {"set": 23, "config|get": 1}
    assert snapshot.counters.errors_by_kind == {"ERR": 4, "OOM": 23}
    assert snapshot.databases == (Database(0, 23, 1), Database(2, 1, 1), Database(10, 5, 0))
    assert (snapshot.keys, snapshot.expires) == (29, 2)
    assert snapshot.memory.lua_bytes == 66560
    assert snapshot.memory.scripts_bytes == 184


def test_valkey_is_named_by_its_own_version_and_its_underflow_is_unknown() -> None:
    snapshot = read(VALKEY_9_1)
    assert (snapshot.server.flavour, snapshot.server.version, snapshot.server.mode) == ("valkey", "9.1.2", "standalone")
    assert snapshot.memory.dataset_bytes is None
    assert snapshot.memory.clients_normal_bytes == 167772160


def test_no_limit_is_none_and_roles_are_said_in_todays_words() -> None:
    snapshot = read(REDIS_7_0, maxmemory=0, role="slave", master_link_status="down")
    assert snapshot.memory.maxmemory_bytes is None
    assert snapshot.memory.pressure is None
    assert snapshot.server.role == "replica"
    assert snapshot.activity.master_link_up is False


def test_states_in_which_figures_cannot_be_trusted() -> None:
    snapshot = read(REDIS_7_0, loading=1, rdb_bgsave_in_progress=1, rdb_last_bgsave_status="err")
    assert snapshot.activity.loading
    assert snapshot.activity.has_child
    assert snapshot.activity.last_save_failed
    assert read(REDIS_7_0, aof_enabled=1, aof_last_write_status="err").activity.last_save_failed
    # Without an AOF the server does not look at how its last write went.
    assert not read(REDIS_7_0, aof_enabled=0, aof_last_write_status="err").activity.last_save_failed
    assert not read(REDIS_7_0).activity.last_save_failed


def test_a_server_that_counts_no_errors_has_not_refused_zero() -> None:
    bare = {"redis_version": "6.0.16", "used_memory": 1000, "role": "master"}
    snapshot = read(bare)
    assert snapshot.counters.refused_writes_total is None
    assert snapshot.memory.rss_bytes is None
    assert snapshot.memory.policy == "unknown"
    assert snapshot.server.run_id is None
    assert read({**bare, "total_error_replies": 0}).counters.refused_writes_total == 0


@pytest.mark.parametrize("kind", ["ERRORSTATS_DISABLED", "ERRORSTATS_OVERFLOW"])
def test_a_server_that_gave_up_counting_kinds_has_not_refused_zero(kind: str) -> None:
    info = {name: value for name, value in REDIS_7_0.items() if name != "errorstat_OOM"}
    snapshot = read(info, **{f"errorstat_{kind}": {"count": 1}})
    assert snapshot.counters.refused_writes_total is None
    before = read(REDIS_7_0, **{f"errorstat_{kind}": {"count": 1}})
    assert before.counters.refused_writes_total == 23
    assert before.counters.refused_is_lower_bound


def test_a_sentinel_is_told_from_a_server_that_holds_its_figures_back() -> None:
    with pytest.raises(NotRedis, match=r"--sentinel 127\.0\.0\.1:6379 with --master NAME"):
        read(SENTINEL)
    with pytest.raises(CommandRefused, match="without used_memory"):
        read({"redis_version": "7.0.15"})


@pytest.mark.parametrize("nonsense", ["", "abc", -1, 2**64 - 1, float("inf"), float("nan"), True, None, [1], {"a": 1}])
def test_nonsense_is_unknown(nonsense: object) -> None:
    snapshot = read(REDIS_7_0, used_memory_rss=nonsense, maxmemory=nonsense, mem_not_counted_for_evict=nonsense)
    assert snapshot.memory.rss_bytes is None
    assert snapshot.memory.maxmemory_bytes is None
    assert snapshot.memory.not_counted_bytes == 0


def test_a_hostile_servers_words_are_harmless() -> None:
    evil = "\x1b[2J\u202e" * 50
    hostile = {"maxmemory_policy": evil, "redis_version": evil, "role": evil, "mem_allocator": evil, "run_id": evil}
    stats = {f"errorstat_{evil}": {"count": 1}, f"cmdstat_{evil}": {"rejected_calls": 2}}
    snapshot = read(REDIS_7_0, **hostile, **stats)
    assert repr(snapshot).isprintable()
    assert "\\x1b" in snapshot.memory.policy
    assert judge(snapshot).reason.isprintable()


@given(
    st.dictionaries(
        st.sampled_from(sorted(REDIS_7_0)),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.sampled_from(["", "x", "5%", "-1", "1e400"])
        | st.lists(st.integers()),
    )
)
def test_no_reply_can_crash_the_reading(changed: dict[str, Any]) -> None:
    changed["used_memory"] = 1
    assert read(REDIS_7_0, **changed).memory.used_bytes == 1


def test_a_number_of_hundreds_of_digits_is_unknown() -> None:
    snapshot = read(REDIS_7_0, used_memory=10**4000, used_memory_peak="9" * 5000, errorstat_OOM={"count": 10**400})
    assert snapshot.memory.used_bytes is None
    assert snapshot.memory.peak_bytes is None
    (reason,) = (doubt.reason for doubt in snapshot.doubts if doubt.field == "used_memory")
    assert "digits, which cannot be" in reason
    many = {"maxmemory": "9" * 5000, "min-replicas-to-write": "9" * 5000}
    assert with_settings(replace(snapshot, memory=replace(snapshot.memory, maxmemory_bytes=None)), many)
    settings = settings_in([[b"maxmemory-samples", b"9" * 5000, b"maxmemory-policy", b"noeviction"]])
    assert settings == {"maxmemory-policy": "noeviction"}


@pytest.mark.parametrize(
    ("used", "step"),
    [("lots", "Check the memory figures of the server or its provider"), (2**64 - 100, "Fail over to a replica")],
)
def test_a_restart_is_advised_only_where_the_count_fell_below_zero(used: object, step: str) -> None:
    for over in (0, 5000):
        verdict = judge(read(REDIS_7_0, used_memory=used, current_eviction_exceeded_time=over))
        assert verdict.first_step.startswith(step)


def test_buffers_are_never_zero_where_they_are_not_known() -> None:
    snapshot = read(REDIS_7_0, used_memory="lots", mem_clients_normal=1800)
    booked = (snapshot.memory.clients_replicas_bytes or 0) + (snapshot.memory.replication_backlog_bytes or 0)
    assert f"buffers of clients and replicas {size(1800 + booked)}" in judge(snapshot).evidence
    bare = read({"redis_version": "7.0.0", "used_memory": "lots", "maxmemory": 0, "role": "master"})
    assert "buffers of clients and replicas ?" in judge(bare).evidence
