"""How things look on the terminal at hand: a theme, and the characters that draw bars, marks and states."""

from typing import Literal, TypeAlias

from msgspec import Struct

from redis_oom_tui.models.verdict import Level

GlyphSet: TypeAlias = Literal["full", "cp437", "ascii"]


class Appearance(Struct, frozen=True):
    """The name of a theme, a set of glyphs, and whether any color may be sent."""

    theme: str = "dark"
    glyphs: GlyphSet = "full"
    color: bool = True


class Glyphs(Struct, frozen=True):
    """A set of characters, each one cell wide.

    `eighths` fill a cell from the left, `heights` from below, both from least to whole; `track` is the empty part of a
    bar where color does not show it. `line` and `line_track` make thin bars, `crossing` their marks.
    `cut` stands for what is left out.
    """

    eighths: str
    heights: str
    track: str
    tick: str
    line: str
    line_track: str
    crossing: str
    rule: str
    column: str
    cursor: str
    marked: str
    square: str
    up: str
    down: str
    bullet: str
    dash: str
    ok: str
    unknown: str
    paused: str
    running: str
    right: str
    within: str
    cut: str

    def fitted(self, text: str) -> str:
        """`text` with the signs for a cut, for a change and for a way down that this set has."""
        return text.replace("…", self.cut).replace("→", self.right).replace("›", self.within)

    def state(self, level: Level) -> str:
        """The symbol of a level, always shown beside its word."""
        return {Level.OK: self.ok, Level.WARNING: "!", Level.UNKNOWN: self.unknown}.get(level, "!!")


# Each in the full set, in that of a Linux console, and in ASCII.
_TABLE: dict[str, tuple[str, str, str]] = {
    "eighths": ("▏▎▍▌▋▊▉█", "▌█", "#"),
    "heights": ("▁▂▃▄▅▆▇█", "▄█", "_.-=#"),
    "track": ("░", "░", "-"),
    "tick": ("│", "│", "|"),
    "line": ("━", "■", "="),
    "line_track": ("─", "·", "-"),
    "crossing": ("┃", "│", "|"),
    "rule": ("─", "─", "-"),
    "column": ("│", "│", "|"),
    "cursor": ("▌", "▌", ">"),
    "marked": ("●", "■", "*"),
    "square": ("■", "■", "*"),
    "up": ("▲", "▲", "^"),
    "down": ("▼", "▼", "v"),
    "bullet": ("•", "·", "-"),
    "dash": ("-", "-", "-"),
    "ok": ("✓", "√", "+"),
    "unknown": ("?", "?", "?"),
    "paused": ("‖", "║", "="),
    "running": ("▶", "►", ">"),
    "right": ("→", "→", ">"),
    "within": ("›", ">", ">"),
    "cut": ("…", "~", "~"),
}

FULL, CP437, ASCII = (Glyphs(**{name: drawn[column] for name, drawn in _TABLE.items()}) for column in range(3))

_SETS: dict[str, Glyphs] = {"full": FULL, "cp437": CP437, "ascii": ASCII}


def glyphs(name: GlyphSet) -> Glyphs:
    """The set of that name."""
    return _SETS[name]
