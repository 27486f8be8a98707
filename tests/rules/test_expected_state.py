"""What an unchanged key must look like: never stricter than time allows, never blind to a change."""

from hypothesis import assume, given
from hypothesis import strategies as st

from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import PlannedKey
from redis_oom_tui.rules.expected_state import IN_USE, ReadSpan, ServerTime, difference, expected, server_time


def key(**fields: object) -> PlannedKey:
    given = {"type": "string", "size": 100, "read_at": 1000.0, **fields}
    return PlannedKey(KeyId(0, b"k"), **given)  # type: ignore[arg-type]


def at(seconds: float, lag: int | None = 0) -> ServerTime:
    return ServerTime(round(seconds * 1000), None if lag is None else int(seconds) - lag)


@given(
    stamp=st.integers(0, 2000),
    lags=st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)),
    at_read=st.floats(2003, 3000),
    took=st.floats(0, 3),
    later=st.floats(0, 10**6),
)
def test_an_untouched_key_is_never_taken_for_a_used_one(
    stamp: int, lags: tuple[int, int, int], at_read: float, took: float, later: float
) -> None:
    """The clock of idle times is behind by one lag and another; `stamp` is when it was last used."""
    before, after, now = at(at_read, lags[0]), at(at_read + took, lags[1]), at(at_read + took + later, lags[2])
    assume((before.idle_clock or 0) <= (after.idle_clock or 0) <= (now.idle_clock or 0))
    span = ReadSpan(before, after)
    for clock in (before.idle_clock, after.idle_clock):
        idle = (clock or 0) - stamp
        if idle > span.in_use_seconds:
            want = expected(key(idle_seconds=idle, read_at=span.read_at))
            assert difference(want, "string", None, (now.idle_clock or 0) - stamp, 100, now) is None


@given(
    idle=st.integers(0, 50),
    lag=st.integers(0, 2),
    known=st.booleans(),
    at_read=st.floats(2000, 2001),
    took=st.floats(0, 3),
    since=st.floats(0, 20),
    until=st.floats(0, 20),
)
def test_a_key_that_is_used_after_it_was_read_is_always_seen(
    idle: int, lag: int, known: bool, at_read: float, took: float, since: float, until: float
) -> None:
    """However soon after the read: one that was in use then is known to be."""
    span = ReadSpan(at(at_read, lag if known else None), at(at_read + took, lag if known else None))
    if idle <= span.in_use_seconds:
        assert expected(key(idle_seconds=idle, read_at=None)).used_at == IN_USE
        return
    want = expected(key(idle_seconds=idle, read_at=span.read_at))
    used = int(at_read + since) - lag
    now = at_read + took + since + until
    reported = max(0, int(now) - lag - used)
    assert difference(want, "string", None, reported, 100, at(now, lag if known else None)) == "used"


def test_the_clock_of_idle_times_is_found_from_its_24_bits() -> None:
    assert server_time(1_795_977_719_130, 1_795_977_718 % 2**24).idle_clock == 1_795_977_718
    assert server_time(2**24 * 1000 + 500, 2**24 - 1).idle_clock == 2**24 - 1
    assert server_time(1_795_977_719_130, 5).idle_clock is None


def test_each_change_is_named() -> None:
    want, now = expected(key(ttl_ms=60_000)), at(1010)
    assert difference(want, None, None, None, None, now) == "gone"
    assert difference(want, "hash", 50_000, None, 100, now) == "type"
    assert difference(want, "string", None, None, 100, now) == "ttl"
    assert difference(want, "string", 60_000, None, 100, now) == "ttl"
    assert difference(want, "string", 50_000, None, 101, now) == "size"
    assert difference(want, "string", 50_000, None, 100, now) is None


def test_a_key_that_was_given_an_expiry_has_changed() -> None:
    assert difference(expected(key()), "string", 10**9, None, 100, at(1000)) == "ttl"


def test_sizes_of_large_collections_are_compared_by_class() -> None:
    want = expected(key(type="hash", size=1_000_000))
    assert difference(want, "hash", None, None, 700_000, at(1000)) is None
    assert difference(want, "hash", None, None, 400_000, at(1000)) == "size"


def test_what_is_unknown_is_not_compared() -> None:
    assert difference(expected(key(size=None)), "string", None, None, 5, at(1000)) is None
    assert difference(expected(key(idle_seconds=9)), "string", None, None, 100, at(1000)) is None
