"""A plan's hash: the same for the same keys and deed, another for anything else."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from json.encoder import encode_basestring_ascii as _quoted

from redis_oom_tui.models.plan import Plan, PlannedKey
from redis_oom_tui.words.hostile import exact

_AT_ONCE = 1000
_NULL = "null"


def fingerprint(plan: Plan) -> str:
    """SHA-256 of all that decides what `plan` does, as 64 hex digits."""
    digest = hashlib.sha256()
    head = [plan.server, plan.run_id, plan.deed.value, plan.expire_seconds, len(plan.keys)]
    digest.update(json.dumps(head).encode())
    for start in range(0, len(plan.keys), _AT_ONCE):
        digest.update(_lines(plan.keys[start : start + _AT_ONCE]).encode("ascii"))
    return digest.hexdigest()


def _lines(keys: Sequence[PlannedKey]) -> str:
    """`json.dumps(key_fields(key))` of each of `keys`, in a fifth of the time: there may be hundreds of thousands.

    >>> from redis_oom_tui.models.keys import KeyId
    >>> key = PlannedKey(KeyId(0, b'"'), "string", 9, idle_seconds=3, read_at=1.5)
    >>> _lines([key]) == json.dumps(key_fields(key))
    True
    """
    lines = []
    # Most are of the same few types, and of one node.
    kinds: dict[tuple[str, str], str] = {}
    for key in keys:
        where, at, kind = key.id, key.read_at, (key.id.node, key.type)
        if kind not in kinds:
            kinds[kind] = f"{_quoted(where.node)}, {_quoted(key.type)}"
        size, ttl_ms, idle, frequency = [
            _NULL if number is None else number for number in (key.size, key.ttl_ms, key.idle_seconds, key.frequency)
        ]
        name, read_at = _quoted(exact(where.key)), _NULL if at is None else repr(at)
        lines.append(f"[{where.db}, {name}, {kinds[kind]}, {size}, {ttl_ms}, {idle}, {frequency}, {read_at}]")
    return "".join(lines)


def frozen(plan: Plan) -> Plan:
    """`plan` with its hash."""
    return replace(plan, hash=fingerprint(plan))


def key_fields(key: PlannedKey) -> list[object]:
    """A planned key as plain values, its name exactly."""
    return [
        key.id.db,
        exact(key.id.key),
        key.id.node,
        key.type,
        key.size,
        key.ttl_ms,
        key.idle_seconds,
        key.frequency,
        key.read_at,
    ]
