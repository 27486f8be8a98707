"""Connecting to real servers: who is there, what it can do, and how each way of failing is said."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from redis_oom_tui.models.address import Address, Connection, Secret
from redis_oom_tui.models.capabilities import Feature
from redis_oom_tui.models.errors import CommandMissing, LoginRefused, NotRedis, PermissionRefused, ServerUnreachable
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import policies
from redis_oom_tui.server import probing
from redis_oom_tui.server.client import CLIENT_NAME
from redis_oom_tui.server.live import LiveServer
from tests.support.listener import Listener
from tests.support.releases import ABILITIES, RELEASES
from tests.support.servers import RunningServer, started
from tests.support.sources import opened


@contextlib.asynccontextmanager
async def listener(answer: bytes | None) -> AsyncIterator[Connection]:
    """Something on a TCP port that is no Redis: it says `answer` to whoever asks, or nothing at all."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read(100)
            if answer is not None:
                writer.write(answer)
            await reader.read()

    mute = Listener(serve)
    try:
        yield Connection(Address(port=await mute.listen()), connect_timeout_seconds=0.3, read_timeout_seconds=0.3)
    finally:
        await mute.end()


async def test_a_snapshot_of_a_live_server(server: RunningServer) -> None:
    with server.client() as client:
        client.config_set("maxmemory", 100_000_000)
        client.set("a", "1")
        client.set("b", "1", ex=100)
    async with opened(server.connection) as live:
        snapshot = await live.snapshot()
    assert snapshot.server.flavour == ("valkey" if server.flavour == "valkey" else "redis")
    assert snapshot.memory.maxmemory_bytes == 100_000_000
    assert snapshot.memory.policy == "noeviction"
    assert (snapshot.keys, snapshot.expires) == (2, 1)
    assert snapshot.counters.refused_writes_total == 0
    assert snapshot.memory.pressure is not None
    assert snapshot.memory.pressure < 0.2


async def test_the_manners_of_every_connection(server: RunningServer) -> None:
    async with opened(server.connection) as live:
        names = [buffer.name for buffer in await live.clients()]
        capabilities = await live.capabilities()
    assert names == [CLIENT_NAME.encode()]
    assert capabilities.has(Feature.NO_TOUCH) == (server.flavour == "valkey")
    assert capabilities.has(Feature.NO_EVICT) == (server.flavour != "redis6")


async def test_after_a_lost_connection_the_manners_are_sent_again(valkey: RunningServer) -> None:
    async with opened(valkey.connection) as live:
        valkey.kill()
        with pytest.raises(ServerUnreachable):
            await live.snapshot()
        valkey.start()
        await live.snapshot()
        with valkey.client() as witness:
            ours = [line for line in witness.client_list() if line["name"] == CLIENT_NAME]
    assert [("T" in line["flags"], "e" in line["flags"]) for line in ours] == [(True, True)]


async def test_what_may_be_changed_is_found_by_asking(server: RunningServer) -> None:
    async with opened(server.connection) as live:
        known = await probing.probe_changes(live.client(changing=True), live.address, await live.capabilities())
    assert set(known.policies) == set(policies.KNOWN)
    assert known.has(Feature.CONFIG_SET)
    assert known.has(Feature.SCRIPT)


async def test_each_release_has_what_the_documents_say_of_it(flavour: str) -> None:
    release = next(each for each in RELEASES if each.tests == flavour)
    with started(flavour) as running, running.client() as admin:
        admin.set("k", "v")
        # redis-py trips over a command that is not there.
        admin.set_response_callback("COMMAND", lambda reply, **_: reply)
        slots = admin.execute_command("COMMAND", "INFO", "cluster|slot-stats")
        async with opened(running.connection) as live:
            known = await probing.probe_changes(live.client(changing=True), live.address, await live.capabilities())
            lacks = {feature.value for feature in known.missing}
            snapshot = await live.snapshot()
            lacks |= set() if snapshot.size_histograms else {"INFO keysizes"}
            lacks |= {"INFO blessed_keys"} if snapshot.activity.never_evicted_keys is None else set()
            lacks |= set() if list(filter(None, slots)) else {"CLUSTER SLOT-STATS"}
            lacks |= set() if await _answers(live, "COMMANDLOG", "GET", 1, "LARGE-REQUEST") else {"COMMANDLOG"}
            lacks |= set() if await _answers(live, "HOTKEYS", "GET") else {"HOTKEYS"}
    assert lacks & set(ABILITIES.values()) == release.lacks


