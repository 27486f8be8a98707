"""Queues, locks, sessions and streams are named before they are lost."""

import pytest

from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Operation, PlannedKey
from redis_oom_tui.models.scan import PatternRow, ScanState, ScanView
from redis_oom_tui.rules.applications import recognize
from redis_oom_tui.rules.applications.losses import lost_by_eviction, lost_with_plan
from tests.rules.scanned import Key, scanned
from tests.rules.test_applications import SIDEKIQ, bull_keys


def pattern_row(pattern: bytes, *, keys: int = 10, types: tuple[tuple[str, int], ...] = ()) -> PatternRow:
    return PatternRow(pattern, pattern, keys, 100, 0.1, keys, types=types)


def key(name: bytes, kind: str = "string") -> PlannedKey:
    return PlannedKey(KeyId(0, name), kind, 100)


def evicted(*rows: PatternRow) -> tuple[str, ...]:
    return lost_by_eviction(rows, recognize(ScanView(ScanState.COMPLETE, patterns=rows)))


def test_queues_locks_and_sessions_are_flagged_once_a_kind() -> None:
    rows = [
        pattern_row(b"mailqueue:*"),
        pattern_row(b"lock:*"),
        pattern_row(b"session:*", keys=3),
        pattern_row(b"sess:*"),
        pattern_row(b"cache:*"),
    ]
    said = evicted(*rows)
    assert len(said) == 3
    assert any("mailqueue:*" in sentence and "queue" in sentence for sentence in said)


def test_a_stream_is_flagged_whatever_its_name() -> None:
    assert "stream" in evicted(pattern_row(b"x:*", types=(("stream", 10),)))[0]


@pytest.mark.parametrize(
    ("name", "critical"),
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
def test_names_that_only_hold_such_a_word_are_no_queue_or_lock(name: bytes, critical: bool) -> None:
    assert bool(evicted(pattern_row(name))) == critical


def test_the_keys_of_a_plan_are_counted_kind_by_kind_and_one_is_named() -> None:
    keys = [key(b"session:%d" % n) for n in range(1500)] + [key(b"cache:%d" % n) for n in range(10)]
    said = lost_with_plan([*keys, key(b"clicks", "stream"), key(b"LOCK:a")], Operation.DELETE)
    assert said == (
        "1,500 keys look like sessions (such as session:0): deleting them may break the application that uses them.",
        "1 key looks like a stream (clicks): deleting it may break the application that uses it.",
        "1 key looks like a lock (LOCK:a): deleting it may break the application that uses it.",
    )


def test_letting_expire_is_named_so() -> None:
    assert "expiring it" in lost_with_plan([key(b"jobs:1")], Operation.EXPIRE)[0]


def test_caches_are_nothing_to_warn_of() -> None:
    assert lost_with_plan([key(b"cache:block:%d" % n) for n in range(20)], Operation.DELETE) == ()


def test_a_hostile_name_is_named_harmlessly() -> None:
    (said,) = lost_with_plan([key(b"queue:\x1b[2J" + b"q" * 1000)], Operation.DELETE)
    assert "\x1b" not in said
    assert len(said) < 200


def test_what_an_eviction_would_break_is_told_by_application() -> None:
    view = scanned([*bull_keys(), *SIDEKIQ])
    leaves = [row for row in view.patterns if (row.db, row.pattern) not in {(r.db, r.parent) for r in view.patterns}]
    sentences = lost_by_eviction(leaves, recognize(view))
    assert sentences[0] == (
        "Jobs, settings and waiting jobs of BullMQ (bull:mail:<id>, 202 keys in all) may be evicted silently: that"
        " breaks the application; BullMQ requires noeviction."
    )
    assert sentences[1].startswith("Waiting jobs, failed jobs and indexes of Sidekiq (queue:mailers, 4 keys in all)")
    assert not any("looks like a queue" in sentence for sentence in sentences)


def test_the_work_in_a_plan_is_told_by_application_and_what_is_harmless_is_not() -> None:
    keys: list[Key] = [*SIDEKIQ, ("celery-task-meta-0f0d00b0-2222-4333-8444-555555555555", "string", 90)]
    sentences = lost_with_plan([key(str(name).encode(), kind) for name, kind, _ in keys], Operation.DELETE)
    assert sentences == (
        "1 key holds indexes of Sidekiq (queues): deleting it breaks the application.",
        "2 keys hold waiting jobs of Sidekiq (such as queue:default): deleting them loses work.",
        "1 key holds failed jobs of Sidekiq (retry): deleting it loses work.",
    )
