"""A cluster in pane 1: its nodes worst first, and one of them looked at alone."""

import pytest

from redis_oom_tui.formatting.sizes import count
from redis_oom_tui.formatting.vitals import cluster_sums
from redis_oom_tui.models.action import AuditEntry
from redis_oom_tui.models.address import Address, ClusterNode
from redis_oom_tui.models.keys import KeyId, KeyRow
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.settings import Change, ChangeResult, NodeResult
from redis_oom_tui.models.snapshot import ClusterView, NodeView, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.rules.cluster import worst_first
from redis_oom_tui.rules.verdict import judge, unknown
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.dialogs.change import ChangeDialog
from redis_oom_tui.tui.dialogs.questions import purge_question, reap_question
from redis_oom_tui.tui.drawing import DrawStyle
from redis_oom_tui.tui.header_model import HeaderModel
from redis_oom_tui.tui.messages import ChangeSetting
from redis_oom_tui.tui.panes.log_draw import LogEntry, log_entries, log_row
from tests.support.scripted import ScriptedSource, a_snapshot, a_view
from tests.support.scripted_operator import ScriptedOperator
from tests.tui.support import an_app, rows, screen_text, until

MIB = 2**20
SIZE = (100, 30)


class ScriptedCluster(ScriptedSource):
    """A source that remembers which node it was told to show."""

    pinned: str | None = None

    def pin(self, name: str | None) -> None:
        self.pinned = name

    async def cluster(self) -> ClusterView:
        return ClusterView(())

    def node(self, name: str) -> ScriptedSource:
        return self


def a_cluster() -> Snapshot:
    views = []
    for port, used in ((7001, 40), (7002, 101), (7003, 60)):
        snapshot = a_snapshot()
        memory = replace(snapshot.memory, used_bytes=used * MIB, maxmemory_bytes=100 * MIB, not_counted_bytes=0)
        snapshot = replace(snapshot, memory=memory, server=replace(snapshot.server, address=Address("n", port)))
        node = ClusterNode(f"n:{port}", str(port), Address("n", port), f"n:{port}", ((port, port + 99),))
        views.append(NodeView(node, snapshot, judge(snapshot)))
    lost = ClusterNode("n:7004", "7004", Address("n", 7004), "n:7001")
    views.append(NodeView(lost, error="n:7004 refuses connections", verdict=unknown("gone")))
    cluster_view = ClusterView(worst_first(views))
    worst = cluster_view.nodes[0]
    assert worst.snapshot is not None
    server = replace(worst.snapshot.server, node=worst.name, run_id=None)
    return replace(worst.snapshot, server=server, cluster=cluster_view, notes=("n:7002 is a primary now",))


async def test_the_nodes_stand_worst_first() -> None:
    app = an_app(ScriptedCluster([a_cluster()]))
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "Nodes (4)" in screen_text(app))
        lines = [line for line in rows(app) if "n:700" in line and ("slots" in line or "refuses" in line)]
        assert [line.split("n:")[1][:4] for line in lines] == ["7002", "7003", "7001", "7004"]
        assert "refuses connections" in lines[-1]
        assert "n:7002 is a primary now" in screen_text(app)


@pytest.mark.parametrize("width", [80, 100, 140])
async def test_every_figure_of_a_node_has_its_column_and_room(width: int) -> None:
    app = an_app(ScriptedCluster([a_cluster()]))
    async with app.run_test(size=(width, 30)) as pilot:
        await until(pilot, lambda: "Nodes (4)" in screen_text(app))
        lines = [line for line in rows(app) if "n:700" in line and " slots" in line]
        assert len({line.index(" of 100.0M") for line in lines}) == 1, lines
        assert all("noeviction" in line and "100 slots" in line for line in lines)
        assert all((" keys" in line) is (width >= 100) for line in lines)
        lost = next(line for line in rows(app) if "refuses" in line)
        assert ("replica of n:7001: " if width >= 100 else "replica: ") in lost


