"""What a scan is doing, in two lines: how far, how fast, how hard it leans on the server; and bytes by type."""

from collections.abc import Sequence

from redis_oom_tui.formatting import sizes
from redis_oom_tui.formatting.hogs import scan_progress
from redis_oom_tui.formatting.keys import kind_of_sum, mark_of_sum
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.scan import Pace, ScanState, ScanView
from redis_oom_tui.rules.applications import recognize
from redis_oom_tui.tui.drawing import Line, Piece, bar, shorten, spread
from redis_oom_tui.tui.drawing import width as cells_of
from redis_oom_tui.tui.widgets.line_widget import LineWidget

_WORDS = {
    ScanState.RUNNING: ("scanning", "ok"),
    ScanState.PAUSED: ("PAUSED", "warn"),
    ScanState.COMPLETE: ("COMPLETE", "ok"),
    ScanState.STOPPED: ("STOPPED", "warn"),
    ScanState.SAMPLED: ("SAMPLE", "ok"),
    ScanState.FAILED: ("FAILED", "crit"),
}
# A key with less than this share of all bytes is not what fills the memory.
_LITTLE = 0.01
_SCATTERED = "No key over 1%. Tab: by pattern"
_OLD_SECONDS, _STALE_SECONDS = 60.0, 600.0
# In less room than this a sentence tells nothing.
_LEAST_NOTE = 20


class ScanProgressView(LineWidget):
    """Two lines about the scan; `note` is what the tables show of it, as a filter.

    `hidden` says that the patterns are behind the keys: it is told where they hold what no single key does.
    """

    view: ScanView | None = None
    note = ""
    refusal: str | None = None
    hidden = False
    age_seconds = 0.0
    outdated = False

    def show(
        self, view: ScanView | None, note: str, *, hidden: bool = False, age: float = 0.0, outdated: bool = False
    ) -> None:
        """Draw the scan as it stands, or stood when it ended `age` seconds ago; `outdated`: keys were changed since."""
        self.view, self.note, self.hidden, self.age_seconds, self.outdated = view, note, hidden, age, outdated
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Line]:
        del height
        if self.view is None:
            return (((" no scan yet" if self.refusal is None else " no scan here", "dim"),),)
        return (self._progress(self.view, width), self._totals(self.view, width))

    def _progress(self, view: ScanView, width: int) -> Line:
        word, role = _WORDS[view.state]
        sign = {ScanState.RUNNING: self.style.glyphs.running, ScanState.PAUSED: self.style.glyphs.paused}.get(
            view.state, ""
        )
        left: list[Piece] = [(f" {sign} {word}" if sign else f" {word}", role), ("  ", "text")]
        if view.state is ScanState.FAILED and view.error and view.top:
            return (*left, (shorten(safe_text(view.error, 300), width - cells_of(left)), "text"))
        if not (view.total_keys or view.scanned_keys or view.complete):
            waiting = "counting keys" if view.state is ScanState.RUNNING else ""
            return (*left, (waiting, "dim"))
        age, brief_age = self._age(), self._age(brief=True)
        # The last column stays free. A count that is cut is another count: what does not fit is left out.
        for right in (age or _pace(view), brief_age or _pace(view, brief=True), brief_age):
            progress = _how_far(view, width - 1 - cells_of(left) - cells_of(right))
            if cells_of(left) + cells_of(progress) + cells_of(right) < width:
                break
        while len(progress) > 1 and cells_of(left) + cells_of(progress) + cells_of(right) >= width:
            progress.pop()
        gauge_room = width - cells_of(left) - cells_of(progress) - cells_of(right) - 2
        if not view.complete and gauge_room >= 6:
            left += bar(view.share_scanned, min(24, gauge_room), self.style, "bar_ok")
        return spread((*left, *progress), right, width)

    def _age(self, *, brief: bool = False) -> list[Piece]:
        since = sizes.ago(self.age_seconds)
        if self.outdated and self.stale:
            return [("OLD: keys changed since " if brief else f"OLD: keys changed since, scanned {since} ", "warn")]
        if self.stale:
            return [(f"OLD: {since} " if brief else f"OLD: scanned {since} ", "warn")]
        return [(f"{since} ", "dim")] if self._ended and self.age_seconds >= _OLD_SECONDS else []

    @property
    def _ended(self) -> bool:
        return self.view is not None and self.view.state not in (ScanState.RUNNING, ScanState.PAUSED)

    @property
    def stale(self) -> bool:
        """Whether its figures may be others by now: it ended long ago, or keys were changed from here."""
        return self._ended and (self.outdated or self.age_seconds >= _STALE_SECONDS)

    def _totals(self, view: ScanView, width: int) -> Line:
        lost = [
            f"{sizes.count(count)} {word}"
            for count, word in ((view.vanished_keys, "gone during scan"), (view.refused_keys, "no permission"))
            if count
        ]
        missing: list[Piece] = [(", ".join(lost), "dim")] if lost else []
        # A filter is told whole, and as many types beside it as fit.
        taken = cells_of(missing) + (cells_of(self._noted(view, width)) + 1 if self.note else 0)
        pieces = [*_types(view, width - taken), *missing]
        noted = self._noted(view, width - cells_of(pieces) - 2)
        return spread([*pieces, *_applications(view, width - cells_of(pieces) - cells_of(noted) - 2)], noted, width)

    def _noted(self, view: ScanView, width: int) -> list[Piece]:
        """What the tables leave out by choice; else what these figures leave out, and why."""
        if self.note:
            return [(f"{self.note} ", "key")]
        # What speaks against the sizes comes first: it may be all that there is room for.
        notes = view.notes if view.contradiction is None else (view.contradiction, *view.notes)
        if notes and width >= _LEAST_NOTE:
            return [(f"{shorten(safe_text('; '.join(notes), 300), width)} ", "warn")]
        if self.hidden and _scattered(view) and width > len(_SCATTERED):
            return [(f"{_SCATTERED} ", "dim")]
        return []


