"""The verdict where something else than memory refuses writes: failed saves, replicas, a role."""

import asyncio
from pathlib import Path

import pytest
import redis

from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level, Verdict
from redis_oom_tui.rules.findings import Case, examine, find
from redis_oom_tui.rules.info_fields import with_settings
from redis_oom_tui.rules.verdict import judge
from tests.cli.ran import Tool
from tests.server.test_verdict_live import fill, limited, looked_at
from tests.support.ports import free_ports
from tests.support.servers import RunningServer, started
from tests.support.sources import opened
from tests.support.waiting import read_until, until

MIB = 2**20


def fail_to_save(server: RunningServer, client: redis.Redis) -> None:
    client.bgsave()
    until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", "a failed save")


async def test_a_failed_save_is_told_apart_from_memory(flavour: str, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    with limited(flavour, "noeviction", f"dir {gone}") as server:
        gone.rmdir()
        with server.client() as client:
            client.config_set("save", "3600 1")
            fail_to_save(server, client)
            async with opened(server.connection) as live:
                assert judge(await live.snapshot()).rule == "save-failed"  # its settings are not known here
            verdict, _ = await looked_at(server)
            assert (verdict.level, verdict.rule) == (Level.CRITICAL, "misconf")
            assert "CONFIG GET dir" in verdict.first_step
            assert "server log" in verdict.first_step
            with pytest.raises(redis.ResponseError, match="MISCONF"):
                client.set("k", "v")


@pytest.mark.parametrize(("setting", "value"), [("stop-writes-on-bgsave-error", "no"), ("save", "")])
async def test_a_misconf_of_the_past_is_not_taken_for_one_of_now(
    flavour: str, tmp_path: Path, setting: str, value: str
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    with limited(flavour, "noeviction", f"dir {gone}") as server:
        gone.rmdir()
        with server.client() as client:
            client.config_set("save", "3600 1")
            fail_to_save(server, client)
            with pytest.raises(redis.ResponseError, match="MISCONF"):
                client.set("k", "v")
            client.config_set(setting, value)
            client.set("k", "v")
            verdict, snapshot = await looked_at(server)
            assert (verdict.level, verdict.rule) == (Level.WARNING, "save-failed")
            assert "let writes pass" in verdict.reason
            unread = judge(replace(snapshot, activity=replace(snapshot.activity, save_needed=None)))
            assert (unread.level, unread.rule) == (Level.WARNING, "save-failed")
            assert "may refuse" in unread.reason
            client.config_set("min-replicas-to-write", 1)
            verdict, _ = await looked_at(server)
            assert (verdict.level, verdict.rule) == (Level.CRITICAL, "noreplicas")


async def test_out_of_memory_and_no_save_says_first_what_lets_deletions_through(flavour: str, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    with limited(flavour, "noeviction", f"dir {gone}") as server:
        fill(server, 2.0)
        gone.rmdir()
        with server.client() as client:
            client.config_set("save", "3600 1")
            fail_to_save(server, client)
            verdict, snapshot = await looked_at(server, meanwhile="k")
            assert verdict.level is Level.OOM
            assert str(verdict.first_step).startswith(
                "First make saving work again, or set stop-writes-on-bgsave-error"
            )
            assert "deletions are refused too (MISCONF)" in str(verdict.first_step)
            with pytest.raises(redis.ResponseError, match="MISCONF"):
                client.unlink("f0")
            unread = replace(snapshot, activity=replace(snapshot.activity, save_needed=None))
            assert "deletions may be refused too (MISCONF)" in judge(unread).first_step
            client.config_set("stop-writes-on-bgsave-error", "no")
            verdict, _ = await looked_at(server, meanwhile="k")
            assert "MISCONF" not in str(verdict.first_step)


async def test_a_replica_over_its_limit_is_no_outage(flavour: str) -> None:
    with limited(flavour, "allkeys-lru") as server:
        fill(server, 0.5)
        with server.client() as client:
            client.execute_command("REPLICAOF", "127.0.0.1", "1")
            client.config_set("maxmemory", 3 * MIB)
        verdict, _ = await looked_at(server)
        assert (verdict.level, verdict.rule) == (Level.WARNING, "replica-link")


async def test_too_few_replicas_block_writes_whatever_the_memory(flavour: str) -> None:
    with limited(flavour, "noeviction", "min-replicas-to-write 1") as server:
        async with opened(server.connection) as live:
            before = await live.snapshot()
            with server.client() as client, pytest.raises(redis.ResponseError, match="NOREPLICAS"):
                client.set("k", "v")
            verdict = judge(await live.snapshot(), before)
        assert (verdict.level, verdict.rule) == (Level.CRITICAL, "noreplicas")


async def test_too_few_replicas_are_seen_without_any_write(flavour: str) -> None:
    with limited(flavour, "noeviction") as server, server.client() as client:
        assert (await looked_at(server))[0].level is Level.OK
        client.config_set("min-replicas-to-write", 1)
        verdict, snapshot = await looked_at(server)
        assert (verdict.level, verdict.rule) == (Level.CRITICAL, "noreplicas")
        assert "(0 of 1)" in verdict.reason
        some = replace(snapshot.activity, good_replicas=1, wanted_replicas=2)
        assert judge(replace(snapshot, activity=some)).rule == "noreplicas"
        assert judge(replace(snapshot, activity=replace(some, good_replicas=2))).level is Level.OK
        client.config_set("min-replicas-max-lag", 0)
        client.set("k", "v")
        assert (await looked_at(server))[0].level is Level.OK
        client.config_set("min-replicas-max-lag", 10)
        client.config_set("min-replicas-to-write", 0)
        assert (await looked_at(server))[0].level is Level.OK


async def test_a_replica_beyond_its_own_limit_is_told_before_a_failover(flavour: str) -> None:
    port = free_ports()[0]
    with (
        started(flavour, f"port {port}", "bind 127.0.0.1", "repl-diskless-sync-delay 0") as master,
        limited(flavour, "allkeys-lru", f"replicaof 127.0.0.1 {port}", mib=3) as server,
    ):
        with master.client() as client:
            for number in range(40):
                client.set(f"k{number}", b"x" * 100_000)
        verdict, _ = await read_until(
            lambda: looked_at(server), lambda now: now[1].activity.master_link_up and now[0].rule == "replica-limit"
        )
        assert (verdict.level, verdict.rule) == (Level.WARNING, "replica-limit")
        assert "would evict keys if promoted" in verdict.reason


async def test_a_replica_that_keeps_to_its_own_limit(flavour: str) -> None:
    """It refuses what its primary sends it, which it then lacks."""
    port, copy = free_ports(2)
    own = ("replica-ignore-maxmemory no", f"replicaof 127.0.0.1 {port}", f"port {copy}", "bind 127.0.0.1")
    with (
        started(flavour, f"port {port}", "bind 127.0.0.1", "repl-diskless-sync-delay 0") as master,
        limited(flavour, "noeviction", *own, mib=3) as server,
        master.client() as client,
    ):
        for number in range(40):
            client.set(f"k{number}", b"x" * 100_000)
        # One more write of its primary between the two samples.
        verdict, snapshot = await read_until(
            lambda: _settled_look(server, client),
            lambda now: now[0].rule == "replica-own-limit" and now[0].level is Level.OOM,
        )
        assert (verdict.level, verdict.rule) == (Level.OOM, "replica-own-limit")
        assert "refuses writes of its primary" in verdict.reason
        async with opened(master.connection) as live:
            primary, replicas = await live.snapshot(), await live.replicas()
        (finding,) = [one for one in examine(Case(primary, replicas=replicas)) if one.id == "replica-promotion"]
        assert finding.title.startswith(f"Replica 127.0.0.1:{copy} lacks ")
        assert "have it copy all data again" in finding.advice
        ignoring = replace(snapshot, activity=replace(snapshot.activity, minds_limit=False))
        assert "raise-limit" not in {one.id for one in find(ignoring)}


def test_a_failover_is_judged_alike_by_verdict_and_finding(flavour: str) -> None:
    """`check`, `report` and a poll say on the primary what the finding says of its replica."""
    port, copy = free_ports(2)
    own = (f"replicaof 127.0.0.1 {port}", f"port {copy}", "bind 127.0.0.1")
    with (
        started(flavour, f"port {port}", "bind 127.0.0.1", "repl-diskless-sync-delay 0") as primary,
        limited(flavour, "allkeys-lru", *own, mib=3) as server,
        primary.client() as client,
    ):
        for number in range(40):
            client.set(f"k{number}", b"x" * 100_000)
        client.config_set("maxmemory", 100 * MIB)
        until(lambda: asyncio.run(looked_at(server))[0].rule == "replica-limit", "a replica with all data")
        for words in (("check",), ("report", "--no-scan"), ("watch", "--once")):
            code, document = Tool(primary).json(*words)
            judged = document["verdict"] if words[0] == "report" else document | {"level": document["verdict"]}
            assert judged["level"] == "warning", words
            assert judged["reason"].startswith(f"Replica 127.0.0.1:{copy}: if promoted, it would evict"), words
            assert code == (0 if words[0] == "report" else 1)


async def _settled_look(server: RunningServer, primary: redis.Redis) -> tuple[Verdict, Snapshot]:
    async with opened(server.connection) as live:
        before = await live.snapshot()
        primary.set("more", b"x" * 100_000)
        primary.wait(1, 200)
        now, settings, _, _ = await live.read_closely()
    now = with_settings(now, settings)
    return judge(now, before), now
