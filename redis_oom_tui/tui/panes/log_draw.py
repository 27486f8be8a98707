"""The Log pane in lines: events and actions in one order of time, and each of them in full."""

from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.settings import short_value, shown_value
from redis_oom_tui.formatting.sizes import (
    count,
    duration,
    earlier_actions,
    lasting,
    number_of,
    size,
    skipped_lines,
    used_of,
)
from redis_oom_tui.models.action import Action, AuditEntry, RestoreOutcome
from redis_oom_tui.models.alert import Alert, Event, EventKind
from redis_oom_tui.models.plan import Outcome
from redis_oom_tui.models.settings import ChangeResult
from redis_oom_tui.models.snapshot import LimitSource
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.rules.report import overdue
from redis_oom_tui.tui.drawing import DrawStyle, Line, Piece, clock_time, cut_end, moment, pad
from redis_oom_tui.tui.drawing import width as cells_of
from redis_oom_tui.tui.flows.state import LogState

_ROLES = {Level.OK: "ok", Level.WARNING: "warn", Level.UNKNOWN: "warn", Level.CRITICAL: "crit", Level.OOM: "crit"}
_QUIET = frozenset({EventKind.BACK, EventKind.RECOVERED, EventKind.CLEANUP})
# The cells before what happened: the cursor and the time.
_BEFORE = 11
# As little of a node's end tells it from the others: a port.
_LEAST_NODE = 7
# What is too long for its column.
_SHORT = {Action.KILL_CLIENT.value: "kill"}
_FORGOTTEN = "No record that it was reverted or kept: the tool was killed before. Limits shows what it is now."
_THINGS = {Action.SHRINK.value: "element", Action.FINISH.value: "job"}
_DONE = frozenset({Outcome.DELETED.value, Outcome.EXPIRING.value, RestoreOutcome.RESTORED.value})


class LogEntry(Struct, frozen=True):
    """Something with a time: an event of the server, or an action of ours.

    `forgotten` is a setting that was to go back by itself, and did not; `aliased` an action on the server that is
    shown, under another address.
    """

    at: float
    event: Event | None = None
    entry: AuditEntry | None = None
    forgotten: bool = False
    aliased: bool = False

    @property
    def identity(self) -> tuple[str, float, str]:
        """What keeps the cursor on it while others arrive."""
        if self.entry is not None:
            return ("action", self.at, self.entry.id)
        return ("event", self.at, str(self.event.number) if self.event is not None else "")


def log_entries(
    events: Iterable[Event], entries: Sequence[AuditEntry], now: float, names: Collection[str] | None = None
) -> list[LogEntry]:
    """Both, the newest first; `names` are those of the server, where all entries are on it. `now` is Unix seconds."""
    forgotten = {entry.id for entry in overdue(entries, now)}
    every = [
        *(LogEntry(event.at, event=event) for event in events),
        *(
            LogEntry(
                entry.at,
                entry=entry,
                forgotten=entry.id in forgotten,
                aliased=names is not None and entry.server not in names,
            )
            for entry in entries
        ),
    ]
    return sorted(every, key=lambda one: one.at, reverse=True)


def log_head(standing: Alert | None, log: LogState, width: int, *, now: float, level: Level | None) -> list[Line]:
    """What stands, what could not be read, the titles; `now` is the time of day.

    `level` is the verdict of this moment: where it is OK, an alert that stands is on its way out. None before the first
    figures, when no alert is no good news.
    """
    missing = [skipped_lines(log.skipped)] if log.skipped else []
    if log.unread_before is not None:
        missing.append(earlier_actions(moment(log.unread_before)))
    unread = [_fitted(((f" {words}. ", "warn"),), width - 1) for words in missing]
    titles = cut_end("  TIME     WHAT       DETAIL", width)
    return [_fitted(_standing(standing, now, level), width - 1), *unread, ((pad(titles, width), "head"),)]


