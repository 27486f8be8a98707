"""Before a key is made smaller: what goes, what is lost with it, what is refused, and that looking changes nothing."""

from pathlib import Path

import pytest

from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.address import Connection
from redis_oom_tui.models.errors import BadInput, NotAllowed, ReadOnlyMode
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Outcome
from redis_oom_tui.models.stepped import ScoreUnit, ShrinkRequest
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import shrinking
from tests.support.acting import NO_BACKUP, operating
from tests.support.servers import RunningServer
from tests.support.shapes import used_at_rest
from tests.support.shrinking import CHOICES, NAME, WITHOUT_NO_TOUCH, content, filled, frozen, request


async def test_what_elements_mean_to_the_application_is_said_before(valkey: RunningServer, tmp_path: Path) -> None:
    job = KeyId(0, b"bull:mail:17")
    with valkey.client() as client:
        client.hset(job.key, mapping={"name": "mail", "opts": "{}", "timestamp": 1, "data": "x" * 5000})
        async with operating(valkey.connection, tmp_path) as operator:
            for matching, number in ((b"data", 1), (b"nothing", 0)):
                plan = await operator.steps.plan_shrink(ShrinkRequest(job, matching=matching)).run()
                assert [flag for flag in plan.flags if "loses work" in flag] == [
                    "This key holds jobs of what may be Bull or BullMQ: removing elements from it loses work."
                ] * number


async def test_what_pending_and_unread_entries_are_lost_is_said_before(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        filled(client, "stream", 600)
        client.xgroup_create(NAME, b"mail\xff", id="0")
        client.xreadgroup(b"mail\xff", "c", {NAME: ">"}, count=30)
        client.xgroup_create(NAME, b"done", id="$")
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator, keep_last=100)
            assert plan.going == 500
            first, second, third = plan.flags[:3]
            assert first.startswith("Group 'mail\\xff': 30 pending entries (delivered, not acknowledged) go")
            assert second.endswith("what stays pending of entries that are gone holds memory until XACK removes it.")
            assert third.startswith("Group 'mail\\xff' has not read 470 of the entries that go")
            assert not any("done" in flag for flag in plan.flags)
            assert shrinking.confirm_word(plan, BackupChoice()) == "shrink"
            await operator.steps.run_shrink(plan, backup=NO_BACKUP).run()
        # That is why it is said: trimming does not free them.
        assert client.xpending(NAME, b"mail\xff")["pending"] == 30


async def test_what_consumers_hold_does_not_go_with_the_entries(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        filled(client, "stream", 150)
        client.xgroup_create(NAME, "mail", id="$")
        pipeline = client.pipeline(transaction=False)
        for number in range(5000):
            pipeline.execute_command("XGROUP", "CREATECONSUMER", NAME, "mail", f"worker-{number:040}")
        pipeline.execute()
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator, keep_last=10)
            assert plan.size is not None
            assert plan.size > 500_000
            assert plan.about_bytes is not None
            assert 1000 < plan.about_bytes < 20_000
            assert any(flag.startswith("5,000 consumers and 0 pending entries hold the rest") for flag in plan.flags)


@pytest.mark.parametrize(("kind", "unit"), [("stream", None), ("zset", "s"), ("zset", "ms")])
async def test_older_than_goes_by_the_servers_clock(
    server: RunningServer, tmp_path: Path, kind: str, unit: str | None
) -> None:
    with server.client() as client:
        seconds, _ = client.time()
        for days in range(10, 0, -1):
            at = seconds - days * 86400
            if kind == "stream":
                client.xadd(NAME, {"f": "v"}, id=f"{at * 1000}-0")
            else:
                client.zadd(NAME, {f"m{days}": at * (1000 if unit == "ms" else 1)})
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator, older_than_seconds=4 * 86400 + 3600)
            assert plan.going == 6
            assert plan.request.score_unit == (None if unit is None else ScoreUnit(unit))
            view = await operator.steps.run_shrink(plan, backup=BackupChoice()).run()
            assert dict(view.counts) == {Outcome.DELETED: 6}
            assert len(content(client)) == 4
            if kind == "stream":
                assert (await frozen(operator, older_than_seconds=1)).going == 4
            else:
                with pytest.raises(BadInput, match="All 4"):
                    await frozen(operator, older_than_seconds=1)


