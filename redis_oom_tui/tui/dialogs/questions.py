"""Boxes of a few sentences: questions with a yes and a no, and what is only to be read in full."""

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from redis_oom_tui.formatting.hogs import changes
from redis_oom_tui.formatting.sanitize import escape_exact, reads_otherwise, safe_text
from redis_oom_tui.formatting.settings import changed_elsewhere_words, value_before, value_now
from redis_oom_tui.formatting.sizes import ago, count, duration, number_of_keys, size, spoken
from redis_oom_tui.models.action import AuditEntry, BackupInspection
from redis_oom_tui.models.address import ClientBuffer, LargeCommand
from redis_oom_tui.models.keys import KeyDetails, KeyId
from redis_oom_tui.models.scan import Comparison
from redis_oom_tui.models.settings import ChangeResult
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.rules.cluster import address_behind
from redis_oom_tui.rules.restoring import (
    backup_contents,
    backup_origin,
    left_unchanged,
    restore_outlook,
    restore_warnings,
)
from redis_oom_tui.tui.dialogs.base import Dialog, WordDialog
from redis_oom_tui.tui.drawing import Line, Piece, cut_end, flagged, paragraph, quoted


class Question(Struct, frozen=True):
    """What is asked. `lines` are sentences, `warnings` stand out; `act` says what the acting button does.

    `word`, where given, must be typed before anything can be pressed.
    """

    title: str
    lines: tuple[str, ...]
    act: str
    warnings: tuple[str, ...] = ()
    danger: bool = True
    word: str | None = None


class ConfirmDialog(WordDialog[bool]):
    """Answers True, or None where it was left."""

    def __init__(self, question: Question) -> None:
        super().__init__(question.title, act=question.act, danger=question.danger, word=question.word)
        self.question = question

    def body(self, width: int) -> Sequence[Line]:
        lines: list[Line] = []
        for text in self.question.lines:
            lines += paragraph(safe_text(text), width)
        return [*lines, *flagged(self.question.warnings, width)]

    def answer(self) -> bool | None:
        return True


def as_they_are(words: str) -> str:
    """Figures of now, which need no date."""
    return words


def kill_question(
    client: ClientBuffer,
    where: str,
    large: Iterable[LargeCommand] = (),
    now: float = 0.0,
    dated: Callable[[str], str] = as_they_are,
) -> Question:
    """What is known of the client, and what closing it means; `large` are commands in the logs, `now` is the server's
    time of day. `dated` says of what time figures are, where they are old.
    """
    name = f'name "{escape_exact(client.name)}"' if client.name else "no name"
    library = f', library "{escape_exact(client.library)}"' if client.library else ""
    user = f', user "{escape_exact(client.user)}"' if client.user else ""
    buffers = f"output buffer {size(client.output_bytes)}, query buffer {size(client.query_bytes)}"
    last = (
        f'last command "{escape_exact(client.command)}" {ago(client.idle_seconds)}'
        if client.command
        else "no command yet"
    )
    warnings = ["Its unread replies are lost. Most clients reconnect immediately; fix the cause there."]
    if "S" in client.flags:
        warnings.insert(0, "This is a replica: killing it forces a resync, possibly a full one.")
    return Question(
        title=f"Kill client {client.id}?",
        lines=(
            f"On {where}: client {client.id} at {client.address}, {name}{library}{user}.",
            dated(f"It holds {size(client.total_bytes)}: {buffers}."),
            dated(f"Connected for {spoken(client.age_seconds)}; {last}."),
            *_large_lines(client, large, now),
            "Killed by ID, and only if that ID still belongs to this address.",
        ),
        warnings=tuple(warnings),
        act="Kill client",
    )


_LARGE_SHOWN = 3
# How old the list of clients may be; the port of a closed connection is given to no other sooner.
_LISTED_SECONDS = 60.0


