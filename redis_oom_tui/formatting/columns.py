"""Columns as values: one definition of a fact serves screen, text, JSON, CSV and report; and the columns of keys."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from msgspec import Struct

from redis_oom_tui.formatting import sizes
from redis_oom_tui.formatting.keys import Sized, range_cell, size_words, slot_of
from redis_oom_tui.formatting.sanitize import cells, escape_exact, key_fields, key_text, safe_text
from redis_oom_tui.models.keys import SizeKind
from redis_oom_tui.models.scan import ScanView

R = TypeVar("R")
Row_contra = TypeVar("Row_contra", contravariant=True)
_LARGE_SHARE = 0.10
_LONGEST_NAME = 600
_TEXT_NAME = 200
SHARE_TITLE = "%USED"
"""On screen a share is of used_memory, of keys and of patterns alike: an operator looks for what fills it."""
USED, SCANNED = "used", "scan"
# Outside of the screen only what is endless is cut.
_TEXT_CELL = 60


class ShareBase(NamedTuple):
    """What a share is of: `size` gives its bytes, None where unknown; `name` is in its title outside of the screen."""

    size: Callable[[], int | None]
    name: str = USED


NO_SHARE = ShareBase(lambda: None, SCANNED)


class Column(Struct, Generic[Row_contra], frozen=True):
    """One fact of a row. `width` is in cells; 0 takes what the others leave, `least` at least, and stands last: a name
    of another width than counted then shifts nothing.

    `text` gives a row's harmless text in at most so many cells, `order` what it is sorted by (unknowns are None and go
    last either way), `role` how it is drawn. Where there is too little room, the columns with the highest `yields` go
    first; those with 0 stay. `falling` is the direction of the first sort. A column without a title is in no table.

    Outside of the screen `heading` is the title and `unit` follows the text; `words` is the text where there is room
    for more. `fields` are the members that it brings to a JSON document or a CSV row, None for what is not known.
    """

    id: str
    title: str = ""
    width: int = 0
    text: Callable[[Row_contra, int], str] = lambda _row, _width: ""
    order: Callable[[Row_contra], Any] = lambda _row: None
    align: Literal["left", "right"] = "left"
    role: Callable[[Row_contra], str] | None = None
    yields: int = 0
    falling: bool = True
    heading: str = ""
    unit: str = ""
    words: Callable[[Row_contra], str] | None = None
    fields: Mapping[str, Callable[[Row_contra], Any]] = {}
    least: int = 16

    @property
    def head(self) -> str:
        """Its title outside of the screen."""
        return self.heading or self.title.lower()

    def cell(self, row: Row_contra) -> str:
        """Its text with its unit, at any width that it needs."""
        found = self.text(row, _TEXT_CELL if self.width else _TEXT_NAME)
        return found if found == "?" else found + self.unit

    def wordy_cell(self, row: Row_contra) -> str:
        """The same in words, for a report."""
        return self.cell(row) if self.words is None else self.words(row)


def row_document(row: R, columns: Iterable[Column[R]], names: Sequence[str] | None = None) -> Any:
    """The row as a JSON object, a dict: all that its columns bring, or the members of these names, in this order."""
    found = {name: value for column in columns for name, value in column.fields.items()}
    return {name: found[name](row) for name in (found if names is None else names)}


def field_names(columns: Iterable[Column[R]], first: Sequence[str] = ()) -> list[str]:
    """The names of all members that the columns bring, these `first`."""
    every = [name for column in columns for name in column.fields]
    return [*first, *(name for name in every if name not in first)]


def text_table(rows: Sequence[R], columns: Iterable[Column[R]]) -> list[str]:
    """A head and a line for each row, as wide as what they say."""
    shown = [column for column in columns if column.title]
    lines = [[column.head for column in shown]]
    lines += [[column.cell(row) for column in shown] for row in rows]
    widths = [max(cells(line[index]) for line in lines) for index in range(len(shown))]
    return ["  ".join(map(_padded, shown, line, widths)).rstrip() for line in lines]


def _padded(column: Column[R], text: str, width: int) -> str:
    gap = " " * (width - cells(text))
    return gap + text if column.align == "right" else text + gap


def share_base(view: ScanView) -> ShareBase:
    """What shares in a text are of: used_memory where a scan of all keys read it and its sum can be true; else all of
    the scan.
    """
    explained = view.explained_share
    if explained and explained <= 1 and view.contradiction is None:
        used = round(view.bytes_seen / explained)
        return ShareBase(lambda: used, USED)
    return ShareBase(lambda: view.bytes_seen, SCANNED)


def pattern_share(view: ScanView) -> ShareBase:
    """As `share_base`; where keys were refused, what they hold is part of no share of the scan."""
    base = share_base(view)
    return NO_SHARE if view.refused_keys and base.name == SCANNED else base


def key_columns(
    share_of: ShareBase = NO_SHARE,
    *,
    databases: bool = True,
    nodes: bool = True,
    ttls_known: bool = True,
    ranges: bool = False,
    exact_names: bool = False,
) -> tuple[Column[Sized], ...]:
    """Columns of keys; a share is of what `share_of` tells, and at most all. `databases` and `nodes` add their places.

    Where `ttls_known` is False, nothing is known of TTLs. `ranges` adds what an estimate may be; with `exact_names`,
    names are written as `--key` takes them.
    """

    places = [_DB] * databases + [_NODE] * nodes
    return (
        _size_column(share_of),
        *([_RANGE] if ranges else []),
        _share_column(share_of),
        _TYPE,
        _TTL if ttls_known else _UNKNOWN_TTL,
        _IDLE,
        *places,
        _EXACT_KEY if exact_names else _KEY,
    )


def _share(row: Sized, share_of: ShareBase) -> float | None:
    whole = share_of.size()
    return row.size / whole if row.size is not None and whole and row.size <= whole else None


def _share_role(share_of: ShareBase) -> Callable[[Sized], str]:
    return lambda row: "warn" if (_share(row, share_of) or 0.0) >= _LARGE_SHARE else "text"


def _size_column(share_of: ShareBase) -> Column[Sized]:
    return Column(
        "size",
        "BYTES",
        7,
        _marked_size,
        lambda row: row.size,
        "right",
        _share_role(share_of),
        words=lambda row: sizes.size(row.size) if row.size_kind is SizeKind.EXACT else size_words(row),
        fields=_SIZE_FIELDS,
    )


def _share_column(share_of: ShareBase) -> Column[Sized]:
    return Column(
        "share",
        SHARE_TITLE,
        6,
        lambda row, _: share_text(_share(row, share_of)),
        lambda row: _share(row, share_of),
        "right",
        _share_role(share_of),
        7,
        heading=f"of {share_of.name}",
        unit="%",
    )


def _marked_size(row: Sized, _: int) -> str:
    """A size behind what it is worth: `~` an estimate, `!` more than the server uses in all."""
    mark = "!" if getattr(row, "suspect", False) else "~" if row.size_kind is SizeKind.ESTIMATED else ""
    return f"{mark}{sizes.short_size(row.size)}"


def _bound(row: Sized, bound: int | None) -> int | None:
    return row.size if row.size_kind is SizeKind.EXACT else bound


def _scanned(name: str) -> Callable[[Sized], Any]:
    return lambda row: getattr(row, name, None)


_SIZE_FIELDS: dict[str, Callable[[Sized], Any]] = {
    "bytes": lambda row: row.size,
    "measured": _scanned("measured"),
    "suspect": _scanned("suspect"),
    "size_kind": lambda row: row.size_kind.value,
    "bytes_low": lambda row: _bound(row, row.size_low),
    "bytes_high": lambda row: _bound(row, row.size_high),
}


def share_text(share: float | None) -> str:
    if share is None:
        return "?"
    return "<0.1" if 0 < share < 0.0005 else f"{share * 100:.1f}"


def _ttl(row: Sized, _: int) -> str:
    return "none" if row.ttl_ms is None else sizes.duration(row.ttl_ms / 1000)


def _unknown(_row: object, _: int) -> str:
    return "?"


def _idle(row: Sized, width: int) -> str:
    if row.idle_seconds is None and row.frequency is not None:
        long = f"freq {row.frequency}"
        return long if len(long) <= width else f"f{row.frequency}"
    return sizes.duration(row.idle_seconds)


def _idle_order(row: Sized) -> int | None:
    """A key that is seldom used stands with those that are long idle."""
    if row.idle_seconds is None and row.frequency is not None:
        return -row.frequency
    return row.idle_seconds


def _place(row: Sized) -> tuple[str, int]:
    return (row.id.node, row.id.db)


def _node(row: Sized, width: int) -> str:
    """The end of its name, where nodes differ: ports, or the last part of a host's number."""
    name = safe_text(row.id.node, 200)
    return name if len(name) <= width else f"…{name[1 - width :]}"


