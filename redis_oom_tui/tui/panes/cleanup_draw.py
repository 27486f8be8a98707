"""The Cleanup pane in lines: the form, the search, the frozen plan with every key, the run, and its report."""

from collections.abc import Sequence
from functools import cache

from msgspec import Struct

from redis_oom_tui.formatting.columns import Column, key_columns
from redis_oom_tui.formatting.criteria import summary
from redis_oom_tui.formatting.keys import Sized, size_words, sum_words
from redis_oom_tui.formatting.sanitize import cut, escape_exact, reads_otherwise, safe_text
from redis_oom_tui.formatting.sizes import (
    count,
    duration,
    known_bytes,
    number_of,
    number_of_keys,
    percent,
    progress,
    size,
)
from redis_oom_tui.models.action import TARGET, Budget, PlanningView, RestoreReport
from redis_oom_tui.models.plan import KeyOutcome, Operation, Outcome, Plan, PlannedKey, RunView
from redis_oom_tui.models.snapshot import Memory
from redis_oom_tui.rules.budget import beyond
from redis_oom_tui.tui.drawing import DrawStyle, Line, Piece, bar, clip, cut_end, marked, merged, pad, paragraph
from redis_oom_tui.tui.flows.state import CleanupState
from redis_oom_tui.tui.panes.cleanup_form import Entry, Form, value
from redis_oom_tui.tui.widgets.table_model import cells_of, fitting, header

_LABEL = 17
_FACT = 9
_NODE = 16
# Cells from which a key left alone has its node beside it, and the fewest lines of the list that go before a reason.
_WIDE = 80
_MARGIN = 2
_LEAST_LISTED = 2
_DONE = (Outcome.DELETED, Outcome.EXPIRING)


class PlanSums(Struct, frozen=True):
    """What is summed over all keys of a plan: its bytes, and what it does for the memory."""

    size: int
    budget: Budget | None = None
    low: int | None = None
    high: int | None = None


def form_head(
    form: Form, width: int, height: int, *, error: str, refused: str | None, unseen: str | None
) -> list[Line]:
    """What stands above the form: `refused` is why nothing can be deleted, `unseen` why no key can be looked for."""
    lines: list[Line] = []
    if unseen:
        lines += marked(" ! ", f"Keys cannot be searched: {safe_text(unseen, 300)}", width - 1, "warn")
    elif refused:
        lines += marked(" ! ", f"Nothing can be deleted: {safe_text(refused, 300)}", width - 1, "warn")
    if error:
        lines += marked(" ! ", safe_text(error, 300), width - 1, "crit")
    head = "Nothing is deleted until you have reviewed the keys and confirmed"
    if form.marks:
        head = f"{number_of_keys(len(form.marks))} by name (u: all keys again); the fields below apply as well"
    elif form.origin:
        head = f"From {safe_text(form.origin, 60)}"
    return lines + paragraph(head, width - 1, "dim", " ")[: 1 if height < 12 else 2]


def form_line(form: Form, entry: Entry | None, width: int, style: DrawStyle, *, here: bool) -> Line:
    """A line of the form; its last one, which is no entry, begins the search."""
    cursor = style.glyphs.cursor if here else " "
    if entry is None:
        label = "[ Preview matching keys ]" if here else "  Preview matching keys  "
        return clip(((f"{cursor} ", "text"), (label, "tab_active" if here else "cursor_away")), width)
    text = safe_text(value(form, entry)) or style.glyphs.dash
    if entry.choices:
        text = f"< {text} >" if here else text
    label = f"{cursor} {pad(entry.label, _LABEL)}"
    shown = cut(text, max(4, width - len(label) - 1))
    if here:
        return ((pad(label + shown, width), "cursor"),)
    return clip(((label, "dim"), (shown, "title")), width)


def form_hint(entry: Entry | None, width: int) -> list[Line]:
    """What may be typed in a line."""
    if entry is None or not entry.hint:
        return []
    return [(), *paragraph(entry.hint[0].upper() + entry.hint[1:], width - 1, "dim", "   ")]


