"""How the screen is to look and behave: what the command line, the environment and the terminal settled."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from redis_oom_tui.models.verdict import Thresholds

GlyphSet: TypeAlias = Literal["full", "cp437", "ascii"]


@dataclass(frozen=True, slots=True)
class ScreenOptions:
    """Options of the screen. `theme` and `color` are None where the user did not say; times are in seconds.

    `diff=False` is `--no-diff`: Textual's own output, for when the frame diff is suspected of a fault.
    """

    interval: float = 1.0
    thresholds: Thresholds = field(default_factory=Thresholds)
    ascii: bool = False
    mouse: bool = True
    theme: str | None = None
    color: bool | None = None
    read_only: bool = False
    diff: bool = True


@dataclass(frozen=True, slots=True)
class Appearance:
    """What fits this terminal: the name of a look, a set of glyphs, and whether any colour may be sent."""

    look: str = "dark"
    glyphs: GlyphSet = "full"
    color: bool = True
