"""Frozen plans on disk: saved whole, and run later only if they are still what their hash says."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from redis_oom_tui.files.durable import write_whole
from redis_oom_tui.files.reading import LONGEST_LINE, MIB, Line, cannot_be_read, lines, open_plain, shown
from redis_oom_tui.formatting import pattern_text
from redis_oom_tui.formatting.sanitize import escape_exact
from redis_oom_tui.formatting.sizes import known_bytes, size
from redis_oom_tui.formatting.typed import (
    Damaged,
    all_taken,
    database,
    exact_bytes,
    flag,
    given,
    members,
    moment,
    one_of,
    optional,
    parse,
    printable,
    several,
    taken,
    tally,
    text,
    whole,
)
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Operation, Order, Plan, PlannedKey, TtlFilter
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.plan_hash import fingerprint, first_fingerprint, key_fields

_FORMAT = "redis-oom-tui plan 2"
_FIRST_FORMAT = "redis-oom-tui plan 1"
_UNPROTECTED = (
    "An earlier version saved this plan: its hash does not cover the time, the role, the criteria and the notes."
)
_OTHER_CLOCK = (
    "The times in it are by the clock of the computer that made it, so no change since would show: only a deletion with"
    " a backup takes its keys."
)
# Its notes and patterns are in it.
_LONGEST_HEAD = 16 * MIB


def save_plan(plan: Plan, path: Path) -> None:
    """Write `plan` to a new file at `path`, readable by its owner alone. Raises BadInput where that cannot be."""
    try:
        write_whole(path, _document(plan))
    except FileExistsError:
        raise BadInput(f"{shown(path)} exists already: a plan is saved to a new file") from None
    except OSError as error:
        raise BadInput(f"{shown(path)} cannot be written: {error.strerror}") from None


def load_plan(path: Path) -> Plan:
    """The plan that was saved at `path`. Raises BadInput for a file that is none, or whose content was altered."""
    name, number = shown(path), 1
    try:
        with open_plain(path) as file:
            head = _read_head(file, name)
            rows = []
            for line in lines(file, LONGEST_LINE, number=2):
                number = line.number
                rows.append(_key(line))
            number = 1
            plan = _plan(head, tuple(rows))
    except OSError as error:
        raise cannot_be_read(path, error) from None
    except Damaged as error:
        raise BadInput(f"{name}, line {number}: {error}: the plan is damaged, make it again") from None
    _must_know_ends(plan, head, name)
    if head["format"] == _FIRST_FORMAT and first_fingerprint(plan) == plan.hash:
        return _by_the_servers_clock(replace(plan, flags=(*plan.flags, _UNPROTECTED)))
    if head["format"] == _FIRST_FORMAT or fingerprint(plan) != plan.hash:
        raise BadInput(f"{name} is not the plan that was saved, its hash differs: make the plan again")
    return plan


def _must_know_ends(plan: Plan, head: dict[str, Any], name: str) -> None:
    """Raise BadInput for a plan with a bound in bytes of before it was known how much its keys hold at most."""
    bound = plan.criteria.max_bytes
    if bound is None or "limit_bytes" in head or all(key.type == "string" for key in plan.keys):
        return
    raise BadInput(
        f"{name} was saved by an earlier version, which did not know how much its keys hold at most: it could take more"
        f" than its bound of {size(bound)}. Make the plan again"
    )


def _by_the_servers_clock(plan: Plan) -> Plan:
    """`plan` of an earlier version without its times: they are those of some computer, and not the server's."""
    if all(key.read_at is None for key in plan.keys):
        return plan
    keys = tuple(replace(key, read_at=None) for key in plan.keys)
    plan = replace(plan, keys=keys, flags=(*plan.flags, _OTHER_CLOCK))
    return replace(plan, hash=first_fingerprint(plan))


def _read_head(file: BinaryIO, name: str) -> dict[str, Any]:
    try:
        head = members(parse(file.readline(_LONGEST_HEAD)))
    except Damaged:
        head = {}
    if head.get("format") not in (_FORMAT, _FIRST_FORMAT):
        raise BadInput(f"{name} is not a plan that this tool saved")
    return head


def _document(plan: Plan) -> Iterator[str]:
    yield json.dumps(_head(plan)) + "\n"
    for key in plan.keys:
        yield json.dumps(key_fields(key)) + "\n"