def planning_lines(view: PlanningView | None, width: int, style: DrawStyle, *, things: str = "keys") -> list[Line]:
    """How far the search is."""
    if view is None:
        return [((" Looking", "text"),)]
    hint = "Searching; nothing is deleted. Esc stops and uses what was found so far."
    if things != "keys":
        hint = "Reading; nothing is deleted. Esc stops."
    done = f"checked {progress(view.scanned_keys, view.total_keys, view.elapsed_seconds, things)}"
    found: list[Line] = []
    if view.total_keys and things == "keys":
        found = paragraph(f"{count(view.matched_keys)} match, {_matched(view)}", width - 1, "title", " ")
    return [
        *paragraph(hint, width - 1, "dim", " "),
        (),
        *([_progress(view.scanned_keys / view.total_keys, width, style)] if view.total_keys else []),
        *paragraph(done, width - 1, "text", " "),
        *found,
        *paragraph(safe_text(view.phase, 200), width - 1, "warn" if view.throttled else "dim", " "),
    ]


def _matched(view: PlanningView) -> str:
    """What the matches hold, by a first measure: the plan tells it closer, with its range."""
    known = known_bytes(view.matched_bytes, view.matched_keys)
    return size(known) if not known else f"{size(known)} as first measured"


def _progress(share: float, width: int, style: DrawStyle) -> Line:
    share = min(1.0, share)
    return ((" ", "text"), *bar(share, max(4, width - 10), style, "bar_ok"), (f" {percent(share)}", "text"))


def plan_head(plan: Plan, sums: PlanSums, width: int, height: int, style: DrawStyle, *, hidden: int = 0) -> list[Line]:
    """Above the keys of a frozen plan: its sum, what it does for the memory, its flags, the titles of the columns."""
    lines = paragraph(_sum(plan, sums), width - 1, "title", " ")
    budget = sums.budget
    if budget is not None and budget.words:
        role = "text" if budget.enough is not False else "warn"
        lines += paragraph(safe_text(budget.words, 300), width - 1, role, " ")
    flags = [*plan.flags, *beyond(plan, sums.size)]
    if hidden:
        flags.append(f"{count(hidden)} of them are marked rows that the filter in Hogs hides.")
    for flag in flags:
        lines += marked(" ! ", safe_text(flag, 400), width - 1, "text", "warn")
    columns = plan_columns(nodes=any(key.id.node for key in plan.keys[:1]))
    titles = header(fitting(columns, width - _MARGIN - 1), "", True, style.glyphs)
    return [*lines[: max(2, height - 4)], clip(merged(((" " * _MARGIN, "head"), *titles)), width)]


def _sum(plan: Plan, sums: PlanSums) -> str:
    verb = "delete" if plan.operation is Operation.DELETE else f"expire within {duration(plan.expire_seconds)}"
    keys = number_of_keys(len(plan.keys))
    low, high = (sums.size if end is None else end for end in (sums.low, sums.high))
    held = sum_words(known_bytes(sums.size, len(plan.keys)), low, high)
    return f"To {verb}: {keys}, {held} ({safe_text(summary(plan.criteria), 120)})"


@cache
def plan_columns(*, nodes: bool) -> tuple[Column[Sized], ...]:
    """Those of keys anywhere, but for shares, and with the exact bytes of each name; in a cluster the node is told."""
    name: Column[Sized] = Column("key", "KEY", text=lambda row, width: shown_name(row.id.key, width))
    columns = key_columns(databases=not nodes, nodes=nodes)
    return (*(column for column in columns if column.id not in ("share", "key")), name)


def key_line(key: PlannedKey, width: int, style: DrawStyle, *, here: bool) -> Line:
    """A key of the plan."""
    role = "cursor" if here else None
    columns = fitting(plan_columns(nodes=bool(key.id.node)), width - _MARGIN - 1)
    edge = pad(style.glyphs.cursor if here else "", _MARGIN)
    return clip(merged(((edge, role or "text"), *cells_of(key, columns, role))), width)


