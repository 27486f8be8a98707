"""What a run came to, what earlier runs of this tool left, and an incident told from its snapshots."""

import functools
from collections.abc import Iterable, Mapping, Sequence

from redis_oom_tui.formatting.settings import shown_value
from redis_oom_tui.formatting.sizes import ago, count, number_of_keys, size, skipped_lines
from redis_oom_tui.models.action import AuditEntry
from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.plan import Operation, Outcome, Plan
from redis_oom_tui.models.scan import PatternRow, ScanView
from redis_oom_tui.models.settings import Setting
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Episode
from redis_oom_tui.models.verdict import Thresholds
from redis_oom_tui.rules.guarded import attempt
from redis_oom_tui.rules.history import History, never_back
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
    at, monotonic = None, 0.0
    for snapshot in snapshots:
        at, monotonic = never_back(snapshot, at, monotonic), snapshot.taken_monotonic
        moment = functools.partial(_episode, history, snapshot, at, thresholds)
        episode = attempt("this moment is", moment, lambda _: None)
        if episode is None:
            continue
        if found and (found[-1].level, found[-1].rule) == (episode.level, episode.rule):
            found[-1] = _joined(found[-1], episode)
        else:
            if found:
                found[-1] = replace(found[-1], ended=at)
            found.append(episode)
    return tuple(_smooth(found))


def _episode(history: History, snapshot: Snapshot, at: float, thresholds: Thresholds | None) -> Episode:
    """What one look amounts to."""
    gained = history.add(snapshot)
    verdict = judge(snapshot, thresholds=thresholds, rates=history.rates())
    return Episode(
        began=at,
        ended=at,
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


_PRIOR_RUNS = 3


def prior_runs(history: Iterable[AuditEntry], plan: Plan, now: float) -> tuple[str, ...]:
    """A sentence for each of the last runs of this very plan, the newest first; `now` is Unix seconds."""
    before = [entry for entry in history if entry.plan == plan.hash and entry.server == plan.server]
    newest = sorted(before, key=lambda entry: entry.at, reverse=True)
    return tuple(_prior_run(entry, now) for entry in newest[:_PRIOR_RUNS])


def unread_lines(skipped: int) -> tuple[str, ...]:
    """A sentence where lines of the audit file could not be read: what they tell is not known.

    >>> unread_lines(2)
    ('2 lines of the audit log cannot be read and were skipped: an earlier run may be among them.',)
    """
    return (f"{skipped_lines(skipped)}: an earlier run may be among them.",) if skipped else ()


def _prior_run(entry: AuditEntry, now: float) -> str:
    begun = ago(now - entry.at)
    what = f"ended: {entry.result}"
    if entry.ended is None:
        what = "was interrupted, or still runs: its keys are counted here, too, and skipped if they are gone."
    copies = f" Its copies are in {entry.undo}" if entry.undo else ""
    return f"A run of this plan, begun {begun}, {what}{copies}"


# A return takes a moment, and is tried again for some seconds where the server is away.
_LATE_SECONDS = 5.0


def overdue(history: Iterable[AuditEntry], now: float) -> tuple[AuditEntry, ...]:
    """The changes of which nothing tells that they went back, were kept, or were changed again; `now` is Unix seconds.

    The newest first. One that could not be read back is among them, one that is due but a moment ago is not.
    """
    settled: set[tuple[str, str]] = set()
    found: list[AuditEntry] = []
    for entry in sorted(history, key=lambda one: one.at, reverse=True):
        place = entry.server, _setting(entry)
        unread = entry.action == "set" and entry.change is not None and entry.change.unread
        if not (entry.ok or unread) or not place[1] or place in settled:
            continue
        settled.add(place)
        if entry.action == "set" and entry.returns_at is not None and entry.returns_at + _LATE_SECONDS < now:
            found.append(entry)
    return tuple(found)


def cut_off(history: Iterable[AuditEntry]) -> tuple[AuditEntry, ...]:
    """The changes of settings that are the last of their kind, and of which nothing tells how they ended."""
    latest: set[tuple[str, str]] = set()
    found: list[AuditEntry] = []
    for entry in sorted(history, key=lambda one: one.at, reverse=True):
        place = entry.server, _setting(entry)
        if place[1] and place not in latest:
            latest.add(place)
            if entry.ended is None and entry.change is not None:
                found.append(entry)
    return tuple(found)


def left_behind(
    history: Iterable[AuditEntry], server: str, settings: Sequence[Setting], now: float, *, unread: bool = False
) -> tuple[str, ...]:
    """A sentence for each setting of `server` that a killed tool may have changed, or left at a value that was to hold
    for a while only; with `unread` also for one whose value is not among `settings`.
    """
    entries = tuple(history)
    maybe = _maybe_changed(entries, server, settings, now, unread=unread)
    return maybe + not_returned(entries, server, settings, now, unread=unread)


def _maybe_changed(
    history: Iterable[AuditEntry], server: str, settings: Sequence[Setting], now: float, *, unread: bool
) -> tuple[str, ...]:
    values = {setting.name: setting.value for setting in settings}
    sentences: list[str] = []
    for entry in cut_off(history):
        if entry.server != server or entry.change is None:
            continue
        change = entry.change.change
        value, new = values.get(change.name), shown_value(change.name, change.new)
        begun = f"{change.name} may have been set to {new} by this tool {ago(now - entry.at)}"
        ends = f"; {shown_value(change.name, change.old)} was to be restored by itself" if entry.returns_at else ""
        if value is not None and value == change.new != change.old:
            sentences.append(f"{begun}, which was interrupted before its end was recorded: it is {new} now{ends}")
        elif value is None and (unread or change.name in values):
            sentences.append(f"{begun}, which was interrupted before its end was recorded: check it{ends}")
    return tuple(sentences)


def not_returned(
    history: Iterable[AuditEntry], server: str, settings: Sequence[Setting], now: float, *, unread: bool = False
) -> tuple[str, ...]:
    """A sentence for each setting of `server` that still has the value that was to hold for a while only; with `unread`
    also for one whose value is not among `settings`.
    """
    values = {setting.name: setting.value for setting in settings}
    sentences: list[str] = []
    for entry in overdue(history, now):
        if entry.server != server or entry.change is None or entry.returns_at is None:
            continue
        change, result = entry.change.change, entry.change
        value, new = values.get(change.name), change.new if result.unread else result.now
        due = f"{change.name} was to revert to {shown_value(change.name, change.old)} {ago(now - entry.returns_at)}"
        if change.old is None:
            continue
        if value is not None and value == new != change.old:
            why = "with no record that it did" if result.unread else "and the tool was killed before that"
            sentences.append(f"{due}, {why}: it is still {shown_value(change.name, value)}")
        elif value is None and (result.unread if change.name in values else unread):
            sentences.append(f"{due}, with no record that it did: check it")
    return tuple(sentences)


def _setting(entry: AuditEntry) -> str:
    """What an entry is about, where that is a setting that was changed or kept."""
    if entry.change is not None:
        return entry.change.change.name
    return entry.what.partition(" ")[0] if entry.action == "keep" else ""
