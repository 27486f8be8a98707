"""A scan is complete only where it saw about as many keys as the server counts."""

from collections.abc import Iterator

import pytest

from redis_oom_tui.models.scan import Pace, ScanOptions, ScanState, ScanView
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.scan.workers import ScanWorkers
from tests.support.ports import free_ports
from tests.support.proxy import lying
from tests.support.servers import RunningServer, started
from tests.support.sources import opened
from tests.support.waiting import in_step

KEYS = 3000
_END = b"*2\r\n$1\r\n0\r\n*0\r\n"


@pytest.fixture
def filled(flavour: str) -> Iterator[RunningServer]:
    """A server of 3,000 keys."""
    with started(flavour) as server:
        with server.client() as client:
            client.mset({b"k:%d" % n: b"v" for n in range(KEYS)})
        yield server


async def _scanned(live: object, **options: object) -> ScanView:
    assert isinstance(live, LiveServer)
    return await live.scan(ScanOptions(pace=Pace.FULL_SPEED, **options)).run()  # type: ignore[arg-type]


@pytest.mark.parametrize("pages", [1, 2])
async def test_a_walk_that_ends_too_early_is_not_complete(filled: RunningServer, pages: int) -> None:
    scans = 0

    def lie(words: tuple[bytes, ...]) -> bytes | None:
        nonlocal scans
        scans += words[0] == b"SCAN"
        return _END if words[0] == b"SCAN" and scans >= pages else None

    with lying(filled.connection, lie) as proxy:
        async with opened(proxy.connection) as live:
            view = await _scanned(live)
    assert view.state is ScanState.FAILED
    assert view.scanned_keys < KEYS
    assert "the server counts 3,000: keys are missing" in str(view.error)


async def test_without_info_it_is_compared_with_dbsize(filled: RunningServer) -> None:
    def lie(words: tuple[bytes, ...]) -> bytes | None:
        return {b"SCAN": _END, b"INFO": b"-NOPERM no permissions to run the 'info' command\r\n"}.get(words[0])

    with lying(filled.connection, lie) as proxy:
        async with opened(proxy.connection) as live:
            view = await _scanned(live)
    assert view.state is ScanState.FAILED
    assert "the server counts 3,000: keys are missing" in str(view.error)


async def test_keys_that_are_deleted_meanwhile_are_not_missing(
    filled: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn, deleted = ScanWorkers._turn, False

    async def hooked(*args: object) -> None:
        nonlocal deleted
        await turn(*args)  # type: ignore[arg-type]
        if not deleted:
            deleted = True
            with filled.client() as client:
                client.unlink(*[b"k:%d" % n for n in range(0, KEYS, 2)])

    monkeypatch.setattr(ScanWorkers, "_turn", hooked)
    async with opened(filled.connection) as live:
        view = await _scanned(live)
    assert view.complete, view.error


async def test_keys_that_expire_are_not_missing(filled: RunningServer) -> None:
    with filled.client() as client:
        pipeline = client.pipeline(transaction=False)
        for n in range(0, KEYS, 2):
            pipeline.pexpire(b"k:%d" % n, 20)
        pipeline.execute()
    async with opened(filled.connection) as live:
        view = await _scanned(live)
    assert view.complete, view.error


async def test_a_part_of_the_keys_is_not_compared_with_all(filled: RunningServer) -> None:
    async with opened(filled.connection) as live:
        view = await _scanned(live, match=b"k:1*")
    assert view.complete, view.error


async def test_a_replica_counts_keys_that_have_expired_and_does_not_show_them(flavour: str) -> None:
    debug = () if flavour == "redis6" else ("enable-debug-command yes",)
    port = free_ports()[0]
    with started(flavour, f"port {port}", "repl-diskless-sync-delay 0", *debug) as primary, started(flavour) as replica:
        with primary.client() as first, replica.client() as second:
            first.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
            second.replicaof("127.0.0.1", port)
            in_step(first)
            pipeline = first.pipeline(transaction=False)
            for n in range(KEYS):
                pipeline.set(b"k:%d" % n, b"v", px=1 if n % 2 else None)
            pipeline.execute()
            in_step(first)
            assert second.dbsize() == KEYS
        async with opened(replica.connection) as live:
            view = await _scanned(live)
    assert (view.scanned_keys, view.error) == (KEYS // 2, None)
