"""Queues, locks, sessions and streams are named before they are lost."""

import pytest

from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Operation, PlannedKey
from redis_oom_tui.models.scan import PatternRow
from redis_oom_tui.rules import plan_warnings


def family(pattern: bytes, *, keys: int = 10, types: tuple[tuple[str, int], ...] = ()) -> PatternRow:
    return PatternRow(pattern, pattern, keys, 100, 0.1, keys, types=types)


def key(name: bytes, kind: str = "string") -> PlannedKey:
    return PlannedKey(KeyId(0, name), kind, 100)


def test_queues_locks_and_sessions_are_flagged_once_a_kind() -> None:
    rows = [
        family(b"bull:mail:*"),
        family(b"lock:*"),
        family(b"session:*", keys=3),
        family(b"sess:*"),
        family(b"cache:*"),
    ]
    said = plan_warnings.critical_patterns(rows)
    assert len(said) == 3
    assert any("bull:mail:*" in sentence and "queue" in sentence for sentence in said)


def test_a_stream_is_flagged_whatever_its_name() -> None:
    assert "stream" in plan_warnings.critical_patterns([family(b"x:*", types=(("stream", 10),))])[0]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (b"lock:*", True),
        (b"app:locks:*", True),
        (b"emailqueue:*", True),
        (b"jobs:*", True),
        (b"usersession:*", True),
        (b"block:*", False),
        (b"clock:*", False),
        (b"release:*", False),
        (b"jobless:*", False),
        (b"irq:*", False),
    ],
)
def test_names_that_only_hold_such_a_word_are_no_queue_or_lock(name: bytes, told: bool) -> None:
    assert bool(plan_warnings.critical_patterns([family(name)])) == told


def test_the_keys_of_a_plan_are_counted_kind_by_kind_and_one_is_named() -> None:
    keys = [key(b"session:%d" % n) for n in range(1500)] + [key(b"cache:%d" % n) for n in range(10)]
    said = plan_warnings.critical_flags([*keys, key(b"clicks", "stream"), key(b"LOCK:a")], Operation.DELETE)
    assert said == (
        "1,500 keys look like sessions (such as session:0): deleting them may break the application that uses them.",
        "1 key looks like a stream (clicks): deleting it may break the application that uses it.",
        "1 key looks like a lock (LOCK:a): deleting it may break the application that uses it.",
    )


def test_letting_expire_is_named_so() -> None:
    assert "expiring it" in plan_warnings.critical_flags([key(b"jobs:1")], Operation.EXPIRE)[0]


def test_caches_are_nothing_to_warn_of() -> None:
    assert plan_warnings.critical_flags([key(b"cache:block:%d" % n) for n in range(20)], Operation.DELETE) == ()


def test_a_hostile_name_is_named_harmlessly() -> None:
    (said,) = plan_warnings.critical_flags([key(b"queue:\x1b[2J" + b"q" * 1000)], Operation.DELETE)
    assert "\x1b" not in said
    assert len(said) < 200
