"""How the screen is to be."""

from redis_oom_tui.models.frozen import dataclass


@dataclass(frozen=True, slots=True)
class ScreenOptions:
    """How the screen is to be. `color` is None where the terminal and NO_COLOR decide."""

    interval_seconds: float = 1.0
    color: bool | None = None
    ascii: bool = False
    mouse: bool = True
    theme: str | None = None
    plain: bool = False
    diff: bool = True
