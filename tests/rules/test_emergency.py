"""The bounds of the unattended cleanup: never more than allowed, never by idle times that cannot be trusted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.models.config import Emergency, NamedPlan
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Order, Plan, PlannedKey
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.emergency import (
    Allowance,
    Spent,
    allowance,
    criteria_within,
    doubts,
    in_vain,
    trimmed,
    why_not_idle,
)
from redis_oom_tui.rules.plan_hash import fingerprint, frozen
from tests.monitor.scripted import snapshot

IDLE = Criteria(patterns=(b"a*",), idle_over_seconds=3600)


def plan(*sizes: int | None) -> Plan:
    keys = tuple(PlannedKey(KeyId(0, b"k%d" % number), "string", size) for number, size in enumerate(sizes))
    return frozen(Plan(keys, Criteria(patterns=(b"k*",)), 0.0, "s"))


def test_what_an_hour_has_taken_is_left_out_and_what_is_older_is_not() -> None:
    emergency = Emergency(max_keys=100, max_bytes=1000, max_keys_per_hour=150, max_bytes_per_hour=1500)
    spent = [Spent(0.0, 100, 900), Spent(4000.0, 90, 800)]
    assert allowance(emergency, spent, 4100.0) == Allowance(60, 700)
    assert allowance(emergency, spent, 7600.0) == Allowance(100, 1000)
    assert allowance(emergency, [Spent(99_999.0, 150, 0)], 0.0).empty  # the clock was set back


@given(st.lists(st.tuples(st.floats(0, 1e5), st.integers(0, 500), st.integers(0, 5000)), max_size=30))
def test_no_hour_takes_more_than_its_bounds(asked: list[tuple[float, int, int]]) -> None:
    """Runs that always take all they are allowed, at any times: every window of an hour stays within."""
    emergency = Emergency(max_keys=200, max_bytes=2000, max_keys_per_hour=450, max_bytes_per_hour=4500)
    spent: list[Spent] = []
    for at, keys, size in sorted(asked):
        allowed = allowance(emergency, spent, at)
        spent.append(Spent(at, min(keys, allowed.keys), min(size, allowed.size)))
    for last in spent:
        window = [item for item in spent if 0 <= last.at - item.at < 3600]
        assert sum(item.keys for item in window) <= 450
        assert sum(item.size for item in window) <= 4500
        assert last.keys <= 200
        assert last.size <= 2000


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 1000)), max_size=50),
    st.integers(0, 60),
    st.integers(0, 5000),
    st.one_of(st.none(), st.integers(1, 3000)),
)
def test_a_trimmed_plan_fits_and_says_what_it_is(
    sizes: list[int | None], keys: int, size: int, own: int | None
) -> None:
    whole = plan(*sizes)
    cut = trimmed(whole, Allowance(keys, size), own)
    assert len(cut.keys) <= keys
    assert cut.size <= size
    assert own is None or cut.size <= own
    assert None not in [key.size for key in cut.keys]
    assert cut.hash == fingerprint(cut)
    assert set(cut.keys) <= set(whole.keys)


def test_a_key_too_large_is_passed_by_and_not_the_end() -> None:
    assert [key.size for key in trimmed(plan(5000, 300, 300, 300), Allowance(10, 700)).keys] == [300, 300]


def test_the_criteria_never_ask_for_more_keys_than_allowed() -> None:
    named = NamedPlan("x", Criteria(patterns=(b"a*",), max_keys=50, max_bytes=9))
    assert criteria_within(named, Allowance(20, 1)).max_keys == 20
    assert criteria_within(named, Allowance(80, 1)).max_keys == 50
    assert criteria_within(named, Allowance(80, 1)).max_bytes == 1
    assert criteria_within(named, Allowance(80, 20)).max_bytes == 9


def test_a_key_of_which_only_a_sample_is_known_counts_with_its_most() -> None:
    sampled = PlannedKey(KeyId(0, b"k"), "hash", 100, size_low=50, size_high=5000)
    whole = replace(plan(), keys=(sampled, PlannedKey(KeyId(0, b"l"), "hash", 100)))
    assert trimmed(whole, Allowance(10, 5000)).keys == ()
    assert trimmed(whole, Allowance(10, 6000)).keys == (sampled,)
    assert trimmed(whole, Allowance(10, 6000)).criteria.max_bytes == 6000


def test_deleting_is_in_vain_where_something_else_holds_the_memory() -> None:
    assert not in_vain("close-critical")
    assert not in_vain("refusing-noeviction")
    assert in_vain("refusing-buffers")
    assert in_vain("misconf")
    assert in_vain("a rule of tomorrow")


def test_idle_times_count_only_where_they_can_be_trusted() -> None:
    trusting = Emergency(trust_idle=True)
    calm = snapshot(96)
    assert why_not_idle(Criteria(patterns=(b"a*",)), Emergency(), calm, lfu_seen=True) is None
    assert why_not_idle(IDLE, trusting, calm, lfu_seen=False) is None
    assert "trust_idle is not set" in str(why_not_idle(IDLE, Emergency(), calm, lfu_seen=False))
    assert "LFU" in str(why_not_idle(IDLE, trusting, calm, lfu_seen=True))
    assert "LFU" in str(why_not_idle(IDLE, trusting, snapshot(96, policy="allkeys-lfu"), lfu_seen=False))
    saving = replace(calm, activity=replace(calm.activity, saving=True))
    assert "BGSAVE" in str(why_not_idle(IDLE, trusting, saving, lfu_seen=False))
    young = replace(calm, server=replace(calm.server, uptime_seconds=60))
    assert "been up for only" in str(why_not_idle(IDLE, trusting, young, lfu_seen=False))
    oldest = Criteria(patterns=(b"a*",), order=Order.OLDEST)
    assert "trust_idle" in str(why_not_idle(oldest, Emergency(), calm, lfu_seen=False))


@pytest.mark.parametrize(("idle", "expected"), [(5000, 0), (20_000, 1)])
def test_keys_that_claim_to_be_idle_for_longer_than_the_server_runs_are_doubted(idle: int, expected: int) -> None:
    key = PlannedKey(KeyId(0, b"a"), "string", 10, idle_seconds=idle)
    assert len(doubts(Plan((key,), IDLE, 0.0, "s"), snapshot(96))) == expected
