"""Which keys a cleanup takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyId, KeyRow
from redis_oom_tui.models.plan import Criteria, Order, PlannedKey, TtlFilter
from redis_oom_tui.rules.selection import Selected, check, matches
from redis_oom_tui.rules.sizing import weight


def row(name: bytes = b"k", **fields: object) -> KeyRow:
    return KeyRow(KeyId(0, name), **{"type": "string", "size": 100, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "criteria",
    [
        Criteria(),
        Criteria(patterns=(b"",)),
        Criteria(patterns=(b"a*", b"")),
        Criteria(patterns=(b"*",), max_keys=0),
        Criteria(patterns=(b"*",), max_bytes=-1),
        Criteria(databases=(0,), max_keys=5),
    ],
)
def test_criteria_that_mean_nothing_or_everything_unawares_are_refused(criteria: Criteria) -> None:
    with pytest.raises(BadInput):
        check(criteria)


def test_a_star_says_everything_on_purpose() -> None:
    check(Criteria(patterns=(b"*",)))


def test_any_pattern_suffices_and_all_else_must_hold() -> None:
    criteria = Criteria(patterns=(b"a:*", b"b:*"), types=("string", "hash"), ttl=TtlFilter.WITHOUT)
    assert matches(criteria, row(b"a:1"))
    assert matches(criteria, row(b"b:1", type="hash"))
    assert not matches(criteria, row(b"c:1"))
    assert not matches(criteria, row(b"a:1", type="list"))
    assert not matches(criteria, row(b"a:1", ttl_ms=5))


@pytest.mark.parametrize("criteria", [Criteria(larger_than_bytes=1), Criteria(idle_over_seconds=1)])
def test_what_is_unknown_does_not_match(criteria: Criteria) -> None:
    assert not matches(criteria, row(size=None, idle_seconds=None))


def test_marked_rows_are_taken_by_identity_alone() -> None:
    criteria = Criteria(keys=(KeyId(0, b"user[1]*"), KeyId(1, b"k")))
    assert matches(criteria, row(b"user[1]*"))
    assert not matches(criteria, row(b"user1x"))
    assert not matches(criteria, row(b"k"))


KEYS = st.lists(
    st.builds(
        lambda name, size, idle: PlannedKey(KeyId(0, name), "string", size, idle_seconds=idle),
        st.binary(min_size=1, max_size=3),
        st.none() | st.integers(0, 50),
        st.none() | st.integers(0, 50),
    ),
    unique_by=lambda key: key.id,
    max_size=40,
)


@given(keys=KEYS, most=st.integers(1, 10), order=st.sampled_from(Order))
def test_a_limit_lets_the_first_by_the_order_in(keys: list[PlannedKey], most: int, order: Order) -> None:
    chosen = Selected(Criteria(max_keys=most, order=order))
    for key in keys:
        chosen.add(key)
    taken = chosen.taken()
    rank = {Order.LARGEST: lambda key: key.size or 0, Order.OLDEST: lambda key: key.idle_seconds or 0}[order]
    assert chosen.matched_keys == len(keys)
    assert sorted(map(rank, taken)) == sorted(map(rank, keys))[-most:]
    assert [rank(key) for key in taken] == sorted(map(rank, taken), reverse=True)


@given(keys=KEYS, most=st.integers(1, 500))
def test_a_limit_in_bytes_is_never_exceeded(keys: list[PlannedKey], most: int) -> None:
    chosen = Selected(Criteria(max_bytes=most))
    for key in keys:
        chosen.add(key)
    taken = chosen.taken()
    assert sum(weight(key.most or 0) for key in taken) <= most
    left = most - sum(weight(key.most or 0) for key in taken)
    # What was passed by does not fit, or nobody can say that it does.
    assert all(key.most is None or weight(key.most) > left for key in set(keys) - set(taken))


def test_a_key_that_scan_showed_twice_is_planned_once() -> None:
    chosen = Selected(Criteria(patterns=(b"*",)))
    for size in (1, 1, 2):
        chosen.add(PlannedKey(KeyId(0, b"k"), "string", size))
    assert [key.id.key for key in chosen.taken()] == [b"k"]


def test_a_key_that_scan_showed_twice_with_another_idle_time_is_planned_once_at_the_limit_too() -> None:
    chosen = Selected(Criteria(patterns=(b"*",), max_keys=2))
    for at in range(5):
        chosen.add(PlannedKey(KeyId(0, b"k"), "string", 1, idle_seconds=at, read_at=float(at)))
    assert [key.id.key for key in chosen.taken()] == [b"k"]