def _standing(standing: Alert | None, now: float, level: Level | None) -> Line:
    if standing is None and level is None:
        return ((" Waiting for the first INFO: alerts are not known yet. ", "warn"),)
    if standing is None:
        return ((" No active alert. ", "ok"),)
    since = duration(max(0.0, now - standing.since))
    word = "LOST" if standing.lost else standing.level.value.upper()
    quiet = ""
    if standing.snoozed_until is not None:
        quiet = f" (snoozed until {clock_time(standing.snoozed_until)})"
    elif standing.quiet:
        quiet = " (seen)"
    role = _ROLES[standing.level]
    if level is Level.OK and not standing.lost:
        return ((f" {word} for {since}{quiet}: ", role), ("cleared, waiting to confirm", "text"))
    # The figures of a level are those of its beginning, and the header has those of now.
    then = "" if standing.lost else f" At {clock_time(standing.since)}:"
    return ((f" {word} for {since}{quiet}:{then} ", role), (safe_text(standing.reason, 300), "text"))


def log_row(one: LogEntry, width: int, style: DrawStyle, now: float, *, here: bool, several: bool) -> Line:
    """One entry; with the server where `several` are listed. `now` is the time of day."""
    time = clock_time(one.at) if now - one.at < 43_200 else moment(one.at)[5:16].replace(" ", "/")
    left = width - 1 - _BEFORE
    pieces = _event_pieces(one.event) if one.event is not None else _entry_pieces(one, left, several=several)
    line: list[Piece] = [(f"{style.glyphs.cursor if here else ' '} {pad(time, 9)}", "dim"), *pieces]
    if here:
        return ((pad(cut_end("".join(text for text, _ in line), width - 1), width), "cursor"),)
    return _fitted(line, width - 1)


def _fitted(line: Sequence[Piece], width: int) -> Line:
    """The line in `width` cells; what reaches over loses its end."""
    kept: list[Piece] = []
    for text, role in line:
        left = width - cells_of(kept)
        if left <= 0:
            break
        kept.append((cut_end(text, left), role))
    return tuple(kept)


def _event_pieces(event: Event) -> list[Piece]:
    role = "ok" if event.kind in _QUIET else _ROLES[event.level]
    word = event.kind.value.upper() if event.kind is EventKind.OOM else event.kind.value
    return [(pad(word, 11), role), (safe_text(event.reason, 300), "text")]


def _entry_pieces(one: LogEntry, width: int, *, several: bool) -> list[Piece]:
    """What was done; where actions on several servers are listed, each with its own in front.

    Where that is too long, the server's name gives way first, then what was done: what came of it is a sentence
    that says as much.
    """
    entry = one.entry
    if entry is None:
        return []
    first, *rest = _action_pieces(one, entry)
    name = safe_text(entry.server, 60) + (" = here" if one.aliased else "")
    # A refusal may begin with it.
    begins_with_it = rest[0][0].startswith(name)
    if entry.ended is not None and not entry.ok and _over([first, rest[0]], width):
        rest.insert(0, (_counted(entry), "crit"))
    if several and not begins_with_it:
        rest.insert(0, (f"{_end(name, len(name) - _over([first, *rest], width - len(name) - 2))}  ", "dim"))
    over = _over([first, *rest], width)
    if over and entry.ok and len(rest) > 1 and entry.change is None:
        del rest[-2]
    return [first, *rest]


def _counted(entry: AuditEntry) -> str:
    """How much of it was done, for a row whose sentence is cut before it tells; '' where nothing was counted."""
    done = sum(number for outcome, number in entry.counts.items() if outcome in _DONE)
    total = sum(entry.counts.values())
    # A backup may hold elements or jobs, and the entry does not say.
    thing = _THINGS.get(entry.action)
    of_all = count(total) if entry.action == Action.RESTORE.value else number_of(total, thing or "key")
    return f"{count(done)} of {of_all}: " if total else ""


def _over(line: Sequence[Piece], width: int) -> int:
    return max(0, cells_of(line) - width)


def _end(name: str, width: int) -> str:
    width = max(_LEAST_NODE, width)
    return name if len(name) <= width else f"…{name[1 - width :]}"


