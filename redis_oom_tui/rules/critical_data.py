"""Data whose silent loss breaks an application: queues, locks, sessions and streams, told by name and type."""

import re
from collections.abc import Iterable
from functools import lru_cache

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, number_of_keys
from redis_oom_tui.models.plan import Operation, PlannedKey
from redis_oom_tui.models.scan import PatternRow

# Words in names, and the kind they stand for (sidekiq and bullmq are known cases).
_NAMES = {
    "queue": rb"queue|bull:|sidekiq|resque|celery|kombu|(?<![a-z])(?:rq:|jobs?(?![a-z]))",
    # Short words only where they stand alone: a block, a clock and a release are none.
    "lock": rb"(?<![a-z])(?:un)?locks?(?![a-z])|mutex|semaphore|(?<![a-z])leases?(?![a-z])",
    "session": rb"session|(?<![a-z])sess:|login|token",
}
_KINDS = {kind: re.compile(words) for kind, words in _NAMES.items()}
_ONE_DIGIT = bytes.maketrans(b"123456789", b"000000000")
_SHOWN_WIDTH = 40


def kind(row: PatternRow) -> str | None:
    """What a family of keys looks like: queue, lock, session or stream; None for all else."""
    return _by_name(row.pattern) or ("stream" if any(name == "stream" for name, _ in row.types) else None)


def families(rows: Iterable[PatternRow]) -> tuple[str, ...]:
    """Sentences about families that look like queues, locks or sessions, the largest first; one for each kind."""
    found: dict[str, PatternRow] = {}
    for row in sorted(rows, key=lambda row: row.size, reverse=True):
        looks = kind(row)
        if looks is not None:
            found.setdefault(looks, row)
    return tuple(
        f"{safe_text(row.pattern, _SHOWN_WIDTH)} ({number_of_keys(row.keys)}) looks like {_one(looks)}: losing one of"
        " its keys may break the application that uses it."
        for looks, row in found.items()
    )


def flags(keys: Iterable[PlannedKey], deed: Operation) -> tuple[str, ...]:
    """Sentences about the keys of a plan that look like queues, locks, sessions or streams; one for each kind.

    >>> from redis_oom_tui.models.keys import KeyId
    >>> flags([PlannedKey(KeyId(0, b"queue:mail"), "list", 9)], Operation.DELETE)
    ('1 key looks like a queue (queue:mail): deleting it may break the application that uses it.',)
    """
    numbers: dict[str, int] = {}
    first: dict[str, PlannedKey] = {}
    for key in keys:
        # A hundred thousand names that differ in their numbers are looked at once.
        looks = _by_shape(key.id.key.translate(_ONE_DIGIT)) or ("stream" if key.type == "stream" else None)
        if looks is not None:
            numbers[looks] = numbers.get(looks, 0) + 1
            first.setdefault(looks, key)
    doing = "deleting" if deed is Operation.DELETE else "expiring"
    return tuple(_flag(looks, number, first[looks], doing) for looks, number in numbers.items())


def _flag(looks: str, number: int, first: PlannedKey, doing: str) -> str:
    name = safe_text(first.id.key, _SHOWN_WIDTH)
    if number == 1:
        return f"1 key looks like {_one(looks)} ({name}): {doing} it may break the application that uses it."
    return (
        f"{count(number)} keys look like {looks}s (such as {name}): {doing} them may break the application that uses"
        " them."
    )


def _one(looks: str) -> str:
    return "sessions" if looks == "session" else f"a {looks}"


def _by_name(name: bytes) -> str | None:
    lowered = name.lower()
    return next((looks for looks, words in _KINDS.items() if words.search(lowered)), None)


_by_shape = lru_cache(maxsize=4096)(_by_name)
