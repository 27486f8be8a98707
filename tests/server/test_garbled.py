"""A way that garbles: some bytes of the replies are others than the server sent, by a seed. Never a wrong end."""

import asyncio
import random
from collections.abc import Iterator

import pytest

from redis_oom_tui.actions import rights
from redis_oom_tui.actions.planning import PlanMaker
from redis_oom_tui.models import timeouts
from redis_oom_tui.models.address import Connection
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.models.scan import Pace, ScanOptions, ScanState
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations import settings
from redis_oom_tui.server.scan.keyspace import KeyspaceScan
from tests.support.proxy import Streams, _command, _Proxy, _reply, _running
from tests.support.servers import RunningServer, started

KEYS = 300
SEEDS = range(40)
BOUND = 20.0
_OTHERS = (b"$-1\r\n", b":7\r\n", b"*0\r\n", b"*-1\r\n", b"+OK\r\n", b"*1\r\n$1\r\nx\r\n", b"-X\r\n")
_MARKS = b"+-:$*_#,\r\n0123456789"


class Garbling(_Proxy):
    """Spoils about one reply in ten: a byte, its kind, its end, or the whole of it."""

    def __init__(self, upstream: Connection, seed: int) -> None:
        super().__init__(upstream)
        self._dice = random.Random(seed)

    async def serve(self, client: Streams, server: Streams) -> None:
        """One command after the other."""
        while True:
            raw, _ = await _command(client[0])
            server[1].write(raw)
            reply = await _reply(server[0])
            client[1].write(self._garbled(reply) if self._dice.random() < 0.1 else reply)
            await client[1].drain()

    def _garbled(self, reply: bytes) -> bytes:
        dice, spoilt = self._dice, bytearray(reply)
        how = dice.randrange(5)
        at = dice.randrange(len(spoilt))
        if how == 0:
            spoilt[0] = dice.choice(_MARKS)
        elif how == 1:
            spoilt[at] = dice.randrange(256)
        elif how == 2:
            spoilt[at] = dice.choice(_MARKS)
        elif how == 3:
            return bytes(spoilt[: at + 1]) + b"\r\n"
        else:
            return dice.choice(
                [b"$-1\r\n", b":7\r\n", b"*0\r\n", b"*-1\r\n", b"+OK\r\n", b"*1\r\n$1\r\nx\r\n", b"-X\r\n"]
            )
        return bytes(spoilt)


@pytest.fixture(scope="module")
def filled() -> Iterator[RunningServer]:
    with started("valkey") as server:
        with server.client() as client:
            client.mset({b"k:%d" % n: b"v" * 50 for n in range(KEYS)})
        yield server


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "GIVE_UP", 0.2)
    monkeypatch.setattr(timeouts, "BUSY", 0.1)


async def _scan(live: LiveServer) -> None:
    view = await KeyspaceScan(live, ScanOptions(pace=Pace.FULL_SPEED), patience_seconds=0.2).run()
    if view.state is ScanState.COMPLETE:
        scanned = view.scanned_keys + view.vanished_keys + view.refused_keys
        assert scanned > 0, "complete, and not a key"
    else:
        assert view.error


async def _asked(live: LiveServer) -> None:
    known = await live.capabilities()
    await live.read_closely()
    await live.clients()
    await live.settings()
    await live.replicas()
    await live.details(KeyId(0, b"k:1"))
    await rights.probe_rights(live, known)
    await settings.read_settings(live, ["maxmemory"])
    await settings.process(live)


async def _planned(live: LiveServer) -> None:
    view = await PlanMaker(live, Criteria(patterns=(b"k:*",))).run()
    assert view.error is not None or view.plan is not None


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_comes_is_an_error_of_ours_or_an_answer(filled: RunningServer, seed: int) -> None:
    async def once(ask) -> None:  # type: ignore[no-untyped-def]
        proxy = Garbling(filled.connection, seed)
        with _running(proxy):
            live = LiveServer(replace(proxy.connection, connect_timeout_seconds=1, read_timeout_seconds=0.15))
            try:
                await asyncio.wait_for(ask(live), BOUND)
            except TriageError as error:
                answer = str(error)
            else:
                answer = "answered"
            finally:
                await live.close()
        assert answer
        assert "\n" not in answer

    for ask in (_scan, _asked, _planned):
        await once(ask)
