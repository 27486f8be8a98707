"""The top of every pane in words: who is watched, where we are, the verdict, and the memory strip.

It knows no widgets: the frame that is drawn before those are loaded is made of it too.
"""

from collections.abc import Sequence

from msgspec import Struct

from redis_oom_tui.formatting import sizes
from redis_oom_tui.formatting.sanitize import cells, cut, safe_text
from redis_oom_tui.formatting.server import role_text, server_text, use_of_limit
from redis_oom_tui.models.config import Profile
from redis_oom_tui.models.snapshot import Memory, Snapshot
from redis_oom_tui.models.verdict import Level, Thresholds, Verdict
from redis_oom_tui.monitor.state import Link, ServerState
from redis_oom_tui.tui.drawing import (
    DrawStyle,
    Line,
    Piece,
    bar,
    clip,
    clock_time,
    faded,
    merged,
    pad,
    shorten,
    spread,
    width,
    wrap,
)
from redis_oom_tui.tui.glyphs import Glyphs

PANES = ("triage", "hogs", "limits", "cleanup", "log")

_BLOCKS = {Level.OK: "ok_block", Level.WARNING: "warn_block", Level.UNKNOWN: "warn_block"}
_COMPACT_BELOW = 20
# How long after a poll was due good news is no longer shown as that.
_LATE_SECONDS = 4.0
# Behind a sentence that is cut: the key that shows all of it.
_READS_ON = " V: all"


def level_word(level: Level, glyphs: Glyphs) -> str:
    """A state as symbol and word: color alone tells nobody."""
    return f"{glyphs.state(level)} {level.value.upper()}"


def finding_mark(level: Level, glyphs: Glyphs) -> str:
    """What stands before a finding: one that is no trouble is no success either."""
    return glyphs.bullet if level is Level.OK else glyphs.state(level)


def level_role(level: Level) -> str:
    """The role in which a level's words are drawn."""
    return {Level.OK: "ok", Level.WARNING: "warn", Level.UNKNOWN: "warn"}.get(level, "crit")


def pressure_role(memory: Memory, thresholds: Thresholds) -> str:
    """The role of a bar that shows how full the server is."""
    pressure = memory.pressure
    if pressure is None or pressure < thresholds.warn:
        return "bar_ok"
    return "bar_crit" if pressure >= thresholds.crit else "bar_warn"


def height_for(rows: int) -> int:
    """The lines it takes in a terminal of so many."""
    return 5 if rows >= _COMPACT_BELOW else 3