def _large_lines(client: ClientBuffer, large: Iterable[LargeCommand], now: float) -> tuple[str, ...]:
    """What it has sent of large values, by the server's log; over a unix socket, which clients share, by its name."""
    by_name = "/" in client.address
    began = now - client.age_seconds - _LISTED_SECONDS
    sent = [one for one in large if one.at >= began and _may_be_of(one, client, by_name=by_name)]
    each = (
        f"{safe_text(one.command.upper(), 24)}{f' of {safe_text(one.key, 40)}' if one.key else ''} with"
        f" {size(one.size)}, {ago(max(0.0, now - one.at))}"
        for one in sent[:_LARGE_SHOWN]
    )
    whose = "of clients with its name" if by_name else "of it"
    return (f"Large commands {whose} in the server's log: {'; '.join(each)}.",) if sent else ()


def _may_be_of(one: LargeCommand, client: ClientBuffer, *, by_name: bool) -> bool:
    same = (one.address, one.node) == (client.address, client.node)
    return same and (not by_name or (bool(client.name) and one.name == client.name))


def purge_question(where: str, snapshot: Snapshot | None, dated: Callable[[str], str] = as_they_are) -> Question:
    """MEMORY PURGE: what it gives back, and what it does not cure."""
    lines = [f"On {where}: the allocator gives unused pages back to the system."]
    held = None if snapshot is None else snapshot.cluster or snapshot.memory
    if held is not None:
        whose = " of all primaries" if snapshot is not None and snapshot.cluster is not None else ""
        lines.append(dated(f"RSS{whose} is {size(held.rss_bytes)}, and {size(held.used_bytes)} are in use."))
    lines.append("No key is touched. It can lower RSS, never used_memory: it does not fix an OOM.")
    return Question("Run MEMORY PURGE?", tuple(lines), "Purge", danger=False)


def reap_question(where: str, snapshot: Snapshot | None, dated: Callable[[str], str] = as_they_are) -> Question:
    """Looking at each key once, by which the server drops those that have expired."""
    lines = [f"On {where}: every key is scanned, and the server removes those that have already expired."]
    held = None if snapshot is None else snapshot.cluster or snapshot
    if held is not None:
        has = "has" if held.expires == 1 else "have"
        lines.append(dated(f"{count(held.expires)} of {number_of_keys(held.keys)} {has} a TTL."))
    lines.append("Only already-expired keys are removed; nothing to undo.")
    return Question("Remove expired keys now?", tuple(lines), "Remove", danger=False)


def restore_question(
    inspection: BackupInspection,
    where: str,
    snapshot: Snapshot | None,
    dated: Callable[[str], str] = as_they_are,
    history: Sequence[AuditEntry] = (),
) -> Question:
    """Putting the keys of a backup back. A damaged one is restored as far as it can be read, and the button says so."""
    backup, damaged = inspection.backup, inspection.damaged
    operation = backup.operation
    what = {"expire": "expiries", "shrink": "elements", "finish": "jobs"}.get(operation, "keys")
    lines = [f"On {where}: restores {what} from {backup.path}."]
    warnings = [inspection.note] if inspection.note else []
    lines += [f"Source: {backup.server} ({backup.flavour} {backup.version}).", backup_contents(backup)]
    same_address = address_behind(backup.server) in where
    if origin := backup_origin(backup, snapshot, same_address=same_address):
        lines.append(origin)
    elif not same_address:
        warnings.append(f"Taken from a different address: {backup.server}.")
    if operation in {"expire", "shrink"}:
        lines.append(left_unchanged(operation))
    else:
        lines.append("Existing keys are never overwritten; keys whose TTL has passed are not restored.")
    if snapshot is not None:
        too_full = restore_warnings(backup, snapshot)
        warnings += map(dated, too_full)
        lines += () if too_full else map(dated, restore_outlook(backup, snapshot, history))
    act = "Restore what can be read" if damaged else "Restore"
    return Question("Restore this backup?", tuple(lines), act, tuple(warnings), danger=damaged)