def _types(view: ScanView, line_width: int) -> list[Piece]:
    """Bytes by type, as many of them as there is room for: no figure is cut."""
    pieces: list[Piece] = [(" ", "text")]
    for row in view.types:
        held = sizes.known_bytes(row.size, row.keys)
        mark = mark_of_sum(kind_of_sum((row.type,), held, view))
        more: list[Piece] = [(f"{safe_text(row.type, 12)} ", "dim"), (f"{mark}{sizes.short_size(held)}  ", "text")]
        if cells_of([*pieces, *more]) - 2 > line_width:
            break
        pieces += more
    return pieces


def _applications(view: ScanView, line_width: int) -> list[Piece]:
    """The applications that hold most, as many as there is room for."""
    held: dict[str, int] = {}
    for one in recognize(view).found:
        held[one.application.name] = held.get(one.application.name, 0) + one.size
    pieces: list[Piece] = []
    for name, size in sorted(held.items(), key=lambda item: -item[1]):
        more: list[Piece] = [(f"{name} ", "dim"), (f"{sizes.short_size(size)}  ", "text")]
        if cells_of([*pieces, *more]) > line_width:
            break
        pieces += more
    return pieces


def _scattered(view: ScanView) -> bool:
    """Whether the bytes lie in patterns of small keys, so that a list of keys says little."""
    largest = max((row.size or 0 for row in view.top), default=0)
    return view.complete and not view.refused_keys and 0 < largest < _LITTLE * view.bytes_seen and bool(view.patterns)


def _how_far(view: ScanView, line_width: int) -> list[Piece]:
    """How far it came, in `line_width` cells; a bar and a share that could only be whole are left out."""
    took = sizes.duration(view.elapsed_seconds)
    if view.complete:
        pieces: list[Piece] = [(f"{sizes.count(view.scanned_keys)} keys", "title"), (f"  in {took}", "dim")]
        if view.contradiction is not None:
            pieces.append((", sizes contradict used memory", "warn"))
        elif view.explained_share is not None:
            pieces.append((f", covers {sizes.percent(view.explained_share)} of used memory", "dim"))
        return pieces
    share = f" {sizes.percent(view.share_scanned)}  "
    if view.state is ScanState.RUNNING:
        return [(share, "title"), (scan_progress(view, line_width - len(share) - 1), "text")]
    keys = f"{sizes.count(view.scanned_keys)} of {sizes.count(view.total_keys)} keys"
    return [(share, "title"), (keys, "text"), (f"  after {took}", "dim")]


def _pace(view: ScanView, *, brief: bool = False) -> list[Piece]:
    if view.state not in (ScanState.RUNNING, ScanState.PAUSED):
        return []
    throttle = view.throttle
    words: list[Piece] = []
    if throttle.throttled:
        why = "throttled" if brief else throttle.words or "throttled"
        words.append((f"{safe_text(why, 60)} ", "warn"))
    elif throttle.share is not None and not brief:
        words.append((f"server load {sizes.percent(throttle.share)} ", "dim"))
    role = "warn" if view.pace is Pace.FULL_SPEED else "dim"
    return [*words, (f"{view.pace.value} ", role)]