@pytest.mark.parametrize(("free", "sentence"), [({0}, "110M, 1 without a limit"), ({0, 1, 2}, "110M, no limit")])
def test_the_sum_of_nodes_without_a_limit_is_of_no_limit(free: set[int], sentence: str) -> None:
    cluster_view = a_cluster().cluster
    assert cluster_view is not None
    views = list(cluster_view.primaries)[:2]
    views.append(views[0])
    views = [
        replace(
            view,
            snapshot=replace(
                view.snapshot,
                memory=replace(view.snapshot.memory, maxmemory_bytes=None if at in free else 100 * MIB),
            ),
        )
        for at, view in enumerate(views)
        if view.snapshot is not None
    ]
    text = cluster_sums(ClusterView(tuple(views), ()))
    assert sentence.partition(", ")[2] in text
    assert " of no limit" not in text


def test_what_is_done_to_all_nodes_is_told_with_the_sums_of_all() -> None:
    cluster_view = a_cluster()
    held = (
        sum(view.snapshot.keys for view in cluster_view.cluster.primaries if view.snapshot)
        if cluster_view.cluster
        else 0
    )
    lines = " ".join(reap_question("the cluster", cluster_view).lines)
    assert f"of {count(held)} keys have a TTL" in lines
    assert held == 3 * cluster_view.keys
    assert "RSS of all primaries is" in " ".join(purge_question("the cluster", cluster_view).lines)


async def test_actions_on_every_node_are_in_the_log_each_with_its_node() -> None:
    operator = NodesOperator(snapshot=a_cluster())
    deleted = AuditEntry(10.0, "a", "delete", "n:7002", "sre", "delete 5 keys", 12.0, "Deleted 5 of 5 keys.", True)
    there = replace(deleted, id="b", server="n:7003", what="delete 6 keys")
    operator.entries = [deleted, there, replace(deleted, id="c", server="m:1", what="delete 7 keys")]
    app = an_app(ScriptedCluster([a_cluster()]), operator=operator)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "Nodes (4)" in screen_text(app))
        await pilot.press("5")
        await until(pilot, lambda: "5 keys" in screen_text(app))
        assert "delete     n:7002  5 keys: " in screen_text(app)
        assert "delete     n:7003  6 keys: " in screen_text(app)
        assert "7 keys" not in screen_text(app)


def _lines(every: list[LogEntry], room: int) -> list[str]:
    drawn = [log_row(one, room, DrawStyle(), 20.0, here=n == 1, several=True) for n, one in enumerate(every)]
    return ["".join(text for text, _ in line) for line in drawn]


async def test_where_there_is_little_room_what_came_of_an_action_outlasts_the_name_of_its_node() -> None:
    name = "prod-cache-0001-001.internal:7002"
    what, came = "delete session:* and idle", "Deleted 5 of 5 keys."
    entry = AuditEntry(10.0, "a", "delete", name, "sre", what, 12.0, came, True)
    every = log_entries((), [entry, replace(entry, id="b", server="n:7003")], 0.0)
    for room, sentence in (
        (80, "….internal:7002  session:* and idle: Deleted 5 of 5 keys."),
        (68, "Deleted 5 of 5 keys."),
    ):
        lines = _lines(every, room)
        row = next(line for line in lines if ":7002  " in line)
        assert sentence in row, row


def test_a_refusal_that_begins_with_its_node_names_it_once_and_loses_its_end() -> None:
    said = "n:7002 does not let this user run CONFIG SET: log in as a user with permission, or set it in the file"
    entry = AuditEntry(10.0, "a", "set", "n:7002", "sre", "maxmemory: 1 to 2", 12.0, said, False)
    every = log_entries((), [entry, replace(entry, id="b", server="n:7003")], 0.0)
    lines = _lines(every, 80)
    sentence = next(line for line in lines if "n:7003" not in line and "7002" in line).partition("set        ")[2]
    assert sentence.endswith("…")
    assert said.startswith(sentence[:-1])


def _row_of(entry: AuditEntry, room: int = 80) -> str:
    every = log_entries((), [entry, replace(entry, id="b", server="n:7003", what="other")], now=20.0)
    lines = _lines(every, room)
    return next(line for line in lines if (" delete " in line or " kill " in line) and ":7003" not in line)


