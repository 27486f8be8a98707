"""An app on a scripted server, and how to read its screen as text."""

import time
from typing import Any

from redis_oom_tui.models.config import ScreenOptions
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.ports.operator import Operator
from redis_oom_tui.tui.app import TriageApp
from redis_oom_tui.tui.glyphs import Appearance
from tests.support.scripted import FakeClock, ScriptedSource


def an_app(
    source: ScriptedSource | None = None,
    *,
    operator: Operator | None = None,
    options: ScreenOptions | None = None,
    appearance: Appearance | None = None,
    clock: FakeClock | None = None,
    **more: Any,
) -> TriageApp:
    """The real app with a script behind it and a clock that stands still."""
    clock = clock or FakeClock()
    return TriageApp(
        source or ScriptedSource(clock=clock),
        operator=operator,
        options=options or ScreenOptions(interval_seconds=0.2),
        appearance=appearance,
        clock=Clock(clock.monotonic, clock.wall),
        **more,
    )


def rows(app: TriageApp) -> list[str]:
    """What stands on the screen, line by line."""
    return [strip.text.rstrip() for strip in app.screen._compositor.render_strips()]


def screen_text(app: TriageApp) -> str:
    """What stands on the screen."""
    return "\n".join(rows(app))


async def until(pilot, true) -> None:
    """Let the app work until `true()` holds: at most 30 s, on a crowded machine."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        await pilot.pause(0.01)
        if true():
            return
    raise AssertionError(f"it never came true; the screen shows:\n{screen_text(pilot.app)}")
