"""The overview of several servers: what each row says, at every size."""

import os
from pathlib import Path

import pytest
from textual.widgets import Input

from redis_oom_tui.models.config import Profile, WatchSettings
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Rates
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.tui.app import TriageApp
from redis_oom_tui.tui.drawing import DrawStyle
from redis_oom_tui.tui.screens.overview_columns import ServerRow, overview_columns
from redis_oom_tui.tui.screens.reader import ExplainScreen
from tests.tui.support import rows, screen_text, until
from tests.tui.test_nodes import a_cluster
from tests.tui.test_overview import Server, a_board, answered, at_overview


def names(app: TriageApp) -> list[str]:
    """The servers from top to bottom."""
    return [row.profile.name for row in app.overview.table.model.rows]


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


async def test_a_cluster_that_has_not_answered_is_opened_by_its_own_key():
    """Enter will unfold it once its nodes are known: until then it does nothing."""
    board = a_board()
    board.profiles = [replace(each, cluster=each.name == "gone") for each in board.profiles]
    app = at_overview(board)
    async with app.run_test(size=(80, 24)) as pilot:
        await answered(pilot)
        assert "Enter open" in rows(app)[-1]
        await pilot.press("down")
        assert app.overview.table.model.current.profile.name == "gone"
        await until(pilot, lambda: "o open whole" in rows(app)[-1])
        assert "Enter open" not in rows(app)[-1]


def test_refused_writes_that_a_server_does_not_report_are_unknown():
    profile = Profile("old")
    column = next(each for each in overview_columns(120, 10, DrawStyle()) if each.id == "refused")

    def cell(rates: Rates) -> str:
        return column.text(ServerRow(profile, replace(ServerState(address=profile.address), rates=rates)), column.width)

    # Before Redis 6.2.
    assert cell(Rates(seconds=2.0, evicted_keys=0)) == "?/s"
    assert cell(Rates(seconds=2.0, evicted_keys=40)) == "evicted 20/s"
    assert cell(Rates(seconds=2.0, refused_writes=0, evicted_keys=0)) == "0/s"


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
