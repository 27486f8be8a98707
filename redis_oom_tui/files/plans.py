"""Frozen plans on disk: saved whole, and run later only if they are still what their hash says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from redis_oom_tui.files.durable import write_whole
from redis_oom_tui.files.reading import LONGEST_LINE, MIB, Line, cannot_be_read, lines, open_plain, shown
from redis_oom_tui.formatting import pattern_text
from redis_oom_tui.formatting.sanitize import escape_exact
from redis_oom_tui.formatting.sizes import known_bytes, size
from redis_oom_tui.formatting.typed import (
    Count,
    Damaged,
    Database,
    UnixTime,
    Whole,
    decoded,
    encoded,
    exact_bytes,
    printable,
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


class _Criteria(Struct):
    """Criteria in JSON; marked keys are only counted."""

    patterns: tuple[str, ...]
    types: tuple[str, ...]
    databases: tuple[Database, ...] | None
    idle_over_seconds: Count | None
    ttl: TtlFilter
    larger_than_bytes: Count | None
    max_keys: Count | None
    max_bytes: Count | None
    order: Order
    marked_keys: Count = 0
    # Files of before it was written have none.
    key_patterns: tuple[dict[str, Any], ...] = ()


class _Head(Struct):
    """The first line of a plan."""

    format: str
    hash: str
    made_at: UnixTime
    server: str
    run_id: str | None
    role: str
    operation: Operation = field(name="deed")
    expire_seconds: Count | None
    keys: Count
    bytes: Any
    keyspace_keys: Count
    scanned_keys: Count
    matched_keys: Count
    matched_bytes: Count
    complete: bool
    flags: tuple[str, ...]
    criteria: _Criteria
    # Files of before it was written have none.
    limit_bytes: Count | UnsetType | None = UNSET


class _Row(Struct, array_like=True, forbid_unknown_fields=True):
    """A planned key's line, its name as `escape_exact` writes it; a range only where its size has one."""

    db: Database
    name: str
    node: str
    type: str
    size: Count | None
    ttl_ms: Whole | None
    idle_seconds: Count | None
    frequency: Count | None
    read_at: UnixTime | None
    size_low: Count | None = None
    size_high: Count | None = None
    answered: Count | None = None


class _Format(Struct):
    """What tells a plan from any other file."""

    format: str


_head_decoder = msgspec.json.Decoder(_Head)
_row_decoder = msgspec.json.Decoder(_Row)
_format_decoder = msgspec.json.Decoder(_Format)


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
            keys = []
            for line in lines(file, LONGEST_LINE, number=2):
                number = line.number
                keys.append(_key(line))
            number = 1
            plan = _plan(head, tuple(keys))
    except OSError as error:
        raise cannot_be_read(path, error) from None
    except Damaged as error:
        raise BadInput(f"{name}, line {number}: {error}: the plan is damaged, make it again") from None
    _must_know_ends(plan, head, name)
    if head.format == _FIRST_FORMAT and first_fingerprint(plan) == plan.hash:
        return _by_the_servers_clock(replace(plan, flags=(*plan.flags, _UNPROTECTED)))
    if head.format == _FIRST_FORMAT or fingerprint(plan) != plan.hash:
        raise BadInput(f"{name} is not the plan that was saved, its hash differs: make the plan again")
    return plan


def _must_know_ends(plan: Plan, head: _Head, name: str) -> None:
    """Raise BadInput for a plan with a bound in bytes of before it was known how much its keys hold at most."""
    bound = plan.criteria.max_bytes
    if bound is None or head.limit_bytes is not UNSET or all(key.type == "string" for key in plan.keys):
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


def _read_head(file: BinaryIO, name: str) -> _Head:
    raw = file.readline(_LONGEST_HEAD)
    try:
        known = decoded(_format_decoder, raw).format in (_FORMAT, _FIRST_FORMAT)
    except Damaged:
        known = False
    if not known:
        raise BadInput(f"{name} is not a plan that this tool saved")
    return decoded(_head_decoder, raw)


def _document(plan: Plan) -> Iterator[bytes]:
    yield encoded(_head(plan)) + b"\n"
    for key in plan.keys:
        yield encoded(key_fields(key)) + b"\n"


def _head(plan: Plan) -> dict[str, Any]:
    return {
        # A plan that an earlier version saved keeps its hash: a run of it that was interrupted goes on by that.
        "format": _FIRST_FORMAT if first_fingerprint(plan) == plan.hash else _FORMAT,
        "hash": plan.hash,
        "made_at": plan.made_at,
        "server": plan.server,
        "run_id": plan.run_id,
        "role": plan.role,
        "deed": plan.operation.value,
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


def _plan(head: _Head, keys: tuple[PlannedKey, ...]) -> Plan:
    if head.keys != len(keys):
        raise Damaged(f"it counts {head.keys} keys, and the file holds {len(keys)}")
    printable(head.hash, head.role, head.run_id or "", *head.criteria.types)
    return Plan(
        keys=keys,
        criteria=_read_criteria(head.criteria),
        made_at=head.made_at,
        server=head.server,
        hash=head.hash,
        run_id=head.run_id,
        role=head.role,
        operation=head.operation,
        expire_seconds=head.expire_seconds,
        keyspace_keys=head.keyspace_keys,
        scanned_keys=head.scanned_keys,
        matched_keys=head.matched_keys,
        matched_bytes=head.matched_bytes,
        complete=head.complete,
        flags=head.flags,
        limit_bytes=None if head.limit_bytes is UNSET else head.limit_bytes,
    )


def _read_criteria(found: _Criteria) -> Criteria:
    return Criteria(
        patterns=tuple(map(exact_bytes, found.patterns)),
        types=found.types,
        databases=found.databases,
        idle_over_seconds=found.idle_over_seconds,
        ttl=found.ttl,
        larger_than_bytes=found.larger_than_bytes,
        max_keys=found.max_keys,
        max_bytes=found.max_bytes,
        order=found.order,
        key_patterns=tuple(map(pattern_text.from_fields, found.key_patterns)),
    )


def _key(line: Line) -> PlannedKey:
    if line.raw is None:
        raise Damaged("it is longer than a line of a plan can be")
    row = decoded(_row_decoder, line.raw)
    printable(row.node, row.type)
    return PlannedKey(
        KeyId(row.db, exact_bytes(row.name), row.node),
        row.type,
        row.size,
        row.ttl_ms,
        row.idle_seconds,
        row.frequency,
        row.read_at,
        row.size_low,
        row.size_high,
        row.answered,
    )