def facts(key: PlannedKey) -> tuple[str, ...]:
    """What is known of a planned key, as sentences."""
    ttl = "never expires" if key.ttl_ms is None else f"expires in {duration(key.ttl_ms / 1000)}"
    idle = "" if key.idle_seconds is None else f", idle for {duration(key.idle_seconds)}"
    seldom = "" if key.frequency is None else f", frequency {key.frequency}"
    return (f"A {key.type} of {size_words(key)}; it {ttl}{idle}{seldom} when the plan was made.",)


def shown_name(name: bytes, width: int) -> str:
    """The exact bytes of a name in quotes, the middle of a long one given up; where little would be left of them, the
    name as it reads, without quotes.
    """
    if len(name) > 4 * width:
        name = name[: 2 * width] + name[-2 * width :]
    exact = f'"{escape_exact(name)}"'
    # Cut, it is not exact any more; and names of one pattern in another script than ours would all look alike.
    return cut(exact, width) if len(exact) <= width or not reads_otherwise(name) else safe_text(name, width)


def run_lines(
    state: CleanupState,
    memory: Memory | None,
    width: int,
    height: int,
    style: DrawStyle,
    *,
    estimated: bool = False,
    target: float = TARGET,
) -> list[Line]:
    """A run while it goes on, and after it the report; `memory` is the server's latest, `target` the share of maxmemory
    to reach.

    `estimated` says that some sizes of the plan are estimates.
    """
    view = state.run
    if view is None:
        return []
    lines = _under_way(state, view, width, style) if view.ended is None else _ended(view, width)
    lines += _fact(state.things or "keys", _counts(view), width)
    lines += _fact("memory", _freed(view, state.plan, estimated=estimated), width)
    lines += _fact("goal", _to_go(memory, target, done=any(map(view.counts.get, _DONE))), width)
    if view.backup_path:
        lines += _fact("backup", [(safe_text(view.backup_path, 400), "dim")], width)
    if view.ended is None or not state.outcomes or height - len(lines) <= _LEAST_LISTED:
        return lines[:height]
    titles = f"  SKIPPED: {count(len(state.outcomes) + state.more)}"
    return [*lines, (), ((pad(titles, width), "head"),)]


def _under_way(state: CleanupState, view: RunView, width: int, style: DrawStyle) -> list[Line]:
    share = view.done_keys / view.total_keys if view.total_keys else 1.0
    verb, things = ("Removing", state.things) if state.things else ("Deleting", "keys")
    if state.plan is not None and state.plan.operation is Operation.EXPIRE:
        verb = "Expiring"
    return [
        *paragraph(f"{verb}. Esc stops after this batch.", width - 1, "dim", " "),
        *paragraph(progress(view.done_keys, view.total_keys, view.elapsed_seconds, things), width - 1, "title", " "),
        *paragraph(safe_text(view.phase, 200), width - 1, "warn" if view.throttled else "dim", " "),
        _progress(share, width, style),
    ]


def _ended(view: RunView, width: int) -> list[Line]:
    """What came of it; where it broke off, how far it was stands among the facts below."""
    return [*paragraph(safe_text(view.ended or "", 400), width - 1, "crit" if view.failed else "ok", " "), ()]


def _fact(word: str, sentences: Sequence[Piece], width: int) -> list[Line]:
    """A word, and beside it what is to be said of it, each sentence on lines of its own."""
    lines: list[Line] = []
    for n, (text, role) in enumerate(sentences):
        lines += marked(f" {pad(word if n == 0 else '', _FACT)}", text, width - 1, role, "dim")
    return lines


def _counts(view: RunView) -> list[Piece]:
    wrong = {Outcome.FAILED: "crit", Outcome.IN_DOUBT: "warn", Outcome.CHANGED: "warn"}
    found = [(outcome, view.counts.get(outcome, 0)) for outcome in Outcome]
    plain = ", ".join(f"{one.value} {count(number)}" for one, number in found if number and one not in wrong)
    pieces: list[Piece] = [(plain or "0 done", "text")]
    return pieces + [(f"{one.value} {count(number)}", wrong[one]) for one, number in found if number and one in wrong]


