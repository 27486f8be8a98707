"""The columns of patterns."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from redis_oom_tui.formatting import pattern_text, sizes
from redis_oom_tui.formatting.columns import (
    NO_SHARE,
    SCANNED,
    SHARE_TITLE,
    Column,
    ShareBase,
    name_text,
    share_text,
)
from redis_oom_tui.formatting.sanitize import glob_text, key_fields, safe_text
from redis_oom_tui.models.application import Confidence, KeyLabel, Recognition
from redis_oom_tui.models.keys import SizeKind
from redis_oom_tui.models.scan import CURVE_SHARES, Interval, PatternRow

if TYPE_CHECKING:
    from redis_oom_tui.formatting.documents.hogs import IntervalFields, KeyLabelFields


def pattern_columns(
    opens: Callable[[PatternRow], bool] | None = None,
    *,
    share_of: ShareBase = NO_SHARE,
    partial: bool = False,
    databases: bool = True,
    ttls_known: bool = True,
    exact: bool = True,
    idles: bool = False,
    recognition: Recognition | None = None,
) -> tuple[Column[PatternRow], ...]:
    """Columns of patterns. `opens` says which are made of patterns themselves, and without it names are indented;
    `partial` adds what the whole may be, `databases` where the keys are, `idles` for how long half of them were idle.

    A share is of what `share_of` tells. Where not `exact`, sums of other types than strings are estimates, but for
    those of which every size is known to be exact. With a `recognition` that found any application, a column tells
    which one and what the keys are to it.
    """
    labels = recognition or Recognition()

    def kind(row: PatternRow) -> SizeKind:
        if held_bytes(row) is None:
            return SizeKind.UNKNOWN
        known = exact or row.sizes_exact or all(name == "string" for name, _ in row.types)
        return SizeKind.EXACT if known else SizeKind.ESTIMATED

    size_fields = {"bytes": held_bytes, "size_kind": lambda row: kind(row).value}
    return (
        _bytes_column("size", "BYTES", "bytes", held_bytes, kind, 0, size_fields),
        *([_WHOLE] if partial else []),
        _share_column(share_of, partial=partial),
        _KEYS,
        _bytes_column("mean", "MEAN", "average", _mean, kind, 7, {"average_bytes": _mean}),
        _no_ttl_column(ttls_known=ttls_known),
        _MAIN_TYPE,
        *([_MEDIAN_IDLE] if idles else []),
        *([_PATTERN_DB] if databases else []),
        _application_column(labels),
        _name_column(opens),
        *_UNSHOWN,
    )


def _bytes_column(
    name: str,
    title: str,
    heading: str,
    value: Callable[[PatternRow], int | None],
    kind: Callable[[PatternRow], SizeKind],
    yields: int,
    fields: dict[str, Callable[[PatternRow], Any]],
) -> Column[PatternRow]:
    """A number of bytes, marked where it is an estimate."""

    def marked(row: PatternRow, text: str) -> str:
        return f"~{text}" if kind(row) is SizeKind.ESTIMATED else text

    return Column(
        name,
        title,
        7,
        lambda row, _: marked(row, sizes.short_size(value(row))),
        value,
        "right",
        yields=yields,
        heading=heading,
        words=lambda row: marked(row, sizes.size(value(row))),
        fields=fields,
    )


def _share_column(share_of: ShareBase, *, partial: bool) -> Column[PatternRow]:
    """Of used_memory, and `partial`: as all keys of the pattern are estimated to hold, or what was found at least."""
    of_scan = share_of.name == SCANNED

    def share(row: PatternRow) -> float | None:
        held, whole = held_bytes(row), share_of.size()
        if held is None or not whole or of_scan:
            return row.share if held is not None and whole else None
        if partial and row.estimated_bytes is not None:
            held = round(row.estimated_bytes.value)
        return held / whole if held <= whole else None

    def text(row: PatternRow, _: int) -> str:
        known = share(row)
        doubt = "" if of_scan or not partial else ">" if row.estimated_bytes is None else "~"
        return share_text(known) if known is None else f"{doubt}{share_text(known)}".replace("><", "<")

    return Column(
        "share",
        SHARE_TITLE,
        6,
        text,
        share,
        "right",
        heading=f"of {share_of.name}",
        unit="%",
        fields={
            "share": lambda row: None if held_bytes(row) is None else round(row.share, 6),
            "error": lambda row: round(row.error, 6),
        },
    )


def _name_column(opens: Callable[[PatternRow], bool] | None) -> Column[PatternRow]:
    def text(row: PatternRow, width: int) -> str:
        if opens is None:
            return "  " * (row.level - 1) + name_text(row.pattern, width)
        return f"{name_text(row.pattern, max(1, width - 2))} +" if opens(row) else name_text(row.pattern, width)

    def words(row: PatternRow) -> str:
        return safe_text(row.pattern, 80) or "(empty name)"

    return Column(
        "pattern", "PATTERN", 0, text, lambda row: row.pattern, falling=False, words=words, fields=_NAME_FIELDS
    )


def _application_column(recognition: Recognition) -> Column[PatternRow]:
    """Shown only where an application was recognized, and as wide as what is known needs."""
    title = "APPLICATION" if recognition.found else ""
    widest = max((len(label_text(labels)) for labels in recognition.labels.values()), default=0)

    def text(row: PatternRow, width: int) -> str:
        return _cut(application_of(row, recognition), width)

    return Column(
        "application",
        title,
        max(len(title) + 1, min(18, widest)),
        text,
        lambda row: application_of(row, recognition) or None,
        yields=6,
        falling=False,
        fields={
            "application": lambda row: application_of(row, recognition) or None,
            "applications": lambda row: [label_fields(label) for label in recognition.of(row)],
        },
    )


def application_of(row: PatternRow, recognition: Recognition) -> str:
    """`BullMQ: job`; the name alone for a pattern of several kinds; '' where nothing is recognized."""
    text = label_text(recognition.of(row))
    return text.partition(": ")[0] if row.select is not None and row.select.below else text


def label_text(labels: Sequence[KeyLabel]) -> str:
    """`BullMQ: job`, a question mark behind the name where it is not sure; '' for no label."""
    if not labels:
        return ""
    names = " or ".join(label.application.name for label in labels)
    return f"{names}{'' if labels[0].confidence is Confidence.HIGH else '?'}: {labels[0].kind.id}"


def label_fields(label: KeyLabel) -> "KeyLabelFields":
    """A label in JSON."""
    return {
        "name": label.application.name,
        "confidence": label.confidence.value,
        "kind": label.kind.id,
        "use": label.kind.use.value,
        "loss": label.kind.loss.value,
        "instance": None if label.instance is None else name_of(label.instance),
    }


def name_of(normal: bytes) -> str:
    """A prefix or an instance as a pattern has it, printable: `*` for a part that varies."""
    return key_fields(normal.replace(pattern_text.VARIABLE, b"*"))[0]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def held_bytes(row: PatternRow) -> int | None:
    """What its keys hold; None where nobody told."""
    return sizes.known_bytes(row.size, row.keys)


def _mean(row: PatternRow) -> int | None:
    return row.size // row.keys if row.keys and held_bytes(row) is not None else None


def _main_type(row: PatternRow, width: int) -> str:
    if not row.types:
        return ""
    name, count = row.types[0]
    mixed = len(row.types) > 1 and count < 0.9 * row.keys
    return safe_text(f"{name}+" if mixed else name, width)


def _whole(row: PatternRow, _: int) -> str:
    """The estimate for the whole keyspace, with how far off it may be; where that is all of it, what it is at least."""
    whole = row.estimated_bytes
    if whole is None or held_bytes(row) is None:
        return "?"
    off = max(whole.high - whole.value, whole.value - whole.low) / whole.value if whole.value else 0.0
    if off >= 1:
        return f">={sizes.short_size(round(whole.low))}"
    return f"{sizes.short_size(round(whole.value))} +-{round(off * 100)}%"


def interval_fields(interval: Interval | None) -> "IntervalFields | None":
    """An estimate with its range, for JSON."""
    if interval is None:
        return None
    return {"value": round(interval.value), "low": round(interval.low), "high": round(interval.high)}


def _no_ttl_column(*, ttls_known: bool) -> Column[PatternRow]:
    def text(row: PatternRow, _: int) -> str:
        return sizes.percent(row.no_ttl_keys / row.keys) if row.keys and ttls_known else "?"

    quantiles = {f"ttl_p{round(100 * share)}_seconds": _ttl_on_curve(share) for share in (0.1, 0.5, 0.9)}
    return Column(
        "no_ttl",
        "NO TTL",
        7,
        text,
        lambda row: row.no_ttl_keys,
        "right",
        yields=5,
        words=lambda row: sizes.count(row.no_ttl_keys) if ttls_known else "?",
        fields={"no_ttl_keys": lambda row: row.no_ttl_keys if ttls_known else None, **quantiles},
    )


def _ttl_on_curve(share: float) -> Callable[[PatternRow], int | None]:
    place = CURVE_SHARES.index(share)
    return lambda row: row.ttl_curve[place] if row.ttl_curve else None


def _idle_quantile(place: int) -> Callable[[PatternRow], int | None]:
    return lambda row: None if row.idle_quantiles is None else row.idle_quantiles[place]


def _median_order(row: PatternRow) -> int | None:
    if row.idle_quantiles is not None:
        return row.idle_quantiles[1]
    return row.frequency_curve[CURVE_SHARES.index(0.5)] if row.frequency_curve else None


def _median_idle(row: PatternRow, _width: int = 0) -> str:
    median = _median_order(row)
    if median is None:
        return "?"
    return f"freq {median}" if row.idle_quantiles is None else sizes.duration(median)


_KEYS: Column[PatternRow] = Column(
    "keys",
    "KEYS",
    9,
    lambda row, _: sizes.count(row.keys),
    lambda row: row.keys,
    "right",
    yields=4,
    fields={"keys": lambda row: row.keys},
)
_MAIN_TYPE: Column[PatternRow] = Column(
    "type",
    "TYPE",
    6,
    _main_type,
    lambda row: _main_type(row, 20),
    yields=8,
    fields={"types": lambda row: dict(row.types)},
)
_MEDIAN_IDLE: Column[PatternRow] = Column("idle_median", "IDLE P50", 8, _median_idle, _median_order, "right", yields=5)
_WHOLE: Column[PatternRow] = Column(
    "whole",
    "EST. TOTAL",
    12,
    _whole,
    lambda row: None if row.estimated_bytes is None else row.estimated_bytes.value,
    "right",
    yields=6,
)
_PATTERN_DB: Column[PatternRow] = Column(
    "db",
    "DB",
    4,
    lambda row, _: "?" if row.db is None else str(row.db),
    lambda row: row.db,
    "right",
    yields=2,
    falling=False,
    fields={"db": lambda row: row.db},
)
_NAME_FIELDS: dict[str, Callable[[PatternRow], Any]] = {
    "pattern": lambda row: key_fields(row.pattern)[0],
    # What --pattern takes; None where it leaves out too many names to list.
    "select": lambda row: None if row.select is None else pattern_text.text(row.select),
    # A glob for SCAN MATCH that takes all of it and may take more, with odd bytes as \xNN.
    "match": lambda row: glob_text(row.match),
    "level": lambda row: row.level,
    "parent": lambda row: None if row.parent is None else key_fields(row.parent)[0],
}
_UNSHOWN: tuple[Column[PatternRow], ...] = (
    Column("idle", fields={f"idle_p{part}_seconds": _idle_quantile(place) for place, part in enumerate((10, 50, 90))}),
    Column(
        "estimate",
        fields={
            "estimated_bytes": lambda row: None if held_bytes(row) is None else interval_fields(row.estimated_bytes),
            "estimated_keys": lambda row: interval_fields(row.estimated_keys),
        },
    ),
)

PATTERN_CSV = (
    "pattern",
    "match",
    "db",
    "level",
    "keys",
    "bytes",
    "share",
    "no_ttl_keys",
    "error",
    "select",
    "application",
)
"""The columns of patterns in CSV, which stay."""
