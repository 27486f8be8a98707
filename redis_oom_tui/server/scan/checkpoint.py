"""A scan that broke off, as plain values (JSON's): where it stands in each part, and all that it has counted."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any

from msgspec import Meta, Struct, field, to_builtins
from msgspec.structs import asdict

from redis_oom_tui.formatting import pattern_text
from redis_oom_tui.formatting.sizes import number_of_keys
from redis_oom_tui.formatting.typed import Count, Database, KeyRecord, Number, Whole, converted, key_fields
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.scan import Pace, ScanOptions, ScanState
from redis_oom_tui.rules.pattern_tree import tree_from, tree_rows
from redis_oom_tui.server.scan.aggregates import ScanAggregates, TopKey
from redis_oom_tui.server.scan.cursor_ranges import CursorRange
from redis_oom_tui.server.scan.view import ScanProgress

DAMAGED = "the position in the saved scan is damaged: start a new one"
_COUNTS = ("keys", "bytes", "volatile_keys", "volatile_bytes", "vanished", "refused", "threshold", "pages")
# Cursors have 64 bits, of which the highest may be set.
_Cursor = Annotated[int, Meta(ge=-1)]
_LARGEST_CURSOR = 2**64


class OptionsValues(Struct, kw_only=True):
    """What the scan was asked for; bytes in base64, as everywhere in it."""

    databases: tuple[Database, ...] | None
    match: bytes | None
    type: str | None
    pace: Pace
    top: Count
    idle: bool
    delimiters: bytes
    max_patterns: Count
    # Files of before they were written have none.
    pattern: dict[str, Any] | None = None
    replicas: bool = False


class RangeValues(Struct, kw_only=True):
    """Where the scan of a part of a database stands."""

    db: Database
    part: Count
    bits: Annotated[int, Meta(ge=0, le=64)]
    cursor: _Cursor
    ended: bool
    page: list[bytes]
    head: set[bytes] | None
    given: frozenset[bytes]


class _Top(KeyRecord, kw_only=True):
    """One of the largest keys. Files of before `answered` was written have the size from a few elements itself."""

    counted: Whole
    group: Whole
    asked: bool
    answered: Whole | None = None


class AggregatesValues(Struct, kw_only=True):
    """What was counted so far."""

    keys: Whole
    bytes: Whole
    volatile_keys: Whole
    volatile_bytes: Whole
    vanished: Whole
    refused: Whole
    threshold: Whole
    pages: Whole
    unsized: Whole = 0
    group_keys: list[Whole]
    group_bytes: list[Whole]
    types: list[tuple[str, Whole, Whole]]
    # By type, what closer looks at the largest keys changed. Files of before it was written have none.
    corrected: list[tuple[str, Whole]] = []
    top: list[_Top]
    tree: list[Any]


class _Values(Struct, kw_only=True):
    """All that is kept of a scan that broke off."""

    run_id: str
    elapsed: Number
    options: OptionsValues
    cursor_ranges: list[list[RangeValues]] = field(name="walks")
    aggregates: AggregatesValues = field(name="tally")


class Checkpoint(Struct, frozen=True):
    """What an earlier run had come to."""

    options: ScanOptions
    standing: ScanProgress
    aggregates: ScanAggregates
    elapsed: float


def checkpoint_values(begun: Checkpoint) -> dict[str, Any] | None:
    """What `checkpoint_from` needs; None for a scan that is complete or not begun, or whose server has no run id."""
    standing = begun.standing
    if standing.state is ScanState.COMPLETE or standing.run_id is None or not standing.cursor_ranges:
        return None
    values = _Values(
        run_id=standing.run_id,
        elapsed=begun.elapsed,
        options=options_written(begun.options),
        cursor_ranges=ranges_written(standing),
        aggregates=aggregates_written(begun.aggregates),
    )
    found: dict[str, Any] = to_builtins(values)
    return found


def checkpoint_from(progress: Mapping[str, Any], *, pace: Pace | None = None, sample: int | None = None) -> Checkpoint:
    """What `checkpoint_values` wrote, to resume at `pace`, up to a `sample` of so many keys in all. Raises BadInput."""
    try:
        found = converted(progress, _Values)
        options = options_read(found.options, pace, sample)
        aggregates = aggregates_read(found.aggregates, options)
        standing = standing_read(found.cursor_ranges, found.run_id)
        standing.notes = (earlier_keys(aggregates.keys),)
    except (ValueError, IndexError):
        raise BadInput(DAMAGED) from None
    return Checkpoint(options, standing, aggregates, found.elapsed)


def earlier_keys(keys: int) -> str:
    """The note of a resumed scan."""
    were, them = ("was", "it") if keys == 1 else ("were", "them")
    return f"{number_of_keys(keys)} {were} counted in an earlier run: later changes to {them} are not seen"


def ranges_written(standing: ScanProgress) -> list[list[RangeValues]]:
    """The ranges of each database."""
    return [
        [_range_written(cursor_range) for cursor_range in cursor_ranges]
        for cursor_ranges in standing.cursor_ranges.values()
    ]


def standing_read(cursor_ranges: list[list[RangeValues]], run_id: str | None) -> ScanProgress:
    """Where the scan of one server stood. Raises ValueError or IndexError for ranges that cannot be."""
    found = [_chained([_cursor_range(one) for one in some]) for some in cursor_ranges]
    return ScanProgress(state=ScanState.STOPPED, cursor_ranges={some[0].db: some for some in found}, run_id=run_id)


def options_written(options: ScanOptions) -> OptionsValues:
    """The options, without how many keys to sample: that is asked for each time."""
    values = {name: getattr(options, name) for name in OptionsValues.__struct_fields__}
    pattern = None if options.pattern is None else pattern_text.fields(options.pattern)
    return OptionsValues(**values | {"pattern": pattern})


def options_read(found: OptionsValues, pace: Pace | None, sample: int | None) -> ScanOptions:
    """The options, at another pace or up to a sample where one is given."""
    pattern = None if found.pattern is None else pattern_text.from_fields(found.pattern)
    return ScanOptions(**asdict(found) | {"pace": pace or found.pace, "sample": sample, "pattern": pattern})


def _range_written(cursor_range: CursorRange) -> RangeValues:
    return RangeValues(**{name: getattr(cursor_range, name) for name in RangeValues.__struct_fields__})


def _cursor_range(found: RangeValues) -> CursorRange:
    if max(found.part, found.cursor) >= _LARGEST_CURSOR:
        raise ValueError("not a cursor")
    return CursorRange(**asdict(found))


def _chained(cursor_ranges: list[CursorRange]) -> list[CursorRange]:
    for before, cursor_range in pairwise(cursor_ranges):
        cursor_range.before = before
    return cursor_ranges


def aggregates_written(aggregates: ScanAggregates) -> AggregatesValues:
    """All that was counted."""
    return AggregatesValues(
        **{name: getattr(aggregates, name) for name in (*_COUNTS, "unsized", "group_keys", "group_bytes")},
        types=[
            (kind.decode("latin-1"), keys, aggregates.type_bytes[kind]) for kind, keys in aggregates.type_keys.items()
        ],
        corrected=by_type_written(aggregates.corrected),
        top=[_top_written(top) for top in aggregates.top.values()],
        tree=tree_rows(aggregates.tree),
    )


def aggregates_read(found: AggregatesValues, options: ScanOptions) -> ScanAggregates:
    """What was counted. Raises ValueError for sums that cannot be."""
    aggregates = ScanAggregates(options)
    if (len(found.group_keys), len(found.group_bytes)) != (len(aggregates.group_keys), len(aggregates.group_bytes)):
        raise ValueError("not the groups")
    for name in (*_COUNTS, "unsized", "group_keys", "group_bytes"):
        setattr(aggregates, name, getattr(found, name))
    for kind, keys, size in found.types:
        aggregates.type_keys[kind.encode("latin-1")] = keys
        aggregates.type_bytes[kind.encode("latin-1")] = size
    aggregates.corrected.update(by_type_read(found.corrected))
    for top in found.top:
        answered = top.counted if top.answered is None else top.answered
        aggregates.top[top.db, top.key] = TopKey(top.row(), top.counted, top.group, top.asked, answered)
    tree_from(found.tree, aggregates.tree)
    return aggregates


def by_type_written(sums: Mapping[bytes, int]) -> list[tuple[str, int]]:
    """Bytes by type."""
    return [(kind.decode("latin-1"), held) for kind, held in sums.items()]


def by_type_read(found: list[tuple[str, int]]) -> dict[bytes, int]:
    """What `by_type_written` wrote."""
    return {kind.encode("latin-1"): held for kind, held in found}


def _top_written(top: TopKey) -> _Top:
    return _Top(
        **key_fields(top.row),
        db=top.row.id.db,
        key=top.row.id.key,
        counted=top.size,
        group=top.group,
        asked=top.asked,
        answered=top.answered,
    )
