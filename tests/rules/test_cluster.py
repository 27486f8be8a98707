"""Worst first, where nodes differ, and what a failover would do: from made-up nodes."""

import pytest

from redis_oom_tui.formatting.check import node_lines
from redis_oom_tui.formatting.keys import slot_of
from redis_oom_tui.models.activity import Activity, Counters
from redis_oom_tui.models.address import Address, ClientBuffer, ClusterNode
from redis_oom_tui.models.keys import KeyId, KeyRow
from redis_oom_tui.models.scan import NodeShare, ScanState, ScanView
from redis_oom_tui.models.snapshot import ClusterView, Database, Memory, NodeView, Server, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.rules.cluster import differences, shown, worst_first
from redis_oom_tui.rules.findings import find
from redis_oom_tui.rules.findings.cluster import node_findings
from redis_oom_tui.rules.verdict import judge, unknown

MIB = 2**20


def said(
    port: int = 1, used: int = 50 * MIB, limit: int | None = 100 * MIB, policy: str = "noeviction", expires: int = 0
) -> Snapshot:
    server = Server("valkey", "9.1.2", "master", Address(port=port))
    memory = Memory(used, limit, policy)
    return Snapshot(0.0, 0.0, server, memory, databases=(Database(0, 1000, expires),))


def view(port: int, snapshot: Snapshot | None, *, of: int | None = None, failed: bool = False) -> NodeView:
    name = f"127.0.0.1:{port}"
    primary = name if of is None else f"127.0.0.1:{of}"
    ranges = ((port * 1000, port * 1000 + 999),) if of is None else ()
    node = ClusterNode(name, f"id{port}", Address(port=port), primary, ranges, failed)
    if snapshot is None:
        return NodeView(node, error=f"{name} refuses connections", verdict=unknown("gone"))
    return NodeView(node, snapshot, judge(snapshot))


def of(*views: NodeView) -> ClusterView:
    ordered = worst_first(views)
    return ClusterView(ordered, differences([each for each in ordered if each.node.is_primary]))


def test_the_full_one_comes_first_and_a_lost_one_before_the_well() -> None:
    full, lost, well = view(1, said(1, used=101 * MIB)), view(2, None), view(3, said(3, used=60 * MIB))
    replica = view(4, said(4, used=500 * MIB), of=1)
    assert [each.name[-1] for each in worst_first([replica, well, lost, full])] == ["1", "2", "3", "4"]


def test_the_node_shown_stays_until_another_is_clearly_worse() -> None:
    cluster_view = of(view(1, said(1, used=52 * MIB)), view(2, said(2, used=50 * MIB)))
    assert [(shown(cluster_view, name) or cluster_view.nodes[0]).name[-1] for name in ("", "127.0.0.1:2")] == ["1", "2"]
    worse = of(view(1, said(1, used=101 * MIB)), view(2, said(2, used=50 * MIB)))
    assert (shown(worse, "127.0.0.1:2") or worse.nodes[1]).name[-1] == "1"
    assert shown(of(view(1, None))) is None


def test_limits_that_look_the_same_when_rounded_are_told_in_bytes() -> None:
    alike = on_cluster(view(1, said(1)), view(2, said(2, limit=100 * MIB + 1)))
    (title,) = [finding.title for finding in find(alike) if finding.id == "differs-maxmemory"]
    assert "100.0 MiB (104,857,600 bytes) on" in title
    assert "100.0 MiB (104,857,601 bytes) on" in title


def test_totals_are_unknown_while_a_primary_is() -> None:
    cluster_view = of(view(1, said(1)), view(2, said(2)), view(3, said(3), of=1))
    assert (cluster_view.keys, cluster_view.used_bytes, cluster_view.maxmemory_bytes) == (2000, 100 * MIB, 200 * MIB)
    assert of(view(1, said(1)), view(2, said(2, limit=None))).maxmemory_bytes is None
    assert of(view(1, said(1)), view(2, None)).keys is None