def test_a_failed_deletion_tells_how_many_went_before_its_reason_is_cut() -> None:
    name = "127.0.0.1:7002"
    said = (
        f"{name} closed the connection while 500 keys were on their way: whether it took them was asked. Deleted 12 of"
    )
    counts = {"deleted": 12, "failed": 3, "not attempted": 1485}
    entry = AuditEntry(10.0, "a", "delete", name, "sre", "delete 1,500 keys", 12.0, said, False, counts=counts)
    assert f"12 of 1,500 keys: {name} closed the connection" in _row_of(entry)
    short = replace(entry, result="It went. Deleted 12 of 1,500 keys.")
    assert "12 of 1,500 keys: It" not in _row_of(short, 120), "there is room for all of it"


def test_a_closed_client_is_named_once() -> None:
    who = "client 7 (127.0.0.1:4711, hog)"
    entry = AuditEntry(
        10.0, "a", "kill-client", "n:1", "sre", f"kill {who}", 12.0, f"{who} was killed; it held 1 MiB.", True
    )
    row = _row_of(entry, 140)
    assert row.count("4711") == 1
    assert "kill       " in row
    assert "was killed; it held 1 MiB." in row


class NodesOperator(ScriptedOperator):
    """One that also proposes for a node alone."""

    async def propose_on(self, node: str, name: str, new: str, scan: ScanView | None = None) -> Change:
        change = await self.propose(name, new, scan)
        return replace(change, node=node, consequence=f"On {node} alone. {change.consequence}")

    async def apply(self, change: Change, *, persist: bool = False, revert_after: float | None = None) -> ChangeResult:
        result = await super().apply(change, persist=persist, revert_after=revert_after)
        self.calls.append(f"on {change.node or 'all'}")
        return replace(result, nodes=(NodeResult(change.node or "n:7001", True, change.old, change.new),))


@pytest.mark.parametrize("alone", [False, True])
async def test_a_setting_is_for_all_nodes_or_for_the_one_shown(monkeypatch: pytest.MonkeyPatch, alone: bool) -> None:
    monkeypatch.setattr(Dialog, "GUARD_SECONDS", 0.0)
    operator = NodesOperator(snapshot=a_cluster())
    app = an_app(ScriptedCluster([replace(a_cluster(), notes=())]), operator=operator)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "Nodes (4)" in screen_text(app))
        await pilot.press("3")
        await until(pilot, lambda: "allkeys-lru" in screen_text(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, ChangeDialog) and app.focused is not None)
        await until(pilot, lambda: "the cluster of" in screen_text(app))
        if alone:
            app.screen.query_one("#alone").focus()
            await pilot.press("enter")
            await until(pilot, lambda: "On n:7002 alone." in screen_text(app))
        await pilot.press(*"evict", "enter")
        await until(pilot, lambda: f"on {'n:7002' if alone else 'all'}" in operator.calls)
        sentence = "read back on n:7002 alone" if alone else "allkeys-lru, read back"
        await until(pilot, lambda: sentence in " ".join(screen_text(app).split()))


async def test_undoing_for_all_nodes_warns_of_each_and_tells_each_nodes_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dialog, "GUARD_SECONDS", 0.0)
    operator = NodesOperator(snapshot=a_cluster())
    warnings = ("n:7002: Writes will be refused until 5.0 MiB is freed",)
    operator.going_back = Change("maxmemory-samples", "7", "", "Each of the 2 nodes gets its own again.", warnings)
    nodes = (NodeResult("n:7001", True, "7", "5"), NodeResult("n:7002", True, "7", "3"))
    operator.undone = ChangeResult(Change("maxmemory-samples", "7", "5"), True, None, nodes=nodes)
    app = an_app(ScriptedCluster([replace(a_cluster(), notes=())]), operator=operator)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "Nodes (4)" in screen_text(app))
        await pilot.press("3")
        await until(pilot, lambda: "allkeys-lru" in screen_text(app))
        app.post_message(ChangeSetting("maxmemory-samples", "7"))
        await until(pilot, lambda: isinstance(app.screen, ChangeDialog) and app.focused is not None)
        app.screen.query_one("#act").focus()
        await pilot.press("enter")
        await until(pilot, lambda: "7, read back" in " ".join(screen_text(app).split()))
        await pilot.press("z")
        await until(pilot, lambda: "7 → each node's own old value" in screen_text(app))
        assert "! n:7002: Writes will be refused" in screen_text(app)
        app.screen.query_one("#act").focus()
        await pilot.press("enter")
        sentence = "7 → 5 on n:7001; 3 on n:7002, read back on all 2 nodes"
        await until(pilot, lambda: sentence in " ".join(screen_text(app).split()))


