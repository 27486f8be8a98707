"""Whatever a server does, at whichever connection or command, only an error of ours comes out."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from redis_oom_tui.models import timeouts
from redis_oom_tui.models.address import Address, Connection, Sentinel
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.models.scan import Pace, PatternRow, ScanOptions, ScanState, ScanView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.expected_state import Expected
from redis_oom_tui.server.cluster.scan import ClusterScan
from redis_oom_tui.server.cluster.source import ClusterSource
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations import restoring, rights, settings
from redis_oom_tui.server.mutations.connections import ExclusiveConnection, PinnedConnection
from redis_oom_tui.server.mutations.key_mutator import KeyMutator
from redis_oom_tui.server.mutations.key_reader import KeyReader
from redis_oom_tui.server.mutations.replies import Limit
from redis_oom_tui.server.mutations.script_calls import Check
from redis_oom_tui.server.mutations.value_restorer import Value, ValueRestorer
from redis_oom_tui.server.preflight import Preflight
from redis_oom_tui.server.scan.keyspace import KeyspaceScan
from tests.support.cluster import clustered
from tests.support.faulty import FAULTS, faulty
from tests.support.sentinel import Watched, watched
from tests.support.servers import RunningServer, started

# Few, so that each operation is followed to its end: what one more key asks is what the one before it asked.
KEYS = 4
# No operation below asks as much.
_MOST = 90
_AT_ONCE = 6
# What a connection begins with: HELLO, two manners, and one more.
_GREETING = 4
_WHOLE = {"open", "reopen", "follow", "preflight"}
BOUND = 20.0


class Unthrottled:
    """A throttle that never holds anything up."""

    per_call, window, resting, stopping = 10, 2, False, False

    async def ready(self) -> None: ...

    def begun(self) -> None: ...

    def took(self, keys: int, seconds: float) -> None: ...


async def _scanned(live: LiveServer) -> None:
    view = await KeyspaceScan(live, ScanOptions(pace=Pace.FULL_SPEED), patience_seconds=0.2).run()
    if view.state is ScanState.COMPLETE:
        assert view.scanned_keys + view.vanished_keys + view.refused_keys >= KEYS, view
    else:
        assert view.error, view


async def _sampled(live: LiveServer) -> None:
    row = PatternRow(b"k:<n>", b"k:*", KEYS, 100, 1.0, KEYS, types=(("string", KEYS),))
    await live.samples(ScanView(ScanState.COMPLETE, patterns=(row,)))


async def _rights(live: LiveServer) -> None:
    await rights.probe_rights(live, await live.capabilities())


async def _read(live: LiveServer) -> None:
    reader = KeyReader(live, 0, Criteria(patterns=(b"k:*",)), Unthrottled(), frequencies=False)
    await reader.open()
    try:
        async for _ in reader.pages():
            pass
    finally:
        await reader.close()


def _acted(*, scripted: bool, saving: bool) -> Callable[[LiveServer], Awaitable[None]]:
    async def act(live: LiveServer) -> None:
        pinned = PinnedConnection(live, 0, None)
        try:
            await pinned.open()
            mutator = KeyMutator(pinned.channel, Unthrottled(), scripted=scripted)
            checks = [Check(KeyId(0, b"k:%d" % n), Expected("string", -1, 0, -1, -1)) for n in range(2)]
            if saving:
                async for _ in mutator.save(checks, [1] * 2, Limit(10**6, 10**6)):
                    pass
            else:
                async for _ in mutator.expire(checks, [10**13] * 2):
                    pass
            await mutator.ends([check.id for check in checks])
        finally:
            await pinned.close()

    return act


async def _restored(live: LiveServer) -> None:
    channel = ExclusiveConnection(live, changing=True)
    try:
        values = [Value(b"r:%d" % n, b"no dump", None, 1, None) for n in range(3)]
        async for _ in ValueRestorer(channel, Unthrottled(), old_idle_bug=False).put_back(values):
            pass
        expiries = [restoring.Expiry(b"k:1", "string", 10**13, None)]
        for scripted in (True, False):
            await restoring.take_back(channel, expiries, scripted=scripted)
    finally:
        await channel.close()


async def _reopened(live: LiveServer) -> None:
    pinned = PinnedConnection(live, 0, None)
    try:
        await pinned.open()
        await pinned.reopen()
    finally:
        await pinned.close()


OPERATIONS: dict[str, Callable[[LiveServer], Awaitable[object]]] = {
    "open": lambda live: live.open(),
    "snapshot": lambda live: live.snapshot(),
    "read_closely": lambda live: live.read_closely(),
    "clients": lambda live: live.clients(),
    "client by id": lambda live: live.client_by_id(1),
    "settings": lambda live: live.settings(),
    "capabilities": lambda live: live.capabilities(),
    "replicas": lambda live: live.replicas(),
    "details": lambda live: live.details(KeyId(0, b"k:1")),
    "details of a hash": lambda live: live.details(KeyId(0, b"h")),
    "details of a stream": lambda live: live.details(KeyId(0, b"x")),
    "scan": _scanned,
    "samples": _sampled,
    "probe_rights": _rights,
    "read keys": _read,
    "expire, scripted": _acted(scripted=True, saving=False),
    "expire in steps": _acted(scripted=False, saving=False),
    "save, scripted": _acted(scripted=True, saving=True),
    "save in steps": _acted(scripted=False, saving=True),
    "restore": _restored,
    "reopen": _reopened,
    "read settings": lambda live: settings.read_settings(live, ["maxmemory", "maxmemory-policy"]),
    "process": settings.process,
    "set": lambda live: settings.set_one(live, "maxmemory-samples", "5"),
    "rewrite": settings.rewrite,
    "purge": settings.purge,
    "kill client": lambda live: settings.kill_client(live, 0),
}


def _with_keys(flavour: str) -> Iterator[RunningServer]:
    with started(flavour) as server:
        with server.client() as client:
            client.mset({b"k:%d" % n: b"v" * 50 for n in range(KEYS - 2)})
            client.hset("h", "f", "v")
            client.xadd("x", {"f": "v"})
        yield server


@pytest.fixture(scope="module")
def filled() -> Iterator[RunningServer]:
    yield from _with_keys("valkey")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "GIVE_UP", 0.2)
    monkeypatch.setattr(timeouts, "BUSY", 0.1)


async def _on_live(name: str, connection: Connection) -> None:
    live = LiveServer(connection)
    try:
        await OPERATIONS[name](live)
    finally:
        await live.close()


async def _faults_at_each_place(
    filled: Connection,
    name: str,
    fault: str,
    *,
    connection: bool,
    lasting: bool,
    carry_out: Callable[[str, Connection], Awaitable[None]] = _on_live,
) -> list[str]:
    """`fault` at each place of the operation; returns what came out that is no error of ours.

    Several places at a time, each with a proxy and a server object of its own: the time goes in waiting.
    """

    async def at_place(at: int) -> tuple[bool, list[str]]:
        with faulty(filled, fault, connection=connection, at=at, lasting=lasting) as proxy:
            # Only silence is waited for to its end; what answers late on a crowded machine is not to count as silent.
            patience = 0.25 if fault == "silence" else 5.0
            proxied = replace(proxy.connection, connect_timeout_seconds=5, read_timeout_seconds=patience)
            (outcome,) = await asyncio.gather(asyncio.wait_for(carry_out(name, proxied), BOUND), return_exceptions=True)
            ours = isinstance(outcome, TriageError) and str(outcome).strip() and "\n" not in str(outcome)
            foreign = isinstance(outcome, BaseException) and not ours
            return proxy.met, [f"{name} at {at}: {outcome!r}"] if foreign else []

    foreign: list[str] = []
    # Most operations have one connection: nothing is gained by going on beside it.
    step = 2 if connection else _AT_ONCE
    # All operations begin with the same connection: "open" meets every fault at its commands.
    start = 1 if connection or name in _WHOLE else _GREETING + 1
    for first in range(start, _MOST, step):
        reached = await asyncio.gather(*(at_place(at) for at in range(first, first + step)))
        foreign += [line for _, lines in reached for line in lines]
        if not all(was_reached for was_reached, _ in reached):
            return foreign if reached[0][0] or first > start else [f"{name}: nothing was met"]
    return [*foreign, f"{name}: not followed to its end"]


async def _faults_in_all_operations(filled: RunningServer, fault: str, *, connection: bool, lasting: bool) -> list[str]:
    # They mostly wait: together they take a tenth of the time.
    runs = [
        _faults_at_each_place(filled.connection, name, fault, connection=connection, lasting=lasting)
        for number, name in enumerate(OPERATIONS)
        if connection or not any(fault == pair[number % 2] for pair in _SAME_TO_THE_DRIVER)
    ]
    return [line for foreign in await asyncio.gather(*runs) for line in foreign]


# Two that the driver reports alike: at its commands an operation meets one of them, at its connections both.
_SAME_TO_THE_DRIVER = (("hang up", "reset"), ("NOAUTH", "WRONGPASS"), ("noise", "http"))


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_at_every_connection_is_an_error_of_ours(
    filled: RunningServer, fault: str, lasting: bool
) -> None:
    assert not await _faults_in_all_operations(filled, fault, connection=True, lasting=lasting)


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_at_every_command_is_an_error_of_ours(filled: RunningServer, fault: str) -> None:
    assert not await _faults_in_all_operations(filled, fault, connection=False, lasting=False)


# Enough to tell whether another server, or another connection to it, lets a foreign error out.
FEW_FAULTS = ("silence", "cut", "maxclients", "LOADING", "nested")


@pytest.fixture(scope="module")
def older() -> Iterator[RunningServer]:
    yield from _with_keys("redis6")


@pytest.mark.parametrize("fault", ["cut", "nested"])
async def test_on_an_older_server_as_well(older: RunningServer, fault: str) -> None:
    assert not await _faults_in_all_operations(older, fault, connection=False, lasting=False)


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
    runs = [
        _faults_at_each_place(lone_node, name, fault, connection=connection, lasting=False, carry_out=_on_cluster)
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
        assert not await _faults_at_each_place(
            proxied, "follow", fault, connection=connection, lasting=lasting, carry_out=followed
        )


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_is_asked_before_the_driver_is_there_leaves_errors_to_it(filled: RunningServer, fault: str) -> None:
    async def asked(_: str, connection: Connection) -> None:
        preflight = Preflight(connection, again_after=0.0)
        for sample in (await asyncio.to_thread(preflight.first), await asyncio.to_thread(preflight.closer)):
            if sample is not None:
                sample.snapshot()
                sample.settings()
                sample.clients()
                sample.capabilities()

    for connection in (True, False):
        assert not await _faults_at_each_place(
            filled.connection, "preflight", fault, connection=connection, lasting=False, carry_out=asked
        )