def on_cluster(*views: NodeView) -> Snapshot:
    cluster_view = of(*views)
    chosen = shown(cluster_view)
    assert chosen is not None
    assert chosen.snapshot is not None
    return replace(chosen.snapshot, cluster=cluster_view, server=replace(chosen.snapshot.server, node=chosen.name))


def test_a_scan_of_one_node_is_held_against_that_node() -> None:
    """As `check` scans: only the fullest. A scan of all nodes is held against all they use."""
    seen = on_cluster(*(view(port, said(port, used=(99 if port == 1 else 50) * MIB)) for port in range(1, 7)))
    top = (KeyRow(KeyId(0, b"giant"), "list", 15 * MIB),)
    alone = ScanView(ScanState.COMPLETE, 1000, 1000, 60 * MIB, top=top)
    found = {finding.id: finding for finding in find(seen, alone)}
    assert "15% of all that is used" in found["queue-growing"].title
    of_all = replace(alone, nodes=(NodeShare("127.0.0.1:1", 1000, 60 * MIB),))
    assert "queue-growing" not in {finding.id for finding in find(seen, of_all)}


def test_what_fills_the_shown_node_is_not_said_of_the_fullest() -> None:
    """The first is shown for its failed save; buffers hold what it has, and keys what fills the second."""
    shown_one = said(1, used=20 * MIB)
    memory = replace(shown_one.memory, clients_normal_bytes=15 * MIB, overhead_bytes=16 * MIB)
    full = view(2, said(2, used=75 * MIB))
    seen = on_cluster(view(1, replace(shown_one, memory=memory)), full)
    alone = replace(
        shown_one, memory=memory, cluster=seen.cluster, server=replace(shown_one.server, node="127.0.0.1:1")
    )
    skew = {finding.id: finding for finding in find(alone)}["shard-skew"]
    assert "No key fills it" not in skew.advice
    buffers = replace(alone, server=replace(shown_one.server, node="127.0.0.1:2"))
    assert "No key fills it" in {finding.id: finding for finding in find(buffers)}["shard-skew"].advice


def test_the_verdict_names_the_node_and_what_nobody_knows() -> None:
    well = judge(on_cluster(view(1, said(1)), view(2, said(2))))
    assert well.level is Level.OK
    assert well.reason == "All 2 primaries are healthy; 127.0.0.1:1 is at 50% of 100.0 MiB with room to write."
    unlimited = judge(on_cluster(view(1, said(1, limit=None)), view(2, said(2, limit=None))))
    assert unlimited.reason.startswith("All 2 primaries are healthy; 127.0.0.1:1 has no limit: it uses 50")
    evicting = judge(on_cluster(view(1, said(1, used=97 * MIB, policy="allkeys-lru")), view(2, said(2))))
    assert evicting.reason.startswith("All 2 primaries are healthy; 127.0.0.1:1 is at 97% of 100.0 MiB, normal for")
    full = judge(on_cluster(view(1, said(1, used=101 * MIB)), view(2, said(2))))
    assert full.level is Level.OOM
    assert full.reason.startswith("127.0.0.1:1 (worst of 2 primaries): Refusing writes")
    dark = judge(on_cluster(view(1, said(1)), view(2, None)))
    assert dark.level is Level.UNKNOWN
    assert "127.0.0.1:2 did not answer" in dark.reason
    both = judge(on_cluster(view(1, said(1, used=101 * MIB)), view(2, None)))
    assert both.level is Level.OOM
    assert "127.0.0.1:2 did not answer" in both.reason