def _head(plan: Plan) -> dict[str, Any]:
    return {
        # A plan that an earlier version saved keeps its hash: a run of it that was interrupted goes on by that.
        "format": _FIRST_FORMAT if first_fingerprint(plan) == plan.hash else _FORMAT,
        "hash": plan.hash,
        "made_at": plan.made_at,
        "server": plan.server,
        "run_id": plan.run_id,
        "role": plan.role,
        "deed": plan.deed.value,
        "expire_seconds": plan.expire_seconds,
        "keys": len(plan.keys),
        "bytes": known_bytes(plan.size, len(plan.keys)),
        "keyspace_keys": plan.keyspace_keys,
        "scanned_keys": plan.scanned_keys,
        "matched_keys": plan.matched_keys,
        "matched_bytes": plan.matched_bytes,
        "complete": plan.complete,
        "flags": list(plan.flags),
        "limit_bytes": plan.limit_bytes,
        "criteria": criteria_fields(plan.criteria),
    }


def criteria_fields(criteria: Criteria) -> dict[str, Any]:
    """Criteria as plain values, for a plan's file, the audit file and --json; marked keys are only counted."""
    return {
        "patterns": [escape_exact(pattern) for pattern in criteria.patterns],
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
    if taken(head, "keys", tally) != len(keys):
        raise Damaged(f"it counts {head['keys']} keys, and the file holds {len(keys)}")
    plan = Plan(
        keys=keys,
        criteria=taken(head, "criteria", _read_criteria),
        made_at=taken(head, "made_at", moment),
        server=taken(head, "server", text),
        hash=taken(head, "hash", printable),
    )
    return replace(
        plan,
        run_id=taken(head, "run_id", optional(printable)),
        role=taken(head, "role", printable),
        deed=taken(head, "deed", one_of(Operation)),
        expire_seconds=taken(head, "expire_seconds", optional(tally)),
        keyspace_keys=taken(head, "keyspace_keys", tally),
        scanned_keys=taken(head, "scanned_keys", tally),
        matched_keys=taken(head, "matched_keys", tally),
        matched_bytes=taken(head, "matched_bytes", tally),
        complete=taken(head, "complete", flag),
        flags=taken(head, "flags", several(text)),
        # Files of before it was written have none.
        limit_bytes=given(head, "limit_bytes", optional(tally), None),
    )


def _read_criteria(value: object) -> Criteria:
    fields = members(value)
    return Criteria(
        patterns=taken(fields, "patterns", several(exact_bytes)),
        types=taken(fields, "types", several(printable)),
        databases=taken(fields, "databases", optional(several(database))),
        idle_over_seconds=taken(fields, "idle_over_seconds", optional(tally)),
        ttl=taken(fields, "ttl", one_of(TtlFilter)),
        larger_than_bytes=taken(fields, "larger_than_bytes", optional(tally)),
        max_keys=taken(fields, "max_keys", optional(tally)),
        max_bytes=taken(fields, "max_bytes", optional(tally)),
        order=taken(fields, "order", one_of(Order)),
        # Files of before it was written have none.
        key_patterns=given(fields, "key_patterns", several(pattern_text.checked), ()),
    )


_ROW = {
    "db": database,
    "name": exact_bytes,
    "node": printable,
    "type": printable,
    "size": optional(tally),
    "ttl_ms": optional(whole),
    "idle_seconds": optional(tally),
    "frequency": optional(tally),
    "read_at": optional(moment),
}
# What a row has besides, where its size is an estimate or was measured closer.
_RANGE = {"size_low": optional(tally), "size_high": optional(tally), "answered": optional(tally)}


def _key(line: Line) -> PlannedKey:
    if line.raw is None:
        raise Damaged("it is longer than a line of a plan can be")
    values = parse(line.raw)
    if not isinstance(values, list) or len(values) not in (len(_ROW), len(_ROW) + len(_RANGE)):
        raise Damaged(f"it is not a list of {len(_ROW)} or {len(_ROW) + len(_RANGE)} values")
    row = _ROW if len(values) == len(_ROW) else _ROW | _RANGE
    fields = all_taken(dict(zip(row, values, strict=True)), row)
    key = KeyId(fields.pop("db"), fields.pop("name"), fields.pop("node"))
    return PlannedKey(key, **fields)