def name_text(raw: bytes, width: int) -> str:
    """A name; one of no bytes shows as a pair of quotes rather than as nothing."""
    return safe_text(raw, width) or '""'


def exact_name(raw: bytes) -> str:
    """A name in full, as --key takes it; one that would fill screens by its ends, with its length.

    >>> exact_name(b"a b"), exact_name(b"")
    ('a b', '""')
    """
    text = escape_exact(raw) or '""'
    if len(text) <= _LONGEST_NAME:
        return text
    return f"{text[:200]} ... {text[-100:]} ({sizes.count(len(raw))} bytes; --json has all of it)"


_RANGE: Column[Sized] = Column("range", "FROM - TO", 15, lambda row, _: range_cell(row), lambda row: row.size, "right")
_TYPE: Column[Sized] = Column(
    "type",
    "TYPE",
    6,
    lambda row, width: safe_text(row.type, width),
    lambda row: row.type,
    yields=3,
    falling=False,
    words=lambda row: safe_text(row.type),
    fields={"type": lambda row: row.type, "encoding": _scanned("encoding"), "elements": _scanned("elements")},
)
_TTL: Column[Sized] = Column(
    "ttl",
    "TTL",
    7,
    _ttl,
    lambda row: row.ttl_ms,
    "right",
    yields=4,
    falling=False,
    fields={"ttl_seconds": lambda row: None if row.ttl_ms is None else row.ttl_ms / 1000},
)
_UNKNOWN_TTL: Column[Sized] = Column(
    "ttl", "TTL", 7, _unknown, lambda row: row.ttl_ms, "right", yields=4, falling=False
)
_IDLE: Column[Sized] = Column(
    "idle",
    "IDLE",
    7,
    _idle,
    _idle_order,
    "right",
    yields=5,
    fields={"idle_seconds": lambda row: row.idle_seconds, "frequency": lambda row: row.frequency},
)
_DB: Column[Sized] = Column(
    "db",
    "DB",
    4,
    lambda row, _: str(row.id.db),
    _place,
    "right",
    yields=2,
    falling=False,
    fields={"db": lambda row: row.id.db},
)
_NODE: Column[Sized] = Column(
    "node",
    "NODE",
    16,
    _node,
    _place,
    "right",
    yields=6,
    falling=False,
    fields={"node": lambda row: row.id.node or None, "slot": lambda row: slot_of(row.id.key) if row.id.node else None},
)
_KEY_FIELDS: dict[str, Callable[[Sized], Any]] = {
    "key": lambda row: key_fields(row.id.key)[0],
    "key_base64": lambda row: key_fields(row.id.key)[1],
}
_KEY: Column[Sized] = Column(
    "key",
    "KEY",
    0,
    lambda row, width: key_text(row.id.key, width) or '""',
    lambda row: row.id.key,
    falling=False,
    words=lambda row: key_text(row.id.key, 80) or "(empty name)",
    fields=_KEY_FIELDS,
)
_EXACT_KEY: Column[Sized] = Column("key", "KEY", 0, lambda row, _: exact_name(row.id.key), lambda row: row.id.key)

KEY_CSV = (
    *("key", "key_base64", "db", "type", "bytes", "ttl_seconds", "idle_seconds", "frequency", "encoding", "elements"),
    *("measured", "suspect", "node", "slot", "size_kind", "bytes_low", "bytes_high"),
)
"""The order of a key's columns in CSV, which stays: what is new comes behind."""
