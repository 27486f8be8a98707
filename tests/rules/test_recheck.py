"""What an unchanged key must look like: never stricter than time allows, never blind to a change."""

from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import PlannedKey
from redis_oom_tui.rules.recheck import difference, expected


def key(**fields: object) -> PlannedKey:
    given = {"type": "string", "size": 100, "read_at": 1000.0, **fields}
    return PlannedKey(KeyId(0, b"k"), **given)  # type: ignore[arg-type]


@given(
    idle=st.integers(0, 10**6),
    elapsed=st.floats(0, 10**6),
    lag=st.floats(0, 1.0),
    part=st.floats(0, 1, exclude_max=True),
)
def test_an_untouched_key_is_never_taken_for_a_used_one(idle: int, elapsed: float, lag: float, part: float) -> None:
    want = expected(key(idle_seconds=idle), 1000.0 + elapsed)
    truth = idle + part + elapsed
    told = max(0, int(truth - lag))
    assert difference(want, "string", None, told, 100) is None


@given(idle=st.integers(0, 10**6), elapsed=st.floats(4, 10**6), since=st.floats(0, 1))
def test_a_key_used_after_it_was_read_is_seen_once_the_clock_can_tell(idle: int, elapsed: float, since: float) -> None:
    want = expected(key(idle_seconds=idle), 1000.0 + elapsed)
    used_ago = int(since * (elapsed - 4))
    assert difference(want, "string", None, used_ago, 100) == "used"


def test_each_change_is_named() -> None:
    want = expected(key(ttl_ms=60_000), 1010.0)
    assert difference(want, None, None, None, None) == "gone"
    assert difference(want, "hash", 50_000, None, 100) == "type"
    assert difference(want, "string", None, None, 100) == "ttl"
    assert difference(want, "string", 60_000, None, 100) == "ttl"
    assert difference(want, "string", 50_000, None, 101) == "size"
    assert difference(want, "string", 50_000, None, 100) is None


def test_a_key_that_was_given_an_expiry_has_changed() -> None:
    assert difference(expected(key(), 1000.0), "string", 10**9, None, 100) == "ttl"


def test_sizes_of_large_collections_are_compared_by_class() -> None:
    want = expected(key(type="hash", size=1_000_000), 1000.0)
    assert difference(want, "hash", None, None, 700_000) is None
    assert difference(want, "hash", None, None, 400_000) == "size"


def test_what_is_unknown_is_not_compared() -> None:
    assert difference(expected(key(size=None), 1000.0), "string", None, None, 5) is None
    assert difference(expected(key(idle_seconds=9), 1000.0), "string", None, None, 100) is None
