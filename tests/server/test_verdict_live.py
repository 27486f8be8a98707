"""The verdict on live servers, each really brought into the state that it should name."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

from redis_oom_tui.models.address import Secret
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.snapshot import LimitSource, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level, Verdict
from redis_oom_tui.rules.breakdown import break_down
from redis_oom_tui.rules.findings import Case, examine, find
from redis_oom_tui.rules.info_checks import with_settings
from redis_oom_tui.rules.verdict import judge
from redis_oom_tui.server.live import LiveServer
from tests.support.ports import free_ports
from tests.support.servers import RunningServer, started
from tests.support.sources import opened
from tests.support.waiting import until

MIB = 2**20


async def looked_at(server: RunningServer, meanwhile: str = "") -> tuple[Verdict, Snapshot]:
    """The verdict of two looks, with one write by somebody else between them where `meanwhile` names a key."""
    async with opened(server.connection) as live:
        before = await live.snapshot()
        if meanwhile:
            write(server, meanwhile)
        after = with_settings(await live.snapshot(), await live.settings())
        return judge(after, before), after


def write(server: RunningServer, key: str, size: int = 20_000) -> bool:
    """Whether the server took it."""
    with server.client() as client:
        try:
            client.set(key, b"x" * size)
        except redis.OutOfMemoryError:
            return False
        return True


def fill(server: RunningServer, share: float, *, ttl: int | None = None) -> None:
    """Bring used_memory to `share` of the limit by keys of 10 KB; past 1.0, until a write is refused or evicts."""
    with server.client() as client:
        limit = int(client.info("memory")["maxmemory"])
        for number in range(100_000):
            memory = client.info("memory")
            if memory["used_memory"] >= share * limit:
                return
            step = min(64, max(1, int((share * limit - memory["used_memory"]) / 12_000)))
            try:
                for part in range(step):
                    client.set(f"cache:{number}:{part}", b"x" * 10_000, ex=ttl)
            except redis.OutOfMemoryError:
                return
            if client.info("stats")["evicted_keys"]:
                return


@contextmanager
def limited(flavour: str, policy: str = "noeviction", *config: str, mib: int = 10) -> Iterator[RunningServer]:
    with started(flavour, f"maxmemory {mib}mb", f"maxmemory-policy {policy}", *config) as server:
        yield server


async def test_healthy(flavour: str) -> None:
    with limited(flavour) as server:
        fill(server, 0.5)
        verdict, snapshot = await looked_at(server, meanwhile="k")
        assert (verdict.level, verdict.rule) == (Level.OK, "healthy")
        assert sum(part.size for part in break_down(snapshot.memory).parts) == snapshot.memory.used_bytes


async def test_no_limit(server: RunningServer) -> None:
    write(server, "k", 3 * MIB)
    verdict, snapshot = await looked_at(server)
    assert (verdict.level, verdict.rule) == (Level.OK, "no-limit")
    assert snapshot.memory.pressure is None
    assert find(snapshot) == ()


@pytest.mark.parametrize(
    ("share", "level", "rule"), [(0.85, Level.WARNING, "close-warning"), (0.965, Level.CRITICAL, "close-critical")]
)
async def test_close_to_the_limit(flavour: str, share: float, level: Level, rule: str) -> None:
    with limited(flavour) as server:
        fill(server, share)
        verdict, _ = await looked_at(server)
        assert (verdict.level, verdict.rule) == (level, rule)


async def test_refusing_writes_under_noeviction(flavour: str) -> None:
    with limited(flavour) as server:
        fill(server, 2.0)
        verdict, snapshot = await looked_at(server, meanwhile="one-more")
        assert (verdict.level, verdict.rule) == (Level.OOM, "refusing-noeviction")
        assert "refused in the last" in verdict.reason
        assert "SET" in verdict.reason
        assert snapshot.counters.refused_is_lower_bound == (flavour == "redis6")


async def test_a_lowered_limit_is_seen_without_any_write(flavour: str) -> None:
    with limited(flavour) as server:
        fill(server, 0.5)
        with server.client() as client:
            client.config_set("maxmemory", 3 * MIB)
        await asyncio.sleep(0.3)
        verdict, _ = await looked_at(server)
        assert (verdict.level, verdict.rule) == (Level.OOM, "refusing-lowered")


async def test_volatile_policy_without_any_ttl(flavour: str) -> None:
    with limited(flavour, "volatile-lru") as server:
        fill(server, 2.0)
        verdict, _ = await looked_at(server, meanwhile="one-more")
        assert (verdict.level, verdict.rule) == (Level.OOM, "refusing-no-ttl")
        assert "volatile-lru can only evict keys with a TTL" in verdict.reason


async def test_a_full_cache_that_evicts_is_busy_and_no_outage(flavour: str) -> None:
    with limited(flavour, "allkeys-lru") as server:
        fill(server, 2.0)
        async with opened(server.connection) as live:
            before = await live.snapshot()
            assert all(write(server, f"more:{number}") for number in range(50))
            verdict = judge(await live.snapshot(), before)
        assert (verdict.level, verdict.rule) == (Level.OK, "evicting")
        assert "no write refused" in verdict.reason


async def test_a_full_volatile_cache_that_evicts_is_no_outage(flavour: str) -> None:
    with limited(flavour, "volatile-lru") as server:
        fill(server, 2.0, ttl=1000)
        verdict, _ = await looked_at(server)
        # The buffers of the looking client itself may push out a key in between.
        assert verdict.level is Level.OK
        assert verdict.rule in ("full-cache", "evicting")


async def test_client_buffers_hold_the_memory(flavour: str) -> None:
    """Half-sent writes lie in query buffers, which count on every server."""
    with limited(flavour, "allkeys-lru", mib=24) as server, ExitStack() as stack:
        write(server, "data", 500_000)
        for _ in range(4):
            hog = stack.enter_context(socket.socket(socket.AF_UNIX))
            hog.connect(server.socket_path)
            hog.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nh\r\n$9000000\r\n" + b"x" * 7_000_000)
        verdict, _ = await looked_at(server)
        for _ in range(100):  # the server counts each client's buffers only when its cron comes round to it
            if verdict.rule in ("refusing-buffers", "buffers"):
                break
            await asyncio.sleep(0.05)
            verdict, _ = await looked_at(server, meanwhile="one-more")
        assert verdict.level in (Level.OOM, Level.CRITICAL)
        assert verdict.rule in ("refusing-buffers", "buffers")
        assert "client and replica buffers use" in verdict.reason
        assert "not data" in verdict.reason


async def test_a_tiny_server_with_a_huge_fragmentation_ratio_is_healthy(flavour: str) -> None:
    with limited(flavour, mib=100) as server:
        verdict, snapshot = await looked_at(server)
        assert (snapshot.memory.fragmentation_ratio or 0.0) > 1.5
        assert verdict.rule == "healthy"


async def test_without_config_the_verdict_is_the_same(flavour: str) -> None:
    with limited(flavour, "noeviction", "rename-command CONFIG ''") as server:
        fill(server, 2.0)
        verdict, _ = await looked_at(server, meanwhile="one-more")
        assert verdict.rule == "refusing-noeviction"


async def test_a_user_who_may_only_read_info(flavour: str) -> None:
    with limited(flavour) as server:
        fill(server, 0.85)
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "watcher", "on", ">pw", "+info")
        server.connection = replace(server.connection, username="watcher", password=Secret("pw"))
        verdict, _ = await looked_at(server)
        assert verdict.rule == "close-warning"


async def test_a_server_that_is_loading(flavour: str) -> None:
    """While it loads, it looks at its clients once every 2 MB: the file is made large enough, and each key slow."""
    with started(flavour, "rdbcompression no", "key-load-delay 1000") as server:
        with server.client() as client:
            for start in range(0, 2000, 200):
                client.mset({f"k{number}": b"x" * 15_000 for number in range(start, start + 200)})
            client.save()
        server.kill()
        server.start(loading_will_do=True)
        live = LiveServer(server.connection)
        snapshot = await live.snapshot()
        await live.close()
        verdict = judge(snapshot)
        assert (verdict.level, verdict.rule) == (Level.CRITICAL, "loading")
        assert find(snapshot) == ()


async def test_a_server_that_was_killed_and_came_back(flavour: str) -> None:
    with limited(flavour) as server:
        fill(server, 2.0)
        async with opened(server.connection) as live:
            write(server, "one-more")
            before = await live.snapshot()
            server.kill()
            with pytest.raises(TriageError):
                await live.snapshot()
            server.start()
            after = await live.snapshot()
        verdict = judge(after, before)
        assert verdict.rule == "healthy"
        assert any(text.startswith("the server restarted") for text in verdict.evidence)


async def test_reset_counters_do_not_hide_a_refusal(flavour: str) -> None:
    with limited(flavour) as server:
        fill(server, 2.0)
        async with opened(server.connection) as live:
            for number in range(5):
                write(server, f"more{number}")
            before = await live.snapshot()
            with server.client() as client:
                client.config_resetstat()
            # Buffers come and go: a write or two may still fit.
            assert not all(write(server, f"after{number}") for number in range(20))
            verdict = judge(await live.snapshot(), before)
        assert verdict.level is Level.OOM
        assert "at least 1 refused" in verdict.reason


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


async def test_a_limit_below_the_empty_server(flavour: str) -> None:
    with started(flavour, "maxmemory 500kb", "maxmemory-policy allkeys-lru") as server:
        write(server, "k", 10)
        await asyncio.sleep(0.3)
        verdict, _ = await looked_at(server, meanwhile="k")
        assert (verdict.level, verdict.rule) == (Level.OOM, "refusing-tiny-limit")


async def test_few_keys_to_evict_are_told_before_they_run_out(flavour: str) -> None:
    with limited(flavour, "volatile-ttl") as server:
        fill(server, 0.88)
        with server.client() as client:
            client.set("short", b"x" * 1000, ex=1000)
        verdict, _ = await looked_at(server)
        assert verdict.rule == "close-warning"
        assert "only 1 of " in verdict.reason


async def test_a_cache_too_small_for_its_work(flavour: str) -> None:
    with limited(flavour, "allkeys-lru") as server:
        fill(server, 2.0)
        async with opened(server.connection) as live:
            before = await live.snapshot()
            with server.client() as client:
                for number in range(400):
                    client.get(f"absent:{number}")
                    client.set(f"new:{number}", b"x" * 20_000)
            verdict = judge(await live.snapshot(), before)
        assert (verdict.level, verdict.rule) == (Level.WARNING, "churning")


async def test_a_replica_beyond_its_own_limit_is_told_before_a_failover(flavour: str) -> None:
    port = free_ports()[0]
    with (
        started(flavour, f"port {port}", "bind 127.0.0.1", "repl-diskless-sync-delay 0") as master,
        limited(flavour, "allkeys-lru", f"replicaof 127.0.0.1 {port}", mib=3) as server,
    ):
        with master.client() as client:
            for number in range(40):
                client.set(f"k{number}", b"x" * 100_000)
        for _ in range(200):
            verdict, snapshot = await looked_at(server)
            if snapshot.activity.master_link_up and verdict.rule == "replica-limit":
                break
            await asyncio.sleep(0.05)
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
        for _ in range(200):
            # One more write of its primary between the two samples.
            verdict, snapshot = await _settled_look(server, client)
            if verdict.rule == "replica-own-limit" and verdict.level is Level.OOM:
                break
            await asyncio.sleep(0.05)
        assert (verdict.level, verdict.rule) == (Level.OOM, "replica-own-limit")
        assert "refuses writes of its primary" in verdict.reason
        async with opened(master.connection) as live:
            primary, replicas = await live.snapshot(), await live.replicas()
        (told,) = [one for one in examine(Case(primary, replicas=replicas)) if one.id == "replica-promotion"]
        assert told.title.startswith(f"Replica 127.0.0.1:{copy} lacks ")
        assert "have it copy all data again" in told.advice
        ignoring = replace(snapshot, activity=replace(snapshot.activity, minds_limit=False))
        assert "raise-limit" not in {one.id for one in find(ignoring)}


async def _settled_look(server: RunningServer, primary: redis.Redis) -> tuple[Verdict, Snapshot]:
    async with opened(server.connection) as live:
        before = await live.snapshot()
        primary.set("more", b"x" * 100_000)
        primary.wait(1, 200)
        now, settings, _, _ = await live.read_closely()
    now = with_settings(now, settings)
    return judge(now, before), now


async def test_a_stated_limit_counts_where_the_server_sets_none(flavour: str) -> None:
    with started(flavour) as server:
        async with opened(replace(server.connection, stated_limit_bytes=64 * MIB)) as live:
            memory = (await live.snapshot()).memory
    assert memory.limit_source is LimitSource.OPERATOR
    assert memory.maxmemory_bytes == 64 * MIB
    assert memory.pressure is not None
    assert 0 < memory.pressure < 1


async def test_a_healthy_server_leaves_no_doubt(flavour: str) -> None:
    with started(flavour, "maxmemory 64mb") as server:
        fill(server, 0.3)
        _, now = await looked_at(server)
    assert now.doubts == ()
    assert now.memory.limit_source is LimitSource.SERVER
    assert now.server.product == ""
    assert now.server.flavour == ("valkey" if flavour == "valkey" else "redis")


async def test_refusals_of_values_too_large_and_of_a_burst_are_told_apart(flavour: str) -> None:
    with started(flavour, "maxmemory 48mb") as large, started(flavour, "maxmemory 48mb") as burst:
        assert not write(large, "blob", 30_000_000)
        fill(burst, 1.1)
        with burst.client() as client:
            client.delete(*client.keys())
        for server, finding, words in (
            (large, "refused-large", "large values, or a limit that was lower then"),
            (burst, "refused-at-peak", "a burst that is over, or another node"),
        ):
            verdict, now = await looked_at(server)
            assert now.memory.pressure is not None
            assert now.memory.pressure < 0.8
            assert words in verdict.reason
            assert finding in {one.id for one in find(now)}
