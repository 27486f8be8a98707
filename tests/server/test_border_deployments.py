"""Whatever a node of a cluster or a Sentinel does, only an error of ours comes out."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from redis_oom_tui.models.address import Address, Connection, Sentinel
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.scan import Pace, PatternRow, ScanOptions, ScanState, ScanView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.cluster.scan import ClusterScan
from redis_oom_tui.server.cluster.source import ClusterSource
from redis_oom_tui.server.live import LiveServer
from tests.server.test_border import KEYS, faults_at_each_place, hurried
from tests.support.cluster import clustered
from tests.support.sentinel import Watched, watched


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    hurried(monkeypatch)


# Enough to tell whether another server, or another connection to it, lets a foreign error out.
FEW_FAULTS = ("silence", "cut", "maxclients", "LOADING", "nested")


async def _cluster_scanned(source: ClusterSource) -> None:
    view = await ClusterScan(source.members, ScanOptions(pace=Pace.FULL_SPEED), patience_seconds=0.2).run()
    assert view.state is ScanState.COMPLETE or view.error, view


async def _cluster_sampled(source: ClusterSource) -> None:
    row = PatternRow(b"k:<n>", b"k:*", KEYS, 100, 1.0, KEYS, types=(("string", KEYS),))
    await source.samples(ScanView(ScanState.COMPLETE, patterns=(row,)))


async def _nothing(source: ClusterSource) -> None: ...


ON_CLUSTERS: dict[str, Callable[[ClusterSource], Awaitable[object]]] = {
    "open": _nothing,
    "snapshot": lambda source: source.snapshot(),
    "cluster": lambda source: source.cluster(),
    "capabilities": lambda source: source.capabilities(),
    "clients": lambda source: source.clients(),
    "details": lambda source: source.details(KeyId(0, b"k:1")),
    "settings": lambda source: source.settings(),
    "samples": _cluster_sampled,
    "scan": _cluster_scanned,
}


async def _on_cluster(name: str, connection: Connection) -> None:
    source = ClusterSource(replace(connection, cluster=True))
    try:
        await source.open()
        await ON_CLUSTERS[name](source)
    finally:
        await source.close()


@pytest.fixture(scope="module")
def lone_node() -> Iterator[Connection]:
    with clustered(1, replicas=False) as cluster:
        with cluster.primaries[0].server.client() as client:
            for n in range(KEYS):
                client.set(b"k:%d" % n, b"v" * 50)
        yield cluster.connection


@pytest.mark.parametrize("connection", [False, True], ids=["at a command", "at a connection"])
@pytest.mark.parametrize("fault", FEW_FAULTS)
async def test_a_cluster_is_behind_the_border_as_well(lone_node: Connection, fault: str, connection: bool) -> None:
    # The commands are those of one server: each of them meets every second fault.
    begin, every = (0, 1) if connection else (FEW_FAULTS.index(fault) % 2, 2)
    runs = [
        faults_at_each_place(
            lone_node,
            name,
            fault,
            connection=connection,
            lasting=False,
            carry_out=_on_cluster,
            begin=begin,
            every=every,
        )
        for name in ON_CLUSTERS
    ]
    assert not [line for foreign in await asyncio.gather(*runs) for line in foreign]


@pytest.fixture(scope="module")
def sentinels() -> Iterator[Watched]:
    with watched("valkey") as running:
        yield running


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("fault", FEW_FAULTS)
async def test_so_are_sentinels(sentinels: Watched, fault: str, lasting: bool) -> None:
    asked = sentinels.connection.sentinel
    assert asked is not None

    async def followed(_: str, connection: Connection) -> None:
        named = Sentinel((connection.address,), asked.master)
        live = LiveServer(replace(connection, address=Address(), sentinel=named))
        try:
            await live.open()
            await live.snapshot()
        finally:
            await live.close()

    proxied = replace(sentinels.connection, address=asked.addresses[0], sentinel=None)
    for connection in (True, False):
        assert not await faults_at_each_place(
            proxied, "follow", fault, connection=connection, lasting=lasting, carry_out=followed
        )
