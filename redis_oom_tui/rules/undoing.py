"""What can be undone of what this tool did to a server: settings and backups, and what speaks against each of them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct, field

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.settings import short_value
from redis_oom_tui.formatting.sizes import ago, count, number_of_keys, percent, size
from redis_oom_tui.models.action import Action, AuditEntry, Backup, RestoreOutcome
from redis_oom_tui.models.plan import Outcome
from redis_oom_tui.models.settings import Change, ChangeResult, NodeResult
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.cluster import actions_on
from redis_oom_tui.rules.restoring import (
    FILLED_TO,
    backup_origin,
    keys_taken,
    may_be_unreadable,
    number_restored,
    of_same_process,
    restore_warnings,
    room_for_restore,
    room_needed,
    room_words,
)

_SET, _UNDO, _RESTORE = Action.SET.value, "undo", Action.RESTORE.value
_CLEANUPS = frozenset({Action.DELETE.value, Action.EXPIRE.value, Action.SHRINK.value, Action.FINISH.value})
# A change of a whole cluster is recorded node by node; those of one change lie no further apart.
_ONE_CHANGE_SECONDS = 60.0
_NO_ROOM_NEEDED = "It needs no memory."
_UNREAD = "What it is now is not known here; it is checked before it is set."


class ServerNow(Struct, frozen=True):
    """The server as it stands. `names` are those under which actions on it were recorded, `now` is Unix seconds by the
    clock of this computer. `values` are the settings of `node` ('' without a cluster), as far as they could be read.

    `why_no_setting` and `why_no_restore` say why neither can be done here; None where they can. `former` are the
    primaries before a failover: they had the same keys, and settings of their own.
    """

    names: Collection[str]
    now: float
    snapshot: Snapshot | None = None
    values: Mapping[str, str | None] = field(default_factory=lambda: MappingProxyType({}))
    node: str = ""
    why_no_setting: str | None = None
    why_no_restore: str | None = None
    former: Collection[str] = ()


class Undoable(Struct, frozen=True):
    """Something that can be undone: a setting (`change`), or what the backup at `path` holds. `at` is Unix seconds.

    `what` is what it brings back, `needs` the room that it takes and that there is. `refused` is why it cannot be
    undone now, '' where it can; `done` says that it was, '' where it was not.
    """

    at: float
    what: str
    needs: str = ""
    warnings: tuple[str, ...] = ()
    refused: str = ""
    done: str = ""
    change: ChangeResult | None = None
    path: str = ""


def kept_elsewhere(history: Iterable[AuditEntry], here: ServerNow) -> tuple[str, ...]:
    """The paths of the backups of cleanups on this server, as the audit file has them."""
    mine = _actions_here(history, here)
    return tuple({entry.undo: None for entry in mine if entry.undo and entry.action in _CLEANUPS})


def is_from_here(backup: Backup, here: ServerNow) -> bool:
    """Whether the backup is of this server, maybe reached at another address then."""
    return backup.server in {*here.names, *here.former} or of_same_process(backup, here.snapshot) is True


def undo_list(history: Sequence[AuditEntry], backups: Iterable[Backup], here: ServerNow) -> tuple[Undoable, ...]:
    """What can be undone on this server, the newest first; `history` as the audit file gives it."""
    mine = _actions_here(history, here)
    kept = {backup.path: backup for backup in backups}
    found = [
        *_settings(_settings_changed(mine, here), here),
        *(
            _backup(backup, mine, here)
            for backup in kept.values()
            if is_from_here(backup, here) and (backup.keys or not backup.whole)
        ),
        *_without_backup(mine, kept),
    ]
    return tuple(sorted(found, key=lambda row: row.at, reverse=True))


def _actions_here(history: Iterable[AuditEntry], here: ServerNow) -> list[AuditEntry]:
    """What was done here, the oldest first: of a single server also what was done under another address of it."""
    mine: Iterable[AuditEntry] = (entry for entry in history if entry.server in here.names)
    if not _clustered(here):
        kept = (entry for entry in history if entry.change is None or entry.server not in here.former)
        mine = actions_on(here.snapshot, kept, *here.names, *here.former)
    return sorted(mine, key=lambda entry: entry.at)


def _clustered(here: ServerNow) -> bool:
    return here.snapshot is not None and here.snapshot.cluster is not None


def _settings_changed(mine: Iterable[AuditEntry], here: ServerNow) -> list[AuditEntry]:
    """The changes of settings: one history, whatever the address was; nodes of a cluster are told apart by theirs."""
    changes = [entry for entry in mine if entry.change is not None]
    return changes if _clustered(here) else [replace(entry, server="") for entry in changes]


def _settings(history: Sequence[AuditEntry], here: ServerNow) -> list[Undoable]:
    """The changes of settings that stand, those of one change of a whole cluster in one row."""
    rows: list[tuple[AuditEntry, Undoable]] = []
    for entries in _standing(history).values():
        for place, entry in enumerate(entries):
            row = _setting(entry, here, changed_again=place < len(entries) - 1)
            if row is not None:
                rows.append((entry, row))
    if not _clustered(here):
        return [row for _, row in rows]
    return _by_change(sorted(rows, key=lambda pair: pair[1].at))


def _standing(history: Sequence[AuditEntry]) -> dict[tuple[str, str], list[AuditEntry]]:
    """By server and setting, the changes that were not undone, the oldest first."""
    standing: dict[tuple[str, str], list[AuditEntry]] = {}
    for entry in history:
        if entry.change is None:
            continue
        change = entry.change.change
        entries = standing.setdefault((entry.server, change.name), [])
        if entry.action == _SET and (entry.ok or entry.ended is None or entry.change.unread):
            entries.append(entry)
        elif entry.action == _UNDO and entry.ok:
            undone = next((one for one in reversed(entries) if _took_back(change, one)), None)
            if undone is not None:
                entries.remove(undone)
    return standing


def _took_back(undo: Change, entry: AuditEntry) -> bool:
    """Whether `undo` is the way back of the change in `entry`."""
    change = entry.change
    return change is not None and (undo.old, undo.new) == (change.now or change.change.new, change.change.old)


def _setting(entry: AuditEntry, here: ServerNow, *, changed_again: bool) -> Undoable | None:
    """The row of one change; None where it never took."""
    result = entry.change
    if result is None or result.now == result.change.old:
        return None
    change = result.change
    known = here.values.get(change.name) if here.node in ("", entry.server) else None
    if (entry.ended is None or result.unread) and known == change.old:
        return None
    set_to = result.now or change.new
    refused = here.why_no_setting or ""
    if not refused and change.old is None:
        refused = "Its old value could not be read then, so it cannot be set again."
    elif not refused and changed_again:
        refused = "It was changed again since: undo the newer change first."
    elif not refused and known is not None and known != set_to:
        refused = f"It is {short_value(change.name, known)} now, not {short_value(change.name, set_to)}: changed since."
    warnings = () if refused else tuple(_setting_warnings(entry, known, here))
    return Undoable(
        at=entry.at,
        what=f"set {safe_text(change.name, 40)} back to {short_value(change.name, change.old)}",
        needs=_limit_room(change, here) or f"It was set to {short_value(change.name, set_to)}. {_NO_ROOM_NEEDED}",
        warnings=warnings,
        refused=refused,
        change=result,
    )


def _setting_warnings(entry: AuditEntry, known: str | None, here: ServerNow) -> Iterable[str]:
    if entry.ended is None:
        yield "The tool was interrupted before its end was recorded: it may never have been set."
    elif entry.change is not None and entry.change.unread:
        yield "It could not be read back then: it may never have been set."
    if entry.ended is not None and entry.returns_at is not None and entry.returns_at > here.now:
        yield "It reverts by itself, unless it was kept."
    if known is None:
        yield _UNREAD


def _limit_room(change: Change, here: ServerNow) -> str:
    """For maxmemory: what is used against the limit that would be there again; '' for other settings."""
    if change.name != "maxmemory" or here.snapshot is None or not (change.old or "").isdigit():
        return ""
    used, old = here.snapshot.memory.counted_bytes, int(change.old or 0)
    if used is None or here.snapshot.cluster is not None:
        return ""
    if old == 0:
        return f"{size(used)} are used; there would be no limit."
    passes = ": writes would be refused, or keys evicted" if used > old else ""
    return f"{size(used)} are used, {percent(used / old)} of that limit{passes}."


def _by_change(rows: Sequence[tuple[AuditEntry, Undoable]]) -> list[Undoable]:
    """One row for the same change of several nodes; `rows` are in order of time."""
    groups: list[list[tuple[AuditEntry, Undoable]]] = []
    for entry, row in rows:
        for group in groups:
            if _belongs(entry, row, group):
                group.append((entry, row))
                break
        else:
            groups.append([(entry, row)])
    return [_of_nodes(group) for group in groups]


def _belongs(entry: AuditEntry, row: Undoable, group: Sequence[tuple[AuditEntry, Undoable]]) -> bool:
    first = group[0][1]
    if row.change is None or first.change is None or row.at - first.at > _ONE_CHANGE_SECONDS:
        return False
    one, other = row.change.change, first.change.change
    same = (one.name, one.new) == (other.name, other.new)
    return same and all(entry.server != each.server for each, _ in group)


def _of_nodes(group: Sequence[tuple[AuditEntry, Undoable]]) -> Undoable:
    """The row of a change on these nodes."""
    row = group[-1][1]
    changes = [(entry.server, one.change) for entry, one in group if one.change is not None]
    olds = {change.change.old for _, change in changes}
    name, first = changes[0][1].change.name, changes[0][1]
    where = f"on {safe_text(changes[0][0], 60)} alone" if len(changes) == 1 else f"on {len(changes)} nodes"
    value = short_value(name, first.change.old) if len(olds) == 1 else "each node's own old value"
    refused = {entry.server: one.refused for entry, one in group if one.refused}
    all_refused = len(refused) == len(group)
    some = () if all_refused else tuple(f"{safe_text(node, 60)}: {reason}" for node, reason in refused.items())
    warnings = dict.fromkeys((*some, *(text for _, one in group for text in one.warnings)))
    if any(_UNREAD not in one.warnings for _, one in group):
        warnings.pop(_UNREAD, None)
    nodes = tuple(
        NodeResult(node, not each.unread, each.change.old, each.now, unread=each.unread) for node, each in changes
    )
    alone = changes[0][0] if len(changes) == 1 else ""
    return replace(
        row,
        what=f"set {safe_text(name, 40)} back to {value}, {where}",
        warnings=tuple(warnings),
        refused=next(iter(refused.values())) if all_refused else "",
        change=replace(first, change=replace(first.change, node=alone), nodes=nodes),
    )


def _backup(backup: Backup, history: Sequence[AuditEntry], here: ServerNow) -> Undoable:
    """The row of one backup file."""
    restored = [one for one in history if one.action == _RESTORE and one.undo == backup.path and one.ended is not None]
    last = restored[-1] if restored else None
    refused, warnings = here.why_no_restore or "", list(_backup_warnings(backup, here, again=bool(restored)))
    origin = backup_origin(backup, here.snapshot, same_address=backup.server in here.names)
    if not refused and here.snapshot is not None and here.snapshot.cluster is None:
        refused = " ".join(restore_warnings(backup, here.snapshot))
    done = last is not None and last.ok and _came_back(last.counts)
    if last is not None and not done:
        warnings.append(f"A restore {ago(here.now - last.at)}: {last.result}")
    return Undoable(
        at=_made_at(backup, here.snapshot),
        what=_restores(replace(backup, keys=keys_taken(backup, history))),
        needs=f"{room_words(backup, here.snapshot, history)} {origin}".rstrip(),
        warnings=() if refused else tuple(warnings),
        refused=refused,
        done=f"restored {ago(here.now - last.at)}" if last is not None and done else "",
        path=backup.path,
    )


# Keys that may be missing still; what was changed since, or has expired, is to stay so.
_MISSING = (RestoreOutcome.FAILED, RestoreOutcome.NOT_ATTEMPTED, RestoreOutcome.ALIKE)


def _came_back(counts: Mapping[str, int]) -> bool:
    """Whether a restore brought back all that it could."""
    missing = any(counts.get(outcome.value) for outcome in _MISSING)
    return counts.get(RestoreOutcome.RESTORED.value, 0) > 0 and not missing


def _made_at(backup: Backup, snapshot: Snapshot | None) -> float:
    """When it was made, by the clock of this computer: by way of the server's, which both were compared with."""
    skew = None if snapshot is None else snapshot.clock_skew_seconds
    if skew is None or backup.clock_skew_seconds is None:
        return backup.made_at
    return backup.made_at + backup.clock_skew_seconds - skew


