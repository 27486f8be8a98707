"""What each policy would mean: who can go, whether that is enough, and what not to overlook."""

from redis_oom_tui.models.activity import Activity
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.scan import PatternRow, ScanState, ScanView
from redis_oom_tui.models.snapshot import Database, Memory, Server, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.policies import KNOWN
from redis_oom_tui.rules.whatif import policy_view, policy_views, write_path

MIB = 1024 * 1024


def snapshot(*, policy: str = "noeviction", expires: int = 0, limit: int | None = 90 * MIB, **memory: int) -> Snapshot:
    return Snapshot(
        0.0,
        0.0,
        Server("redis", "7.0.15", "master", Address()),
        Memory(used_bytes=100 * MIB, maxmemory_bytes=limit, policy=policy, **memory),
        databases=(Database(0, 1000, expires),),
    )


def scan(**fields: object) -> ScanView:
    return ScanView(ScanState.COMPLETE, scanned_keys=1000, bytes_seen=80 * MIB, **fields)  # type: ignore[arg-type]


def pattern_row(pattern: bytes, **fields: object) -> PatternRow:
    given = {"keys": 10, "size": 100, "share": 0.1, "no_ttl_keys": 10, **fields}
    return PatternRow(pattern, pattern, **given)  # type: ignore[arg-type]


def test_volatile_without_a_ttl_anywhere_equals_noeviction() -> None:
    view = policy_view("volatile-lru", snapshot(), None)
    assert view.equals_noeviction
    assert view.evictable_keys == 0
    assert view.enough is False
    assert any("behaves like noeviction" in warning for warning in view.warnings)


def test_whether_it_is_enough_is_not_known_where_a_module_tells_no_sizes() -> None:
    little = {"volatile_keys": 400, "volatile_bytes": MIB}
    assert policy_view("volatile-ttl", snapshot(expires=400), scan(**little)).enough is False
    view = policy_view("volatile-ttl", snapshot(expires=400), scan(**little, unsized_keys=3))
    assert view.enough is None
    assert not any("still refused" in warning for warning in view.warnings)


def test_volatile_counts_the_keys_with_a_ttl_and_their_bytes_from_the_scan() -> None:
    view = policy_view("volatile-ttl", snapshot(expires=400), scan(volatile_keys=400, volatile_bytes=20 * MIB))
    assert (view.evictable_keys, view.evictable_bytes, view.enough) == (400, 20 * MIB, True)


def test_less_than_is_needed_is_said() -> None:
    view = policy_view("volatile-ttl", snapshot(expires=4), scan(volatile_keys=4, volatile_bytes=4 * MIB))
    assert view.enough is False
    assert any("less than the 10.0 MiB to be freed" in warning for warning in view.warnings)


def test_a_partial_scan_is_scaled_to_the_counted_keys() -> None:
    partial = ScanView(ScanState.STOPPED, scanned_keys=100, bytes_seen=8 * MIB, volatile_keys=10, volatile_bytes=MIB)
    assert policy_view("allkeys-lru", snapshot(), partial).evictable_bytes == 80 * MIB
    assert policy_view("volatile-lru", snapshot(expires=50), partial).evictable_bytes == 5 * MIB


def test_keys_that_have_gone_since_the_scan_hold_nothing() -> None:
    before = scan(volatile_keys=400, volatile_bytes=20 * MIB)
    fewer = policy_view("volatile-lru", snapshot(expires=20), before)
    # Those that are left may be the largest.
    assert (fewer.evictable_bytes, fewer.enough) == (MIB, None)
    assert policy_view("volatile-lru", snapshot(expires=500), before).evictable_bytes == 20 * MIB


def test_without_a_scan_bytes_are_unknown_and_not_zero() -> None:
    assert policy_view("allkeys-lru", snapshot(), None).evictable_bytes is None


def test_a_switch_to_lfu_is_near_random_at_first() -> None:
    assert any("near-random" in warning for warning in policy_view("allkeys-lfu", snapshot(), None).warnings)
    stays = policy_view("allkeys-lfu", snapshot(policy="volatile-lfu"), None)
    assert not any("at random" in warning for warning in stays.warnings)


def test_a_switch_between_lru_and_lrm_goes_by_the_times_of_before() -> None:
    to = policy_view("allkeys-lrm", snapshot(policy="allkeys-lru"), None)
    back = policy_view("allkeys-lru", snapshot(policy="allkeys-lrm"), None)
    assert any("the time of its last use counts" in warning for warning in to.warnings)
    assert any("also keys that are read" in warning for warning in back.warnings)
    # Where the server lists no policies, its own is shown all the same.
    managed = policy_views((), snapshot(policy="volatile-lrm"), None)
    assert [view.name for view in managed if view.current] == ["volatile-lrm"]


