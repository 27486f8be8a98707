"""The scan beside the watch, on a real server: it names what holds the memory, and ends when it is asked to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from redis_oom_tui.models.errors import ServerUnreachable
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.listeners import Scanning
from redis_oom_tui.monitor.output import Note
from redis_oom_tui.ports.source import Source
from redis_oom_tui.server.live import LiveServer
from tests.monitor.scripted import snapshot
from tests.monitor.test_metrics import server_state
from tests.support.servers import RunningServer, started
from tests.support.waiting import stays


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def opened(server: RunningServer) -> AsyncIterator[Source]:
    source = LiveServer(server.connection)
    await source.open()
    try:
        yield source
    finally:
        await source.close()


async def test_it_names_what_holds_the_memory_and_scans_again(valkey: RunningServer) -> None:
    with valkey.client() as client, client.pipeline(transaction=False) as pipe:
        for number in range(300):
            pipe.set(f"cache:{number}", "x" * 2000)
            pipe.set(f"session:{number}", "x" * 100, ex=1000)
        pipe.execute()

    notes: list[Note] = []
    views: list[ScanView] = []
    scanning = Scanning(lambda: opened(valkey), 0.05, Clock(), log=notes.append, take=views.append)
    stop = asyncio.Event()
    running = asyncio.create_task(scanning.run(stop))
    assert await stays(lambda: views == [])  # nothing is scanned before the server has answered a look
    scanning.on_state(server_state(snapshot(50)))
    await until(lambda: len(views) >= 2)
    stop.set()
    await asyncio.wait_for(running, 10)
    assert views[0].scanned_keys == 600
    assert notes[0].text.startswith("600 keys, ")
    assert "most of it in cache:*" in notes[0].text
    patterns = notes[0].figures["patterns"]
    assert isinstance(patterns, list)
    assert [row["pattern"] for row in patterns][:1] == ["cache:*"]
    assert notes[0].figures["with_ttl_bytes"] == views[0].volatile_bytes > 300 * 100


async def test_sizes_that_the_server_does_not_tell_are_not_nought(flavour: str) -> None:
    with started(flavour, 'rename-command MEMORY ""') as server:
        with server.client() as client:
            client.mset({f"cache:{number}": "x" for number in range(50)})
        notes: list[Note] = []
        scanning = Scanning(lambda: opened(server), 3600, Clock(), log=notes.append, take=lambda _: None)
        stop = asyncio.Event()
        running = asyncio.create_task(scanning.run(stop))
        scanning.on_state(server_state(snapshot(50)))
        await until(lambda: notes)
        stop.set()
        await asyncio.wait_for(running, 10)
    assert notes[0].text == "50 keys, ?"
    assert notes[0].figures["bytes"] is None


async def test_a_server_that_cannot_be_scanned_is_a_line() -> None:
    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[Source]:
        raise ServerUnreachable("cache-1:6379 refuses connections")
        yield

    notes: list[Note] = []
    scanning = Scanning(connect, 3600, Clock(), log=notes.append, take=lambda _: None)
    stop = asyncio.Event()
    running = asyncio.create_task(scanning.run(stop))
    scanning.on_state(server_state(snapshot(50)))
    await until(lambda: notes)
    stop.set()
    await asyncio.wait_for(running, 10)
    assert [note.text for note in notes] == ["not done: cache-1:6379 refuses connections"]
