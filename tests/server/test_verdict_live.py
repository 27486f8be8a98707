"""The verdict on live servers at, near and below their limit, of every flavour."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import redis

from redis_oom_tui.models.address import Secret
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.snapshot import LimitSource, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level, Verdict
from redis_oom_tui.rules.breakdown import break_down
from redis_oom_tui.rules.findings import find
from redis_oom_tui.rules.info_fields import with_settings
from redis_oom_tui.rules.verdict import judge
from redis_oom_tui.server.live import LiveServer
from tests.support.servers import RunningServer, started
from tests.support.sources import opened
from tests.support.waiting import read_until

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
        # The server counts each client's buffers only when its cron comes round to it.
        verdict, _ = await read_until(
            lambda: looked_at(server, meanwhile="one-more"),
            lambda now: now[0].rule in ("refusing-buffers", "buffers"),
        )
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


async def test_a_limit_below_the_empty_server(flavour: str) -> None:
    with started(flavour, "maxmemory 500kb", "maxmemory-policy allkeys-lru") as server:
        write(server, "k", 10)
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
            (burst, "refused-at-peak", "a burst that is over)"),
        ):
            verdict, now = await looked_at(server)
            assert now.memory.pressure is not None
            assert now.memory.pressure < 0.8
            assert words in verdict.reason
            assert finding in {one.id for one in find(now)}
