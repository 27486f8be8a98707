"""The columns of Hogs: keys on one side, patterns on the other."""

from collections.abc import Callable

from redis_oom_tui.formatting import sizes
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.keys import KeyRow, SizeKind
from redis_oom_tui.models.scan import PatternRow
from redis_oom_tui.tui.widgets.columns import Column

_LARGE_SHARE = 0.10


def key_columns(
    used_bytes: Callable[[], int | None], *, databases: bool, nodes: bool = False, ttls_told: bool = True
) -> tuple[Column[KeyRow], ...]:
    """Columns of keys; `used_bytes` is what a share is of. `databases` and `nodes` add where the key is.

    Where `ttls_told` is False, nothing is known of TTLs.
    """

    def share(row: KeyRow) -> float | None:
        used = used_bytes()
        return row.size / used if row.size is not None and used else None

    def role(row: KeyRow) -> str:
        return "warn" if (share(row) or 0.0) >= _LARGE_SHARE else "text"

    places: list[Column[KeyRow]] = []
    if databases:
        places.append(Column("db", "DB", 4, lambda row, _: str(row.id.db), _place, "right", yields=2, falling=False))
    if nodes:
        places.append(Column("node", "NODE", 16, _node, _place, "right", yields=6, falling=False))
    return (
        Column("size", "BYTES", 7, _size, lambda row: row.size, "right", role),
        Column("share", "%", 6, lambda row, _: _share(share(row)), share, "right", role, yields=7),
        Column("type", "TYPE", 6, lambda row, w: safe_text(row.type, w), lambda row: row.type, falling=False, yields=3),
        Column(
            "ttl", "TTL", 7, _ttl if ttls_told else _unknown, lambda row: row.ttl_ms, "right", yields=4, falling=False
        ),
        Column("idle", "IDLE", 7, _idle, _idle_order, "right", yields=5),
        *places,
        Column("key", "KEY", 0, lambda row, w: _name(row.id.key, w), lambda row: row.id.key, falling=False),
    )


def _name(raw: bytes, width: int) -> str:
    """A name; one of no bytes shows as a pair of quotes rather than as nothing."""
    return safe_text(raw, width) or '""'


def _size(row: KeyRow, _: int) -> str:
    return f"{'~' if row.size_kind is SizeKind.ESTIMATED else ''}{sizes.short_size(row.size)}"


def _share(share: float | None) -> str:
    if share is None:
        return "?"
    return "<0.1" if 0 < share < 0.0005 else f"{share * 100:.1f}"


def _ttl(row: KeyRow, _: int) -> str:
    return "none" if row.ttl_ms is None else sizes.duration(row.ttl_ms / 1000)


def _unknown(_row: object, _: int) -> str:
    return "?"


def _idle(row: KeyRow, _: int) -> str:
    if row.idle_seconds is None and row.frequency is not None:
        return f"freq {row.frequency}"
    return sizes.duration(row.idle_seconds)


def _idle_order(row: KeyRow) -> int | None:
    """A key that is seldom used stands with those that are long idle."""
    if row.idle_seconds is None and row.frequency is not None:
        return -row.frequency
    return row.idle_seconds


def _place(row: KeyRow) -> tuple[str, int]:
    return (row.id.node, row.id.db)


def _node(row: KeyRow, width: int) -> str:
    """The end of its name, where nodes differ: ports, or the last part of a host's number."""
    name = safe_text(row.id.node, 200)
    return name if len(name) <= width else f"~{name[1 - width :]}"


def _bytes(row: PatternRow) -> int | None:
    return sizes.known_bytes(row.size, row.keys)


def _mean(row: PatternRow) -> int | None:
    return row.size // row.keys if row.keys and _bytes(row) is not None else None


def _no_ttl(row: PatternRow, _: int) -> str:
    return sizes.percent(row.no_ttl_keys / row.keys) if row.keys else "?"


def _main_type(row: PatternRow, width: int) -> str:
    if not row.types:
        return ""
    name, count = row.types[0]
    mixed = len(row.types) > 1 and count < 0.9 * row.keys
    return safe_text(f"{name}+" if mixed else name, width)


def pattern_columns(
    opens: Callable[[PatternRow], bool],
    *,
    partial: bool,
    databases: bool = False,
    ttls_told: bool = True,
    all_read: bool = True,
    exact: bool = True,
) -> tuple[Column[PatternRow], ...]:
    """Columns of patterns. `opens` says which are made of patterns themselves; `partial` adds what the whole may be,
    `databases` where the keys are.

    Where not `all_read`, keys were refused, and what they hold is part of no share; where not `exact`, sums of other
    types than strings are estimates.
    """

    def name(row: PatternRow, width: int) -> str:
        return f"{_name(row.pattern, max(1, width - 2))} +" if opens(row) else _name(row.pattern, width)

    def marked(size: int | None, row: PatternRow) -> str:
        about = size is not None and not (exact or row.sizes_exact) and any(kind != "string" for kind, _ in row.types)
        return f"{'~' if about else ''}{sizes.short_size(size)}"

    def part(row: PatternRow, _: int) -> str:
        return _share(row.share if all_read and _bytes(row) is not None else None)

    no_ttl = _no_ttl if ttls_told else _unknown
    estimate = Column("whole", "IN ALL", 12, _whole, _whole_order, "right", yields=6)
    whole: tuple[Column[PatternRow], ...] = (estimate,) if partial else ()
    places: tuple[Column[PatternRow], ...] = ()
    if databases:
        places = (Column("db", "DB", 4, _database, lambda row: row.db, "right", yields=2, falling=False),)
    return (
        Column("size", "BYTES", 7, lambda row, _: marked(_bytes(row), row), lambda row: row.size, "right"),
        *whole,
        Column("share", "%", 6, part, lambda row: row.share, "right"),
        Column("keys", "KEYS", 9, lambda row, _: sizes.count(row.keys), lambda row: row.keys, "right", yields=4),
        Column("mean", "MEAN", 7, lambda row, _: marked(_mean(row), row), _mean, "right", yields=7),
        Column("no_ttl", "NO TTL", 7, no_ttl, lambda row: row.no_ttl_keys, "right", yields=5),
        Column("type", "TYPE", 6, _main_type, lambda row: _main_type(row, 20), yields=8),
        *places,
        Column("pattern", "PATTERN", 0, name, lambda row: row.pattern, falling=False),
    )


def _database(row: PatternRow, _: int) -> str:
    return "?" if row.db is None else str(row.db)


def _whole(row: PatternRow, _: int) -> str:
    """The estimate for the whole keyspace, with how far off it may be."""
    told = row.estimated_bytes
    if told is None or _bytes(row) is None:
        return "?"
    off = max(told.high - told.value, told.value - told.low) / told.value if told.value else 0.0
    return f"{sizes.short_size(round(told.value))} +-{min(999, round(off * 100))}%"


def _whole_order(row: PatternRow) -> float | None:
    return None if row.estimated_bytes is None else row.estimated_bytes.value
