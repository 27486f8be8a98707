"""A scan over a slot that is half moved and stays so counts every key once, on whichever node it is."""

from collections.abc import Iterator

import pytest
from redis.crc import key_slot

from redis_oom_tui.models.scan import Pace, ScanOptions, ScanState, ScanView
from redis_oom_tui.rules.findings import find
from redis_oom_tui.server.cluster.topology import SlotMigration, still
from tests.server.test_cluster_asking import target
from tests.server.test_cluster_scan import fill
from tests.support.cluster import RunningCluster, clustered, half_moved, owns, slot_range
from tests.support.servers import available
from tests.support.sources import cluster_opened
from tests.support.waiting import until

OTHERS, TAGGED, GONE = 2000, 40, 15
SLOT = key_slot(b"{tag}")
BIG = b"{tag}big"


@pytest.fixture(scope="module", params=available())
def cluster(request: pytest.FixtureRequest) -> Iterator[RunningCluster]:
    with clustered(flavour=request.param) as running:
        fill(running, OTHERS)
        with running.owner(SLOT).server.client() as client:
            client.hset(BIG, mapping={f"field{number}": "v" * 100 for number in range(500)})
            for number in range(TAGGED - 1):
                client.set(b"{tag}%d" % number, "v" * 100)
        half_moved(running, SLOT, target(running), BIG, *(b"{tag}%d" % number for number in range(GONE - 1)))
        yield running


async def scanned(cluster: RunningCluster, options: ScanOptions) -> ScanView:
    async with cluster_opened(cluster.connection) as source:
        await source.snapshot()
        return await source.scan(options).run()


async def test_totals_are_the_sum_of_what_all_nodes_hold(cluster: RunningCluster) -> None:
    view = await scanned(cluster, ScanOptions(pace=Pace.FULL_SPEED))
    held = []
    for node in cluster.primaries:
        with node.server.client() as client:
            held.append(client.dbsize())
    assert (view.state, view.error, view.scanned_keys) == (ScanState.COMPLETE, None, OTHERS + TAGGED)
    assert view.total_keys == sum(held) == OTHERS + TAGGED
    assert sum(row.keys for row in view.types) == OTHERS + TAGGED
    assert sum(row.size for row in view.types) == view.bytes_seen
    assert {share.node: share.keys for share in view.nodes} == {
        node.name: keys for node, keys in zip(cluster.primaries, held, strict=True)
    }
    assert sum(share.bytes for share in view.nodes) == view.bytes_seen


async def test_the_largest_is_named_with_the_node_that_has_it_and_looked_at_closely(cluster: RunningCluster) -> None:
    view = await scanned(cluster, ScanOptions(pace=Pace.FULL_SPEED, top=5))
    big = view.top[0]
    assert (big.id.key, big.id.node, big.type, big.elements or 500) == (BIG, target(cluster).name, "hash", 500)
    assert big.encoding in {"hashtable", "listpack", "ziplist"}


@pytest.mark.parametrize("options", [ScanOptions(match=b"{tag}*"), ScanOptions(match=b"{tag}*", replicas=True)])
async def test_a_part_of_the_keys_is_whole_too(cluster: RunningCluster, options: ScanOptions) -> None:
    view = await scanned(cluster, options)
    assert (view.state, view.error, view.scanned_keys) == (ScanState.COMPLETE, None, TAGGED)


async def test_of_one_type(cluster: RunningCluster) -> None:
    view = await scanned(cluster, ScanOptions(type="hash"))
    assert (view.state, view.error, view.scanned_keys) == (ScanState.COMPLETE, None, 1)


async def test_it_is_a_finding_with_what_ends_it(cluster: RunningCluster) -> None:
    source, into = cluster.owner(SLOT), target(cluster)
    async with cluster_opened(cluster.connection) as opened:
        finding = next(found for found in find(await opened.snapshot()) if found.id == "slots-half-moved")
    left = f"({TAGGED - GONE} keys left) to {into.name} ({GONE} keys)"
    assert finding.title == f"Slot {SLOT} is half moved from {source.name} {left}"
    assert f"redis-cli --cluster fix {source.name}" in finding.advice


async def test_what_to_do_by_where_its_keys_are(cluster: RunningCluster) -> None:
    """The commands that are advised, sent as they stand, end it, and each key is found afterwards."""
    slot = key_slot(b"{other}")
    source = cluster.owner(slot)
    into = next(node for node in cluster.primaries if node is not source)

    async def advice() -> str:
        async with cluster_opened(cluster.connection) as opened:
            moving = [found for found in find(await opened.snapshot()) if found.id == "slots-half-moved"]
        return next((found.advice for found in moving if str(slot) in found.advice), "")

    with source.server.client() as old, into.server.client() as new:
        old.set("{other}1", "v")
        old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", into.id)
        assert f"CLUSTER SETSLOT {slot} STABLE on {source.name} and on {into.name}" in await advice()
        for client in (old, new):
            client.execute_command("CLUSTER SETSLOT", slot, "STABLE")
        assert await advice() == ""
        half_moved(cluster, slot, into, b"{other}1")
        assert f"CLUSTER SETSLOT {slot} NODE {into.id} on {into.name}, then on {source.name}" in await advice()
        for client in (new, old):
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", into.id)
        assert await advice() == ""
        assert new.get("{other}1") == b"v"
        new.unlink("{other}1")


def test_a_slot_that_keys_still_leave_is_not_still() -> None:
    before = {
        1: SlotMigration("a", "b", 5),
        2: SlotMigration("a", "b", 5),
        3: SlotMigration("a", "b", None),
        4: SlotMigration("a", None, 5),
    }
    after = before | {2: SlotMigration("a", "b", 4), 5: SlotMigration("a", "b", 5)}
    assert still(before, after) == {1: SlotMigration("a", "b", 5)}


async def test_a_node_that_gets_its_first_slot_is_walked_too() -> None:
    with clustered(2, "cluster-allow-replica-migration no", replicas=False) as cluster:
        empty, first = cluster.primaries
        # It gives all that it serves to the other, and becomes the one that waits for its first slot.
        start, end = slot_range(0, 2)
        slots = range(start, end + 1)
        with empty.server.client() as client:
            client.execute_command("CLUSTER DELSLOTS", *slots)
        with first.server.client() as client, client.pipeline() as at_once:
            at_once.execute_command("CLUSTER DELSLOTS", *slots)
            at_once.execute_command("CLUSTER ADDSLOTS", *slots)
            at_once.execute()
        until(lambda: all(owns(node, SLOT, first) for node in (empty, first)), "the other to own all slots")
        with first.server.client() as client:
            for number in range(TAGGED):
                client.set(b"{tag}%d" % number, "v")
                client.set(b"other:%d" % number, "v")
        assert cluster.owner(SLOT) is first
        half_moved(cluster, SLOT, empty, *(b"{tag}%d" % number for number in range(GONE)))
        async with cluster_opened(cluster.connection) as source:
            assert [node.name for node in source.topology.primaries] == [first.name]
            view = await source.scan(ScanOptions(pace=Pace.FULL_SPEED)).run()
    assert (view.state, view.error, view.scanned_keys) == (ScanState.COMPLETE, None, 2 * TAGGED)
