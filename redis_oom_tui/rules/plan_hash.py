"""A plan's hash: the same for the same keys and operation, another for anything else."""

import hashlib
import json
from collections.abc import Callable, Sequence
from itertools import chain
from json.encoder import encode_basestring_ascii as _quoted
from typing import TypeVar, cast

from redis_oom_tui.formatting import pattern_text
from redis_oom_tui.formatting.sanitize import escape_exact
from redis_oom_tui.models.plan import Criteria, Plan, PlannedKey
from redis_oom_tui.models.structs import replace

_AT_ONCE = 1000
_NULL = "null"
_LINE = f"[{', '.join(['%s'] * 9)}]"
# What stands otherwise in the exact spelling of a name, or in JSON.
_ESCAPED = frozenset(b'"\\')
Value = TypeVar("Value", str, float | None)


def fingerprint(plan: Plan) -> str:
    """SHA-256 of all that decides what `plan` does and of all that is said of it before, as 64 hex digits."""
    stated = [
        "plan 2",
        plan.made_at,
        plan.role,
        plan.keyspace_keys,
        plan.scanned_keys,
        plan.matched_keys,
        plan.matched_bytes,
        plan.complete,
        list(plan.flags),
        _criteria(plan.criteria),
    ]
    # Plans of before it was written keep their hashes.
    if plan.limit_bytes is not None:
        stated.append(plan.limit_bytes)
    return _fingerprint(plan, stated)


def first_fingerprint(plan: Plan) -> str:
    """The hash of plans that earlier versions saved: it leaves out when, by whom and in which state they were made."""
    return _fingerprint(plan, [])


def _criteria(criteria: Criteria) -> list[object]:
    """What is saved of them; marked keys are not, as the plan has them."""
    return [
        [escape_exact(pattern) for pattern in criteria.patterns],
        list(criteria.types),
        None if criteria.databases is None else list(criteria.databases),
        criteria.idle_over_seconds,
        criteria.ttl.value,
        criteria.larger_than_bytes,
        criteria.max_keys,
        criteria.max_bytes,
        criteria.order.value,
        [pattern_text.fields(pattern) for pattern in criteria.key_patterns],
        # Plans of before it was written keep their hashes.
        *([criteria.node] if criteria.node else []),
    ]


def _fingerprint(plan: Plan, stated: list[object]) -> str:
    digest = hashlib.sha256()
    head = [plan.server, plan.run_id, plan.operation.value, plan.expire_seconds, len(plan.keys), *stated]
    digest.update(json.dumps(head).encode())
    for start in range(0, len(plan.keys), _AT_ONCE):
        digest.update(_lines(plan.keys[start : start + _AT_ONCE]).encode("ascii"))
    # Plans of before sizes had ranges keep their hashes.
    if any(key.size_high is not None or key.answered is not None for key in plan.keys):
        ranges = [(key.size_low, key.size_high, key.answered) for key in plan.keys]
        digest.update(json.dumps(ranges).encode("ascii"))
    return digest.hexdigest()


def _lines(keys: Sequence[PlannedKey]) -> str:
    """`json.dumps(_facts(key))` of each of `keys`, in a tenth of the time: there may be hundreds of thousands.

    >>> from redis_oom_tui.models.keys import KeyId
    >>> keys = [PlannedKey(KeyId(0, b'"'), "string", 9, read_at=1.5), PlannedKey(KeyId(1, b"a"), "set", 5)]
    >>> _lines(keys) == "".join([json.dumps(_facts(key)) for key in keys])
    True
    """
    ids = [key.id for key in keys]
    columns = (
        [id_.db for id_ in ids],
        _names([id_.key for id_ in ids]),
        _each_once([id_.node for id_ in ids], _quoted),
        _each_once([key.type for key in keys], _quoted),
        _numbers([key.size for key in keys]),
        _numbers([key.ttl_ms for key in keys]),
        _numbers([key.idle_seconds for key in keys]),
        _numbers([key.frequency for key in keys]),
        # Keys of one page were read at one time.
        _each_once([key.read_at for key in keys], lambda at: _NULL if at is None else repr(at)),
    )
    return _LINE * len(keys) % tuple(chain.from_iterable(zip(*columns, strict=True)))


def _names(names: Sequence[bytes]) -> list[str]:
    together = b"".join(names)
    text = together.decode("ascii") if together.isascii() else ""
    # One look at all of them tells whether they need no escaping at all, which is usual.
    if text.isprintable() and len(text) == len(together) and not _ESCAPED.intersection(together):
        return [f'"{name.decode("ascii")}"' for name in names]
    return [_quoted(escape_exact(name)) for name in names]


def _numbers(values: list[int | None]) -> Sequence[int | str]:
    if None not in values:
        return cast("list[int]", values)
    return [_NULL if value is None else value for value in values]


def _each_once(values: Sequence[Value], written: Callable[[Value], str]) -> list[str]:
    """Each of `values` as `written`, which is asked once for those that are alike."""
    known = {value: written(value) for value in set(values)}
    return [known[value] for value in values]


def frozen(plan: Plan) -> Plan:
    """`plan` with its hash."""
    return replace(plan, hash=fingerprint(plan))


def key_fields(key: PlannedKey) -> list[object]:
    """A planned key as plain values, its name exactly; without a range where its size has none."""
    ranges = [key.size_low, key.size_high, key.answered]
    return [*_facts(key), *ranges] if any(end is not None for end in ranges) else _facts(key)


def _facts(key: PlannedKey) -> list[object]:
    return [
        key.id.db,
        escape_exact(key.id.key),
        key.id.node,
        key.type,
        key.size,
        key.ttl_ms,
        key.idle_seconds,
        key.frequency,
        key.read_at,
    ]