def _freed(view: RunView, plan: Plan | None, *, estimated: bool) -> list[Piece]:
    """The server's figures, then the plan's: what was freed, or when it will be."""
    held = known_bytes(view.freed_bytes, view.counts.get(Outcome.DELETED, 0))
    text = f"{'~' if estimated and held else ''}{size(held)} freed (sum of key sizes)"
    if plan is not None and plan.operation is Operation.EXPIRE:
        text = f"nothing is freed at once: the keys go within {duration(plan.expire_seconds)}"
    pieces: list[Piece] = [(text, "text")]
    if view.used_before_bytes is not None and view.used_now_bytes is not None:
        before, now = size(view.used_before_bytes), size(view.used_now_bytes)
        pieces.insert(0, (f"{before} used before, {now} now", "title"))
    if view.lazyfree_pending_objects:
        pieces.append(
            (f"{number_of(view.lazyfree_pending_objects, 'object')} yet to be freed in the background", "text")
        )
    return pieces


def _to_go(memory: Memory | None, target: float, *, done: bool) -> list[Piece]:
    needed = None if memory is None else memory.over(target)
    if needed is None:
        return []
    if needed:
        return [(f"{size(needed)} more to reach {percent(target)}", "warn")]
    # What did nothing has reached nothing.
    return [(f"{'reached: ' if done else ''}below {percent(target)}", "ok")]


def outcome_line(one: KeyOutcome, width: int, style: DrawStyle, *, here: bool) -> Line:
    """A key that was not done as planned, with what had changed."""
    where = f"{safe_text(one.id.node, 200)[-_NODE:]:>{_NODE}} " if one.id.node and width >= _WIDE else ""
    facts = f"{one.outcome.value:<14}{cut_end(safe_text(one.detail, 200), max(24, width // 3)):<24} {where}"
    text = facts + shown_name(one.id.key, max(8, width - len(facts) - 2))
    return ((pad((style.glyphs.cursor if here else " ") + text, width), "cursor" if here else "text"),)


def whole_reason(one: KeyOutcome, width: int, height: int) -> list[Line]:
    """What does not fit into a line: the reason in full, and the node; [] where it all stands there, or no `height`."""
    where = f"On {safe_text(one.id.node, 80)}: " if one.id.node else ""
    reason = safe_text(one.detail, 600)
    if not where and len(reason) <= max(24, width // 3):
        return []
    lines = paragraph(f"{where}{reason or one.outcome.value}", width - 1, "dim", " ")
    return lines if height - len(lines) >= _LEAST_LISTED else []


def restore_lines(view: RestoreReport | None, width: int, style: DrawStyle) -> list[Line]:
    """A backup being put back, and after it what came of it."""
    if view is None:
        return []
    share = view.done_keys / view.total_keys if view.total_keys else 1.0
    doing = "Restoring" if view.ended is None else "Restored from"
    lines: list[Line] = paragraph(f"{doing} {safe_text(view.path, 400)}", width - 1, "dim", " ")
    if view.ended is not None:
        lines += paragraph(safe_text(view.ended, 400), width - 1, "crit" if view.failed else "ok", " ")
    if view.ended is None:
        done = progress(view.done_keys, view.total_keys, view.elapsed_seconds, view.things)
        lines += [_progress(share, width, style), *paragraph(done, width - 1, "title", " ")]
    counts = "  ".join(f"{outcome.value} {count(number)}" for outcome, number in view.counts.items() if number)
    lines += paragraph(counts or "nothing yet", width - 1, "text", " ")
    if view.left_out_keys:
        were = "was" if view.left_out_keys == 1 else "were"
        lines += marked(
            " ! ", f"{number_of_keys(view.left_out_keys)} {were} deleted without a copy:", width - 1, "warn"
        )
        lines += [clip(((f"   {safe_text(name, 200)}", "text"),), width) for name in view.left_out[:20]]
        if view.left_out_keys > 20:
            lines.append(((f"   ... and {count(view.left_out_keys - 20)} more", "dim"),))
    if view.ended is None:
        lines += paragraph("Esc stops after this batch; run again to continue.", width - 1, "dim", " ")
    elif view.resumable:
        lines += paragraph("z: continue restoring", width - 1, "dim", " ")
    return lines
