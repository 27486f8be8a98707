"""Idle times are no reason to delete where the server cannot know them."""

import pytest

from redis_oom_tui.models.activity import Activity
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Order, PlannedKey
from redis_oom_tui.models.snapshot import Memory, Server, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.plan_warnings import idle_flags, refuse_idle

IDLE = Criteria(idle_over_seconds=100)
KEYS = (PlannedKey(KeyId(0, b"k"), "string", 1, idle_seconds=200),)
CALM = Snapshot(0.0, 0.0, Server("redis", "7", "master", Address(), uptime_seconds=1000), Memory(used_bytes=1))


def test_under_lfu_there_are_no_idle_times() -> None:
    seen = replace(CALM, memory=Memory(used_bytes=1, policy="volatile-lfu"))
    for criteria in (IDLE, Criteria(patterns=(b"*",), order=Order.OLDEST)):
        with pytest.raises(BadInput):
            refuse_idle(criteria, seen)
    refuse_idle(Criteria(patterns=(b"*",)), seen)


def test_under_lrm_no_plan_goes_by_the_times_of_the_last_change() -> None:
    seen = replace(CALM, memory=Memory(used_bytes=1, policy="allkeys-lrm"))
    with pytest.raises(BadInput, match="times of the last change, not of the last use"):
        refuse_idle(IDLE, seen)
    assert "only read after this preview" in idle_flags(Criteria(patterns=(b"*",)), seen, KEYS, lfu_before=False)[0]


def test_no_key_can_be_idle_for_longer_than_the_clock_counts() -> None:
    with pytest.raises(BadInput):
        refuse_idle(Criteria(idle_over_seconds=195 * 86400), CALM)


def test_a_calm_master_needs_no_flag() -> None:
    assert idle_flags(IDLE, CALM, KEYS, lfu_before=False) == ()


def test_an_lfu_past_a_replica_and_a_child_are_flagged() -> None:
    assert "LFU" in idle_flags(IDLE, CALM, KEYS, lfu_before=True)[0]
    replica = replace(CALM, server=replace(CALM.server, role="replica"))
    assert "replica" in idle_flags(IDLE, replica, KEYS, lfu_before=False)[0]
    saving = replace(CALM, activity=Activity(saving=True))
    assert "BGSAVE" in idle_flags(IDLE, saving, KEYS, lfu_before=False)[0]


def test_keys_idle_for_longer_than_the_server_runs_are_flagged() -> None:
    young = replace(CALM, server=replace(CALM.server, uptime_seconds=50))
    assert "1 key idle" in idle_flags(IDLE, young, KEYS, lfu_before=False)[0]


def test_without_idle_times_the_weaker_check_is_said() -> None:
    keys = (PlannedKey(KeyId(0, b"k"), "string", 1),)
    assert "does not report idle times" in idle_flags(Criteria(patterns=(b"*",)), CALM, keys, lfu_before=False)[0]
