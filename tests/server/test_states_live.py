"""Verdicts and findings on live servers in states that take time, a full machine or much memory to get into."""

import asyncio
import socket
from pathlib import Path

import pytest
import redis

from redis_oom_tui.files.server_host import with_host_memory
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Finding, Level, Verdict
from redis_oom_tui.rules.findings import find
from redis_oom_tui.rules.forecast import forecast
from redis_oom_tui.rules.headroom import higher_limit
from redis_oom_tui.rules.history import History
from redis_oom_tui.rules.verdict import judge, state_rules
from redis_oom_tui.server.live import LiveServer
from tests.server.test_verdict_live import fill, limited, looked_at, write
from tests.support.acting import settled
from tests.support.machines import machine
from tests.support.ports import free_ports
from tests.support.servers import RunningServer, available, started
from tests.support.sources import opened
from tests.support.waiting import read_until, until

MIB = 2**20


async def seen(server: RunningServer) -> Snapshot:
    live = LiveServer(server.connection)
    try:
        return await live.snapshot()
    finally:
        await live.close()


async def found_on(server: RunningServer) -> dict[str, Finding]:
    """The findings of one look, by their ids."""
    return {finding.id: finding for finding in find(await seen(server))}


def filled(client: redis.Redis, keys: int, size: int) -> None:
    """So many keys k:0, k:1, ... of that size, quickly."""
    for start in range(0, keys, 1000):
        client.mset({f"k:{number}": b"x" * size for number in range(start, min(keys, start + 1000))})


async def resident(server: RunningServer) -> Snapshot:
    """The server with 20 MiB of data: RSS is read now and then, and falls behind what was just written."""
    write(server, "k", 20 * MIB)
    return await read_until(
        lambda: seen(server), lambda now: (now.memory.rss_bytes or 0) >= (now.memory.used_bytes or 0)
    )


def seen_on(
    snapshot: Snapshot, root: Path, *, limit: int | None = None, swapped: int = 0, taken: int | None = None
) -> Snapshot:
    """The server as the tool sees it when they share a machine that is so small, so full, or that swaps."""
    assert snapshot.server.process_id is not None
    return with_host_memory(
        snapshot, machine(root, snapshot.server.process_id, limit=limit, swapped=swapped, taken=taken)
    )


async def test_growth_that_ends_at_the_limit_within_the_hour(flavour: str) -> None:
    """The writes are real, a megabyte a look; the clock alone goes faster: five seconds a look."""
    time = 1000.0
    with limited(flavour, mib=64) as server:
        live = LiveServer(server.connection, monotonic=lambda: time)
        history = History()
        for number in range(25):
            write(server, f"orders:{number}", MIB)
            history.add(await live.snapshot())
            time += 5.0
        await live.close()
    outlook = forecast(history.samples)
    latest = history.latest
    assert latest is not None
    assert outlook.seconds_to_limit is not None
    left = 64 * MIB - latest.memory.counted_bytes
    assert outlook.seconds_to_limit[0] <= left / (MIB / 5) <= (outlook.seconds_to_limit[1] or left)
    verdict = judge(latest, rates=history.rates(), forecast=outlook)
    assert (verdict.level, verdict.rule) == (Level.WARNING, "growing")
    assert "noeviction" in verdict.reason


