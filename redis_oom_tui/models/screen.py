"""How the screen is to be."""

from msgspec import Struct


class ScreenOptions(Struct, frozen=True):
    """How the screen is to be. `color` is None where the terminal and NO_COLOR decide."""

    interval_seconds: float = 1.0
    color: bool | None = None
    ascii: bool = False
    mouse: bool = True
    theme: str | None = None
    plain: bool = False
    diff: bool = True
