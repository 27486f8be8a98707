"""Frozen plans on disk: saved whole, and run later only if they are still what their hash says."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Deed, Order, Plan, PlannedKey, TtlFilter
from redis_oom_tui.rules.freezing import fingerprint, key_fields
from redis_oom_tui.words import pattern_text
from redis_oom_tui.words.hostile import exact, from_exact, safe_text
from redis_oom_tui.words.sizes import told_bytes

_FORMAT = "redis-oom-tui plan 1"


def save_plan(plan: Plan, path: Path) -> None:
    """Write `plan` to a new file at `path`, readable by its owner alone. Raises BadInput where that cannot be."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(json.dumps(_head(plan)) + "\n")
            for key in plan.keys:
                file.write(json.dumps(key_fields(key)) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise BadInput(f"{safe_text(str(path), 200)} exists already: a plan is saved to a new file") from None
    except OSError as error:
        raise BadInput(f"{safe_text(str(path), 200)} cannot be written: {error.strerror}") from None


def load_plan(path: Path) -> Plan:
    """The plan that was saved at `path`. Raises BadInput for a file that is none, or whose content was altered."""
    name = safe_text(str(path), 200)
    try:
        with path.open("r", encoding="ascii") as file:
            head = json.loads(file.readline())
            if not isinstance(head, dict) or head.get("format") != _FORMAT:
                raise BadInput(f"{name} is not a plan that this tool saved")
            plan = _plan(head, tuple(_key(json.loads(line)) for line in file))
    except OSError as error:
        raise BadInput(f"{name} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, IndexError):
        raise BadInput(f"{name} is damaged: make the plan again") from None
    if fingerprint(plan) != plan.hash:
        raise BadInput(f"{name} is not the plan that was saved, its hash differs: make the plan again")
    return plan


def _head(plan: Plan) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "hash": plan.hash,
        "made_at": plan.made_at,
        "server": plan.server,
        "run_id": plan.run_id,
        "role": plan.role,
        "deed": plan.deed.value,
        "expire_seconds": plan.expire_seconds,
        "keys": len(plan.keys),
        "bytes": told_bytes(plan.size, len(plan.keys)),
        "keyspace_keys": plan.keyspace_keys,
        "scanned_keys": plan.scanned_keys,
        "matched_keys": plan.matched_keys,
        "matched_bytes": plan.matched_bytes,
        "complete": plan.complete,
        "flags": list(plan.flags),
        "criteria": criteria_fields(plan.criteria),
    }


def criteria_fields(criteria: Criteria) -> dict[str, Any]:
    """Criteria as plain values, for a plan's file, the audit file and --json; marked keys are only counted."""
    return {
        "patterns": [exact(pattern) for pattern in criteria.patterns],
        "types": list(criteria.types),
        "databases": None if criteria.databases is None else list(criteria.databases),
        "idle_over_seconds": criteria.idle_over_seconds,
        "ttl": criteria.ttl.value,
        "larger_than_bytes": criteria.larger_than_bytes,
        "marked_keys": len(criteria.keys),
        "max_keys": criteria.max_keys,
        "max_bytes": criteria.max_bytes,
        "order": criteria.order.value,
        "key_patterns": [pattern_text.fields(pattern) for pattern in criteria.key_patterns],
    }


def _plan(head: dict[str, Any], keys: tuple[PlannedKey, ...]) -> Plan:
    fields = head["criteria"]
    databases = fields["databases"]
    criteria = Criteria(
        patterns=tuple(from_exact(pattern) for pattern in fields["patterns"]),
        types=tuple(fields["types"]),
        databases=None if databases is None else tuple(databases),
        idle_over_seconds=fields["idle_over_seconds"],
        ttl=TtlFilter(fields["ttl"]),
        larger_than_bytes=fields["larger_than_bytes"],
        max_keys=fields["max_keys"],
        max_bytes=fields["max_bytes"],
        order=Order(fields["order"]),
        # Files of before it was written have none.
        key_patterns=tuple(pattern_text.from_fields(pattern) for pattern in fields.get("key_patterns", ())),
    )
    plan = Plan(keys=keys, criteria=criteria, made_at=head["made_at"], server=head["server"], hash=head["hash"])
    return replace(
        plan,
        run_id=head["run_id"],
        role=head["role"],
        deed=Deed(head["deed"]),
        expire_seconds=head["expire_seconds"],
        keyspace_keys=head["keyspace_keys"],
        scanned_keys=head["scanned_keys"],
        matched_keys=head["matched_keys"],
        matched_bytes=head["matched_bytes"],
        complete=head["complete"],
        flags=tuple(head["flags"]),
    )


def _key(fields: list[Any]) -> PlannedKey:
    db, name, node, kind, size, ttl_ms, idle, frequency, read_at = fields
    return PlannedKey(KeyId(db, from_exact(name), node), kind, size, ttl_ms, idle, frequency, read_at)
