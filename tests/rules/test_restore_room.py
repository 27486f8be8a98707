"""Before a restore: that there is no room is said of each server, and of nothing that needs none."""

from redis_oom_tui.models.action import Backup
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.snapshot import Memory, Server, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.restoring import restore_outlook, restore_warnings

MIB = 1024 * 1024
BACKUP = Backup("b", 0.0, "s", "redis", "7", 9, 9, "delete", MIB)


def seen(used: int, limit: int | None = 100 * MIB) -> Snapshot:
    memory = Memory(used_bytes=used, maxmemory_bytes=limit)
    return Snapshot(0.0, 0.0, Server("redis", "7", "master", Address()), memory)


def test_a_server_over_near_and_below_its_limit() -> None:
    then = " of maxmemory. Nothing is restored there above 95%: free memory or raise maxmemory first."
    assert restore_warnings(BACKUP, seen(104 * MIB)) == ("The server is over maxmemory, at 104%" + then,)
    assert restore_warnings(None, seen(96 * MIB)) == ("The server is at 96%" + then,)
    assert restore_warnings(BACKUP, seen(94 * MIB)) == ()
    assert restore_warnings(BACKUP, seen(94 * MIB, None)) == ()
    assert restore_warnings(replace(BACKUP, operation="expire"), seen(104 * MIB)) == ()


def test_what_is_said_where_there_is_room() -> None:
    assert "reach 51% of maxmemory" in restore_outlook(BACKUP, seen(50 * MIB))[0]
    assert restore_outlook(None, seen(50 * MIB)) == ("There is room for 50.0 MiB below maxmemory.",)
    assert restore_outlook(None, seen(50 * MIB, None)) == ()
    assert restore_outlook(replace(BACKUP, operation="expire"), seen(50 * MIB)) == ()