def read_question(details: KeyDetails, where: str) -> Question:
    """Reading a value where the server counts that as a use of the key, and what is known of its use is lost."""
    row = details.row
    reset = "What the server knows of its use is reset: its idle time, or its access frequency."
    if row.frequency is not None:
        reset = f"Its access frequency ({row.frequency} of 255 now) may rise: an LFU policy then evicts it later."
    elif row.idle_seconds is not None:
        reset = (
            f"Its idle time ({duration(row.idle_seconds)} now) is reset to 0: eviction and cleanups by idle time then"
            " treat it as used just now."
        )
    return Question(
        title="Read the value anyway?",
        lines=(
            f"On {where}: {row.type} {escape_exact(row.id.key[:200])}",
            "Its length is read, and the start of its value where there is room for that. The value is not changed.",
            "Without CLIENT NO-TOUCH the server counts this as a use of the key.",
        ),
        warnings=(reset, "That cannot be undone."),
        act="Read",
        danger=False,
    )


class KeepDialog(Dialog[bool]):
    """Answers True to keep it. Left, or when the time is up, the old value returns; but not where `elsewhere` tells
    what others have set since.
    """

    CANCEL = "Revert"

    def __init__(self, result: ChangeResult, until: float, elsewhere: Callable[[], str | None]) -> None:
        super().__init__(f"Keep {safe_text(result.change.name, 40)}?", act="Keep")
        self.result = result
        self.until = until
        self._elsewhere = elsewhere

    def body(self, width: int) -> Sequence[Line]:
        left = max(0, round(self.until - self.host.clock.monotonic()))
        lines = paragraph(f"Set to {value_now(self.result)}", width, "title")
        if (value := self._elsewhere()) is not None:
            return [*lines, *paragraph(changed_elsewhere_words(self.result, value), width, "warn")]
        old = value_before(self.result)
        lines += paragraph(f"Reverts to {old} in {left}s unless you keep it.", width)
        return [*lines, *flagged(self.result.change.returns, width)]

    def on_mount(self) -> None:
        self.set_interval(1.0, self._count)

    def _count(self) -> None:
        if self.host.clock.monotonic() >= self.until:
            self.dismiss(None)
        else:
            self.refit()

    def answer(self) -> bool | None:
        return True


_MOST_PATTERNS = 50


class ReadDialog(Dialog[bool]):
    """Text that scrolls: what `text` gives for a width, made harmless by whoever gives it."""

    CANCEL = "Close"

    def __init__(self, title: str, text: Callable[[int], Sequence[Line]]) -> None:
        super().__init__(title, act=None)
        self._lines = text

    def body(self, width: int) -> Sequence[Line]:
        return self._lines(width)


def paragraphs(pieces: Sequence[Piece], width: int) -> list[Line]:
    """Each piece as a paragraph."""
    return [line for text, role in pieces for line in paragraph(safe_text(text), width, role)]


def name_lines(key: KeyId, facts: Sequence[str], width: int) -> list[Line]:
    """A key's whole name, however long, by its exact bytes; `facts` are sentences about the key."""
    lines = paragraphs([(fact, "text") for fact in facts], width)
    where = f"Database {key.db}" + (f", node {safe_text(key.node)}" if key.node else "")
    lines += paragraph(f"{where}; the name is {count(len(key.key))} bytes long:", width, "dim")
    if reads_otherwise(key.key):
        lines.append((("  reads as ", "dim"), (safe_text(key.key, max(8, width - 11)), "text")))
    return [*lines, *quoted(key.key, width)]


def growth_lines(comparison: Comparison, width: int) -> list[Line]:
    """What grew: a row a pattern, the largest change first, under what makes the two scans hard to compare."""
    since, *rest = changes(comparison, _MOST_PATTERNS)
    head, *rows = rest[len(comparison.notes) :]
    lines: list[Line] = [((cut_end(since, width), "text"),)]
    lines += flagged(comparison.notes, width, "warn")
    if not comparison.patterns:
        lines.append((("No pattern has grown or shrunk.", "text"),))
    return [*lines, ((cut_end(head, width), "dim"),), *(((cut_end(row, width), "text"),) for row in rows)]
