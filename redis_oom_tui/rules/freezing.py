"""A plan's hash: the same for the same keys and deed, another for anything else."""

import hashlib
import json
from dataclasses import replace

from redis_oom_tui.models.plan import Plan, PlannedKey
from redis_oom_tui.words.hostile import exact


def fingerprint(plan: Plan) -> str:
    """SHA-256 of all that decides what `plan` does, as 64 hex digits."""
    digest = hashlib.sha256()
    head = [plan.server, plan.run_id, plan.deed.value, plan.expire_seconds, len(plan.keys)]
    digest.update(json.dumps(head).encode())
    for key in plan.keys:
        digest.update(json.dumps(key_fields(key)).encode())
    return digest.hexdigest()


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