def test_clients_of_other_nodes_are_not_blamed() -> None:
    hog = ClientBuffer(7, "10.0.0.7:1", total_bytes=90 * MIB, output_bytes=90 * MIB, node="127.0.0.1:2")
    buffers = {"clients_normal_bytes": 90 * MIB, "overhead_bytes": 92 * MIB}
    first = said(1, used=101 * MIB)
    snapshot = on_cluster(view(1, replace(first, memory=replace(first.memory, **buffers))), view(2, said(2)))
    assert "does not read" not in judge(snapshot, clients=(hog,)).reason
    assert "does not read" in judge(snapshot, clients=(replace(hog, node="127.0.0.1:1"),)).reason


def test_the_reason_of_a_lost_node_ends_as_it_began() -> None:
    nodes = view(1, said(1)), NodeView(view(2, None).node, error="is the server up?", verdict=unknown("gone"))
    lost = next(one for one in find(on_cluster(*nodes)) if one.id == "node-lost")
    assert lost.advice.startswith("is the server up? The cluster itself")


def test_differences_name_the_nodes() -> None:
    cluster_view = of(view(1, said(1)), view(2, said(2)), view(3, said(3, limit=None, policy="allkeys-lru")))
    assert [difference.name for difference in cluster_view.differences] == ["maxmemory", "maxmemory-policy"]
    assert cluster_view.differences[1].values[-1] == ("allkeys-lru", ("127.0.0.1:3",))
    titles = [finding.title for finding in node_findings(cluster_view)]
    assert any("no limit on 127.0.0.1:3" in title for title in titles)


def test_a_lost_node_open_slots_and_skew_are_findings() -> None:
    cluster_view = replace(
        of(view(1, said(1, used=95 * MIB)), view(2, said(2, used=5 * MIB)), view(3, None)), open_slots=7
    )
    ids = {finding.id: finding for finding in node_findings(cluster_view)}
    assert {"slots-open", "node-lost", "shard-skew"} <= ids.keys()
    assert "95%" in ids["shard-skew"].title
    assert "its heaviest slots are not known" in ids["shard-skew"].evidence[-1]
    assert "does not count it as failed" in ids["node-lost"].advice
    keyless = {finding.id: finding for finding in node_findings(cluster_view, in_keys=False)}
    assert "move slots away does not help" in keyless["shard-skew"].advice


PRIMARY = said(1, used=79 * MIB)
LACKING = replace(
    said(3, limit=50 * MIB),
    databases=(Database(0, 400, 0),),
    counters=Counters(evicted_keys_total=600),
    activity=Activity(master_link_up=True),
)
ABOVE, WITHOUT = (Level.WARNING, "replica-limit"), (Level.OK, "healthy")
# A replica, its primary, what is said of it, and the verdict on the cluster.
FAILOVERS: tuple[tuple[Snapshot, Snapshot, str, tuple[Level, str]], ...] = (
    (said(3), PRIMARY, "", WITHOUT),
    (said(3, limit=None), PRIMARY, "", WITHOUT),
    (said(3, limit=50 * MIB, policy="allkeys-lru"), PRIMARY, "evict 29", ABOVE),
    (said(3, limit=50 * MIB, policy="volatile-lru"), replace(PRIMARY, databases=(Database(0, 9, 5),)), "a TTL", ABOVE),
    (said(3, limit=50 * MIB), PRIMARY, "refuse every write", ABOVE),
    (said(3, limit=50 * MIB, policy="coldest"), PRIMARY, "evict or refuse", ABOVE),
    # What it holds itself, in its own buffers or keys, counts too.
    (said(3, used=110 * MIB, policy="allkeys-lru"), PRIMARY, "evict 10", ABOVE),
    (said(3, used=433 * MIB), PRIMARY, "refuse every write", ABOVE),
    (LACKING, PRIMARY, "lacks 600 of 1,000 keys", (Level.WARNING, "replica-own-limit")),
    (said(3, policy="allkeys-lru"), PRIMARY, "may be evicted", WITHOUT),
    (said(3, limit=90 * MIB), PRIMARY, "may grow", WITHOUT),
)


