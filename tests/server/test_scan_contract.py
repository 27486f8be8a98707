"""Pages of commands on a connection of the scan."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis import exceptions

from redis_oom_tui.models.errors import NotAllowed
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.command_allowlist import CommandAllowlist
from redis_oom_tui.server.resp import KeyQuestion, ScanCommand, admit_all, packed, packed_by_key
from redis_oom_tui.server.scan.connection import ScanConnection
from redis_oom_tui.server.tasks import end
from tests.support.servers import RunningServer


@asynccontextmanager
async def opened(server: RunningServer) -> AsyncIterator[ScanConnection]:
    scan_connection = ScanConnection(server.connection, 0, ScanCommand())
    await scan_connection.open()
    try:
        yield scan_connection
    finally:
        await scan_connection.close()


async def test_a_page_comes_back_in_order_with_refusals_in_their_places(server: RunningServer) -> None:
    with server.client() as client:
        client.set(b"a", b"v")
        client.hset(b"b\r\n", b"f", b"v")
    async with opened(server) as scan_connection:
        keys = [b"a", b"gone", b"b\r\n"]
        buffer = packed_by_key((KeyQuestion.TYPE, KeyQuestion.SIZE, KeyQuestion.TTL), keys)
        wrong = packed((b"MEMORY", b"USAGE"))
        answers = await scan_connection.ask(buffer + wrong + ScanCommand().packed(0, 100), 11)
        assert answers[0:9:3] == [b"string", b"none", b"hash"]
        assert answers[4] is None
        assert answers[2:9:3] == [-1, -2, -1]
        assert isinstance(answers[9], exceptions.ResponseError)
        assert answers[10][0] == b"0"
        assert set(answers[10][1]) == {b"a", b"b\r\n"}
        # The connection is in step for the next page.
        assert await scan_connection.ask(packed((b"PING",)), 1) == [b"PONG"]


async def test_a_page_may_be_asked_key_by_key(valkey: RunningServer) -> None:
    columns, keys = (KeyQuestion.TYPE, KeyQuestion.TTL), [b"a", b"gone"]
    with valkey.client() as client:
        client.set(b"a", b"v")
    async with opened(valkey) as scan_connection:
        assert await scan_connection.ask(packed_by_key(columns, keys), 4) == [b"string", -1, b"none", -2]
    assert packed_by_key(columns, []) == b""
    assert packed_by_key(columns, keys[:1]) == b"*2\r\n$4\r\nTYPE\r\n$1\r\na\r\n*2\r\n$4\r\nPTTL\r\n$1\r\na\r\n"


async def test_long_names_and_large_pages(valkey: RunningServer) -> None:
    names = [b"x" * 100_000 + b"%d" % number for number in range(50)]
    with valkey.client() as client:
        for name in names:
            client.set(name, b"v")
    async with opened(valkey) as scan_connection:
        assert await scan_connection.ask(packed_by_key((KeyQuestion.TYPE,), names), 50) == [b"string"] * 50


async def test_silence_ends_in_time(valkey: RunningServer) -> None:
    quick = replace(valkey.connection, read_timeout_seconds=0.2)
    scan_connection = ScanConnection(quick, 0, ScanCommand())
    await scan_connection.open()
    with valkey.client() as client:
        client.execute_command("CLIENT", "PAUSE", 2000, "ALL")
        with pytest.raises(exceptions.TimeoutError):
            await scan_connection.ask(packed((b"PING",)), 1)
        client.execute_command("CLIENT", "UNPAUSE")
    await scan_connection.close()


async def test_nothing_packed_by_hand_passes_by_the_gate(server: RunningServer) -> None:
    admit_all(CommandAllowlist(read_only=True), ScanCommand(b"a*", b"hash"))
    async with opened(server) as scan_connection:
        for words in ((b"DEL", b"k"), (b"GET", b"k"), (b"KEYS", b"*"), (b"FLUSHALL",)):
            with pytest.raises(NotAllowed):
                scan_connection.admit(words)
        if scan_connection.untouched:
            scan_connection.admit((b"HLEN", b"k"))
        else:
            with pytest.raises(NotAllowed):
                scan_connection.admit((b"HLEN", b"k"))


async def test_a_cancellation_that_was_swallowed_is_repeated() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed > 2:
                    raise

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await end([task])
    assert task.cancelled()
    assert swallowed == 3
