"""The Limits pane in lines: policies and settings, and beside them what the chosen one means and the way of a write."""

from collections.abc import Sequence

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.settings import (
    changed_elsewhere_words,
    listed,
    room_lines,
    short_value,
    shown_value,
    value_before,
)
from redis_oom_tui.formatting.sizes import count, duration, number_of_keys, percent, short_size, size
from redis_oom_tui.models.action import Limits, PolicyView, SettingView, WriteStep
from redis_oom_tui.tui.drawing import DrawStyle, Line, clip, flagged, marked, pad, paragraph
from redis_oom_tui.tui.drawing import width as cells_of
from redis_oom_tui.tui.flows.state import LimitsState
from redis_oom_tui.tui.glyphs import Glyphs

POLICY = "maxmemory-policy"
TWO_COLUMNS_FROM = 74
LIST = 44
_SHARE_FROM = 43
_NOTICED = 4
_MARKED = "! = would evict too little here, or initially evict the wrong keys."


class Row(Struct, frozen=True):
    """A line that the cursor can stand on: a policy, or a setting."""

    setting: str
    policy: PolicyView | None = None
    view: SettingView | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return self.setting if self.policy is None else self.policy.name


def rows(limits: Limits | None) -> tuple[Row, ...]:
    """Policies first, then maxmemory and the other settings."""
    if limits is None:
        return ()
    policies = tuple(Row(POLICY, policy=view) for view in limits.policies)
    return (*policies, *(Row(view.setting.name, view=view) for view in limits.settings if view.setting.name != POLICY))


def head(state: LimitsState, width: int, now: float) -> list[Line]:
    """What stands above the list, some of it cut; `now` is monotonic, for the timed return."""
    lines = notices(state, width, now)
    if len(lines) > _NOTICED:
        lines = [*lines[: _NOTICED - 1], ((" i shows all of this", "key"),)]
    if state.limits is not None and state.limits.node:
        lines = [clip(_whose(state.limits.node), width), *lines]
    return lines


def below(row: Row, width: int, height: int) -> list[Line]:
    """The sentence about a row, where there is no room beside the list."""
    return paragraph(_sentence(row), width - 2, "dim", " ")[: 2 if height < 12 else 4]


def _whose(node: str) -> Line:
    """Of which node of a cluster all of this is: each has its own."""
    return (
        (f" {safe_text(node, 40)}", "title"),
        (" is shown. A change is for all nodes, or for this one: it asks.", "dim"),
    )


def notices(state: LimitsState, width: int, now: float) -> list[Line]:
    """What has to be seen before all else: a refusal, an error, a timed return, what the last change came to."""
    lines: list[Line] = []
    refused = state.limits.refused if state.limits is not None else None
    if state.error:
        lines += marked(" ! ", safe_text(state.error, 300), width - 1, "crit")
    if refused:
        lines += marked(" ! ", f"Settings cannot be changed: {safe_text(refused, 1200)}", width - 1, "warn")
    for sentence in state.limits.unreturned if state.limits is not None else ():
        lines += marked(" ! ", safe_text(sentence, 300), width - 1, "warn")
    if state.limits is not None and state.limits.unsized:
        lines += marked("   ", safe_text(state.limits.unsized, 300), width - 1, "dim")
    returning, elsewhere = state.returning(now), state.changed_elsewhere
    if state.reverting is not None and elsewhere is not None:
        words = f"{changed_elsewhere_words(state.reverting, elsewhere)}; s: keep"
        lines += marked(" ! ", words, width - 1, "warn")
    elif state.reverting is not None and returning is not None:
        name, left = returning
        words = f"{name} reverts to {value_before(state.reverting)} in {duration(left)}; s: keep"
        if state.changed_on:
            words += f". Not on {safe_text(listed(state.changed_on), 200)}: it was changed elsewhere there"
        lines += marked(" ! ", words, width - 1, "warn")
    elif state.notice:
        lines += marked(" ", safe_text(state.notice, 300), width - 1, "crit" if state.went_wrong else "ok")
    return lines


