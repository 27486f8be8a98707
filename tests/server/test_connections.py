"""A connection is never used by anybody else while a reply to the last one may still come, and it harms no server."""

import asyncio
import os
import signal
import time

import pytest

from redis_oom_tui.models.address import Address
from redis_oom_tui.models.capabilities import Feature
from redis_oom_tui.models.errors import ServerUnreachable
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.client import GatedUnixConnection, borrowed
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations.connections import ExclusiveConnection
from redis_oom_tui.server.resp import packed
from tests.support import proxy
from tests.support.ports import free_ports
from tests.support.proxy import wired
from tests.support.servers import RunningServer, started
from tests.support.sources import opened
from tests.support.waiting import be_late, until_async

LARGE, SMALL = KeyId(0, b"large"), KeyId(0, b"small")


async def test_a_cancelled_look_at_a_key_answers_no_other_question(server: RunningServer) -> None:
    with server.client() as client:
        client.rpush("large", *[b"v" * 100] * 1000)
        client.set("small", "x")
    async with opened(server.connection) as source:
        for wait in range(40):
            looking = asyncio.create_task(source.details(LARGE))
            for _ in range(wait):
                await asyncio.sleep(0)
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            found = await source.details(SMALL)
            assert found is not None
            assert (found.row.type, found.row.id) == ("string", SMALL)
            assert (await source.snapshot()).memory.used_bytes > 0


