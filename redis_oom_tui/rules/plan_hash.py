"""A plan's hash: the same for the same keys and operation, another for anything else."""

import hashlib
import json
from collections.abc import Sequence
from itertools import chain
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any

from redis_oom_tui.formatting import pattern_text
from redis_oom_tui.formatting.sanitize import escape_all, escape_exact
from redis_oom_tui.models.plan import Criteria, Plan, PlannedKey
from redis_oom_tui.models.structs import replace

_AT_ONCE = 1000


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
    if sum([key.size_high is not None or key.answered is not None for key in plan.keys]):
        ranges = [(key.size_low, key.size_high, key.answered) for key in plan.keys]
        # Many are alike.
        alike = {three: json.dumps(three) for three in set(ranges)}
        digest.update(f"[{', '.join([alike[three] for three in ranges])}]".encode("ascii"))
    return digest.hexdigest()


def _lines(keys: Sequence[PlannedKey]) -> str:
    """`json.dumps(_facts(key))` of each of `keys`, in a tenth of the time: there may be hundreds of thousands.

    >>> from redis_oom_tui.models.keys import KeyId
    >>> keys = [PlannedKey(KeyId(0, b'"'), "string", 9, read_at=1.5), PlannedKey(KeyId(1, b"a"), "set", 5)]
    >>> _lines(keys) == "".join([json.dumps(_facts(key)) for key in keys])
    True
    """
    ids = [key.id for key in keys]
    columns: tuple[Sequence[Any], ...] = (
        [id_.node for id_ in ids],
        [key.type for key in keys],
        [key.size for key in keys],
        [key.ttl_ms for key in keys],
        [key.idle_seconds for key in keys],
        [key.frequency for key in keys],
        [key.read_at for key in keys],
    )
    line, varying = ["%d", '"%s"'], [[id_.db for id_ in ids], _names([id_.key for id_ in ids])]
    for column in columns:
        alike = {value: _written(value) for value in set(column)}
        if len(alike) == 1:
            # What is one for all, as most is, stands in the format.
            line.append(alike[column[0]].replace("%", "%%"))
        else:
            line.append("%s")
            varying.append([alike[value] for value in column])
    return f"[{', '.join(line)}]" * len(keys) % tuple(chain.from_iterable(zip(*varying, strict=True)))


def _written(value: str | float | None) -> str:
    if value is None:
        return "null"
    return _quoted(value) if isinstance(value, str) else repr(value)


def _names(names: Sequence[bytes]) -> list[str]:
    """The names exactly, as they stand between quotation marks."""
    escaped = escape_all(names)
    together = "".join(escaped)
    # What was escaped has a backslash, which JSON escapes again.
    plain = '"' not in together and "\\" not in together
    return escaped if plain else [_quoted(name)[1:-1] for name in escaped]


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
