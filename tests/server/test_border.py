"""Whatever a server does, at whichever connection or command, only an error of ours comes out."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from redis_oom_tui.actions import rights
from redis_oom_tui.models import timeouts
from redis_oom_tui.models.address import Connection
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.models.scan import Pace, PatternRow, ScanOptions, ScanState, ScanView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.expected_state import Expected
from redis_oom_tui.server import tasks
from redis_oom_tui.server.clocks import UndelayedClock
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations import restoring, settings
from redis_oom_tui.server.mutations.connections import ExclusiveConnection, PinnedConnection
from redis_oom_tui.server.mutations.key_mutator import KeyMutator
from redis_oom_tui.server.mutations.key_reader import KeyReader
from redis_oom_tui.server.mutations.replies import Limit
from redis_oom_tui.server.mutations.value_restorer import Value, ValueRestorer
from redis_oom_tui.server.preflight import Preflight
from redis_oom_tui.server.scan import keyspace
from redis_oom_tui.server.scan.keyspace import KeyspaceScan
from tests.support.faulty import FAULTS, Faulty
from tests.support.servers import RunningServer, started

# Few, so that each operation is followed to its end: what one more key asks is what the one before it asked.
KEYS = 4


# No operation below asks as much.
_MOST = 80


# All operations run side by side: more places of each would mostly lie behind its end.
_AT_ONCE, _AT_ONCE_SILENT = 2, 10


# What a connection begins with: HELLO, two manners, and one more.
_GREETING = 4


_WHOLE = {"open", "reopen", "follow", "preflight"}


BOUND = 20.0


class Unthrottled:
    """A throttle that never holds anything up."""

    per_call, per_page, window, resting, stopping = 10, 80, 2, False, False
    now = staticmethod(UndelayedClock().moment)

    async def ready(self) -> None: ...

    def begun(self) -> None: ...

    def took(self, keys: int, seconds: float, waited: float = 0.0) -> None: ...


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
            wanted = [Expected(KeyId(0, b"k:%d" % n), "string", -1, 0, -1, -1) for n in range(2)]
            if saving:
                async for _ in mutator.save(wanted, [1] * 2, Limit(10**6, 10**6)):
                    pass
            else:
                async for _ in mutator.expire(wanted, [10**13] * 2):
                    pass
            await mutator.ends([want.id for want in wanted])
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


def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked again soon, and given up soon."""
    monkeypatch.setattr(timeouts, "GIVE_UP", 0.2)
    monkeypatch.setattr(timeouts, "BUSY", 0.1)
    monkeypatch.setattr(tasks, "_WAIT", 0.05)
    monkeypatch.setattr(keyspace, "RETRY_SECONDS", 0.05)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    hurried(monkeypatch)


@pytest.fixture(scope="module")
def filled() -> Iterator[RunningServer]:
    yield from _with_keys("valkey")


async def _on_live(name: str, connection: Connection) -> None:
    live = LiveServer(connection)
    try:
        await OPERATIONS[name](live)
    finally:
        await live.close()


async def faults_at_each_place(
    filled: Connection,
    name: str,
    fault: str,
    *,
    connection: bool,
    lasting: bool,
    carry_out: Callable[[str, Connection], Awaitable[None]] = _on_live,
    begin: int = 0,
    every: int = 1,
) -> list[str]:
    """`fault` at each place of the operation; returns what came out that is no error of ours.

    At `every` second place from `begin` on, where another fault takes the others. Several places at a time, each with a
    proxy and a server object of its own: the time goes in waiting.
    """

    async def at_place(at: int) -> tuple[bool, list[str], object]:
        async with Faulty(filled, fault, connection=connection, at=at, lasting=lasting) as proxy:
            # Only silence is waited for to its end; what answers late on a crowded machine is not to count as silent.
            patience = 0.25 if fault == "silence" else 5.0
            proxied = replace(proxy.connection, connect_timeout_seconds=5, read_timeout_seconds=patience)
            (outcome,) = await asyncio.gather(asyncio.wait_for(carry_out(name, proxied), BOUND), return_exceptions=True)
            ours = isinstance(outcome, TriageError) and str(outcome).strip() and "\n" not in str(outcome)
            foreign = isinstance(outcome, BaseException) and not ours
            return proxy.met, [f"{name} at {at}: {outcome!r}"] if foreign else [], (outcome, proxy.ends)

    foreign: list[str] = []
    # All operations begin with the same connection: "open" meets every fault at its commands.
    start = 1 if connection or name in _WHOLE else _GREETING + 1
    number = _AT_ONCE_SILENT if fault == "silence" else _AT_ONCE
    for first in range(start + begin, _MOST, number * every):
        reached = await asyncio.gather(*(at_place(first + every * n) for n in range(number)))
        foreign += [line for _, lines, _ in reached for line in lines]
        if not all(was_reached for was_reached, *_ in reached):
            return foreign if reached[0][0] or first > start else [f"{name}: nothing was met: {reached[0][2]!r}"]
    return [*foreign, f"{name}: not followed to its end"]


async def _faults_in_all_operations(filled: RunningServer, fault: str, *, connection: bool, lasting: bool) -> list[str]:
    # They mostly wait: together they take a tenth of the time.
    turns = [pair.index(fault) + lasting for pair in _IN_TURN if fault in pair]
    runs = [
        faults_at_each_place(
            filled.connection,
            name,
            fault,
            connection=connection,
            lasting=lasting,
            begin=(number + turns[0]) % 2 if turns else 0,
            every=2 if turns else 1,
        )
        for number, name in enumerate(OPERATIONS)
    ]
    return [line for foreign in await asyncio.gather(*runs) for line in foreign]


# Two that the driver reports alike, or of one kind: a command meets one of them, the next one the other. A connection
# meets one of them once and the other lasting.
_IN_TURN = (
    ("hang up", "reset"),
    ("LOADING", "BUSY"),
    ("NOAUTH", "WRONGPASS"),
    ("noise", "http"),
    ("MISCONF", "CLUSTERDOWN"),
    ("bare MOVED", "odd ASK"),
    ("nil", "number"),
    ("word", "bytes"),
    ("empty array", "nested"),
)


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_at_every_connection_is_an_error_of_ours(
    filled: RunningServer, fault: str, lasting: bool
) -> None:
    assert not await _faults_in_all_operations(filled, fault, connection=True, lasting=lasting)


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_at_every_command_is_an_error_of_ours(filled: RunningServer, fault: str) -> None:
    assert not await _faults_in_all_operations(filled, fault, connection=False, lasting=False)


@pytest.fixture(scope="module")
def older() -> Iterator[RunningServer]:
    yield from _with_keys("redis6")


@pytest.mark.parametrize("fault", ["cut", "nested"])
async def test_on_an_older_server_as_well(older: RunningServer, fault: str) -> None:
    assert not await _faults_in_all_operations(older, fault, connection=False, lasting=False)


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
        assert not await faults_at_each_place(
            filled.connection, "preflight", fault, connection=connection, lasting=False, carry_out=asked
        )