async def test_a_connection_that_does_not_end_is_let_go_of(
    valkey: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As TLS on a frozen server does: it waits for the other side's farewell."""
    live = LiveServer(replace(valkey.connection, connect_timeout_seconds=0.5))
    await live.open()
    with monkeypatch.context() as patched:
        patched.setattr(asyncio.StreamWriter, "wait_closed", lambda _: asyncio.Event().wait())
        await live.close()


@pytest.mark.parametrize("cancelled", ["neither", "asking", "closing"])
async def test_what_is_under_way_when_it_is_closed_leaves_no_connection_open(
    valkey: RunningServer, monkeypatch: pytest.MonkeyPatch, cancelled: str
) -> None:
    made: list[GatedUnixConnection] = []
    connect = GatedUnixConnection._connect

    async def connect_and_keep(connection: GatedUnixConnection) -> None:
        made.append(connection)
        await connect(connection)

    monkeypatch.setattr(GatedUnixConnection, "_connect", connect_and_keep)

    async def ask(live: LiveServer) -> None:
        await live.capabilities()
        await live.clients()
        await live.settings()

    for wait in range(20):
        live = LiveServer(valkey.connection)
        asking = asyncio.create_task(ask(live))
        for _ in range(wait):
            await asyncio.sleep(0)
        if cancelled == "asking":
            asking.cancel()
        closing = asyncio.create_task(live.close())
        await asyncio.sleep(0)
        if cancelled == "closing":
            closing.cancel()
        await asyncio.gather(asking, closing, return_exceptions=True)
    assert made
    assert not [connection for connection in made if connection.is_connected]


async def test_a_failover_that_is_noticed_late_opens_no_closed_server_again(valkey: RunningServer) -> None:
    """A look that was under way when it was closed finds that its Sentinels name another master."""
    live = LiveServer(valkey.connection)
    await live.open()
    await live.close()
    await live.close(to_stay=False)
    assert (await live.snapshot()).memory.used_bytes
    with valkey.client() as client:
        await until_async(lambda: client.info("clients")["connected_clients"] == 1, "nobody but this client")
    await live.locate()
    assert (await live.snapshot()).memory.used_bytes
    with valkey.client() as client:
        assert client.info("clients")["connected_clients"] == 2
    await live.close()


@pytest.mark.parametrize("leaving", [asyncio.CancelledError, ValueError])
async def test_what_breaks_off_closes_the_connection(valkey: RunningServer, leaving: type[BaseException]) -> None:
    async with opened(valkey.connection) as source:
        assert isinstance(source, LiveServer)

        async def break_off() -> None:
            async with borrowed(source.client()) as connection:
                await connection.send_command("PING")
                raise leaving

        with pytest.raises(leaving):
            await break_off()
        assert await source.client().execute_command("DBSIZE") == 0


async def test_a_pipeline_that_breaks_in_its_own_parsing_gives_back_no_connection_with_replies_to_come(
    valkey: RunningServer,
) -> None:
    async with opened(valkey.connection) as source:
        assert isinstance(source, LiveServer)
        client = source.client()

        def fail(_: object, **__: object) -> None:
            raise ValueError("unreadable")

        client.set_response_callback("DBSIZE", fail)
        pipeline = client.pipeline(transaction=False)
        pipeline.execute_command("DBSIZE")
        pipeline.execute_command("SCAN", "0", "COUNT", "10")
        with pytest.raises(ValueError, match="unreadable"):
            await pipeline.execute()
        assert await client.ping() == b"PONG"


async def test_commands_sent_and_not_read_go_with_the_connection(valkey: RunningServer) -> None:
    async with opened(valkey.connection) as source:
        assert isinstance(source, LiveServer)
        channel = ExclusiveConnection(source)
        await channel.open()
        await channel.send(["PING"], b"PING\r\nPING\r\n", 2)
        await channel.replies(["PING"])
        await channel.close()
        assert await source.client().execute_command("DBSIZE") == 0


async def test_no_touch_is_not_asked_of_a_version_that_would_crash(server: RunningServer) -> None:
    async with opened(server.connection) as source:
        why = (await source.capabilities()).why_not(Feature.NO_TOUCH)
    expected = {"redis8": "can crash on it (redis/redis#14415)", "valkey": None}
    if server.flavour in expected:
        assert (why is None) is (expected[server.flavour] is None)
        assert expected[server.flavour] is None or str(why).endswith(str(expected[server.flavour]))
    else:
        assert why is not None
        assert "NO-TOUCH" in why or "wrong number" in why


async def test_over_a_unix_socket_it_introduces_itself_once(server: RunningServer) -> None:
    async with opened(server.connection) as source:
        assert isinstance(source, LiveServer)
        with server.client() as client:
            client.config_resetstat()
            await source.client(1).ping()
            calls = client.info("commandstats")
    assert sum(counted["calls"] for name, counted in calls.items() if name in ("cmdstat_hello", "cmdstat_select")) == 2


PING = packed(("PING", b"x" * 1000))
MANY, FEWER = 60_000, 14_000


async def test_a_server_that_takes_nothing_counts_as_silent(flavour: str) -> None:
    """Frozen while it is sent more than the system keeps for it: the whole exchange may take twenty times as long."""
    for on_port in (False, True):
        (port,) = free_ports(1)
        with started(flavour, f"port {port}", "bind 127.0.0.1") as server:
            where = replace(server.connection, address=Address(port=port)) if on_port else server.connection
            live = LiveServer(replace(where, read_timeout_seconds=1.0))
            async with ExclusiveConnection(live) as connection:
                await connection.open()
                os.kill(server.pid, signal.SIGSTOP)
                try:
                    began = time.monotonic()
                    with pytest.raises(ServerUnreachable) as lost:
                        await connection.send(["PING"], PING * MANY, MANY)
                    assert time.monotonic() - began < 15
                finally:
                    os.kill(server.pid, signal.SIGCONT)
            assert lost.value.silent
            await live.close()


async def test_a_slow_way_is_no_silence(valkey: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent may take far longer than nothing at all may come, as long as some of it is taken."""
    began = time.monotonic()
    monkeypatch.setattr(proxy.Wire, "_requests", _slowly)
    with wired(valkey.connection) as wire:
        live = LiveServer(replace(wire.connection, read_timeout_seconds=1.0))
        async with ExclusiveConnection(live) as connection:
            await connection.open()
            await connection.send(["PING"], PING * FEWER, FEWER)
            assert len(await connection.next_replies(FEWER, "PING")) == FEWER
        await live.close()
    assert time.monotonic() - began > 1.0


async def _slowly(_: proxy.Wire, client: proxy.Streams, server: asyncio.StreamWriter) -> None:
    while data := await client[0].read(1 << 20):
        server.write(data)
        await server.drain()
        if len(data) > 10_000:
            await be_late(0.05)