def _action_pieces(one: LogEntry, entry: AuditEntry) -> list[Piece]:
    # What it is stands in the column before.
    what = _changed(entry.change) if entry.change is not None else safe_text(entry.what, 120)
    what = what.removeprefix(f"{entry.action} ")
    action: Piece = (pad(safe_text(_SHORT.get(entry.action, entry.action), 10), 11), "link")
    if entry.ended is None:
        return [action, (f"{what}: ", "dim"), ("no end recorded: still running, or interrupted", "warn")]
    came = safe_text(entry.result, 300)
    if not entry.ok:
        # A row that is cut at its end must not read as done.
        return [action, (came, "crit"), (f" ({what})", "dim")]
    if one.forgotten:
        return [action, ("not reverted; ", "warn"), (what, "text")]
    if entry.change is not None and entry.change.now is not None:
        change = entry.change.change
        old = f"{safe_text(change.name, 40)}: {short_value(change.name, change.old)} → "
        return [action, (old, "dim"), (shown_value(change.name, entry.change.now), "text")]
    if (subject := what.partition(" ")[2]) and came.lower().startswith(subject.lower()):
        return [action, (came, "text")]
    return [action, (f"{what}: ", "dim"), (came, "text")]


def _changed(result: ChangeResult) -> str:
    change = result.change
    name = safe_text(change.name, 40)
    return f"{name}: {short_value(change.name, change.old)} → {short_value(change.name, change.new)}"


def in_full(one: LogEntry) -> list[Piece]:
    """All that is known of it, a paragraph each."""
    if one.event is not None:
        return _event_in_full(one.event)
    pieces = _entry_in_full(one.entry)
    if one.aliased:
        pieces.append(("This server, by its run_id, under another address.", "text"))
    return [*pieces, (_FORGOTTEN, "warn")] if one.forgotten else pieces


def _event_in_full(event: Event) -> list[Piece]:
    figures = event.figures
    use = used_of(figures.used_bytes, figures.maxmemory_bytes, figures.pressure, 1)
    if figures.maxmemory_bytes is None and figures.limit_source is LimitSource.NOT_REPORTED:
        use = f"{size(figures.used_bytes)} used, limit not reported"
    memory = f"Memory: {use}, {figures.policy or 'policy unknown'}."
    refused = f"Refused writes so far {count(figures.refused_writes_total)}"
    pieces: list[Piece] = [
        (f"{moment(event.at)}  {event.kind.value}", "title"),
        (event.reason, "text"),
        (f"{event.before.value} → {event.level.value}, server {event.server}.", "dim"),
        (memory, "text"),
        (f"{refused}, evicted keys {count(figures.evicted_keys_total)}.", "text"),
    ]
    if lasted := lasting(event.lasted_seconds, "Lasted "):
        pieces.append((f"{lasted}.", "text"))
    return pieces


def _entry_in_full(entry: AuditEntry | None) -> list[Piece]:
    if entry is None:
        return []
    pieces: list[Piece] = [
        (f"{moment(entry.at)}  {entry.action}", "title"),
        (f"{entry.what}, by {entry.who}, on {entry.server}", "text"),
    ]
    if entry.ended is None:
        pieces.append(("No end recorded: still running, or interrupted.", "warn"))
    else:
        pieces.append((entry.result, "text" if entry.ok else "crit"))
        pieces.append((f"Duration {duration(max(0.0, entry.ended - entry.at))}.", "dim"))
    pieces += [(f"{outcome}: {count(number)}", "text") for outcome, number in entry.counts.items()]
    if entry.change is not None:
        change = entry.change.change
        old, new, now = (shown_value(change.name, value) for value in (change.old, change.new, entry.change.now))
        pieces.append((f"{change.name}: {old}, then {new}; read back {now}", "text"))
    if entry.undo:
        # A backup that was put back does not take its own return back: it is named for what it is.
        named = "The backup" if entry.action == Action.RESTORE else "To undo"
        pieces.append((f"{named}: {entry.undo}", "dim"))
    return [*pieces, (f"Number {entry.id} in the audit file.", "dim")]