async def test_enter_looks_at_one_node_and_again_at_the_worst() -> None:
    source = ScriptedCluster([a_cluster()])
    app = an_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "Nodes (4)" in screen_text(app))
        app.main.panes["triage"].nodes.focus()  # type: ignore[attr-defined]
        await pilot.press("down", "enter")
        assert source.pinned == "n:7003"
        await pilot.press("enter")
        assert source.pinned is None


async def test_a_recording_of_a_cluster_shows_no_other_node() -> None:
    app = an_app(ScriptedSource([replace(a_cluster(), notes=())]))
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "Nodes (4)" in screen_text(app))
        app.main.panes["triage"].nodes.focus()  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until(pilot, lambda: "A recording shows" in screen_text(app))


def test_the_header_gives_a_role_to_the_node_whose_it_is() -> None:
    shown = a_cluster()
    other = HeaderModel._server(ServerState(address=Address("n", 7001), snapshot=shown))
    given = HeaderModel._server(ServerState(address=Address("n", 7002), snapshot=shown))
    assert (other[0][0], given[0][0]) == ("  node n:7002 (primary)", "  primary")


async def test_hogs_names_the_node_of_each_key() -> None:
    row = KeyRow(KeyId(0, b"big", "prod-cache-3.internal:7002"), "string", 30 * MIB)
    view = replace(a_view(), top=(row,))
    app = an_app(ScriptedCluster([a_cluster()], views=[view]))
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "Nodes (4)" in screen_text(app))
        await pilot.press("2", "r")
        await until(pilot, lambda: "big" in screen_text(app))
        line = next(line for line in rows(app) if line.endswith("big"))
    assert "…3.internal:7002" in line
    # Of what all primaries hold, which is 201 MiB.
    assert " 14.9 " in line


async def test_above_the_patterns_a_key_has_its_node_and_its_share() -> None:
    row = KeyRow(KeyId(0, b"big", "n:7002"), "string", 30 * MIB)
    app = an_app(ScriptedCluster([a_cluster()], views=[replace(a_view(), top=(row,))]))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "Nodes (4)" in screen_text(app))
        await pilot.press("2", "r")
        await until(pilot, lambda: "big" in screen_text(app))
        keys, patterns = (line for line in rows(app) if "BYTES" in line)
    assert "PATTERN" in patterns
    assert "NODE" in keys
    assert "%" in keys


async def test_a_single_server_has_no_such_list() -> None:
    app = an_app()
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.session.state is not None and app.session.state.snapshot is not None)
        assert "Nodes" not in screen_text(app)


@pytest.mark.parametrize(("width", "shown"), [(60, ""), (70, "100 slots"), (80, "noeviction  100 slots")])
async def test_in_a_narrow_list_of_nodes_no_figure_is_cut_and_no_two_names_look_alike(width, shown):
    long = a_cluster()
    assert long.cluster is not None
    names = {view.name: f"redis-node-{n}.cache:7001" for n, view in enumerate(long.cluster.nodes)}
    views = tuple(
        replace(view, node=replace(view.node, name=names[view.name], primary=names[str(view.node.primary)]))
        for view in long.cluster.nodes
    )
    app = an_app(ScriptedCluster([replace(long, cluster=ClusterView(views))]))
    async with app.run_test(size=(width, 30)) as pilot:
        await until(pilot, lambda: "Nodes (4)" in screen_text(app))
        lines = [row for row in rows(app) if " of 100.0M" in row]
        assert [next(name for name in names.values() if name in line) for line in lines] == list(names.values())[:3]
        assert all(line.rstrip().endswith(shown) for line in lines), lines
