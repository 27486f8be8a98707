"""The slot of a key, as redis-py's own cluster client finds it."""

from hypothesis import example, given
from hypothesis import strategies as st
from redis.crc import key_slot

from redis_oom_tui.formatting.keys import slot_of


@given(st.one_of(st.binary(), st.text("{}ab").map(str.encode)))
@example(b"")
@example(b"{}")
@example(b"a{}{b}")
@example(b"{a")
def test_it_is_the_driver_s(key: bytes) -> None:
    assert slot_of(key) == key_slot(key)
