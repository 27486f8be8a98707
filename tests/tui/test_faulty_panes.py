"""Every pane while something between tool and server breaks: old figures marked as old, no wrong one, and it heals."""

from pathlib import Path

import pytest
from textual.events import Paste

from redis_oom_tui.actions.deployment import Standalone
from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.models.config import ScreenOptions
from redis_oom_tui.models.structs import replace
from redis_oom_tui.monitor import poller
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.tui.app import TriageApp
from tests.support.imitations import KEYS, Imitation, standing
from tests.support.proxy import Faults, Wire, wired
from tests.tui.support import screen_text
from tests.tui.test_managed_panes import HEALTHY, PANES, WRONG, waited

SLOW = Faults(delay=0.02, bytes_per_second=120_000)
_NOT_REDIS = "does not speak the Redis protocol"
BROKEN = {
    "cut": (Faults(cut_after=200), "closed the connection"),
    "silence": (Faults(silent=True), "did not answer in time"),
    "resets": (Faults(reset=True), "closed the connection"),
    "another protocol": (Faults(garbage=b"HTTP/1.1 502 Bad Gateway\r\n\r\n"), _NOT_REDIS),
    "noise": (Faults(garbage=bytes(range(256))), _NOT_REDIS),
}


@pytest.fixture(autouse=True)
def _asked_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "_LONGEST_WAIT", 0.5)


def the_app(wire: Wire, folder: Path, patience: float) -> TriageApp:
    connection = replace(wire.connection, connect_timeout_seconds=patience, read_timeout_seconds=patience)
    source = LiveServer(connection)
    return TriageApp(
        source, operator=LiveOperator(Standalone(source), folder=folder), options=ScreenOptions(interval_seconds=0.2)
    )


async def scanned(pilot, said) -> None:
    """Each pane in turn, asked for what it asks of the server, until it says what it must; never a wrong figure."""
    for number, pane in enumerate(PANES, 1):
        await pilot.press(str(number))
        if pane == "hogs":
            await pilot.press("r")
        elif pane == "cleanup":
            await pilot.press("n", "enter")
            pilot.app.post_message(Paste("cache:v1:1*"))
            await pilot.press("enter", "x")
        text = await waited(pilot, (f"{number} {pane.title()}", *said(pane)))
        wrong = WRONG.search(text)
        assert wrong is None, f"{pane} shows {wrong}:\n{screen_text(pilot.app)}"


def assert_whole(app: TriageApp) -> None:
    assert app.session.scan is not None
    # The patterns, and the queues that fill the server.
    assert (app.session.scan.scanned_keys, app.session.scan.error) == (KEYS + 3, None)


async def test_over_a_slow_link_each_pane_comes_to_the_same(tmp_path: Path) -> None:
    with standing(Imitation()) as (_, connection), wired(connection) as wire:
        wire.faults = SLOW
        app = the_app(wire, tmp_path, 3.0)
        async with app.run_test(size=(120, 36)) as pilot:
            await scanned(pilot, HEALTHY.__getitem__)
            assert_whole(app)


@pytest.mark.usefixtures("gives_up_soon")
@pytest.mark.parametrize("name", BROKEN)
async def test_a_fault_marks_what_is_old_on_each_pane_and_heals(name: str, tmp_path: Path) -> None:
    faults, why = BROKEN[name]

    def lost(pane: str) -> tuple[str, ...]:
        failing = {"hogs": ("FAILED",), "limits": (f"! 127.0.0.1: {why}",), "cleanup": (f"! 127.0.0.1: {why}",)}
        return ("NO ANSWER", why, *failing.get(pane, ()))

    with standing(Imitation()) as (_, connection), wired(connection) as wire:
        # Only silence is waited for to its end; what answers late on a busy machine is not to count as silent.
        app = the_app(wire, tmp_path, 0.4 if name == "silence" else 1.0)
        async with app.run_test(size=(120, 36)) as pilot:
            await waited(pilot, ("live", *HEALTHY["triage"]))
            wire.faults = faults
            wire.drop()
            await waited(pilot, ("NO ANSWER", f"? UNKNOWN 127.0.0.1: {why}", *HEALTHY["triage"][1:]))
            await scanned(pilot, lost)
            wire.faults = Faults()
            wire.drop()
            await pilot.press("1")
            await waited(pilot, ("live", "OOM Refusing writes at"))
            await scanned(pilot, HEALTHY.__getitem__)
            assert_whole(app)
