"""What fits the terminal at hand, settled from the options, the environment and the terminal itself."""

from typing import Literal, TypeAlias

from msgspec import Struct

GlyphSet: TypeAlias = Literal["full", "cp437", "ascii"]


class Appearance(Struct, frozen=True):
    """The name of a look, a set of glyphs, and whether any colour may be sent."""

    look: str = "dark"
    glyphs: GlyphSet = "full"
    color: bool = True
