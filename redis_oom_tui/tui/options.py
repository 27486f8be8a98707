"""What fits the terminal at hand, settled from the options, the environment and the terminal itself."""

from typing import Literal, TypeAlias

from redis_oom_tui.models.frozen import dataclass

GlyphSet: TypeAlias = Literal["full", "cp437", "ascii"]


@dataclass(frozen=True, slots=True)
class Appearance:
    """The name of a look, a set of glyphs, and whether any colour may be sent."""

    look: str = "dark"
    glyphs: GlyphSet = "full"
    color: bool = True
