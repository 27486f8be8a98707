"""Where keys go is seen in each list without any color: the row under the cursor begins with a sign."""

import pytest

from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.scan import ScanState
from redis_oom_tui.tui.dialogs.answers import PickDialog
from redis_oom_tui.tui.glyphs import Appearance
from redis_oom_tui.tui.panes.keyspace_map import KeyspaceMap
from redis_oom_tui.tui.widgets.cursor_list import CursorList
from tests.support.scripted import ScriptedSource, a_view
from tests.support.scripted_operator import ScriptedOperator
from tests.support.scripted_runs import a_plan, some_keys
from tests.tui.support import an_app, rows, until
from tests.tui.test_cleanup import to_preview
from tests.tui.test_nodes import ScriptedCluster, a_cluster
from tests.tui.test_overview import a_board, answered, at_overview

pytestmark = pytest.mark.usefixtures("listening_at_once")

NO_COLOR = Appearance("ansi-dark", "ascii", color=False)
CLIENT = ClientBuffer(7, "10.0.0.7:5100", command=b"subscribe", total_bytes=4 << 20)


def seen(app) -> str:
    """The row of the list with the focus that begins with the sign; '' where it is not just one."""
    shown = app.screen.focused
    if not isinstance(shown, CursorList):
        return ""
    region = shown.region
    lines = rows(app)[region.y : region.bottom]
    found = [line[region.x : region.right] for line in lines if line[region.x : region.x + 1] == ">"]
    return found[0] if len(found) == 1 else ""


@pytest.mark.parametrize("width", [60, 80, 200])
async def test_each_pane_shows_where_its_cursor_is(width):
    source = ScriptedSource(views=[a_view(ScanState.COMPLETE)], clients=[CLIENT])
    app = an_app(source, operator=ScriptedOperator(plan=a_plan(some_keys())), appearance=NO_COLOR)
    async with app.run_test(size=(width, 30)) as pilot:
        await until(pilot, lambda: app.session.state.snapshot is not None and app.session.actions.limits.limits)
        await pilot.press("2", "r")
        await until(pilot, lambda: app.session.scan is not None and app.session.scan.complete)
        await until(pilot, lambda: "session:10000" in seen(app))
        await pilot.press("space")
        await until(pilot, lambda: "cart:10001" in seen(app))
        await pilot.press("up")
        await until(pilot, lambda: seen(app).startswith(">*"))
        await pilot.press("tab")
        await until(pilot, lambda: "session:*" in seen(app))
        await pilot.press("3")
        await until(pilot, lambda: "noeviction" in seen(app))
        await pilot.press("4")
        await until(pilot, lambda: "Key pattern" in seen(app))
        await to_preview(pilot)
        await until(pilot, lambda: "session:000000" in seen(app))
        await pilot.press("1")
        await until(pilot, lambda: app.main.active_pane.findings.items)
        await until(pilot, lambda: "Cleanup" in seen(app))
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, PickDialog))
        await until(pilot, lambda: any(line.lstrip("| ").startswith("> ") and "ID 7" in line for line in rows(app)))


async def test_the_picture_shows_which_tile_the_cursor_is_on():
    app = an_app(ScriptedSource(views=[a_view(ScanState.COMPLETE)]), appearance=NO_COLOR)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2", "r")
        await until(pilot, lambda: app.session.scan is not None and app.session.scan.complete)
        await pilot.press("tab", "t")
        await until(pilot, lambda: isinstance(app.screen.focused, KeyspaceMap))
        await until(pilot, lambda: any(">session:*" in line for line in rows(app)))
        await pilot.press("down")
        await until(pilot, lambda: any(">cart:*:items" in line for line in rows(app)))
        assert not any(">session:*" in line for line in rows(app))


async def test_a_node_and_a_server_of_the_overview_show_it_too():
    app = an_app(ScriptedCluster([a_cluster()]), appearance=NO_COLOR)
    async with app.run_test(size=(80, 30)) as pilot:
        await until(pilot, lambda: app.main.active_pane.nodes.items)
        app.screen.set_focus(app.main.active_pane.nodes)
        await until(pilot, lambda: "n:7002" in seen(app))
        await pilot.press("down")
        await until(pilot, lambda: "n:7003" in seen(app))
    app = at_overview(a_board(), appearance=NO_COLOR)
    async with app.run_test(size=(80, 24)) as pilot:
        await answered(pilot)
        await until(pilot, lambda: "cache-2" in seen(app))
        await pilot.press("down")
        await until(
            pilot,
            lambda: "gone" in seen(app),
        )