async def test_what_cannot_be_meant_is_refused(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        client.zadd(NAME, {"a": 1, "b": 2})
        async with operating(server.connection, tmp_path) as operator:
            with pytest.raises(BadInput, match="do not look like times"):
                await frozen(operator, older_than_seconds=5)
            with pytest.raises(BadInput, match="exactly one of"):
                await frozen(operator, older_than_seconds=5, keep_last=4)
            with pytest.raises(BadInput, match="at least 1"):
                await frozen(operator, keep_last=0)
            with pytest.raises(BadInput, match="--fields chooses from hashes and sets"):
                await frozen(operator, matching=b"a")
            assert (await frozen(operator, keep_last=2)).going == 0
            client.delete(NAME)
            with pytest.raises(BadInput, match="no such key"):
                await frozen(operator, keep_last=2)
            client.set(NAME, "x")
            with pytest.raises(BadInput, match="only hash, list, set, stream, zset can be shrunk"):
                await frozen(operator, keep_last=2)
            client.delete(NAME)
            client.hset(NAME, "a", 1)
            with pytest.raises(BadInput, match="choose by --fields"):
                await frozen(operator, keep_last=2)
            with pytest.raises(BadInput, match="cleanup --key deletes it"):
                await frozen(operator, matching=b"*")


async def test_read_only_previews_and_never_trims(server: RunningServer, tmp_path: Path) -> None:
    connection: Connection = replace(server.connection, read_only=True)
    with server.client() as client:
        filled(client, "list", 300)
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator, "list")
        async with operating(connection, tmp_path) as operator:
            with pytest.raises(ReadOnlyMode):
                operator.steps.run_shrink(plan, backup=NO_BACKUP)
            if server.flavour in WITHOUT_NO_TOUCH:
                with pytest.raises(NotAllowed, match="would reset the idle time"):
                    await frozen(operator, "list")
            else:
                assert (await frozen(operator, "list")).hash == plan.hash
        assert client.llen(NAME) == 300


async def test_the_preview_leaves_the_idle_time(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        filled(client, "zset", 300)
        client.restore(NAME, 0, client.dump(NAME), replace=True, idletime=5000)
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator, "zset")
        if server.flavour in WITHOUT_NO_TOUCH:
            why = "Redis 8.2.3 can crash on it" if server.flavour == "redis8" else "unknown subcommand"
            (warning,) = [flag for flag in plan.flags if "has reset its idle time" in flag]
            assert why in warning or why in warning.lower()
        else:
            assert client.object("idletime", NAME) >= 5000  # type: ignore[operator]


@pytest.mark.in_turn
@pytest.mark.parametrize("kind", ["list", "stream", "hash"])
async def test_no_other_key_is_evicted_by_a_look_at_large_elements(
    server: RunningServer, tmp_path: Path, kind: str
) -> None:
    """Only the others can be evicted here; the first plan has the server's own first costs behind it."""
    with server.client() as client:
        filled(client, kind)
        async with operating(server.connection, tmp_path) as operator:
            await operator.steps.plan_shrink(request(**CHOICES[kind])).run()
            client.delete(NAME)
            pipeline = client.pipeline(transaction=False)
            for number in range(4):
                value = b"x" * 3_000_000
                if kind == "list":
                    pipeline.rpush(NAME, value)
                elif kind == "stream":
                    pipeline.xadd(NAME, {b"f": value})
                else:
                    pipeline.hset(NAME, b"old:%d" % number, value)
            for number in range(5000):
                pipeline.set(f"other:{number}", b"y" * 200, ex=90_000)
            pipeline.execute()
            client.config_set("maxmemory-policy", "volatile-lru")
            client.config_set("maxmemory", used_at_rest(client) + 300_000)
            choice = CHOICES[kind] if kind == "hash" else {**CHOICES[kind], "keep_last": 1}
            with pytest.raises(BadInput, match=r"Its elements take about .* free below maxmemory"):
                await operator.steps.plan_shrink(request(**choice)).run()
        assert client.info("stats")["evicted_keys"] == 0
