"""An incident told from its snapshots: episodes of one verdict each; and scans without the names of their keys."""

import functools
from collections.abc import Iterable, Sequence

from redis_oom_tui.models.keys import KeyRow
from redis_oom_tui.models.report import Episode
from redis_oom_tui.models.scan import PatternRow, ScanView
from redis_oom_tui.models.snapshot import ClientBuffer, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Thresholds
from redis_oom_tui.rules.guarded import attempt
from redis_oom_tui.rules.history import History
from redis_oom_tui.rules.verdict import judge

# A verdict that came and went within this time, between two of the same, is part of them.
_BLINK_SECONDS = 5.0


def episodes(snapshots: Iterable[Snapshot], thresholds: Thresholds | None = None) -> tuple[Episode, ...]:
    """The verdicts over time, in order; what flickers is smoothed."""
    history, found = History(), list[Episode]()
    for snapshot in snapshots:
        episode = attempt("this moment is", functools.partial(_episode, history, snapshot, thresholds), lambda _: None)
        if episode is None:
            continue
        if found and (found[-1].level, found[-1].rule) == (episode.level, episode.rule):
            found[-1] = _joined(found[-1], episode)
        else:
            if found:
                found[-1] = replace(found[-1], ended=snapshot.taken_at)
            found.append(episode)
    return tuple(_smooth(found))


def _episode(history: History, snapshot: Snapshot, thresholds: Thresholds | None) -> Episode:
    """What one look amounts to."""
    gained = history.add(snapshot)
    verdict = judge(snapshot, thresholds=thresholds, rates=history.rates())
    return Episode(
        began=snapshot.taken_at,
        ended=snapshot.taken_at,
        level=verdict.level,
        rule=verdict.rule,
        reason=verdict.reason,
        peak_pressure=snapshot.memory.pressure,
        refused_writes=gained.refused_writes or 0,
    )


def _joined(first: Episode, second: Episode) -> Episode:
    peaks = [peak for peak in (first.peak_pressure, second.peak_pressure) if peak is not None]
    return replace(
        first,
        ended=second.ended,
        peak_pressure=max(peaks, default=None),
        refused_writes=first.refused_writes + second.refused_writes,
    )


def _smooth(found: Sequence[Episode]) -> list[Episode]:
    kept: list[Episode] = []
    for episode in found:
        blink = len(kept) > 1 and kept[-1].ended - kept[-1].began < _BLINK_SECONDS
        if blink and (kept[-2].level, kept[-2].rule) == (episode.level, episode.rule):
            middle = kept.pop()
            kept[-1] = _joined(_joined(kept[-1], middle), episode)
        else:
            kept.append(episode)
    return kept


def without_names(scan: ScanView) -> ScanView:
    """The same scan with every name replaced by a number; whatever is found in it then tells none."""
    known: dict[bytes, bytes] = {}

    def number(name: bytes) -> bytes:
        return known.setdefault(name, b"family-%d" % (len(known) + 1))

    patterns = tuple(_nameless(row, number(row.pattern), row.parent and number(row.parent)) for row in scan.patterns)
    top = tuple(_keyless(row, index) for index, row in enumerate(scan.top, 1))
    return replace(scan, patterns=patterns, top=top)


def nameless_clients(clients: tuple[ClientBuffer, ...]) -> tuple[ClientBuffer, ...]:
    """The same clients without what they call themselves."""
    return tuple(replace(client, name=b"", user=b"") for client in clients)


def _nameless(row: PatternRow, name: bytes, parent: bytes | None) -> PatternRow:
    return replace(row, pattern=name, match=name, parent=parent, select=None)


def _keyless(row: KeyRow, index: int) -> KeyRow:
    return replace(row, id=replace(row.id, key=b"key-%d" % index))
