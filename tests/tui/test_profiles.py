"""Going to another server by its profile: picked, reached, and only then the old one is let go of."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from textual.command import CommandPalette

from redis_oom_tui.actions.deployment import Standalone
from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.config import Color, Profile
from redis_oom_tui.models.errors import BadInput, ServerUnreachable, TriageError
from redis_oom_tui.models.scan import ScanState
from redis_oom_tui.models.settings import Change, ChangeResult
from redis_oom_tui.models.structs import replace
from redis_oom_tui.ports.operator import Operator
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.tui.dialogs.answers import PickDialog
from redis_oom_tui.tui.flows import limits
from redis_oom_tui.tui.flows.state import CleanupState, Stage
from redis_oom_tui.tui.profiles import ProfileSession
from tests.support.scripted import MIB, ScriptedSource, a_snapshot, a_view
from tests.support.scripted_operator import ScriptedOperator
from tests.support.servers import RunningServer
from tests.tui.support import an_app, rows, screen_text, until

CACHE = Profile("cache", Address("cache-1", 6380), db=2)
ORDERS = Profile("orders", Address("orders-1"), production=True, read_only=True, color=Color.MAGENTA)


class Elsewhere(ScriptedSource):
    """Another server, which may refuse to be opened."""

    def __init__(self, refuses: TriageError | None) -> None:
        super().__init__([a_snapshot(used=100 * MIB, refused=0)])
        self.refuses = refuses

    @property
    def address(self) -> Address:
        """Not the one before."""
        return Address("orders-1")

    async def open(self) -> None:
        """As told."""
        await super().open()
        if self.refuses is not None:
            raise self.refuses


class Board:
    """Profiles by name, each with a scripted server behind it."""

    def __init__(self, *, error: TriageError | None = None, refuses: TriageError | None = None) -> None:
        self.profiles: Sequence[Profile] = (CACHE, ORDERS)
        self.error, self.refuses = error, refuses
        self.sources: list[ScriptedSource] = []
        self.operator: Operator = ScriptedOperator()

    async def connect(self, name: str) -> ProfileSession:
        """A session that is not open yet."""
        if self.error is not None:
            raise self.error
        source = Elsewhere(self.refuses)
        self.sources.append(source)
        return ProfileSession(source, self.operator, ORDERS if name == "orders" else CACHE)


def app_with(board: Board | None, source: ScriptedSource | None = None):
    app = an_app(source or ScriptedSource(), operator=ScriptedOperator(), profile=CACHE)
    app.switchboard = board
    return app


def prose(app) -> str:
    """What stands on the screen as one line, without the frames of dialogs."""
    return " ".join(screen_text(app).replace("│", " ").split())


async def to_list(pilot) -> None:
    await until(pilot, lambda: "live" in screen_text(pilot.app))
    await pilot.press("P")
    await until(pilot, lambda: isinstance(pilot.app.screen, PickDialog) and not pilot.app.screen.guarded)


async def test_a_list_has_one_frame_also_after_the_palette_was_open():
    app = app_with(Board())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "live" in screen_text(app))
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, CommandPalette))
        await to_list(pilot)
        await until(pilot, lambda: "Switch to which server?" in screen_text(app))
        assert not set("▔▁▊▎") & set(screen_text(app))


async def test_profiles_are_listed_with_target_and_how_careful_one_has_to_be():
    app = app_with(Board())
    async with app.run_test(size=(80, 24)) as pilot:
        await to_list(pilot)
        text = screen_text(app)
        for words in ("cache (here)", "cache-1:6380, database 2", "orders", "PRODUCTION, read-only", "orders-1:6379"):
            assert words in text, words


async def test_the_chosen_server_is_shown_from_the_beginning_and_the_old_one_let_go():
    old = ScriptedSource(views=[a_view(ScanState.COMPLETE)])
    board, app = Board(), app_with(None, old)
    app.switchboard = board
    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: "live" in screen_text(app))
        await pilot.press("2", "r")
        await until(pilot, lambda: "COMPLETE" in screen_text(app))
        await pilot.press("space", "space")
        before = app.main.panes["hogs"]
        await to_list(pilot)
        assert "Switching discards 2 marks and the scan." in prose(app)
        assert "Up/Down: select   Enter: connects   F1: help   Esc: cancel" in screen_text(app)
        await pilot.press("down", "enter")
        await until(pilot, lambda: "orders-1:6379" in rows(app)[0])
        await until(pilot, lambda: "Healthy" in screen_text(app))
        assert "orders PRODUCTION" in rows(app)[0]
        assert "read-only" in rows(app)[0]
        assert "Discarded: 2 marks and the scan of the server before." in prose(app)
        assert old.closed
        assert app.main.panes["hogs"] is not before
        assert "No scan yet" in screen_text(app)
        assert app.session.scan is None
        assert app.session.source is board.sources[0]
        assert app.session.actions.operator is board.operator
        await pilot.press("5", "1", "4", "3", "2", "r")
        await until(pilot, lambda: board.sources[0].scans)


@pytest.mark.parametrize(
    "board",
    [
        Board(error=BadInput("the password of profile 'orders' is not to be had")),
        Board(refuses=ServerUnreachable("No answer from orders-1:6379.")),
    ],
)
async def test_what_is_not_reached_leaves_everything_as_it_is(board):
    old = ScriptedSource()
    app = app_with(board, old)
    async with app.run_test(size=(100, 24)) as pilot:
        before = app.main.panes["hogs"]
        await to_list(pilot)
        await pilot.press("down", "enter")
        await until(pilot, lambda: "orders could not be reached, staying" in screen_text(app))
        assert app.session.source is old
        assert not old.closed
        assert app.main.panes["hogs"] is before
        assert all(source.closed for source in board.sources)
        await until(pilot, lambda: "live" in screen_text(app))


async def test_nobody_walks_away_from_a_run_or_a_setting_that_goes_back():
    app = app_with(Board())
    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: "live" in screen_text(app))
        app.session.actions.show_cleanup(CleanupState(Stage.RUNNING))
        await pilot.press("P")
        await until(pilot, lambda: "An action is running here" in screen_text(app))
        app.session.actions.show_cleanup(CleanupState())
        changed = ChangeResult(Change("maxmemory-policy", "noeviction", "allkeys-lru"), True, "allkeys-lru")
        app.session.actions.show_limits(replace(app.session.actions.limits, limits=None, reverting=changed))
        await pilot.press("P")
        await until(pilot, lambda: "is about to revert" in screen_text(app))


async def test_a_setting_that_others_set_since_holds_nobody_back(valkey: RunningServer, tmp_path: Path) -> None:
    board = Board()
    live = LiveServer(valkey.connection)
    operator = LiveOperator(Standalone(live), folder=tmp_path)
    app = an_app(live, operator=operator, profile=CACHE)
    app.switchboard = board
    with valkey.client() as client:
        async with app.run_test(size=(100, 24)) as pilot:
            await until(pilot, lambda: "live" in screen_text(app))
            actions = app.session.actions
            change = await operator.settings.propose("maxmemory-policy", "allkeys-lru")
            held = await operator.settings.apply(change, revert_after=60.0)
            await limits.read(actions)
            actions.show_limits(replace(actions.limits, reverting=held, reverts_at=actions.host.clock.monotonic() + 60))
            await pilot.press("P")
            await until(pilot, lambda: "is about to revert" in screen_text(app))
            client.config_set("maxmemory-policy", "volatile-ttl")
            await limits.read(actions)
            await to_list(pilot)
            assert "it was changed elsewhere, and does not revert" in prose(app)
            await pilot.press("down", "enter")
            await until(pilot, lambda: "This is orders now" in screen_text(app))
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-ttl"}


async def test_the_server_that_is_shown_is_not_gone_to_and_escape_changes_nothing():
    board = Board()
    app = app_with(board)
    async with app.run_test(size=(100, 24)) as pilot:
        for keys in (("enter",), ("down", "escape")):
            await to_list(pilot)
            await pilot.press(*keys)
            await until(pilot, lambda: not isinstance(app.screen, PickDialog))
        assert not board.sources


@pytest.mark.parametrize("stays", ["A recording (--record) is of one server", "This session stays on its own server"])
async def test_a_screen_that_stays_says_why_though_there_are_profiles(stays):
    app = app_with(Board())
    app.stays = stays
    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: "live" in screen_text(app))
        await pilot.press("P")
        await until(pilot, lambda: stays in screen_text(app))
        assert "no profile" not in screen_text(app)


async def test_without_profiles_the_key_says_what_would_name_them():
    app = app_with(None)
    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: "live" in screen_text(app))
        await pilot.press("P")
        await until(pilot, lambda: "config example" in screen_text(app))
