"""A connection that was closed while nobody used it is opened again, and what was to be asked on it has its answer."""

import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from redis_oom_tui.actions.context import patiently
from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.models.errors import OtherServer
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Outcome
from redis_oom_tui.models.scan import ScanOptions, ScanState
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server import client as clients
from redis_oom_tui.server.live import LiveServer
from tests.support.acting import NO_BACKUP, fill, operating, planned, server_of
from tests.support.proxy import lying, wired
from tests.support.servers import RunningServer, started

NAMES = [b"cache:%d" % number for number in range(50)]
CACHE = Criteria(patterns=(b"cache:*",))


async def _all_is_asked(operator: LiveOperator, close: Callable[[], object]) -> None:
    """Every kind of question and of change, each on connections that were closed before it."""
    live, settings = server_of(operator), operator.settings
    questions: list[Callable[[], Awaitable[object]]] = [
        live.snapshot,
        live.read_closely,
        live.clients,
        live.settings,
        live.capabilities,
        lambda: live.details(KeyId(0, NAMES[0])),
        settings.limits,
        operator.reap,
        operator.purge,
    ]
    for ask in questions * 2:
        close()
        assert await ask() is not None
    close()
    change = await settings.propose("maxmemory", "500mb")
    close()
    result = await settings.apply(change)
    assert result.took, result.detail
    close()
    assert (await settings.undo(result)).took
    close()
    plan = await planned(operator, CACHE)
    close()
    report = await operator.run(plan, backup=NO_BACKUP).run()
    assert report.counts[Outcome.DELETED] == len(plan.keys) == len(NAMES), report


async def test_a_connection_that_the_server_closed_is_opened_again(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, NAMES)
        async with operating(server.connection, tmp_path) as operator:
            await _all_is_asked(operator, lambda: client.client_kill_filter(_type="normal", skipme=True))
        assert client.keys("cache:*") == []


@pytest.mark.parametrize("aborts", [True, False], ids=["aborted", "forgotten"])
async def test_a_connection_that_a_proxy_closed_or_forgot_is_opened_again(
    valkey: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aborts: bool
) -> None:
    monkeypatch.setattr(clients, "_IDLE_SECONDS", 0.0)
    with valkey.client() as client, wired(valkey.connection) as wire:
        fill(client, NAMES)
        async with operating(wire.connection, tmp_path) as operator:
            await _all_is_asked(operator, wire.drop if aborts else wire.forget)
        assert client.keys("cache:*") == []


async def test_a_connection_in_use_is_not_probed(valkey: RunningServer) -> None:
    heard: list[bytes] = []
    with lying(valkey.connection, lambda words: heard.append(words[0])) as liar:
        live = LiveServer(liar.connection)
        await live.open()
        for _ in range(3):
            await live.snapshot()
        await live.close()
    assert b"PING" not in heard


class ClosingAt:
    """Closes every connection of the server once, where `due` says so of a command; or restarts it."""

    def __init__(self, server: RunningServer, due: Callable[[bytes], bool], *, restarting: bool = False) -> None:
        self._server, self._due, self._restarting = server, due, restarting
        self.closed = threading.Event()

    def __call__(self, words: tuple[bytes, ...]) -> bytes | None:
        if self.closed.is_set() or not self._due(b" ".join(words[:2]).upper()):
            return None
        self.closed.set()
        if self._restarting:
            self._server.kill()
            self._server.start()
        else:
            with self._server.client() as client:
                client.client_kill_filter(_type="normal", skipme=True)
        return None


@pytest.mark.parametrize("first", [b"INFO ALL", b"PING", b"DBSIZE", b"ACL"])
async def test_what_is_closed_just_as_it_is_asked_is_asked_once_more(
    server: RunningServer, tmp_path: Path, first: bytes
) -> None:
    with server.client() as client, lying(server.connection, lambda _: None) as liar:
        fill(client, NAMES)
        async with operating(liar.connection, tmp_path) as operator:
            await server_of(operator).snapshot()
            liar.lie = ClosingAt(server, lambda asked: asked.startswith(first))
            assert len((await planned(operator, CACHE)).keys) == len(NAMES)


async def test_it_is_not_asked_again_of_another_process(valkey: RunningServer) -> None:
    with lying(valkey.connection, lambda _: None) as liar:
        live = LiveServer(liar.connection)
        await live.open()
        await live.snapshot()
        for restarting in (False, True):
            liar.lie = closing = ClosingAt(valkey, lambda asked: asked == b"CONFIG GET", restarting=restarting)
            if restarting:
                with pytest.raises(OtherServer):
                    await patiently(live, live.settings)
            else:
                assert "maxmemory" in await patiently(live, live.settings)
            assert closing.closed.is_set()
        await live.close()


async def test_a_scan_ends_whole_where_its_idle_connections_were_closed(flavour: str) -> None:
    """Beside its pages a scan measures the largest rows, on a connection that rests for most of its time."""
    types = 0

    def last_rows(asked: bytes) -> bool:
        nonlocal types
        types += asked.startswith(b"TYPE")
        return types >= 400 and asked.startswith(b"OBJECT")

    with started(flavour) as server, lying(server.connection, lambda _: None) as liar:
        with server.client() as client:
            pipeline = client.pipeline(transaction=False)
            for number in range(400):
                pipeline.rpush(f"list:{number}", *[b"y" * 50] * (50 + number))
            pipeline.execute()
        live = LiveServer(replace(liar.connection, read_timeout_seconds=2))
        await live.open()
        liar.lie = closing = ClosingAt(server, last_rows)
        view = await live.scan(ScanOptions()).run()
        await live.close()
    assert closing.closed.is_set()
    assert (view.state, view.error, view.scanned_keys) == (ScanState.COMPLETE, None, 400)