def _restores(backup: Backup) -> str:
    number = number_restored(backup.operation, backup.keys)
    match backup.operation:
        case Action.EXPIRE.value:
            return f"restore the former expiry of {number}"
        case Action.SHRINK.value:
            return f"restore {number} removed from a key"
        case Action.FINISH.value:
            return f"restore {number} removed as finished"
        case _:
            return f"restore {number}"


def _backup_warnings(backup: Backup, here: ServerNow, *, again: bool) -> Iterable[str]:
    if not backup.whole:
        yield "The file has no end: its run was interrupted, or it was cut. What is in it counts."
    if backup.left_out_keys:
        were = "was" if backup.left_out_keys == 1 else "were"
        yield f"{number_of_keys(backup.left_out_keys)} more {were} deleted without a copy, and stay lost."
    snapshot = here.snapshot
    if snapshot is None or backup.operation == Action.EXPIRE.value:
        return
    needed, free = room_needed(backup, snapshot), room_for_restore(snapshot)
    if snapshot.cluster is None and needed is not None and free is not None and needed > free:
        fits = "It may not all fit" if again else "Not all of it fits"
        yield f"{fits}: a restore stops at {percent(FILLED_TO)} of maxmemory."
    if backup.operation != Action.SHRINK.value and may_be_unreadable(backup, snapshot):
        yield f"Its values are those of {backup.flavour} {backup.version}, which this server may not be able to read."


def _without_backup(history: Sequence[AuditEntry], kept: Collection[str]) -> Iterable[Undoable]:
    """The cleanups that nothing can bring back: no copy was made, or its file is missing."""
    for entry in history:
        if entry.action not in _CLEANUPS or entry.undo in kept:
            continue
        taken = entry.counts.get(Outcome.DELETED.value, 0) + entry.counts.get(Outcome.EXPIRING.value, 0)
        part = f", of which {count(taken)} went" if taken != sum(entry.counts.values()) else ""
        what = f"cleanup: {safe_text(entry.what, 80)}{part}"
        if entry.undo:
            refused = f"Its backup is missing, or is not a backup now: {safe_text(entry.undo, 300)}"
            yield Undoable(entry.at, what, refused=refused, path=entry.undo)
        elif taken:
            yield Undoable(entry.at, what, refused="No copy was made: it cannot be undone.")
