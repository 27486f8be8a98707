"""What a run came to, what earlier runs of its plan left, and an incident told from its snapshots."""

import functools
from collections.abc import Iterable, Mapping, Sequence

from redis_oom_tui.formatting.sizes import count, number_of_keys, size
from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.plan import Operation, Outcome
from redis_oom_tui.models.scan import PatternRow, ScanView
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Episode
from redis_oom_tui.models.verdict import Thresholds
from redis_oom_tui.rules.guarded import attempt
from redis_oom_tui.rules.history import History
from redis_oom_tui.rules.verdict import judge

# A number that servers share may have changed unseen; and a key that expires sooner than asked is as it was.
_KEPT = {
    Operation.DELETE: ("was skipped, as it changed or may have", "were skipped, as they changed or may have"),
    Operation.EXPIRE: ("was left unchanged", "were left unchanged"),
}
_LOST = {
    Operation.DELETE: "may have been deleted by this tool, as the reply was lost",
    Operation.EXPIRE: "may have been given an expiry, as the reply was lost",
}
_OTHER_OUTCOMES = (
    (Outcome.FAILED, "failed", "failed"),
    (Outcome.NOT_ATTEMPTED, "was not attempted", "were not attempted"),
)


def report(
    operation: Operation,
    counts: Mapping[Outcome, int],
    total: int,
    fell: int | None,
    *,
    restarted: bool = False,
    earlier: int = 0,
    kept: int = 0,
) -> str:
    """What a run came to; `fell` is by how many bytes used_memory is lower than before it. After the server was
    `restarted` meanwhile, nobody knows. `earlier` of the keys that are gone were deleted by a run of the plan before;
    `kept` of those that failed could not be saved.

    >>> report(Operation.DELETE, {Outcome.DELETED: 8, Outcome.CHANGED: 2}, 10, 2048)
    'Deleted 8 of 10 keys; 2 were skipped, as they changed or may have; used memory fell by 2.0 KiB.'
    >>> report(Operation.DELETE, {Outcome.FAILED: 3}, 3, -2048)
    'Deleted 0 of 3 keys; 3 failed.'
    """
    verb, done = ("Deleted", Outcome.DELETED) if operation is Operation.DELETE else ("Set a TTL on", Outcome.EXPIRING)
    parts = [f"{verb} {count(counts.get(done, 0))} of {number_of_keys(total)}"]
    gone = f" ({count(earlier)} deleted by an earlier run of this plan)" if earlier else ""
    rest = (
        (Outcome.CHANGED, *_KEPT[operation]),
        (Outcome.GONE, f"was gone already{gone}", f"were gone already{gone}"),
        (Outcome.IN_DOUBT, _LOST[operation], _LOST[operation]),
        *_OTHER_OUTCOMES,
    )
    if kept:
        parts.append(f"{count(kept)} {'was' if kept == 1 else 'were'} kept, as no copy could be saved")
    for outcome, one, many in rest:
        if number := counts.get(outcome, 0) - (kept if outcome is Outcome.FAILED else 0):
            parts.append(f"{count(number)} {one if number == 1 else many}")
    # What the memory did where nothing was deleted is no doing of the run.
    acted = counts.get(done) or counts.get(Outcome.IN_DOUBT)
    if operation is Operation.DELETE and fell is not None and acted:
        parts.append(memory_words(fell))
    elif operation is Operation.DELETE and restarted and acted:
        parts.append("the server restarted or failed over meanwhile, so what used memory fell by is not known")
    return "; ".join(parts) + "."


def memory_words(fell: int) -> str:
    """What used_memory did over a run, where it fell by so many bytes."""
    if fell >= 0:
        return f"used memory fell by {size(fell)}"
    grew = "others wrote meanwhile, or the server's buffers and statistics grew"
    return f"used memory is {size(-fell)} higher than before: {grew}"


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
        return known.setdefault(name, b"pattern-%d" % (len(known) + 1))

    patterns = tuple(_nameless(row, number(row.pattern), row.parent and number(row.parent)) for row in scan.patterns)
    top = tuple(replace(row, id=replace(row.id, key=b"key-%d" % index)) for index, row in enumerate(scan.top, 1))
    return replace(scan, patterns=patterns, top=top)


def nameless_clients(clients: tuple[ClientBuffer, ...]) -> tuple[ClientBuffer, ...]:
    """The same clients without what they call themselves."""
    return tuple(replace(client, name=b"", user=b"") for client in clients)


def _nameless(row: PatternRow, name: bytes, parent: bytes | None) -> PatternRow:
    return replace(row, pattern=name, match=name, parent=parent, select=None)
