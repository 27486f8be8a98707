"""The screen is painted before what speaks to the server is loaded; what is asked for meanwhile is done then."""

import asyncio
import subprocess
import sys
import threading

from redis_oom_tui.models.action import Action
from redis_oom_tui.models.address import Address, ClientBuffer
from redis_oom_tui.models.scan import ScanOptions
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.monitor.state import Link
from redis_oom_tui.ports.operator import PendingServer
from redis_oom_tui.tui import deferred_startup
from redis_oom_tui.tui.dialogs.answers import PickDialog
from redis_oom_tui.tui.messages import StartScan
from tests.support.scripted import ScriptedSource
from tests.support.scripted_operator import ScriptedOperator
from tests.support.terminal import ROOT, terminal
from tests.tui.support import an_app, screen_text, until
from tests.tui.test_overview import a_board


class Later:
    """A server whose loading takes until it is told to be there."""

    def __init__(self) -> None:
        self.address = Address("cache-1", 6379)
        self.come, self.act = threading.Event(), threading.Event()
        self.made = ScriptedSource()
        self.failed_early = False

    def first(self, patience: float) -> None:
        return None

    def answers(self) -> bool:
        return True

    def source(self) -> ScriptedSource:
        self.come.wait(60)
        return self.made

    def operator(self) -> ScriptedOperator:
        self.act.wait(60)
        return ScriptedOperator()


async def test_it_is_painted_first_and_then_brought():
    later = Later()
    assert isinstance(later, PendingServer)
    app = an_app(later)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "cache-1:6379" in screen_text(app))
        assert not app.session.startup.over
        assert app.session.state is not None
        assert app.session.state.snapshot is None
        later.come.set()
        await until(pilot, lambda: app.session.state.link is Link.LIVE)
        assert not app.session.actions.acts
        later.act.set()
        await until(pilot, lambda: app.session.actions.limits.limits is not None)
        assert app.session.actions.acts


async def test_a_server_that_falls_silent_at_once_can_be_acted_on_soon(monkeypatch):
    monkeypatch.setattr(deferred_startup, "_FIRST_POLL_SECONDS", 0.05)
    later = Later()
    silent = asyncio.Event()

    async def unanswered() -> Snapshot:
        await silent.wait()
        return await ScriptedSource().snapshot()

    monkeypatch.setattr(later.made, "snapshot", unanswered)
    app = an_app(later)
    async with app.run_test(size=(80, 24)) as pilot:
        later.come.set()
        later.act.set()
        await until(pilot, lambda: app.session.startup.over)
        assert app.session.state.snapshot is None
        assert app.session.actions.why_not(Action.SET) is None


async def test_a_scan_asked_for_meanwhile_begins_when_it_can():
    later = Later()
    app = an_app(later)
    async with app.run_test(size=(80, 24)) as pilot:
        app.post_message(StartScan(ScanOptions()))
        later.come.set()
        await until(pilot, lambda: app.session.state is not None and app.session.state.link is Link.LIVE)
        assert not later.made.scans
        later.act.set()
        await until(pilot, lambda: later.made.scans)


async def test_a_key_that_asks_waits_for_the_server_and_says_so():
    """Of several the last: one question at a time."""
    later = Later()
    later.made = ScriptedSource(clients=[ClientBuffer(id=7, address="10.0.0.7:5000", total_bytes=1024**2)])
    app = an_app(later)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("x", "c")
        await until(pilot, lambda: "Connecting to cache-1:6379 first; then it is done" in screen_text(app))
        later.come.set()
        await until(pilot, lambda: app.session.state.clients)
        later.act.set()
        await until(pilot, lambda: isinstance(app.screen, PickDialog) and "Which client?" in screen_text(app))
        assert "Connecting to" not in screen_text(app)
        await pilot.press("escape")


async def test_a_key_that_needs_nothing_of_this_server_answers_at_once(listening_at_once):
    later = Later()
    app = an_app(later)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("P")
        await until(pilot, lambda: "No profiles configured" in screen_text(app))
        app.switchboard = a_board()
        await pilot.press("P")
        await until(pilot, lambda: "Switch to which server?" in screen_text(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: "Connecting to " in screen_text(app))
        assert app.session.source.address == later.address
        later.come.set()
        later.act.set()
        await until(pilot, lambda: "This is cache-2 now" in screen_text(app))


async def test_each_key_that_cannot_act_yet_says_so_at_once():
    later = Later()
    app = an_app(later)
    async with app.run_test(size=(80, 24)) as pilot:
        for keys, words in (
            (("3", "enter"), "The settings have not been read yet"),
            (("i",), "The settings have not been read yet"),
            (("4", "x"), "The search begins as soon as the server is there"),
            (("e",), "Connecting to cache-1:6379 first"),
            (("2", "r"), "Connecting to cache-1:6379 first"),
            (("p",), "No scan is running"),
            (("1", "c"), "Connecting to cache-1:6379 first"),
            (("U",), "Connecting to cache-1:6379 first"),
            (("5", "enter"), "Nothing is listed yet"),
        ):
            await pilot.press(*keys)
            await until(pilot, lambda words=words: words in screen_text(app))
        later.come.set()
        await until(pilot, lambda: app.session.state.link is Link.LIVE)
        await pilot.press("1", "c")
        await until(pilot, lambda: "Getting ready to act; then it is done" in screen_text(app))
        later.act.set()
        await until(pilot, lambda: app.session.startup.over)


async def test_it_can_be_left_before_the_server_has_come():
    later = Later()
    app = an_app(later)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "cache-1:6379" in screen_text(app))
        later.come.set()
        later.act.set()
        await pilot.press("q")
    assert app.return_code == 0


def test_the_driver_is_not_loaded_for_the_first_paint():
    code = (
        "import sys, redis_oom_tui.cli.main, redis_oom_tui.cli.screen\n"
        "import redis_oom_tui.tui.run, redis_oom_tui.tui.app, redis_oom_tui.tui.terminal.driver\n"
        "print([name for name in ('redis', 'redis_oom_tui.server.live') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_refused_connection_is_a_sentence_before_any_screen(tmp_path):
    path = tmp_path / "none.sock"
    with terminal([sys.executable, "-m", "redis_oom_tui", "-s", str(path)]) as run:
        assert run.wait() == 3
        assert b"\x1b[?1049h" not in run.raw
        assert "does not exist: is the server running" in run.text().replace("\n", " ")
