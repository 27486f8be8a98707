"""A node that takes over a slot is asked behind ASKING for the keys of it that it has already, and for no others."""

from collections.abc import Iterator

import pytest
from redis import exceptions
from redis.crc import key_slot

from redis_oom_tui.models.errors import KeyMoved
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.server.mutations.connections import ExclusiveConnection
from redis_oom_tui.server.resp import KeyQuestion, ScanCommand, packed_by_key
from redis_oom_tui.server.scan.connection import ScanConnection
from tests.support.cluster import Node, RunningCluster, clustered, half_moved
from tests.support.servers import available
from tests.support.sources import cluster_opened

KEYS, GONE = 30, 10
SLOT = key_slot(b"{tag}")


@pytest.fixture(scope="module", params=available())
def cluster(request: pytest.FixtureRequest) -> Iterator[RunningCluster]:
    """A slot of which some keys are on another node already, and it stays so."""
    with clustered(flavour=request.param, replicas=False) as running:
        with running.owner(SLOT).server.client() as client:
            for number in range(KEYS):
                client.set(b"{tag}%d" % number, "v" * 100)
        half_moved(running, SLOT, target(running), *(b"{tag}%d" % number for number in range(GONE)))
        yield running


def target(cluster: RunningCluster) -> Node:
    return next(node for node in cluster.primaries if node is not cluster.owner(SLOT))


def names(node: Node) -> list[bytes]:
    with node.server.client() as client:
        return sorted(client.scan_iter(match=b"{tag}*"))


async def test_each_key_is_looked_at_where_it_is(cluster: RunningCluster) -> None:
    there = names(target(cluster))
    assert len(there) == GONE
    async with cluster_opened(cluster.connection) as source:
        for number in range(KEYS):
            name = b"{tag}%d" % number
            found = await source.details(KeyId(0, name))
            assert found is not None
            assert found.row.id == KeyId(0, name, (target(cluster) if name in there else cluster.owner(SLOT)).name)
            assert (found.row.type, (found.row.size or 0) > 100) == ("string", True)
            assert found.preview == (b"v" * 100,) or "NO-TOUCH" in (found.preview_withheld or "")
        assert await source.details(KeyId(0, b"{tag}none")) is None


async def test_what_is_asked_without_it_is_sent_on(cluster: RunningCluster) -> None:
    (gone, *_), here = names(target(cluster)), names(cluster.owner(SLOT))[0]
    async with cluster_opened(cluster.connection) as source:
        importer = source.members.importer(target(cluster).name)
        channel, plain = ExclusiveConnection(importer), ExclusiveConnection(source.node(target(cluster).name))
        try:
            asked = await channel.call([("TYPE", gone), ("TYPE", b"{tag}none"), ("PTTL", gone), ("TYPE", here)])
            refused = await plain.call([("TYPE", gone)])
        finally:
            await channel.close()
            await plain.close()
    assert asked == [b"string", b"none", -1, b"none"]
    assert isinstance(refused[0], KeyMoved)


async def test_a_page_packed_by_hand_is_asked_for_key_by_key(cluster: RunningCluster) -> None:
    there = names(target(cluster))
    stray = b"another"
    while cluster.owner(key_slot(stray)) is target(cluster):
        stray += b"!"
    async with cluster_opened(cluster.connection) as source:
        scan_connection = ScanConnection(source.members.importer(target(cluster).name).connection, 0, ScanCommand())
        try:
            await scan_connection.open()
            page = [*there, stray]
            answers = await scan_connection.ask(
                packed_by_key((KeyQuestion.TYPE, KeyQuestion.SIZE), page), 2 * len(page)
            )
        finally:
            await scan_connection.close()
    assert answers[:-2:2] == [b"string"] * GONE
    assert all(isinstance(size, int) for size in answers[1:-2:2])
    # Not even then does a node answer for a slot that it neither has nor takes over.
    assert [type(answer) for answer in answers[-2:]] == [exceptions.MovedError] * 2


async def test_the_owner_names_the_node_to_ask(cluster: RunningCluster) -> None:
    async with cluster_opened(cluster.connection) as source:
        assert source.topology.node_at(target(cluster).name, source.address) == source.topology.by_name(
            target(cluster).name
        )
        at_home = source.topology.node_at(f":{target(cluster).port}", source.address)
        assert at_home is not None
        assert at_home.name == target(cluster).name
        assert source.topology.node_at("10.9.8.7:1", source.address) is None
