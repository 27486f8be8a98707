"""The overview of several servers: the worst first, one that is away is a row, Enter opens and Escape comes back."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from textual.widgets import Input

from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.screen import ConfiguredProfiles
from redis_oom_tui.files.config import load
from redis_oom_tui.models.action import Done
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.config import Profile, ScreenOptions, WatchSettings
from redis_oom_tui.models.errors import ServerUnreachable, TriageError
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Rates
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.tui.app import TriageApp
from redis_oom_tui.tui.deferred_startup import PlaceholderSource
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.drawing import DrawStyle
from redis_oom_tui.tui.messages import PurgeMemory
from redis_oom_tui.tui.profiles import ProfileSession
from redis_oom_tui.tui.screens.explain import ExplainScreen
from redis_oom_tui.tui.screens.overview_columns import ServerRow, overview_columns
from tests.support.cluster import clustered
from tests.support.scripted import MIB, ScriptedSource, a_snapshot
from tests.support.scripted_operator import ScriptedOperator
from tests.support.servers import started
from tests.tui.support import an_app, rows, screen_text, until
from tests.tui.test_nodes import a_cluster

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


def at_overview(board: Board) -> TriageApp:
    """As --all begins."""
    app = an_app(PlaceholderSource(Address()), options=ScreenOptions(interval_seconds=0.05))
    app.switchboard, app.begins_at_overview = board, True
    return app


def names(app: TriageApp) -> list[str]:
    """The servers from top to bottom."""
    return [row.profile.name for row in app.overview.table.model.rows]


async def answered(pilot) -> None:
    """All have answered, or failed."""
    await until(pilot, lambda: "profile" in screen_text(pilot.app) and "connecting" not in screen_text(pilot.app))


async def test_the_worst_comes_first_and_one_that_is_away_says_why():
    app = at_overview(a_board())
    async with app.run_test(size=(80, 24)) as pilot:
        await answered(pilot)
        assert names(app) == ["cache-2", "gone", "sessions", "cache-1"]
        shown = rows(app)
        assert "4 profiles: 1 oom, 1 unknown, 1 warning, 1 ok" in shown[0]
        assert "policy" in shown[1]
        assert "!! OOM" in shown[2]
        assert "full" in shown[2]
        assert "? UNKNOWN   No answer from gone:6379" in shown[3]
        assert "88% ━" in shown[4]
        assert "cache-2   PRODUCTION   520.0 MiB of 512.0 MiB" in screen_text(app)
        # What is seen there is no server that anything could be done to.
        palette = {command.title for command in app.get_system_commands(app.screen)}
        assert "Filter" in palette
        assert not {"Emergency cleanup", "Restore a backup", "Change maxmemory"} & palette
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, ExplainScreen) and "How fast used memory" in screen_text(app))
        await pilot.press("escape", "slash", "f1")
        await until(pilot, lambda: "part of a profile's name" in screen_text(app))
        assert "the scan kept" not in screen_text(app)
        await pilot.press("escape", *"cache", "enter")
        await until(pilot, lambda: names(app) == ["cache-2", "cache-1"])
        assert "/cache: 2 shown" in rows(app)[0]
        await pilot.press("escape")
        await until(pilot, lambda: len(names(app)) == 4)


async def test_enter_opens_a_server_and_escape_comes_back():
    board = a_board()
    app = at_overview(board)
    async with app.run_test(size=(100, 24)) as pilot:
        await answered(pilot)
        await pilot.press("escape")
        assert app.at_overview
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


async def test_it_looks_as_stored(tmp_path: Path):
    """With a cluster unfolded, and one server by two profiles. REDRAW=1 writes it again."""
    board = a_board()
    board.servers |= {"cache-3": Server("cache-1"), "ring": Server("n", cluster=a_cluster())}
    board.profiles = [
        Profile(name, server.address, watch=WatchSettings(interval_seconds=3600), cluster=name == "ring")
        for name, server in board.servers.items()
    ]
    app = at_overview(board)
    async with app.run_test(size=(80, 24)) as pilot:
        await answered(pilot)
        # The second S ends the time in which rows keep their places after a move.
        await pilot.press("slash", *"ring", "enter", "right", "escape", "S", "S")
        await until(pilot, lambda: len(names(app)) == 10 and "/ring" not in screen_text(app))
        drawn = screen_text(app) + "\n"
    path = Path(__file__).parent.parent / "cases" / "screens" / "80x24-overview.txt"
    if os.environ.get("REDRAW"):
        path.write_text(drawn)
    assert drawn == path.read_text(), f"{path.name}: look at the difference, then redraw it"


def test_refused_writes_that_a_server_does_not_report_are_unknown():
    profile = Profile("old")
    column = next(each for each in overview_columns(120, 10, DrawStyle()) if each.id == "refused")

    def told(rates: Rates) -> str:
        return column.text(ServerRow(profile, replace(ServerState(address=profile.address), rates=rates)), column.width)

    # Before Redis 6.2.
    assert told(Rates(seconds=2.0, evicted_keys=0)) == "?/s"
    assert told(Rates(seconds=2.0, evicted_keys=40)) == "evicted 20/s"
    assert told(Rates(seconds=2.0, refused_writes=0, evicted_keys=0)) == "0/s"


async def test_without_profiles_or_where_the_screen_stays_the_key_says_why():
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("O")
        await until(pilot, lambda: "No profiles configured" in screen_text(app))
        app.stays, app.switchboard = "A recording is of one server", a_board()
        await pilot.press("O")
        await until(pilot, lambda: "A recording is of one server" in screen_text(app))


@pytest.mark.parametrize("size", [(60, 20), (120, 36), (200, 60)])
async def test_every_size_has_the_figures_that_count(size):
    app = at_overview(a_board())
    async with app.run_test(size=size) as pilot:
        await answered(pilot)
        titles = rows(app)[1]
        assert all(title in titles for title in ("server", "verdict", "pressure", "refused", "full in"))
        assert ("policy" in titles, "reason" in titles) == (size[0] >= 80, size[0] >= 150)
        assert max(len(line) for line in rows(app)) <= size[0]
        assert not app.query(Input).filter(".-open")


async def test_real_servers_and_a_cluster_are_a_row_each(tmp_path: Path):
    with started("valkey") as quiet, started("redis7") as full, clustered(3, replicas=False) as cluster:
        with full.client() as client:
            client.set("a", b"x" * 100_000)
            client.config_set("maxmemory", 1)
        file = tmp_path / "config.toml"
        file.write_text(
            f'[profiles.quiet]\nsocket = "{quiet.socket_path}"\n[profiles.full]\nsocket = "{full.socket_path}"\n'
            f"[profiles.ring]\nport = {cluster.primaries[0].port}\ncluster = true\n"
            f'[profiles.gone]\nsocket = "{tmp_path}/nowhere"\n'
        )
        file.chmod(0o600)
        app = an_app(PlaceholderSource(Address()))
        invocation = Invocation(configuration=load(file), read_only=True)
        app.switchboard, app.begins_at_overview = ConfiguredProfiles(invocation), True
        async with app.run_test(size=(120, 36)) as pilot:
            await answered(pilot)
            assert names(app)[:2] == ["full", "gone"]
            assert "ring (3 nodes)" in screen_text(app)
            assert "? UNKNOWN   unix:" in screen_text(app)
            assert "full   read-only " in screen_text(app)
            assert "4 profiles: " in rows(app)[0]
            await pilot.press("slash", *"ring", "enter", "enter")
            nodes = [f"127.0.0.1:{each.port}" for each in cluster.primaries]
            await until(pilot, lambda: all(node in screen_text(app) for node in nodes))
            assert len(names(app)) == 4
            # Folded from one of them, the cursor is on the cluster.
            await pilot.press("down", "down", "left")
            await until(pilot, lambda: names(app) == ["ring"])
            assert app.overview.table.model.current.node is None
            await pilot.press("right", "down")
            chosen = app.overview.table.model.current.node.name
            await until(pilot, lambda: f" {chosen} of ring" in screen_text(app))
            await pilot.press("enter")
            await until(pilot, lambda: not app.at_overview and f"{chosen} is shown" in screen_text(app))
            await until(pilot, lambda: app.session.source.shown == chosen)
            assert "read-only" in rows(app)[0]
            assert app.session.profile.read_only
            # The same again: it is not taken for the wish to see the worst.
            await pilot.press("O", "enter")
            await until(pilot, lambda: not app.at_overview and f"{chosen} is shown" in screen_text(app))
            await pilot.press("O", "left", "o")
            await until(pilot, lambda: not app.at_overview and "Nodes (3), worst first" in screen_text(app))


async def test_one_server_by_two_profiles_and_a_node_of_a_cluster_say_so(tmp_path: Path):
    with started("valkey") as server, clustered(3, replicas=False) as cluster:
        file = tmp_path / "config.toml"
        port = cluster.primaries[0].port
        file.write_text(
            f'[profiles.cache]\nsocket = "{server.socket_path}"\n'
            f'[profiles.cache-2]\nsocket = "{server.socket_path}"\ndb = 2\n'
            f"[profiles.node]\nport = {port}\n[profiles.ring]\nport = {port}\ncluster = true\n"
        )
        file.chmod(0o600)
        app = an_app(PlaceholderSource(Address()))
        app.switchboard, app.begins_at_overview = ConfiguredProfiles(Invocation(configuration=load(file))), True
        async with app.run_test(size=(120, 24)) as pilot:
            await answered(pilot)
            shown = screen_text(app)
            assert "4 profiles of 2 servers: 4 ok" in shown
            assert all(text in shown for text in ("cache = cache-2", "cache-2 = cache", "node in ring"))
            await pilot.press("slash", *"cache-2", "enter")
            await until(pilot, lambda: "The same server as cache (same run_id)." in screen_text(app))