class HeaderModel(Struct, frozen=True):
    """Five lines: title, panes, the verdict in two, the memory strip. Three in a terminal of few lines.

    `now` is in monotonic seconds, `interval` the time between two polls; `recorded` is which poll of how many is shown,
    where it is a recording. `returning` is the setting that reverts by itself, and in how many seconds.
    """

    state: ServerState
    pane: str
    frozen: bool
    profile: Profile
    thresholds: Thresholds
    style: DrawStyle
    now: float
    recorded: tuple[int, int] | None = None
    interval: float = 1.0
    returning: tuple[str, float] | None = None

    @property
    def _late(self) -> bool:
        if self.frozen or self.recorded is not None:
            return False
        return is_overdue(self.state, self.now, self.interval)

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """Title, panes, verdict, strip."""
        state = self.state
        verdict = self._verdict(state, width, 2 if height >= 5 else 1)
        strip = self._strip(state, width)
        tabs = self._tabs(width, self._badges() if height < 5 else [])
        return (self._title(state, width), tabs, *verdict, strip) if height >= 5 else (tabs, *verdict, strip)

    def _title(self, state: ServerState, line_width: int) -> Line:
        """The address matters most: where it does not fit, all else goes but what marks the server, uptime first."""
        link, badges = self._link(state), self._badges()
        address, more = safe_text(str(state.address), 200), self._server(state)
        name: list[Piece] = [(" redis-oom-tui ", "title")]
        if cells(address) > line_width - width((*name, *badges, *link)) - 3:
            name = [(" ", "text")] if badges else []
        rest = line_width - width((*name, *badges, *link)) - 3
        while more and cells(address) + width(more) > rest:
            more.pop()
        address_and_more = [(f" {cut(address, max(8, rest - width(more)))}", "text"), *more]
        return spread((*name, *badges, *address_and_more), link, line_width)

    def _badges(self) -> list[Piece]:
        """The profile in its color, a production server in words as well, and that nothing can be changed."""
        profile = self.profile
        badges: list[Piece] = []
        if profile.name or profile.production:
            words = " ".join(word for word in (safe_text(profile.name, 20), "PRODUCTION" * profile.production) if word)
            badges.append((f" {words} ", f"mark_{profile.shown_color.value}"))
        if profile.read_only:
            badges += [(" ", "text"), ("read-only ", "warn")]
        return badges

    @staticmethod
    def _server(state: ServerState) -> list[Piece]:
        """Role, version and uptime, what matters most first; of a cluster's other node, that it is this one's."""
        if state.snapshot is None:
            return []
        server = state.snapshot.server
        role = role_text(safe_text(server.role, 12))
        if server.node and server.node != str(state.address):
            role = f"node {safe_text(server.node, 40)} ({role})"
        parts = [role, safe_text(server_text(server), 40)]
        if server.uptime_seconds is not None:
            parts.append(f"up {sizes.duration(server.uptime_seconds)}")
        return [(f"  {words}", "dim") for words in parts]

    def _link(self, state: ServerState) -> list[Piece]:
        now = self.now
        if state.link is Link.LIVE and state.snapshot is not None:
            at = clock_time(state.snapshot.taken_at)
            if state.next_try is not None and not self.frozen:
                wait = max(0, round(state.next_try - now))
                coming = f"next poll in {wait}s" if wait else "polling"
                words = f" slow server: data {sizes.duration(state.age(now))} old, {coming} "
                return [(words, "warn_block")]
            if self.recorded is not None:
                frozen = "frozen, " if self.frozen else ""
                place = " {}{} ({} of {}) ".format(frozen, at, *self.recorded)
                return [(" REPLAY ", "warn_block"), (place, "warn")]
            if self._late:
                return [(f" no answer, data {sizes.duration(state.age(now))} old ", "warn_block")]
            words = "frozen" if self.frozen else "live"
            return [(f"{words} ", "warn" if self.frozen else "ok"), (f"{at} ", "dim")]
        wait = max(0, round((state.next_try or now) - now))
        again = f"retry in {wait}s" if wait else "trying again"
        if state.link is Link.CONNECTING:
            words = f"connecting, {again} " if state.error else "connecting "
            return [(words, "warn" if state.error else "dim")]
        return [(f" NO ANSWER{sizes.lasting(state.age(now))}, {again} ", "crit_block")]

    def _tabs(self, width: int, badges: list[Piece]) -> Line:
        """The panes; at their right what reverts, and how the server is marked where there is no title to say it."""
        line: list[Piece] = []
        for number, name, text in tab_texts(self.pane, width):
            line.append((text, "tab_active" if name == self.pane else "tab"))
            del number
        if badges and cells("".join(text for text, _ in (*line, *badges))) >= width:
            badges = [badge for badge in badges[:1] if self.profile.production]
            badges = [(" PRODUCTION ", role) for _, role in badges]
        room = width - cells("".join(text for text, _ in (*line, *badges)))
        return spread(line, (*self._timed_return(room), *badges), width, "tab")

    def _timed_return(self, room: int) -> list[Piece]:
        """What reverts by itself and when: without its name where that does not fit."""
        if self.returning is None:
            return []
        name, seconds = self.returning
        when = f"back in {sizes.duration(seconds)} "
        words = next((text for text in (f" {safe_text(name, 40)} {when}", f" {when}") if cells(text) < room), "")
        return [(words, "warn_block")] if words else []

    def _verdict(self, state: ServerState, width: int, rows: int) -> list[Line]:
        verdict = shown_verdict(state)
        if verdict.level is Level.OK and self._late:
            age = sizes.duration(state.age(self.now))
            words = f"No current data: the last answer is {age} old. Then: {verdict.reason}"
            verdict = Verdict(Level.UNKNOWN, words, rule="old-figures")
        word = f" {level_word(verdict.level, self.style.glyphs)} "
        badge: Piece = (word, _BLOCKS.get(verdict.level, "crit_block"))
        line_width = max(8, width - len(word) - 2)
        lines = sentence(verdict, width, self.style.glyphs)
        if rows == 1:
            text = " ".join(lines)
            if cells(text) <= line_width:
                return [clip((badge, (f" {text}", "title")), width)]
            cut_text = shorten(text, max(1, line_width - len(_READS_ON)))
            return [clip((badge, (f" {cut_text}", "title"), (_READS_ON, "key")), width)]
        first = clip((badge, (f" {lines[0]}", "title")), width)
        indent = " " * (len(word) + 1)
        if len(lines) > 1:
            text, role = " ".join(lines[1:]), "title"
        else:
            step = safe_text(verdict.first_step, 300)
            text, role = f"{self.style.glyphs.right} {step}" if step else "", "dim"
        if cells(text) <= line_width:
            return [first, clip(((indent, "text"), (text, role)), width)]
        cut_text = shorten(text, max(1, line_width - len(_READS_ON)))
        return [first, clip(((indent, "text"), (cut_text, role), (_READS_ON, "key")), width)]

    def _strip(self, state: ServerState, width: int) -> Line:
        if state.snapshot is None:
            return ((" memory unknown", "dim"),)
        line = strip(state.snapshot, width, self.style, self.thresholds)
        return faded(line) if self._late or state.link is Link.LOST else line


