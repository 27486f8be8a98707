"""The border is total: whatever a server does, at whichever connection or command, only an error of ours comes out."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from redis_oom_tui.models import timeouts
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.models.scan import Pace, PatternRow, ScanOptions, ScanState, ScanView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.expected_state import Expected
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations import restoring, rights, settings
from redis_oom_tui.server.mutations.connections import ExclusiveConnection, PinnedConnection
from redis_oom_tui.server.mutations.key_mutator import KeyMutator
from redis_oom_tui.server.mutations.key_reader import KeyReader
from redis_oom_tui.server.mutations.replies import Limit
from redis_oom_tui.server.mutations.script_calls import Check
from redis_oom_tui.server.scan.keyspace import KeyspaceScan
from tests.support.faulty import FAULTS, faulty
from tests.support.servers import RunningServer, started

KEYS = 40
# No operation below asks more than this.
_MOST = 60
BOUND = 20.0


class Calm:
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


async def _closely(live: LiveServer) -> None:
    await live.look_closely()


async def _read(live: LiveServer) -> None:
    reader = KeyReader(live, 0, Criteria(patterns=(b"k:*",)), Calm(), frequencies=False)
    await reader.open()
    try:
        async for _ in reader.pages():
            pass
    finally:
        await reader.close()


def _acted(*, scripted: bool, saving: bool) -> Callable[[LiveServer], Awaitable[None]]:
    async def act(live: LiveServer) -> None:
        line = PinnedConnection(live, 0, None)
        try:
            await line.open()
            hands = KeyMutator(line.channel, Calm(), scripted=scripted)
            checks = [Check(KeyId(0, b"k:%d" % n), Expected("string", -1, 0, -1, -1)) for n in range(5)]
            if saving:
                async for _ in hands.save(checks, [1] * 5, Limit(10**6, 10**6)):
                    pass
            else:
                async for _ in hands.expire(checks, [10**13] * 5):
                    pass
            await hands.ends([check.id for check in checks])
        finally:
            await line.close()

    return act


async def _restored(live: LiveServer) -> None:
    channel = ExclusiveConnection(live, changing=True)
    try:
        values = [restoring.Value(b"r:%d" % n, b"no dump", None, 1, None) for n in range(3)]
        await restoring.put_back(channel, values, old_idle_bug=False)
        expiries = [restoring.Expiry(b"k:1", "string", 10**13, None)]
        for scripted in (True, False):
            await restoring.take_back(channel, expiries, scripted=scripted)
    finally:
        await channel.close()


async def _reopened(live: LiveServer) -> None:
    line = PinnedConnection(live, 0, None)
    try:
        await line.open()
        await line.reopen()
    finally:
        await line.close()


async def _killed(live: LiveServer) -> None:
    await settings.kill_client(live, 0)


async def _set(live: LiveServer) -> None:
    await settings.set_one(live, "maxmemory-samples", "5")


OPERATIONS: dict[str, Callable[[LiveServer], Awaitable[object]]] = {
    "open": lambda live: live.open(),
    "snapshot": lambda live: live.snapshot(),
    "look_closely": _closely,
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
    "set": _set,
    "rewrite": settings.rewrite,
    "purge": settings.purge,
    "kill client": _killed,
}


@pytest.fixture(scope="module")
def filled() -> Iterator[RunningServer]:
    with started("valkey") as server:
        with server.client() as client:
            client.mset({b"k:%d" % n: b"v" * 50 for n in range(KEYS - 2)})
            client.hset("h", "f", "v")
            client.xadd("x", {"f": "v"})
        yield server


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "GIVE_UP", 0.2)
    monkeypatch.setattr(timeouts, "BUSY", 0.1)


async def _walk(filled: RunningServer, name: str, fault: str, *, connection: bool, lasting: bool) -> list[str]:
    """Meet `fault` at each place of the operation in turn; what came out that is no sentence of ours."""
    odd = []
    for at in range(1, _MOST):
        with faulty(filled.connection, fault, connection=connection, at=at, lasting=lasting) as proxy:
            live = LiveServer(replace(proxy.connection, connect_timeout_seconds=2, read_timeout_seconds=0.15))
            (told,) = await asyncio.gather(asyncio.wait_for(OPERATIONS[name](live), BOUND), return_exceptions=True)
            await live.close()
            ours = isinstance(told, TriageError) and str(told).strip() and "\n" not in str(told)
            if isinstance(told, BaseException) and not ours:
                odd.append(f"{name} at {at}: {told!r}")
            if not proxy.met:
                break
    return odd if at > 1 else [f"{name}: nothing was met"]


async def _walks(filled: RunningServer, fault: str, *, connection: bool, lasting: bool) -> list[str]:
    # They wait for the most part: together they take a tenth of the time.
    walks = [_walk(filled, name, fault, connection=connection, lasting=lasting) for name in OPERATIONS]
    return [line for odd in await asyncio.gather(*walks) for line in odd]


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_at_every_connection_is_an_error_of_ours(
    filled: RunningServer, fault: str, lasting: bool
) -> None:
    assert not await _walks(filled, fault, connection=True, lasting=lasting)


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_at_every_command_is_an_error_of_ours(filled: RunningServer, fault: str) -> None:
    assert not await _walks(filled, fault, connection=False, lasting=False)