async def _answers(live: LiveServer, *command: str | int) -> bool:
    (reply,) = await live.client().pipeline(transaction=False).execute_command(*command).execute(raise_on_error=False)
    return not isinstance(reply, Exception)


def renamed(flavour: str) -> contextlib.AbstractContextManager[RunningServer]:
    return started(
        flavour,
        'rename-command CONFIG ""',
        'rename-command EVAL ""',
        'rename-command EVALSHA ""',
        'rename-command MEMORY ""',
    )


async def test_renamed_commands_are_missing_with_the_servers_words(flavour: str) -> None:
    with renamed(flavour) as running:
        async with opened(running.connection) as live:
            known = await probing.probe_changes(live.client(changing=True), live.address, await live.capabilities())
            with pytest.raises(CommandMissing):
                await _config_get(live)
    for feature in (Feature.CONFIG_GET, Feature.CONFIG_SET, Feature.SCRIPT, Feature.MEMORY_USAGE):
        assert "unknown command" in (known.why_not(feature) or "").lower()
    assert known.policies == ()


async def _config_get(live: LiveServer) -> None:
    from redis_oom_tui.server.errors import translated

    with translated(live.address, "CONFIG GET"):
        await live.client().config_get("maxmemory")


async def test_a_user_who_may_only_read_info(server: RunningServer) -> None:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "watcher", "on", ">pw", "+info", "+client|setname")
    who = replace(server.connection, username="watcher", password=Secret("pw"))
    async with opened(who) as live:
        snapshot = await live.snapshot()
        capabilities = await live.capabilities()
        with pytest.raises(PermissionRefused):
            await live.clients()
    assert snapshot.memory.used_bytes > 0
    assert not capabilities.has(Feature.SCAN)
    assert not capabilities.has(Feature.MEMORY_USAGE)


async def test_a_wrong_password(server: RunningServer) -> None:
    with server.client() as client:
        client.config_set("requirepass", "right")
    for password in (Secret("wrong-one"), None):
        with pytest.raises(LoginRefused) as refusal:
            async with opened(replace(server.connection, password=password)):
                pass
        assert "REDISCLI_AUTH" in str(refusal.value)
        assert "wrong-one" not in str(refusal.value)


@pytest.fixture
def nobody(tmp_path: object) -> Connection:
    return Connection(Address(socket_path=f"{tmp_path}/none"))


async def test_a_socket_that_is_not_there(nobody: Connection) -> None:
    with pytest.raises(ServerUnreachable, match="does not exist"):
        async with opened(nobody):
            pass


async def test_a_port_that_refuses() -> None:
    with pytest.raises(ServerUnreachable, match="refuses connections"):
        async with opened(Connection(Address(port=1))):
            pass


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"])
async def test_a_port_that_is_no_redis(answer: bytes) -> None:
    async with listener(answer) as connection:
        with pytest.raises(NotRedis):
            async with opened(connection):
                pass


async def test_a_server_that_stays_silent() -> None:
    async with listener(None) as connection:
        with pytest.raises(ServerUnreachable, match="did not answer in time"):
            async with opened(connection):
                pass


async def test_a_host_that_does_not_exist() -> None:
    with pytest.raises(ServerUnreachable):
        async with opened(Connection(Address("no-such-host.invalid"), connect_timeout_seconds=2)):
            pass


async def test_the_details_of_a_stream_tell_its_groups(valkey: RunningServer) -> None:
    with valkey.client() as client:
        for n in range(30):
            client.xadd("s", {"f": n})
        client.xgroup_create("s", "mail", id="0")
        client.xreadgroup("mail", "c1", {"s": ">"}, count=10)
        source = LiveServer(valkey.connection)
        details = await source.details(KeyId(0, b"s"))
        await source.close()
    assert details is not None
    (group,) = details.groups
    assert (group.name, group.consumers, group.pending, group.lag) == (b"mail", 1, 10, 20)
    assert (group.known[0].name, group.known[0].pending) == (b"c1", 10)