def row_lines(
    limits: Limits, row: Row, width: int, style: DrawStyle, *, here: bool, first: bool, estimated: bool
) -> list[Line]:
    """A row, under the heading of its kind where it is the `first` of it."""
    heading = [_heading(limits, row, width)] if first else []
    if row.policy is None:
        return [*heading, _setting_line(row, here, width, style)]
    return [*heading, _policy_line(row.policy, here, width, style, estimated=estimated)]


def _heading(limits: Limits, row: Row, width: int) -> Line:
    if row.policy is None:
        return ((pad(f"   SETTING{'VALUE'.rjust(width - 11)}", width), "head"),)
    text = f"   {'EVICTION POLICY':<17}{'CAN EVICT':>9}{'BYTES':>8}" + (f"{'SHARE':>6}" if width >= _SHARE_FROM else "")
    if not limits.scanned and not limits.unsized:
        text = f"   {'EVICTION POLICY':<17}{'CAN EVICT':>9}  BYTES: SCAN"[:width]
    return ((pad(text, width), "head"),)


def _policy_line(view: PolicyView, here: bool, width: int, style: DrawStyle, *, estimated: bool) -> Line:
    mark = style.glyphs.marked if view.current else " "
    flag = "!" if view.flagged else " "
    name = pad(safe_text(view.name), 16)
    keys = count(view.evictable_keys) if view.evictable_keys != 0 else "nothing"
    figures = f"{keys:>9}"
    if view.evictable_keys != 0:
        held = "?" if view.evictable_bytes is None else f"{'~' * estimated}{short_size(view.evictable_bytes)}"
        figures += f"{held:>8}" + (f"{percent(view.share):>6}" if width >= _SHARE_FROM else "")
    cursor = style.glyphs.cursor if here else " "
    if here:
        return ((pad(f"{cursor}{mark} {name}{flag}{figures}", width), "cursor"),)
    role = "title" if view.current else "text"
    return clip(
        ((f" {mark} ", "ok"), (name, role), (flag, "warn"), (figures, "dim" if view.equals_noeviction else role)), width
    )


def _setting_line(row: Row, here: bool, width: int, style: DrawStyle) -> Line:
    setting = row.view.setting if row.view is not None else None
    value = short_value(row.setting, setting.value if setting is not None else None)
    text = f"  {safe_text(row.setting, 32)}"
    line = pad(text, max(8, width - len(value) - 3)) + f" {value} "
    return ((pad((style.glyphs.cursor if here else " ") + line, width), "cursor" if here else "text"),)