def test_a_switch_from_lfu_to_lru_is_near_random_too() -> None:
    view = policy_view("allkeys-lru", snapshot(policy="allkeys-lfu"), None)
    assert any("at random" in warning for warning in view.warnings)


def test_buffers_cannot_be_evicted() -> None:
    view = policy_view("allkeys-lru", snapshot(clients_normal_bytes=60 * MIB), None)
    assert any("60.0 MiB are buffers" in warning for warning in view.warnings)


def test_patterns_without_a_ttl_are_not_flagged_under_volatile() -> None:
    rows = (pattern_row(b"queue:*", no_ttl_keys=10), pattern_row(b"cache:*", no_ttl_keys=0))
    view = policy_view("volatile-lru", snapshot(expires=10), scan(patterns=rows, volatile_keys=10, volatile_bytes=1))
    assert view.first_to_go == (b"cache:*",)
    assert not any("queue" in warning for warning in view.warnings)


def test_where_the_server_does_not_list_policies_the_common_ones_are_shown() -> None:
    assert [view.name for view in policy_views((), snapshot(), None)] == list(KNOWN)
    assert [view.name for view in policy_views(("a", "noeviction"), snapshot(), None)] == ["a", "noeviction"]


def test_the_path_of_a_write_ends_where_this_server_ends_it() -> None:
    assert [step.end for step in write_path(snapshot(limit=None))] == [True]
    refused = write_path(snapshot())
    assert refused[-1].lit
    assert "refused with OOM" in refused[-1].answer
    assert refused[-1].refused
    evicting = write_path(snapshot(policy="allkeys-lru"))
    assert "up to 1,000 keys are evicted" in evicting[-1].answer
    assert not evicting[-1].refused
    nothing = write_path(snapshot(policy="volatile-lru"))
    assert "refused with OOM" in nothing[-1].answer
    assert nothing[-1].refused


def test_below_the_limit_the_rest_of_the_path_is_not_lit() -> None:
    steps = write_path(snapshot(policy="allkeys-lru", limit=200 * MIB))
    assert [step.lit for step in steps] == [True, True, False, False]
    assert "the write is accepted" in steps[1].answer


def flagged(found: ScanView, **given: int) -> dict[str, bool]:
    return {view.name: view.flagged for view in policy_views(KNOWN, snapshot(**given), found)}


def test_a_mark_tells_policies_apart_by_what_they_would_take_first() -> None:
    quantiles = (86_400, 86_400, 86_400)
    pattern_rows = (
        pattern_row(b"sess:*", keys=600, size=30 * MIB, no_ttl_keys=0, idle_quantiles=(1, 1, 1)),
        pattern_row(b"cache:*", keys=400, size=40 * MIB, no_ttl_keys=400, idle_quantiles=quantiles),
    )
    found = scan(patterns=pattern_rows, volatile_keys=600, volatile_bytes=30 * MIB)
    marks = flagged(found, expires=600)
    assert not marks["noeviction"]
    assert not marks["allkeys-lru"], "the idle cache goes before the sessions"
    assert marks["allkeys-random"], "six of ten keys are sessions"
    assert marks["volatile-ttl"], "only sessions have a TTL"


def test_what_evicts_nothing_or_too_little_is_marked() -> None:
    assert flagged(scan())["volatile-lru"]
    assert flagged(scan(volatile_keys=4, volatile_bytes=4 * MIB), expires=4)["volatile-ttl"]
    assert not flagged(scan(volatile_keys=400, volatile_bytes=20 * MIB), expires=400)["volatile-ttl"]


def test_keys_that_are_never_evicted_are_left_out_and_what_they_hold_is_unknown() -> None:
    scan = ScanView(ScanState.COMPLETE, scanned_keys=1000, bytes_seen=80 * MIB, volatile_keys=50, volatile_bytes=MIB)
    full = snapshot(expires=50)
    kept = replace(full, activity=Activity(never_evicted_keys=990))
    every = replace(full, activity=Activity(never_evicted_keys=full.keys))
    assert policy_view("allkeys-lru", full, scan).enough is True
    assert policy_view("allkeys-lru", kept, scan).enough is None
    assert policy_view("allkeys-lru", kept, scan).evictable_keys == full.keys - 990
    # How many of them have a TTL is not told.
    assert policy_view("volatile-lru", kept, scan).evictable_keys == min(50, full.keys - 990)
    assert policy_view("allkeys-lru", every, scan).equals_noeviction
    steps = write_path(replace(every, memory=replace(every.memory, policy="allkeys-lru")))
    assert "no keys but those that are never evicted" in steps[-1].answer
