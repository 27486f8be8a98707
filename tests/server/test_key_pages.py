"""The keys of a plan, made from what the server told of a page of them."""

import pytest

from redis_oom_tui.models.plan import PlannedKey
from redis_oom_tui.rules.expected_state import ReadSpan, ServerTime
from redis_oom_tui.server.mutations.key_pages import KeyFacts, PageMaker

_SPAN = ReadSpan(ServerTime(9_500, 9), ServerTime(9_600, 9))


def row(kind: bytes, size: int, limit: int | None = None) -> PlannedKey:
    """One key of this type, of which MEMORY USAGE answered so much."""
    facts = KeyFacts((b"key",), ([kind], [-1], [size], [100]), _SPAN)
    (made,) = PageMaker(0, limit, frequencies=False).page(facts, 1).rows
    return made


@pytest.mark.parametrize(
    ("kind", "size", "ends"),
    [
        (b"string", 5_000, (None, None)),  # its size is exact without a range
        (b"list", 200, (200, 200)),
        (b"set", 240, (120, 280)),
        (b"hash", 10_000, (None, None)),  # not all its elements were looked at
        (b"stream", 200, (None, None)),
    ],
)
def test_a_key_of_which_one_answer_tells_all_has_its_range_at_once(
    kind: bytes, size: int, ends: tuple[int | None, int | None]
) -> None:
    made = row(kind, size)
    assert (made.size, made.size_low, made.size_high, made.answered) == (size, *ends, None)


def test_a_key_that_is_larger_than_all_that_is_used_is_left_to_be_measured() -> None:
    made = row(b"list", 200, limit=150)
    assert (made.size, made.size_low, made.size_high) == (200, None, None)
    assert row(b"set", 240, limit=250).size_high == 250
