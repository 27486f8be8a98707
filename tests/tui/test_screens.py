"""Every pane at every size, as text. With REDRAW=1 in the environment the files are written again: look at them."""

import os
import time
from pathlib import Path

import pytest

from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.config import ScreenOptions
from redis_oom_tui.models.scan import ScanState
from redis_oom_tui.tui.flows.state import Stage
from redis_oom_tui.tui.glyphs import Appearance
from tests.support.scripted import FakeClock, ScriptedSource, a_view
from tests.support.scripted_operator import ScriptedOperator
from tests.support.scripted_runs import a_plan, some_keys
from tests.tui.support import an_app, screen_text, until

STORED = Path(__file__).parent.parent / "cases" / "screens"
DRAWN = {
    "60x20": ((60, 20), Appearance()),
    "80x24": ((80, 24), Appearance()),
    "120x36": ((120, 36), Appearance()),
    "200x60": ((200, 60), Appearance()),
    "80x24-ascii": ((80, 24), Appearance("ansi-dark", "ascii")),
    "80x24-light": ((80, 24), Appearance("light", "full")),
}


@pytest.fixture
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("name", DRAWN)
async def test_the_panes_look_as_stored(name, utc):
    size, appearance = DRAWN[name]
    drawn = "\n".join(f"=== {title} ===\n{text}\n" for title, text in (await screens(size, appearance)).items())
    # A light ground changes colors only.
    path = STORED / f"{name.removesuffix('-light')}.txt"
    if os.environ.get("REDRAW"):
        path.write_text(drawn)
    assert drawn == path.read_text(), f"{path.name}: look at the difference, then redraw it"


async def settled(pilot):
    """The screen once nothing more comes of what was done: the same text ten times."""
    shown = [screen_text(pilot.app)]
    while len(shown) < 10:
        await pilot.pause(0.02)
        text = screen_text(pilot.app)
        shown = [*shown, text] if text == shown[-1] else [text]
    return shown[-1]


async def screens(size, appearance):
    """What each pane shows, by its title: before a scan, then with one, and a plan."""
    clock = FakeClock()
    source = ScriptedSource(
        views=[a_view(ScanState.COMPLETE)],
        clients=[
            ClientBuffer(7, "10.0.0.7:5100", name=b"price-feed-legacy", command=b"subscribe", total_bytes=4 << 20)
        ],
        clock=clock,
    )
    operator = ScriptedOperator(plan=a_plan(some_keys(hostile=True)))
    app = an_app(
        source,
        operator=operator,
        options=ScreenOptions(interval_seconds=3600, auto_scan=False),
        appearance=appearance,
        clock=clock,
    )
    drawn = {}
    async with app.run_test(size=size) as pilot:
        session = app.session

        async def draw(title, *keys, once):
            await pilot.press(*keys)
            await until(pilot, once)
            drawn[title] = await settled(pilot)

        await draw("Triage", once=lambda: session.state.clients and "refused writes" in screen_text(app))
        await draw("Hogs before a scan", "2", once=lambda: app.main.pane == "hogs")
        await draw("Hogs", "r", once=lambda: session.scan is not None and session.scan.complete)
        await draw("Patterns", "tab", once=lambda: app.main.active_pane.in_patterns)
        await draw("Picture", "t", once=lambda: app.main.active_pane.has_class("-map"))
        await draw("Limits", "3", once=lambda: "maxmemory" in screen_text(app) and session.actions.limits.limits)
        await draw("Cleanup", "4", once=lambda: "Preview matching keys" in screen_text(app))
        await draw(
            "Plan", "enter", *"cache:*", "enter", "x", once=lambda: session.actions.cleanup.stage is Stage.PREVIEW
        )
        await draw("Log", "5", once=lambda: app.main.pane == "log")
    return drawn
