"""What a restore needs: what keys take when they come back, the room below maxmemory, and what to say of both.

Measured with 50,000 keys of each kind on Redis 6.2, 7.0, 8.2 and Valkey 9.1, MEMORY USAGE before against used_memory
after: strings took 12 to 30 bytes a key more than their sizes, of which the table is about 10; with a TTL 26 to 61;
small hashes and lists 9 to 35; collections in tables of their own up to 11% more (7.0, 8.2: RESTORE makes a table for
all elements at once).
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, number_of, number_of_keys, percent, percent_beside, size
from redis_oom_tui.models.action import Action, AuditEntry, Backup, RestoreOutcome, RestoreReport
from redis_oom_tui.models.plan import Operation, Outcome
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.rules.cluster import address_behind, is_run_id, run_ids

# How far keys are restored: a server brought to its limit again would refuse the next write, or evict for it.
FILLED_TO = 0.95
_KEY_BY_KEY = frozenset({Action.DELETE.value, Action.EXPIRE.value})
_TOOK = (Outcome.DELETED, Outcome.EXPIRING, Outcome.IN_DOUBT)


def of_same_process(backup: Backup, snapshot: Snapshot | None) -> bool | None:
    """Whether the process that answers now made the backup, by its run_id; None where that is not known.

    The backup of a cluster has the run_id of one of its nodes, which says nothing of the others.
    """
    if snapshot is None or snapshot.cluster is not None or address_behind(backup.server) != backup.server:
        return None
    here = run_ids(snapshot)
    return backup.run_id in here if here and is_run_id(backup.run_id) else None


def backup_origin(backup: Backup, snapshot: Snapshot | None, *, same_address: bool) -> str:
    """What the run_id of a backup says of the server that it is restored to, in a sentence; '' for nothing new."""
    same = of_same_process(backup, snapshot)
    if same and not same_address:
        return f"It was made on this server, reached at another address then: {backup.server} (same run_id)."
    if same is False and same_address:
        return "The run_id is not that of the backup: the server was restarted since, or another one has its address."
    return ""


def may_be_unreadable(backup: Backup, snapshot: Snapshot) -> bool:
    """Whether the backup is of another product, or of a newer version than runs here."""
    made, runs = _version(backup.version), _version(snapshot.server.version)
    return backup.flavour != snapshot.server.flavour or (made is not None and runs is not None and made > runs)


def _version(text: str) -> tuple[int, ...] | None:
    parts = text.split(".")[:2]
    return tuple(map(int, parts)) if all(part.isdigit() for part in parts) else None


def restore_warnings(backup: Backup | None, snapshot: Snapshot) -> tuple[str, ...]:
    """A warning for each server that holds too much for any key to be restored to it.

    Former expiries need no room.
    """
    if backup is not None and backup.operation == Operation.EXPIRE.value:
        return ()
    return tuple(_warnings(snapshot))


def _warnings(snapshot: Snapshot) -> Iterator[str]:
    for name, seen in _servers(snapshot):
        pressure = seen.memory.pressure
        if pressure is None or pressure < FILLED_TO:
            continue
        is_at = "over maxmemory, at" if pressure > 1 else "at"
        yield (
            f"{name} is {is_at} {percent_beside(pressure, (FILLED_TO, 1.0))} of maxmemory. Nothing is restored there"
            f" above {percent(FILLED_TO)}: free memory or raise maxmemory first."
        )


def _servers(snapshot: Snapshot) -> Iterator[tuple[str, Snapshot]]:
    if snapshot.cluster is None:
        yield "The server", snapshot
        return
    for view in snapshot.cluster.nodes:
        if view.node.serves and view.snapshot is not None:
            yield safe_text(view.name, 80), view.snapshot


def restore_outlook(backup: Backup | None, snapshot: Snapshot, history: Sequence[AuditEntry] = ()) -> tuple[str, ...]:
    """How full the server would be with the backup's keys, or how much room there is; nothing of a cluster, of which
    nobody knows beforehand which node takes how much.
    """
    memory = snapshot.memory
    if snapshot.cluster is not None or (backup is not None and backup.operation == Operation.EXPIRE.value):
        return ()
    filling = None if backup is None else pressure_after_restore(backup, snapshot, history)
    if filling is not None:
        return (filling,)
    if memory.maxmemory_bytes is None or memory.counted_bytes is None or memory.counted_bytes >= memory.maxmemory_bytes:
        return ()
    return (f"There is room for {size(memory.maxmemory_bytes - memory.counted_bytes)} below maxmemory.",)


def restored_before(backup: Backup, history: Sequence[AuditEntry]) -> str:
    """What earlier restores of the backup brought back, by the audit file; '' where there was none. What of it is still
    there takes no more memory, so a figure for all of its keys is the most that they can need.
    """
    earlier = [entry for entry in history if entry.action == Action.RESTORE.value and entry.undo == backup.path]
    number = min(backup.keys, sum(entry.counts.get(RestoreOutcome.RESTORED.value, 0) for entry in earlier))
    if number:
        return f"{number_restored(backup.operation, number)} {'was' if number == 1 else 'were'} restored before"
    return "a restore of it was interrupted before" if any(entry.ended is None for entry in earlier) else ""


def pressure_after_restore(backup: Backup, snapshot: Snapshot, history: Sequence[AuditEntry] = ()) -> str | None:
    """What a backup's keys would do to the pressure, in a sentence; None without a limit or without sizes."""
    memory = snapshot.memory
    counted = memory.counted_bytes
    taken = room_needed(backup, snapshot)
    if memory.maxmemory_bytes is None or counted is None or backup.held_bytes is None or taken is None:
        return None
    if backup.operation == Operation.EXPIRE.value:
        return None
    after = (counted + taken) / memory.maxmemory_bytes
    words = f"Its keys took {size(backup.held_bytes)}: restoring them all would reach {percent(after)} of maxmemory"
    if before := restored_before(backup, history):
        words += f" at most ({before}: what is still there takes no more)"
    if counted >= FILLED_TO * memory.maxmemory_bytes:
        now = percent(counted / memory.maxmemory_bytes)
        return f"{words}. It is at {now} already, and restore stops at {percent(FILLED_TO)}: make room first."
    return f"{words}; restore stops at {percent(FILLED_TO)}." if after > FILLED_TO else f"{words}."