def beside(
    limits: Limits, row: Row, width: int, height: int, style: DrawStyle, *, estimated: bool, live: bool
) -> list[Line]:
    """The way of a write, which stands still, and below it what the chosen row means; `i` shows what does not fit."""
    way = write_way(limits.path, width, style, live=live)
    about = meaning(limits, row, width, estimated=estimated)
    for_way = max(height // 2, height - len(about) - 1)
    if len(way) > for_way:
        # The end of what is reached says what becomes of the write. An answer without its question says nothing.
        path = [step for step in limits.path if step.lit]
        while len(path) > 1 and len(write_way(path, width, style, live=live)) > for_way:
            del path[0]
        way = write_way(path, width, style, live=live)
    space = max(0, height - len(way) - 1)
    if len(about) > space:
        about = [*about[: max(0, space - 1)], (("i shows the rest", "key"),)]
    return [*way, ((style.glyphs.rule * width, "rule"),), *about][:height]


def meaning(limits: Limits, row: Row, width: int, *, estimated: bool) -> list[Line]:
    """A policy or setting in full: the sentence, what it may evict here and now, every warning."""
    lines = paragraph(safe_text(row.name, 60), width, "title")
    lines += paragraph(_sentence(row), width)
    if row.view is not None:
        setting = row.view.setting
        lines += paragraph(f"Now: {shown_value(setting.name, setting.value)}", width, "title")
        if setting.why:
            lines += paragraph(safe_text(setting.why), width, "warn")
        if setting.name == "maxmemory":
            for sentence in (*room_lines(limits), limits.host_memory.words):
                lines += paragraph(safe_text(sentence), width, "dim") if sentence else []
        return lines
    view = row.policy
    if view is None:
        return lines
    if view.current:
        lines += paragraph("Current policy.", width, "ok")
    lines += flagged(view.warnings, width)
    if view.flagged:
        lines += paragraph(_MARKED, width, "dim")
    return lines + _evictable(view, limits, width, estimated=estimated)


def _evictable(view: PolicyView, limits: Limits, width: int, *, estimated: bool) -> list[Line]:
    lines: list[Line] = []
    if view.evictable_keys:
        held = f", {'about ' * estimated}{size(view.evictable_bytes)}" if view.evictable_bytes is not None else ""
        share = f" ({percent(view.share)} of the data)" if view.share is not None else ""
        lines += paragraph(f"Can evict here: {number_of_keys(view.evictable_keys)}{held}{share}.", width)
        if limits.over_bytes:
            verdict = {True: "that is enough", False: "that is not enough", None: "unknown whether enough"}[view.enough]
            lines += paragraph(
                f"{size(limits.over_bytes)} to evict: {verdict}.", width, "ok" if view.enough else "warn"
            )
    if view.first_to_go:
        names = ", ".join(safe_text(name, 30) for name in view.first_to_go)
        lines += paragraph(f"Likely evicted first, by {safe_text(view.first_by)}: {names}.", width)
    elif view.first_by:
        lines += paragraph(f"No pattern is evicted first, by {safe_text(view.first_by)}.", width)
    elif limits.scanned and view.first_unknown and view.evictable_keys:
        lines += paragraph(f"What is evicted first is not known: {safe_text(view.first_unknown)}.", width, "dim")
    if not limits.scanned and view.evictable_keys:
        lines += paragraph("Bytes and patterns come with a scan (pane 2).", width, "dim")
    return lines


def _sentence(row: Row) -> str:
    if row.policy is not None:
        return safe_text(row.policy.evicts)
    return safe_text(row.view.sentence) if row.view is not None else ""


def write_way(path: Sequence[WriteStep], width: int, style: DrawStyle, *, live: bool) -> list[Line]:
    """The way that a write takes, as a small diagram: each question, its answer here, the branch taken now lit.

    Not `live`: the server does not answer, and nobody knows what it does with a write now.
    """
    if live:
        lines = paragraph("What happens to a write now", width, "title")
    else:
        lines = paragraph("What happened to a write when the server last answered", width, "warn")
    for step in path:
        lines += _step(step, width, style.glyphs)
    return lines


def _step(step: WriteStep, width: int, glyphs: Glyphs) -> list[Line]:
    if not step.lit:
        # What would come of a write there is no news of now: it is said in words, since colors may not show.
        words = f"not reached: {safe_text(step.question)} {safe_text(step.answer)}"
        return marked(f"{glyphs.bullet} ", words, width, "dim")
    lines = marked(f"{glyphs.bullet} ", safe_text(step.question), width, "text", "link")
    role, answer = "link", "text"
    if step.end:
        role = answer = "crit" if step.refused else "ok"
    first, below = (f"{glyphs.right} ", "  ") if step.end else (f"{glyphs.column}   ", f"{glyphs.column}   ")
    found = paragraph(safe_text(step.answer), width - len(first), answer)
    return lines + [((first if n == 0 else below, role), *line) for n, line in enumerate(found)]


def side_by_side(left: list[Line], right: list[Line], height: int, style: DrawStyle) -> list[Line]:
    """The list, a rule, and what stands beside it."""
    lines: list[Line] = []
    for n in range(height):
        start = clip(left[n], LIST) if n < len(left) else ()
        gap = " " * (LIST - cells_of(start))
        end = right[n] if n < len(right) else ()
        lines.append((*start, (gap, "text"), (f"{style.glyphs.column} ", "rule"), *end))
    return lines