def is_overdue(state: ServerState, now: float, interval: float) -> bool:
    """Whether its figures are older than they would be if the server, polled each `interval` seconds, answered."""
    return (state.age(now) or 0.0) >= interval + _LATE_SECONDS


def tab_texts(pane: str, width: int) -> list[tuple[int, str, str]]:
    """The panes as (number, name, text); all in words, or `pane` alone where that does not fit."""
    full = [(i, name, f" {i} {name.title()} ") for i, name in enumerate(PANES, 1)]
    if sum(len(text) for _, _, text in full) <= width:
        return full
    return [(i, name, f" {i} {name.title()} " if name == pane else f" {i} ") for i, name, _ in full]


def sentence(verdict: Verdict, width: int, glyphs: Glyphs) -> list[str]:
    """The verdict in lines beside its badge; where it needs but one, the second tells what to do first."""
    return wrap(safe_text(verdict.reason, 400), max(8, width - len(level_word(verdict.level, glyphs)) - 4))


def shown_verdict(state: ServerState) -> Verdict:
    """The verdict to show: the server's, or why there is none to give."""
    if state.link is not Link.LIVE and state.error is not None:
        return Verdict(Level.UNKNOWN, state.error, rule="unreachable")
    if state.verdict is not None:
        return state.verdict
    return Verdict(Level.UNKNOWN, "Waiting for the first INFO", rule="no-figures")


def strip(snapshot: Snapshot, line_width: int, style: DrawStyle, thresholds: Thresholds) -> Line:
    """The memory strip: a bar against maxmemory with its marks, the numbers beside it, and the policy."""
    memory = snapshot.memory
    pressure = memory.pressure
    left: list[Piece] = [(" mem ", "dim")]
    if pressure is None:
        words: list[Piece] = [(f" {use_of_limit(memory)}", "title")]
    else:
        marks = (thresholds.warn, thresholds.crit, 1.0)
        share = f"{pad(sizes.percent_beside(pressure, marks, 1), 8, 'right')} "
        amount = f" {sizes.size(memory.counted_bytes)} of {sizes.size(memory.maxmemory_bytes)}"
        role = {"bar_ok": "ok", "bar_warn": "warn"}.get(pressure_role(memory, thresholds), "crit")
        words = [(share, role), (amount.strip(), "text")]
    policy: list[Piece] = [(f"  {safe_text(memory.policy, 20)} ", "dim")]
    if line_width < 60:
        policy = []
    taken = width(left) + width(words) + width(policy)
    gauge = bar(
        pressure or 0.0,
        max(4, line_width - taken),
        style,
        pressure_role(memory, thresholds),
        (thresholds.warn, thresholds.crit),
    )
    if pressure is None:
        gauge = bar(0.0, max(4, line_width - taken), style, "bar_ok")
    return clip(merged((*left, *gauge, *words, *policy)), line_width)
