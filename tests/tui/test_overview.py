"""The overview of several servers: the way into one and back, and what is asked on the way."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from redis_oom_tui.models.action import Done
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.config import Profile, ScreenOptions, WatchSettings
from redis_oom_tui.models.errors import ServerUnreachable, TriageError
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.tui.app import TriageApp
from redis_oom_tui.tui.deferred_startup import PlaceholderSource
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.flows.late_escape import LateEscape
from redis_oom_tui.tui.glyphs import Appearance
from redis_oom_tui.tui.messages import PurgeMemory
from redis_oom_tui.tui.profiles import ProfileSession
from tests.support.scripted import MIB, ScriptedSource, a_snapshot
from tests.support.scripted_operator import ScriptedOperator
from tests.tui.support import an_app, rows, screen_text, until

WATCH = WatchSettings(interval_seconds=0.05)


class Server(ScriptedSource):
    """A server of the script that may be away, or slow to open."""

    def __init__(
        self, address: str, *, used: int = 100 * MIB, away: TriageError | None = None, cluster: Snapshot | None = None
    ) -> None:
        snapshot = a_snapshot(used=used, refused=0)
        super().__init__([cluster or replace(snapshot, server=replace(snapshot.server, run_id=f"of {address}"))])
        self._address, self.away = Address(address), away
        self.gate, self.leaving = asyncio.Event(), asyncio.Event()
        self.gate.set()
        self.leaving.set()

    @property
    def address(self) -> Address:
        """Its own."""
        return self._address

    async def open(self) -> None:
        """As told."""
        await super().open()
        await self.gate.wait()
        if self.away is not None:
            raise self.away

    async def close(self) -> None:
        """Once it may."""
        await self.leaving.wait()
        await super().close()


class Board:
    """Profiles with a server of the script behind each; those that were opened are kept."""

    def __init__(self, servers: Mapping[str, Server]) -> None:
        self.servers = servers
        self.profiles: Sequence[Profile] = [
            Profile(name, server.address, watch=WATCH, production=name == "cache-2") for name, server in servers.items()
        ]
        self.opened: list[ScriptedSource] = []

    def polled(self, name: str) -> ScriptedSource:
        """The one that the overview asks."""
        return self.servers[name]

    async def connect(self, name: str) -> ProfileSession:
        """Another connection to it."""
        known = self.servers[name]
        source = Server(known.address.host, away=known.away)
        source.gate = known.gate
        self.opened.append(source)
        profile = next(each for each in self.profiles if each.name == name)
        return ProfileSession(source, ScriptedOperator(), profile)


def a_board() -> Board:
    """Four servers, one of them full and one away."""
    away = ServerUnreachable("No answer from gone:6379")
    return Board(
        {
            "cache-1": Server("cache-1"),
            "cache-2": Server("cache-2", used=520 * MIB),
            "gone": Server("gone", away=away),
            "sessions": Server("sessions", used=450 * MIB),
        }
    )


def at_overview(board: Board, appearance: Appearance | None = None) -> TriageApp:
    """As --all begins."""
    app = an_app(PlaceholderSource(Address()), options=ScreenOptions(interval_seconds=0.05), appearance=appearance)
    app.switchboard, app.begins_at_overview = board, True
    return app


async def answered(pilot) -> None:
    """All have answered, or failed."""
    await until(pilot, lambda: "profile" in screen_text(pilot.app) and "connecting" not in screen_text(pilot.app))


async def test_enter_opens_a_server_and_escape_comes_back():
    board = a_board()
    app = at_overview(board)
    async with app.run_test(size=(100, 24)) as pilot:
        await answered(pilot)
        await pilot.press("escape")
        assert app.at_overview
        await pilot.press("V")
        await until(pilot, lambda: "cache-2, cache-2:6379" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: "profile" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: not app.at_overview and "cache-2 PRODUCTION" in rows(app)[0])
        assert "O overview" in screen_text(app)
        await pilot.press("2", "escape")
        await until(pilot, lambda: app.at_overview)
        # The same again goes nowhere else, another one leaves it.
        await pilot.press("enter")
        await until(pilot, lambda: not app.at_overview)
        assert len(board.opened) == 1
        await pilot.press("O")
        await until(pilot, lambda: app.at_overview)
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: not app.at_overview and "sessions" in rows(app)[0])
        assert board.opened[0].closed


async def test_the_last_choice_counts_while_one_takes_its_time():
    board = a_board()
    app = at_overview(board)
    async with app.run_test(size=(100, 24)) as pilot:
        await answered(pilot)
        board.servers["cache-2"].gate.clear()
        await pilot.press("enter")
        await until(pilot, lambda: "Connecting to cache-2" in screen_text(app))
        await pilot.press("end", "enter")
        await until(pilot, lambda: not app.at_overview and "cache-1" in rows(app)[0])
        assert [source.closed for source in board.opened] == [True, False]


async def test_escape_gives_up_a_connection_before_it_drops_the_filter():
    board = a_board()
    app = at_overview(board)
    async with app.run_test(size=(100, 24)) as pilot:
        await answered(pilot)
        board.servers["cache-2"].gate.clear()
        await pilot.press("slash", *"cache-2", "enter", "enter")
        await until(pilot, lambda: "Connecting to cache-2. Esc gives up." in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.opening is None)
        assert "/cache-2: 1 shown" in rows(app)[0]
        await pilot.press("escape")
        await until(pilot, lambda: "/cache-2" not in rows(app)[0])
        board.servers["cache-2"].gate.set()
        await until(pilot, lambda: [source.closed for source in board.opened] == [True])
        assert app.at_overview


@pytest.mark.parametrize("outermost", [True, False])
async def test_who_gives_up_when_it_is_too_late_is_told_where_he_is(outermost):
    board = a_board()
    app = at_overview(board)
    async with app.run_test(size=(100, 24)) as pilot:
        await answered(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: not app.at_overview and "cache-2 PRODUCTION" in rows(app)[0])
        await pilot.press("O")
        await until(pilot, lambda: app.at_overview)
        app.overview.is_outermost = outermost
        board.opened[0].leaving.clear()
        await pilot.press("end", "enter")
        await until(pilot, lambda: "Connected to cache-1, leaving cache-2" in screen_text(app))
        await pilot.press("escape")
        assert app.at_overview is outermost
        board.opened[0].leaving.set()
        await until(pilot, lambda: "cache-1 was connected before you gave up: this is cache-1" in screen_text(app))
        assert not app.at_overview
        assert "cache-1" in rows(app)[0]


async def test_what_cannot_be_opened_leaves_the_overview_as_it_is():
    app = at_overview(a_board())
    async with app.run_test(size=(100, 24)) as pilot:
        await answered(pilot)
        await pilot.press("down", "enter")
        await until(pilot, lambda: "gone could not be reached: No answer from gone:6379" in screen_text(app))
        assert app.at_overview


async def test_an_escape_that_comes_as_opening_fails_keeps_the_filter(monkeypatch):
    monkeypatch.setattr(LateEscape, "SECONDS", 600.0)
    app = at_overview(a_board())
    async with app.run_test(size=(100, 24)) as pilot:
        await answered(pilot)
        await pilot.press("slash", *"gone", "enter", "enter")
        await until(pilot, lambda: "gone could not be reached" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: "Opening it had ended already" in screen_text(app))
        assert "/gone: 1 shown" in rows(app)[0]


async def test_over_a_server_it_is_left_by_escape_and_asks_nobody_any_more(listening_at_once):
    board = a_board()
    here = ScriptedSource()
    app = an_app(here, operator=ScriptedOperator(), profile=Profile("here"))
    app.switchboard = board
    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: "live" in screen_text(app))
        await pilot.press("O")
        await answered(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: not app.at_overview and board.servers["cache-1"].closed)
        await pilot.press("escape")
        assert not app.at_overview
        # A server that takes its time is not shown to somebody who has left.
        board.servers["cache-2"].gate.clear()
        await pilot.press("O", "enter")
        await until(pilot, lambda: len(board.opened) == 1)
        await pilot.press("escape")
        await until(pilot, lambda: not app.at_overview)
        board.servers["cache-2"].gate.set()
        await until(pilot, lambda: board.opened[0].closed)
        assert app.session.source is here
        # What would be lost is asked for.
        await pilot.press("2", "r")
        await until(pilot, lambda: app.session.scan is not None)
        await pilot.press("O", "enter")
        await until(pilot, lambda: isinstance(app.screen, Dialog))
        assert "discards" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.overview)
        assert app.session.source is here


async def test_another_server_by_the_name_of_a_profile_is_not_taken_for_it():
    board = a_board()
    own = board.profiles[1]
    # As with --profile cache-2 -p 7000.
    app = an_app(ScriptedSource(), operator=ScriptedOperator(), profile=replace(own, address=Address("cache-2", 7000)))
    app.switchboard = board
    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: "live" in screen_text(app))
        await pilot.press("O")
        await answered(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: not app.at_overview)
        assert [app.session.source] == board.opened
        assert app.session.profile == own


async def test_enter_opens_the_row_under_the_cursor_though_the_order_changes_before_it_is_handled():
    board = a_board()
    app = at_overview(board)
    async with app.run_test(size=(100, 24)) as pilot:
        await answered(pilot)
        table = app.overview.table
        assert table.model.current.profile.name == "cache-2"
        table.action_choose()
        table.go_to(2)
        await until(pilot, lambda: not app.at_overview)
        assert app.session.profile.name == "cache-2"


async def test_what_changes_a_server_is_answered_before_another_is_opened():
    class Slow(ScriptedOperator):
        """Its server takes its time over MEMORY PURGE."""

        answers = asyncio.Event()

        async def purge(self) -> Done:
            """After a while."""
            await self.answers.wait()
            return await super().purge()

    board, operator = a_board(), Slow()
    here = ScriptedSource()
    app = an_app(here, operator=operator, profile=Profile("here"))
    app.switchboard = board
    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: "live" in screen_text(app))
        app.post_message(PurgeMemory())
        await until(pilot, lambda: isinstance(app.screen, Dialog) and not app.screen.guarded)
        await pilot.press("left", "enter")
        await until(pilot, lambda: app.session.actions.is_changing)
        await pilot.press("q")
        await until(pilot, lambda: "is not answered yet" in screen_text(app) and not app.screen.guarded)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Dialog))
        await pilot.press("O")
        await answered(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "An action is running here" in screen_text(app))
        assert app.session.source is here
        operator.answers.set()
        await until(pilot, lambda: "purge" in operator.calls and not app.session.actions.is_changing)
        await pilot.press("enter")
        await until(pilot, lambda: app.session.profile.name == "cache-2")


async def test_without_profiles_or_where_the_screen_stays_the_key_says_why():
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("O")
        await until(pilot, lambda: "No profiles configured" in screen_text(app))
        app.stays, app.switchboard = "A recording is of one server", a_board()
        await pilot.press("O")
        await until(pilot, lambda: "A recording is of one server" in screen_text(app))