def room_needed(backup: Backup, snapshot: Snapshot) -> int | None:
    """Bytes that all keys of a backup take there once they are restored; None where their sizes are unknown."""
    taken = backup.held_bytes if backup.restored_bytes is None else backup.restored_bytes
    if taken is None:
        return None
    grown = table_growth(snapshot.keys, backup.keys) + table_growth(snapshot.expires, backup.expiring_keys or 0)
    return taken + grown


def room_for_restore(snapshot: Snapshot) -> int | None:
    """Bytes that a restore may fill on that server; None without a limit, or where what is used is unknown."""
    limit, counted = snapshot.memory.maxmemory_bytes, snapshot.memory.counted_bytes
    return None if limit is None or counted is None else max(0, int(FILLED_TO * limit) - counted)


def room_words(backup: Backup, snapshot: Snapshot | None, history: Sequence[AuditEntry]) -> str:
    """What a restore of the backup needs, and has, in a sentence."""
    if backup.operation == Action.EXPIRE.value:
        return "It needs no memory."
    needed = None if snapshot is None else room_needed(backup, snapshot)
    needs = "How much memory it needs is unknown" if needed is None else f"It needs about {size(needed)}"
    if needed is not None and (before := restored_before(backup, history)):
        needs = f"It needs at most about {size(needed)} ({before}: what is still there takes no more)"
    if snapshot is None:
        return f"{needs}."
    if snapshot.cluster is not None:
        return f"{needs}; how much of it on which node is unknown before."
    free = room_for_restore(snapshot)
    if free is None:
        return f"{needs}; the server has no limit that is known."
    return f"{needs}; {size(free)} free below {percent(FILLED_TO)} of maxmemory."


def keys_taken(backup: Backup, history: Sequence[AuditEntry]) -> int:
    """How many keys of the backup its run took, or may have taken, by the audit file: one that was stopped had saved
    more, which are all still there.
    """
    for entry in history:
        if entry.undo == backup.path and entry.action in _KEY_BY_KEY and entry.ended is not None and entry.counts:
            return min(backup.keys, sum(entry.counts.get(outcome.value, 0) for outcome in _TOOK))
    return backup.keys


def number_restored(operation: str, number: int) -> str:
    """So many of what the backup of an operation holds.

    >>> number_restored("shrink", 2), number_restored("delete", 1)
    ('2 elements', '1 key')
    """
    return number_of(number, thing_restored(operation))


def maybe_gone(restored: str, keys: int | None) -> str:
    """What is known of what was `restored` by a server that was restarted or lost since, by how many keys it holds now;
    None where it does not answer.

    >>> maybe_gone("300 keys", 0)
    'What it had restored before (300 keys) is gone: it holds no key now'
    """
    what = f"hat it had restored before ({restored})"
    if keys is None:
        return f"Whether w{what} is still there is not known"
    if not keys:
        return f"W{what} is gone: it holds no key now"
    return f"W{what} may be gone: it holds {number_of_keys(keys)} now"


def thing_restored(operation: str) -> str:
    """What the backup of an operation counts."""
    return {Action.SHRINK.value: "element", Action.FINISH.value: "job"}.get(operation, "key")


