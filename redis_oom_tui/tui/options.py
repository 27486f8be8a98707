"""What fits the terminal at hand, settled from the options, the environment and the terminal itself."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

GlyphSet: TypeAlias = Literal["full", "cp437", "ascii"]


@dataclass(frozen=True, slots=True)
class Appearance:
    """The name of a look, a set of glyphs, and whether any colour may be sent."""

    look: str = "dark"
    glyphs: GlyphSet = "full"
    color: bool = True
