"""What earlier runs of this tool left: runs of a plan, changes that were cut off, settings that never went back."""

from collections.abc import Iterable, Sequence

from redis_oom_tui.formatting.settings import shown_value
from redis_oom_tui.formatting.sizes import ago, skipped_lines
from redis_oom_tui.models.action import AuditEntry
from redis_oom_tui.models.plan import Plan
from redis_oom_tui.models.settings import Setting

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

    The newest first. One that is due but a moment ago is not among them.
    """
    settled: set[tuple[str, str]] = set()
    found: list[AuditEntry] = []
    for entry in sorted(history, key=lambda one: one.at, reverse=True):
        place = entry.server, _setting(entry)
        if not entry.ok or not place[1] or place in settled:
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
        name, old = entry.change.change.name, entry.change.change.old
        if old is not None and values.get(name) == entry.change.now != old:
            late, was, still = ago(now - entry.returns_at), shown_value(name, old), shown_value(name, values[name])
            sentences.append(
                f"{name} was to revert to {was} {late}, and the tool was killed before that: it is still {still}"
            )
        elif unread and old is not None and name not in values:
            late, was = ago(now - entry.returns_at), shown_value(name, old)
            sentences.append(f"{name} was to revert to {was} {late}, with no record that it did: check it")
    return tuple(sentences)


def _setting(entry: AuditEntry) -> str:
    """What an entry is about, where that is a setting that was changed or kept."""
    if entry.change is not None:
        return entry.change.change.name
    return entry.what.partition(" ")[0] if entry.action == "keep" else ""