def left_unchanged(operation: str) -> str:
    """What a restore does not overwrite, in a sentence."""
    if operation == Operation.EXPIRE.value:
        return "A key whose expiry was changed since is left unchanged."
    if operation == Action.SHRINK.value:
        return (
            "Elements go back into their key; what it has in their place now is left unchanged. Entries of a stream can"
            " only be restored where the stream is gone."
        )
    return "A key that exists now is left unchanged."


def backup_contents(backup: Backup) -> str:
    """What a backup holds, in a sentence.

    >>> backup_contents(Backup("b", 0.0, "s", "redis", "7", 1200, 9, held_bytes=4096, left_out_keys=1))
    'It holds 1,200 keys (4.0 KiB); 1 key more was deleted without a copy.'
    """
    what = "the former expiry of " if backup.operation == Operation.EXPIRE.value else ""
    number = number_restored(backup.operation, backup.keys)
    held = f" ({size(backup.held_bytes)})" if backup.held_bytes is not None else ""
    if not backup.whole:
        return f"It was to hold {what}{number}{held} and was interrupted: what is in it counts."
    missing = ""
    if backup.left_out_keys:
        were = "was" if backup.left_out_keys == 1 else "were"
        missing = f"; {number_of_keys(backup.left_out_keys)} more {were} deleted without a copy"
    return f"It holds {what}{number}{held}{missing}."


# Of a key that was let expire there is no copy: what came to its end, or was deleted by others, is gone.
_GONE = ("is gone and cannot be restored", "are gone and cannot be restored")
_WORDS = (
    (RestoreOutcome.EXISTS, ("already exists and was left unchanged", "already exist and were left unchanged")),
    (
        RestoreOutcome.ALIKE,
        (
            "was not restored: whether the list has it, or one like it that was added since, is unknown",
            "were not restored: whether the list has them, or others like them that were added since, is unknown",
        ),
    ),
    (RestoreOutcome.EXPIRED, ("expired since the backup", "expired since the backup")),
    (RestoreOutcome.CHANGED, ("was changed since and left unchanged", "were changed since and left unchanged")),
    (RestoreOutcome.FAILED, ("failed", "failed")),
    (RestoreOutcome.NOT_ATTEMPTED, ("was not attempted", "were not attempted")),
)


def what_came_back(operation: str, report: RestoreReport, reasons: Counter[str]) -> str:
    """What a restore came to, in a sentence; `reasons` are those that keys failed for, each as often as it did."""
    restored = count(report.counts.get(RestoreOutcome.RESTORED, 0))
    parts = [f"Restored {restored} of {number_restored(operation, report.total_keys)}"]
    if not report.total_keys:
        parts = ["Nothing was restored"]
    for outcome, words in _WORDS:
        if number := report.counts.get(outcome):
            why = _most_of_all(reasons) if outcome is RestoreOutcome.FAILED else ""
            lost = outcome is RestoreOutcome.EXPIRED and operation == Operation.EXPIRE.value
            parts.append(f"{count(number)} {(_GONE if lost else words)[number > 1]}{why}")
    if report.left_out_keys:
        were = "was" if report.left_out_keys == 1 else "were"
        parts.append(f"{count(report.left_out_keys)} {were} deleted without a copy")
    return f"{'; '.join(parts)}.{' ' if report.file_note else ''}{report.file_note}"


def _most_of_all(reasons: Counter[str]) -> str:
    """The reason that most keys failed for, in parentheses."""
    most = reasons.most_common(1)
    return f" ({'mostly: ' if len(reasons) > 1 else ''}{most[0][0]})" if most else ""


# A slot of a table, and the old table beside the new one while a server moves from one to the other.
_SLOT_BYTES = 8
# Tables this small are there anyway.
_SMALL_TABLE = 1024
_STRING_MORE, _OTHER_MORE, _TTL_MORE = 16, 24, 24
_TABLE_FROM, _TABLE_SHARE = 4096, 8


def restored_size(kind: str, size: int, *, expires: bool) -> int:
    """Bytes that a key of `kind` takes that measured `size` before, without its place in the tables of its database.

    >>> restored_size("string", 100, expires=False), restored_size("hash", 8000, expires=True)
    (116, 9048)
    """
    more = _STRING_MORE if kind == "string" else _OTHER_MORE
    if kind != "string" and size > _TABLE_FROM:
        more += size // _TABLE_SHARE
    return size + more + (_TTL_MORE if expires else 0)


def table_growth(before: int, more: int) -> int:
    """Bytes by which a table of `before` keys grows when so many more come, its old half included.

    >>> table_growth(0, 100), table_growth(0, 50_000), table_growth(60_000, 100), table_growth(65_000, 1_000)
    (0, 786432, 0, 1048576)
    """
    had, has = _slots(before), _slots(before + more)
    return 0 if has <= had or has <= _SMALL_TABLE else _SLOT_BYTES * (has - had) + _SLOT_BYTES * has // 2


def _slots(keys: int) -> int:
    return 1 << max(2, (keys - 1).bit_length()) if keys else 0
