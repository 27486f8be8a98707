"""Frozen plans on disk: saved whole, and run later only if they are still what their hash says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from redis_oom_tui.files.disk import LONGEST_LINE, MIB, Line, cannot_be_read, lines, open_plain, shown, write_whole
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
    "Its times are by the clock of the computer that made it, so later changes do not show: only a deletion with a"
    " backup takes its keys."
)
# Its notes and patterns are in it.
_LONGEST_HEAD = 16 * MIB


class _Criteria(Struct, kw_only=True):
    """Criteria in JSON, names as `escape_exact` writes them; marked keys are only counted."""

    patterns: tuple[str, ...]
    types: tuple[str, ...]
    databases: tuple[Database, ...] | None
    idle_over_seconds: Count | None
    ttl: TtlFilter
    larger_than_bytes: Count | None
    marked_keys: Count = 0
    max_keys: Count | None
    max_bytes: Count | None
    order: Order
    # Files of before it was written have none.
    key_patterns: tuple[dict[str, Any], ...] = ()
    # Only plans of one node of a cluster have it.
    node: str | UnsetType = UNSET


class _Head(Struct, kw_only=True):
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
    # Files of before it was written have none.
    limit_bytes: Count | UnsetType | None = UNSET
    criteria: _Criteria


# What stands in the file as in the plan, and in its criteria.
_SAME = tuple(
    name for name in _Head.__struct_fields__ if name not in ("format", "keys", "bytes", "limit_bytes", "criteria")
)
_SAME_CRITERIA = tuple(
    name for name in _Criteria.__struct_fields__ if name not in ("patterns", "marked_keys", "key_patterns", "node")
)


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


def _head(plan: Plan) -> _Head:
    return _Head(
        # A plan that an earlier version saved keeps its hash: a run of it that was interrupted goes on by that.
        format=_FIRST_FORMAT if first_fingerprint(plan) == plan.hash else _FORMAT,
        keys=len(plan.keys),
        bytes=known_bytes(plan.size, len(plan.keys)),
        limit_bytes=plan.limit_bytes,
        criteria=_criteria(plan.criteria),
        **{name: getattr(plan, name) for name in _SAME},
    )


def _criteria(criteria: Criteria) -> _Criteria:
    return _Criteria(
        patterns=tuple(map(escape_exact, criteria.patterns)),
        marked_keys=len(criteria.keys),
        key_patterns=tuple(map(pattern_text.fields, criteria.key_patterns)),
        node=criteria.node or UNSET,
        **{name: getattr(criteria, name) for name in _SAME_CRITERIA},
    )


def criteria_fields(criteria: Criteria) -> dict[str, Any]:
    """Criteria as plain values, for the audit file and --json."""
    fields: dict[str, Any] = msgspec.to_builtins(_criteria(criteria))
    return fields


def _plan(head: _Head, keys: tuple[PlannedKey, ...]) -> Plan:
    if head.keys != len(keys):
        raise Damaged(f"it counts {head.keys} keys, and the file holds {len(keys)}")
    node = "" if head.criteria.node is UNSET else head.criteria.node
    printable(head.hash, head.role, head.run_id or "", *head.criteria.types, node)
    criteria = Criteria(
        patterns=tuple(map(exact_bytes, head.criteria.patterns)),
        key_patterns=tuple(map(pattern_text.from_fields, head.criteria.key_patterns)),
        node=node,
        **{name: getattr(head.criteria, name) for name in _SAME_CRITERIA},
    )
    limit_bytes = None if head.limit_bytes is UNSET else head.limit_bytes
    same = {name: getattr(head, name) for name in _SAME}
    return Plan(keys=keys, criteria=criteria, limit_bytes=limit_bytes, **same)


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