@pytest.mark.parametrize(("replica", "primary", "says", "expected"), FAILOVERS)
def test_what_a_failover_would_do(replica: Snapshot, primary: Snapshot, says: str, expected: tuple[Level, str]) -> None:
    """The finding and the verdict agree; that on the replica alone, where it is over its limit itself, does too."""
    seen = on_cluster(view(1, primary), view(2, said(2, used=60 * MIB)), view(3, replica, of=1))
    verdict = judge(seen)
    assert (verdict.level, verdict.rule) == expected
    found = [finding for finding in find(seen) if finding.id == "replica-promotion"]
    assert [says in finding.title for finding in found] == ([True] if says else [])
    if verdict.level is Level.WARNING:
        assert (found[0].level, found[0].advice) == (verdict.level, verdict.first_step)
        assert verdict.reason.startswith(f"{found[0].title}. All 2 primaries are healthy")


def test_a_failover_is_told_behind_what_is_worse() -> None:
    replicas = view(3, said(3, limit=10 * MIB), of=1), view(4, said(4, limit=10 * MIB), of=2)
    both = judge(on_cluster(view(1, said(1)), view(2, said(2)), *replicas))
    assert "by 40.0 MiB. So for 1 more of the replicas. All 2 primaries are healthy" in both.reason
    full = judge(on_cluster(view(1, said(1, used=101 * MIB)), view(2, said(2)), *replicas))
    assert full.level is Level.OOM
    assert judge(on_cluster(view(1, said(1)), view(2, None), *replicas)).rule == "node-lost"


def test_a_full_primarys_replica_is_not_said_to_hold_more() -> None:
    def advice(used: int, backlog: int = 0) -> str:
        both = (said(1, used=101 * MIB), said(3, used=used * MIB))
        primary, replica = (
            replace(one, memory=replace(one.memory, replication_backlog_bytes=backlog * MIB)) for one in both
        )
        return next(one.advice for one in node_findings(of(view(1, primary), view(3, replica, of=1))))

    assert "a failover makes no room" in advice(100)
    assert "a failover makes no room" in advice(102)
    assert "a failover makes no room" in advice(102, backlog=30)
    assert "holds more than the primary" in advice(150)


def test_a_node_without_a_limit_reads_as_one() -> None:
    lines = node_lines(of(view(1, said(1)), view(2, said(2, limit=None))))
    (held,), (free,) = ([line.split("  ") for line in lines if f"127.0.0.1:{port}" in line] for port in (1, 2))
    assert {"50.0 MiB", "100.0 MiB", "50.0%", "noeviction"} <= {cell.strip() for cell in held}
    assert {"50.0 MiB", "no limit", "?", "noeviction"} <= {cell.strip() for cell in free}


def test_a_giant_is_of_its_own_node_and_its_share_of_the_whole_cluster() -> None:
    """The scan is of all nodes, and the figures are those of the worst: a key elsewhere does not fill it."""
    name = next(b"k%d" % number for number in range(99_999) if slot_of(b"k%d" % number) // 1000 == 1)
    row = KeyRow(KeyId(0, name), "hash", 60 * MIB)
    scan = ScanView(ScanState.COMPLETE, scanned_keys=2000, total_keys=2000, bytes_seen=150 * MIB, top=(row,))
    scan = replace(scan, nodes=tuple(NodeShare(f"127.0.0.1:{port}", 1000, 75 * MIB) for port in (1, 2)))
    there, here = (
        on_cluster(view(1, said(1, 70 * MIB)), view(2, said(2, 95 * MIB))),
        on_cluster(view(1, said(1, 95 * MIB))),
    )
    assert name.decode() not in judge(there, scan=scan).reason
    assert f"one key, {name.decode()}, holds 60.0 MiB" in judge(here, scan=scan).reason
    giant = next(finding for finding in find(there, scan) if finding.id == "giant-key")
    assert giant.title.endswith("60.0 MiB, 36% of all that is used")