async def test_eviction_that_does_not_keep_up(flavour: str) -> None:
    """Evicting stands still while clients are paused, as in a failover; the server stays over its limit meanwhile."""
    with started(flavour, "maxmemory-policy allkeys-lru") as server, server.client() as client:
        filled(client, 50_000, 200)
        pipeline = client.pipeline(transaction=False)
        pipeline.config_set("maxmemory", client.info("memory")["used_memory"] // 2)
        pipeline.client_pause(60_000, all=False)
        pipeline.execute()
        verdict, _ = await read_until(lambda: looked_at(server), lambda now: now[0].rule == "behind")
        assert (verdict.level, verdict.rule) == (Level.CRITICAL, "behind")
        assert verdict.reason.startswith("Over its limit")
        paused = "evicts nothing now, as clients are paused for another"
        assert (paused if flavour == "valkey" else "does not make room fast enough") in verdict.reason
        client.client_unpause()
        verdict, _ = await read_until(lambda: looked_at(server), lambda now: now[0].rule != "behind")
        assert verdict.level is Level.OK


async def test_a_limit_raised_during_a_pause_is_no_refusal(flavour: str) -> None:
    """Its clock runs on until the pause ends. That writes wait is told by the clock, or by who waits."""
    with limited(flavour, "noeviction", mib=3) as server, server.client() as client, server.client() as writer:
        fill(server, 1.2)
        # What its buffers held is free again, so it may be just below the limit.
        client.config_set("maxmemory", 2 * MIB)
        verdict, _ = await read_until(lambda: looked_at(server), lambda now: now[0].level is Level.OOM)
        assert verdict.level is Level.OOM
        client.client_pause(60_000, all=False)
        client.config_set("maxmemory", 30 * MIB)
        waiting = asyncio.create_task(asyncio.to_thread(writer.set, "k", "v"))
        verdict = await read_until(lambda: _with_clients(server), _names_the_pause)
        assert (verdict.level, verdict.rule, _names_the_pause(verdict)) == (Level.OK, "healthy", True)
        client.client_unpause()
        await waiting
        verdict = await _with_clients(server)
        assert (verdict.rule, _names_the_pause(verdict)) == ("healthy", False)


def _names_the_pause(verdict: Verdict) -> bool:
    return "paused" in " ".join(verdict.evidence)


async def _with_clients(server: RunningServer) -> Verdict:
    async with opened(server.connection) as live:
        before = await live.snapshot()
        now, _, clients, _ = await live.read_closely()
    return judge(now, before, clients=clients)


async def test_scripts_that_fill_the_limit_are_named(flavour: str) -> None:
    with limited(flavour, "allkeys-lru") as server, server.client() as client:
        client.set("k", "v")
        for number in range(400):
            client.script_load(f"return '{number:030000}'")
        verdict, _ = await looked_at(server, meanwhile="k")
        assert (verdict.level, verdict.rule) == (Level.OOM, "refusing-scripts")
        assert "cached scripts hold" in verdict.reason


async def test_channels_that_fill_the_limit_leave_nothing_to_evict(flavour: str) -> None:
    with limited(flavour, "allkeys-lru") as server, server.client() as client:
        client.set("k", "v")
        pubsub = client.pubsub()
        pubsub.subscribe(*(f"news:{number}:{'x' * 200}" for number in range(30_000)))
        until(lambda: client.info("stats")["pubsub_channels"] >= 30_000, "all subscriptions")
        verdict, now = await looked_at(server, meanwhile="k")
        pubsub.close()
        assert (verdict.level, verdict.rule) == (Level.OOM, "refusing-nothing-left")
        assert "no key is left to evict, and " in verdict.reason
        assert "is held by no key" in verdict.reason
        assert {"held-by-no-key", "channels"} & {found.id for found in find(now)}


async def test_a_refusal_before_eviction_was_allowed(flavour: str) -> None:
    with limited(flavour) as server, server.client() as client:
        async with opened(server.connection) as live:
            fill(server, 1.1)
            before = await live.snapshot()
            assert not write(server, "k")
            client.config_set("maxmemory-policy", "allkeys-lru")
            verdict = judge(await live.snapshot(), before)
        assert (verdict.level, verdict.rule) == (Level.OOM, "refusing-behind")


async def test_a_write_larger_than_the_room_left(flavour: str) -> None:
    with limited(flavour) as server:
        async with opened(server.connection) as live:
            before = await live.snapshot()
            assert not write(server, "k", 12_000_000)
            after = await read_until(live.snapshot, lambda now: (now.memory.pressure or 0.0) < 0.5)
        verdict = judge(after, before)
        assert (verdict.level, verdict.rule) == (Level.OOM, "refusing-large")
        assert "1 refused in the last" in verdict.reason
        assert "each needed more room than there was" in verdict.reason


@pytest.mark.parametrize(("share", "level"), [(0.85, Level.WARNING), (0.97, Level.CRITICAL)])
async def test_a_container_that_is_nearly_full(flavour: str, tmp_path: Path, share: float, level: Level) -> None:
    with started(flavour) as server:
        snapshot = await resident(server)
        rss = snapshot.memory.rss_bytes
        assert rss is not None
        full = seen_on(snapshot, tmp_path, limit=int(rss / share))
        verdict = judge(full)
        assert (verdict.level, verdict.rule) == (level, "host-full")
        assert [found.id for found in find(full)] == ["no-limit"]
        roomy = seen_on(snapshot, tmp_path, limit=20 * rss)
        assert judge(roomy).rule == "no-limit"
        assert find(roomy) == ()


async def test_a_machine_that_others_have_filled(flavour: str, tmp_path: Path) -> None:
    """The container is full though this server is small: the limit is no way out."""
    with limited(flavour, mib=64) as server:
        snapshot = await resident(server)
        rss = snapshot.memory.rss_bytes or 0
        full = seen_on(snapshot, tmp_path, limit=4 * rss, taken=4 * rss - MIB)
        verdict = judge(full)
        assert (verdict.level, verdict.rule) == (Level.WARNING, "machine-full")
        assert "1.0 MiB of " in verdict.reason
        assert higher_limit(full.memory) is None
        assert judge(seen_on(snapshot, tmp_path, limit=4 * rss, taken=rss)).rule == "healthy"


async def test_a_server_whose_machine_swaps(flavour: str, tmp_path: Path) -> None:
    with limited(flavour, mib=200) as server:
        with server.client() as client:
            filled(client, 40_000, 2000)
        verdict = judge(seen_on(await seen(server), tmp_path, swapped=70 * MIB))
        assert (verdict.level, verdict.rule) == (Level.WARNING, "swapped")
        assert verdict.reason.startswith("70.0 MiB of its memory is swapped out")
        assert judge(seen_on(await seen(server), tmp_path, swapped=2 * MIB)).rule == "healthy"


@pytest.mark.parametrize("flavour", [flavour for flavour in available() if flavour != "redis6"])
async def test_memory_that_was_never_touched_is_not_swapped_out(flavour: str) -> None:
    """A client that has announced a large value and not sent it: the buffer is used_memory, and takes no RAM.

    6.2 takes such a buffer back at once.
    """
    with limited(flavour, mib=1000) as server, socket.socket(socket.AF_UNIX) as client:
        client.connect(server.socket_path)
        client.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nh\r\n$200000000\r\n" + b"x" * 50_000)
        snapshot = await read_until(
            lambda: seen(server), lambda now: (now.memory.clients_normal_bytes or 0) > 150 * MIB
        )
        assert snapshot.memory.used_bytes > 150 * MIB
        assert (snapshot.memory.rss_bytes or 0) < 100 * MIB
        assert judge(snapshot).rule == "healthy"


async def test_memory_full_of_holes(flavour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second key of one size goes, so that no page becomes free. The verdict speaks from 1 GiB of holes on."""
    with limited(flavour, mib=2000) as server:
        with server.client() as client:
            filled(client, 75_000, 3000)
            for start in range(0, 75_000, 1000):
                client.unlink(*(f"k:{number}" for number in range(start, start + 1000, 2)))
        snapshot = await read_until(
            lambda: seen(server),
            lambda now: now.memory.used_bytes < 125 * MIB and (now.memory.rss_bytes or 0) > 215 * MIB,
        )
        assert judge(snapshot).rule == "healthy"
        assert [found.id for found in find(snapshot)] == ["fragmentation"]
        monkeypatch.setattr(state_rules, "_FRAGMENTED_FROM", 100 * MIB)
        verdict = judge(replace(snapshot, memory=replace(snapshot.memory, host_bytes=1000 * MIB)))
        assert (verdict.level, verdict.rule) == (Level.WARNING, "fragmented")


async def test_expired_keys_that_the_server_is_slow_to_drop(flavour: str) -> None:
    """Below a tenth of all keys with a TTL, the server's own cycle takes its time over the dead ones."""
    debugging = () if flavour == "redis6" else ("enable-debug-command yes",)
    with started(flavour, "hz 100", *debugging) as server:
        with server.client() as client:
            pipeline = client.pipeline(transaction=False)
            for number in range(60_000):
                pipeline.set(f"k:{number}", b"x" * 50, px=1 if number % 14 == 0 else 9_000_000)
                if number % 5000 == 4999:
                    pipeline.execute()
        gone: list[int] = []

        async def found_now() -> dict[str, Finding]:
            gone.append(_expired(server))
            return await found_on(server)

        # The server's own figure is a moving mean, which takes a while to come near the 4,286 that are dead.
        found = await read_until(
            found_now,
            lambda now: (
                "expired-unreaped" in now and int(now["expired-unreaped"].title.split()[1].replace(",", "")) > 3000
            ),
        )
        assert "have expired and still hold memory" in found["expired-unreaped"].title
        with server.client() as client:
            # What is dead stays, while tables that were outgrown go bit by bit.
            client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", 0)
            settled(client)
            held, left = _without_buffers(client), _expired(server)
            for _ in client.scan_iter(count=1000):
                pass
            low, high = found["expired-unreaped"].saves_bytes or (0, 0)
            # Until its cycle was ended the server went on to drop some: they held as much as each of the others.
            all_of_them = (_expired(server) - gone[-1]) / (_expired(server) - left)
            assert low <= (held - _without_buffers(client)) * all_of_them <= high


def _expired(server: RunningServer) -> int:
    with server.client() as client:
        return int(client.info("stats")["expired_keys"])


def _without_buffers(client: redis.Redis) -> int:
    """What is used beside the buffers of clients, which come and go."""
    memory = client.info("memory")
    return int(memory["used_memory"]) - int(memory["mem_clients_normal"])


async def test_keys_tracked_for_clients(flavour: str) -> None:
    asked = b"HELLO 3\r\nCLIENT TRACKING ON\r\n" + b"".join(b"GET user:%d\r\n" % number for number in range(20_000))
    with started(flavour) as server, socket.socket(socket.AF_UNIX) as client:
        client.connect(server.socket_path)
        client.sendall(asked)
        found = await read_until(
            lambda: found_on(server), lambda now: "tracking" in now and now["tracking"].title.startswith("20,000")
        )
        assert found["tracking"].title.startswith("20,000 keys tracked for clients take about")


async def test_a_fresh_replica_is_no_alarm(flavour: str) -> None:
    """While it takes its copy, and when it has it."""
    port = free_ports()[0]
    slowly = ("repl-diskless-sync yes", "repl-diskless-sync-delay 0", "rdb-key-save-delay 300")
    with started(flavour, f"port {port}", "bind 127.0.0.1", *slowly) as master:
        with master.client() as client:
            filled(client, 4000, 100)
        with started(flavour, f"replicaof 127.0.0.1 {port}") as server:
            rules: list[str] = []

            def copied(now: tuple[Verdict, Snapshot]) -> bool | None:
                verdict, snapshot = now
                if rules or verdict.rule == "replica-copying":
                    rules.append(verdict.rule)
                    assert verdict.level is Level.OK
                    assert find(snapshot) == ()
                return snapshot.activity.master_link_up

            await read_until(lambda: looked_at(server), copied)
            assert rules[0] == "replica-copying"
            assert rules[-1] == "no-limit"
