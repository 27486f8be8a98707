"""Safety rules 1 and 2: what may be sent is listed in one place, and the connection itself holds to it."""

import pytest

from redis_oom_tui.models.errors import NotAllowed, ReadOnlyMode
from redis_oom_tui.server.client import make_client
from redis_oom_tui.server.command_allowlist import CHANGES, READS, TOUCHING_READS, CommandAllowlist
from tests.support.servers import RunningServer

FORBIDDEN = ("KEYS", "MONITOR", "FLUSHALL", "FLUSHDB", "SHUTDOWN", "DEBUG", "CONFIG RESETSTAT", "TOUCH", "DEL", "SET")


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_no_list_names_is_never_admitted(name: str) -> None:
    with pytest.raises(NotAllowed):
        CommandAllowlist(changing=True).admit(name.split())


def test_the_lists_do_not_overlap() -> None:
    assert not READS & CHANGES
    assert not READS & TOUCHING_READS
    assert not TOUCHING_READS & CHANGES


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_a_change_needs_a_changing_connection_and_no_read_only(name: str) -> None:
    args = [*name.split(), "x"]
    CommandAllowlist(changing=True).admit(args)
    with pytest.raises(NotAllowed):
        CommandAllowlist().admit(args)
    with pytest.raises(ReadOnlyMode):
        CommandAllowlist(read_only=True, changing=True).admit(args)


def test_a_look_at_a_value_needs_no_touch() -> None:
    CommandAllowlist().admit((b"hscan", b"k", b"0"), untouched=True)
    with pytest.raises(NotAllowed):
        CommandAllowlist().admit((b"hscan", b"k", b"0"))


async def test_the_connection_sends_nothing_that_the_gate_refuses(server: RunningServer) -> None:
    client = make_client(server.connection, allowlist=CommandAllowlist(read_only=True, changing=True))
    pipeline = client.pipeline(transaction=False)
    pipeline.dbsize()
    pipeline.unlink("k")
    with pytest.raises(NotAllowed):
        await client.execute_command("KEYS", "*")
    with pytest.raises(ReadOnlyMode):
        await client.unlink("k")
    with pytest.raises(ReadOnlyMode):
        await pipeline.execute()
    await client.aclose()
    with server.client() as witness:
        stats = witness.info("commandstats")
    assert not {"cmdstat_keys", "cmdstat_unlink"} & set(stats)
