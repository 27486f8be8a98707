"""What `check` prints for monitoring plugins: the verdict by threshold ranges, the status line, performance data.

After the Monitoring Plugins Development Guidelines.
"""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Self

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import percent_beside
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.snapshot import Memory, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level, Thresholds, Verdict

_NUMBER = r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+"
_RANGE = re.compile(rf"(?P<inside>@)?(?:(?P<low>~|{_NUMBER})?%?:)?(?P<high>{_NUMBER})?%?")
_FORMS = "10 (above 10), 10: (below 10), ~:10 (above 10), 10:20 (outside) or @10:20 (inside)"


class Range(Struct, frozen=True):
    """A threshold in per cent of the limit: it alerts outside of `low` to `high`, or with `inside` within them."""

    low: float = 0.0
    high: float = math.inf
    inside: bool = False

    def alerts(self, value: float) -> bool:
        """Whether `value` calls for an alert; the bounds themselves are part of the range.

        >>> read_range("80").alerts(80), read_range("80").alerts(80.1), read_range("@10:20").alerts(20)
        (False, True, True)
        """
        return (self.low <= value <= self.high) is self.inside

    def text(self, unit: float | None = None) -> str:
        """As it is written; with a `unit`, in whole ones of so many per cent.

        >>> [read_range(text).text() for text in ("80", "10:", "~:10", "@10:20.5")]
        ['80', '10:', '~:10', '@10:20.5']
        >>> read_range("50:99").text(2**40 / 100)
        '549755813888:1088516511498'
        """

        def bound(value: float) -> str:
            return f"{value:g}" if unit is None else f"{value * unit:.0f}"

        low = "~:" if self.low == -math.inf else f"{bound(self.low)}:" if self.low else ""
        high = "" if self.high == math.inf else bound(self.high)
        return f"{'@' if self.inside else ''}{low or ('' if high else '0:')}{high}"


def read_range(text: str, option: str = "--warn") -> Range:
    """The range that is written so. Raises BadInput, which names the option.

    >>> read_range("~:10")
    Range(low=-inf, high=10.0, inside=False)
    """
    found = _RANGE.fullmatch(text.strip())
    if found is None or not (found["low"] or found["high"]):
        raise BadInput(f"{option}: {safe_text(text, 40)!r} is not a range: write {_FORMS}, in % of maxmemory")
    low = -math.inf if found["low"] == "~" else float(found["low"] or 0)
    high = math.inf if found["high"] is None else float(found["high"])
    if low > high:
        raise BadInput(f"{option}: the range {safe_text(text, 40)!r} begins above its end")
    return Range(low, high, inside=found["inside"] is not None)


def status_word(level: Level) -> str:
    """The word that plugins begin with.

    >>> status_word(Level.OOM), status_word(Level.WARNING)
    ('CRITICAL', 'WARNING')
    """
    return (Level.CRITICAL if level is Level.OOM else level).value.upper()


def plugin_lines(level: Level, reason: str, more: Sequence[str], data: Sequence[str]) -> list[str]:
    """The status line, with its performance data where there is any, and more lines; no text has a `|`.

    >>> plugin_lines(Level.OOM, "Refusing | writes.", ["a:1"], ["used=5B"])
    ['CRITICAL: Refusing / writes. | used=5B', 'a:1']
    """
    first, *rest = [line.replace("|", "/") for line in (f"{status_word(level)}: {safe_text(reason)}", *more)]
    return [f"{first} | {' '.join(data)}" if data else first, *rest]


def performance_data(snapshot: Snapshot, warn: Range, crit: Range) -> list[str]:
    """`label=value;warn;crit;min;max` of each figure that is known; ranges and maximum only where there is a limit.

    Of a cluster the memory is that of its worst primary, now this one and now that: what is counted is of all of them.
    """
    return list(_data(snapshot, warn, crit))


def _data(snapshot: Snapshot, warn: Range, crit: Range) -> Iterator[str]:
    memory, counters = snapshot.memory, snapshot.cluster or snapshot.counters
    keys = snapshot.cluster.keys if snapshot.cluster else snapshot.keys if snapshot.keyspace_known else None
    limit = memory.maxmemory_bytes
    if memory.counted_bytes is not None:
        bounds = ";;;0;" if not limit else f";{warn.text(limit / 100)};{crit.text(limit / 100)};0;{limit}"
        yield f"used={memory.counted_bytes}B{bounds}"
    if memory.pressure is not None:
        yield f"pressure={memory.pressure * 100:.2f}%;{warn.text()};{crit.text()};0;"
    figures = (
        ("rss", memory.rss_bytes, "B"),
        ("refused_writes", counters.refused_writes_total, "c"),
        ("evicted_keys", counters.evicted_keys_total, "c"),
        ("keys", keys, ""),
    )
    for label, value, unit in figures:
        if value is not None:
            yield f"{label}={value}{unit};;;0;"


# Verdicts of these names take their level from the share of the limit in use.
_BY_SHARE = ("close-", "buffers")
_RANK = (Level.OK, Level.UNKNOWN, Level.WARNING, Level.CRITICAL, Level.OOM)


class Plugin(Struct, frozen=True):
    """The ranges as given, None for those that are not, and whether performance data are wanted."""

    warn: Range | None
    crit: Range | None
    perfdata: bool

    @classmethod
    def of(cls, warn: str | None, crit: str | None, *, perfdata: bool) -> Self:
        """What these options ask for. Raises BadInput for what is no range."""
        return cls(
            None if warn is None else read_range(warn, "--warn"),
            None if crit is None else read_range(crit, "--crit"),
            perfdata,
        )

    def judged(self, verdict: Verdict, snapshot: Snapshot) -> Verdict:
        """The verdict by these ranges."""
        return with_ranges(verdict, snapshot.memory, self.warn, self.crit)

    def text(self, verdict: Verdict, snapshot: Snapshot, more: Sequence[str], thresholds: Thresholds) -> str:
        """What is printed; performance data name our own `thresholds` where no range was given."""
        warn = self.warn or Range(high=thresholds.warn * 100)
        crit = self.crit or Range(high=thresholds.crit * 100)
        data = performance_data(snapshot, warn, crit) if self.perfdata else []
        return "\n".join(plugin_lines(verdict.level, verdict.reason, more, data))


def with_ranges(verdict: Verdict, memory: Memory, warn: Range | None, crit: Range | None) -> Verdict:
    """`verdict` at the level that the ranges give it, where they give one; None stands for our own threshold.

    What does not come from the share in use (refused writes, a failed save, no answer) stands as it is. Without a known
    limit there is no share, and the ranges say nothing.
    """
    share = memory.pressure
    if share is None or (warn is None and crit is None):
        return verdict
    level = verdict.level
    by_share = verdict.rule.startswith(_BY_SHARE)
    if by_share and level is Level.CRITICAL and crit is not None:
        level = Level.WARNING
    if by_share and level is Level.WARNING and warn is not None:
        level = Level.OK
    reason = verdict.reason
    for option, found, alert in (("--warn", warn, Level.WARNING), ("--crit", crit, Level.CRITICAL)):
        if found is not None and found.alerts(share * 100) and _RANK.index(alert) > _RANK.index(level):
            marks = (found.low / 100, found.high / 100)
            level = alert
            side = "inside" if found.inside else "outside"
            reason = f"{percent_beside(share, marks, 1)} of maxmemory is used, {side} {option} {found.text()}"
            # That all is well is not said of what the range alerts on.
            reason = f"{reason}." if verdict.level is Level.OK else f"{reason}. {verdict.reason}"
    return replace(verdict, level=level, reason=reason)
