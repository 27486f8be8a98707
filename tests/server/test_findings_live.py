"""Findings on live servers, each brought into the state that it should tell of; and none on a healthy one."""

import contextlib
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from redis_oom_tui.formatting.sizes import size
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.address import Secret
from redis_oom_tui.models.capabilities import Feature
from redis_oom_tui.models.scan import Pace, ScanOptions, ScanView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Finding
from redis_oom_tui.rules.clients import others
from redis_oom_tui.rules.findings import Case, examine, find
from redis_oom_tui.rules.findings.odd import refused_reads, unread_values
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.server_logs import large_commands
from redis_oom_tui.server.values import sample_patterns
from redis_oom_tui.tui.dialogs.questions import kill_question
from tests.support.acting import ALL, operating, planned
from tests.support.servers import RunningServer, available, started
from tests.support.sources import opened
from tests.support.waiting import read_until, until, until_async

MIB = 2**20
DAY = 86_400


async def examined(
    server: RunningServer, *, scan: bool = True, before: ScanView | None = None
) -> tuple[dict[str, Finding], ScanView | None]:
    """The findings by their ids, and the scan that they rest on."""
    live = LiveServer(server.connection)
    try:
        await live.open()
        view = await live.scan(ScanOptions(pace=Pace.FULL_SPEED, idle=True)).run() if scan else None
        values = await sample_patterns(live, view) if view is not None else ()
        settings = await live.settings()
        clients = await live.clients()
        snapshot = await live.snapshot()
    finally:
        await live.close()
    found = find(snapshot, view, clients, settings=settings, values=values, before=before)
    return {finding.id: finding for finding in found}, view


def believable(client: redis.Redis) -> None:
    """An application's everyday data, about 4 MB: nothing in it could be much smaller or should be gone."""
    rng = random.Random(5)
    pipeline = client.pipeline(transaction=False)
    for number in range(3000):
        pipeline.hset(
            f"user:{number}", mapping={"name": f"Ann {number}", "mail": f"a{number}@example.org", "plan": "gold"}
        )
        pipeline.set(f"session:{rng.randbytes(8).hex()}", rng.randbytes(300), ex=90_000)
        pipeline.set(f"page:{number}", rng.randbytes(400), ex=3600)
        if number % 30 == 0:
            pipeline.rpush(f"cart:{number}", *(f"sku{rng.randrange(10**6)}" for _ in range(8)))
            pipeline.zadd(f"board:{number}", {f"player{n}": n for n in range(20)})
    pipeline.execute()


async def test_a_healthy_server_has_none(flavour: str) -> None:
    with started(flavour, "maxmemory 100mb") as server:
        with server.client() as client:
            believable(client)
        found, _ = await examined(server)
        assert found == {}


async def test_a_full_cache_that_evicts_has_none_that_alarms(flavour: str) -> None:
    with started(flavour, "maxmemory 3mb", "maxmemory-policy allkeys-lru") as server:
        with server.client() as client:
            believable(client)
            assert client.info("stats")["evicted_keys"] > 0
        found, _ = await examined(server)
        assert {finding.level.value for finding in found.values()} <= {"ok"}


@contextlib.contextmanager
def stalled(server: RunningServer, count: int, send: bytes) -> Iterator[None]:
    """Clients that send this and then neither go on nor read."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(server.socket_path)
            client.sendall(send)
        yield


async def test_clients_that_hold_buffers(flavour: str) -> None:
    half = b"*3\r\n$3\r\nSET\r\n$1\r\nh\r\n$9000000\r\n" + b"x" * 7_000_000
    with started(flavour, "maxmemory 100mb") as server, stalled(server, 3, half):
        # The server books client buffers one client at a time; 6.2 knows no maxmemory-clients.
        found, _ = await read_until(
            lambda: examined(server, scan=False),
            lambda now: "client-hogs" in now[0] and ("maxmemory-clients" in now[0] or flavour == "redis6"),
        )
        assert "a client sending a large value or an incomplete command" in found["client-hogs"].evidence[0]
        assert found["client-hogs"].remedy is not None
        assert found["client-hogs"].remedy.client_id
        assert ("maxmemory-clients" in found) == (flavour != "redis6")


async def test_a_slow_subscriber_is_named(flavour: str) -> None:
    with started(flavour, "maxmemory 100mb", "client-output-buffer-limit pubsub 0 0 0") as server:
        with stalled(server, 1, b"CLIENT SETNAME feed\r\nSUBSCRIBE news\r\n"):
            with server.client() as client:
                until(lambda: client.pubsub_numsub("news")[0][1], "a subscriber")
                pipeline = client.pipeline(transaction=False)
                for _ in range(15_000):
                    pipeline.publish("news", b"x" * 1000)
                pipeline.execute()
            found, _ = await examined(server, scan=False)
        assert "a subscriber named feed" in found["client-hogs"].evidence[0]
        if saves := found["client-hogs"].saves_bytes:
            held = saves[1] - 128 * 1024  # What other clients may give back meanwhile.
            assert f" holds {size(held)} of " in found["client-hogs"].title, "closing frees more than it holds"


async def test_scripts_with_values_in_their_text(flavour: str) -> None:
    with started(flavour) as server:
        with server.client() as client:
            for number in range(600):
                client.script_load(f"return '{number:0400}'")
        found, _ = await examined(server, scan=False)
        assert found["scripts"].title.startswith("600 cached scripts")
        assert "NOSCRIPT" in found["scripts"].advice


async def test_a_backlog_too_large_for_the_limit(flavour: str) -> None:
    with started(flavour, "maxmemory 20mb", "repl-backlog-size 16mb") as server, stalled(server, 1, b"PSYNC ? -1\r\n"):
        with server.client() as client:
            for number in range(200):
                client.set("k", b"x" * 100_000)
                if (client.info("memory")["mem_replication_backlog"]) > 12 * MIB and number > 150:
                    break
            until(
                lambda: client.set("k", b"x" * 100_000) and client.info("memory")["mem_replication_backlog"] > 12 * MIB,
                "a backlog of 12 MB",
            )
        found, _ = await examined(server, scan=False)
        assert "CONFIG SET repl-backlog-size 1mb" in found["backlog"].advice


async def test_many_channels(flavour: str) -> None:
    with started(flavour) as server, server.client() as client:
        pubsub = client.pubsub()
        pubsub.subscribe(*(f"news:{number}" for number in range(20_000)))
        until(lambda: client.info("stats")["pubsub_channels"] >= 20_000, "all subscriptions")
        found, _ = await examined(server, scan=False)
        pubsub.close()
        assert found["channels"].saves_bytes is not None
        assert found["channels"].saves_bytes[0] > 3_000_000


@pytest.mark.in_turn
@pytest.mark.parametrize(
    ("policy", "expiry", "share", "id_"),
    [
        ("noeviction", 9000, 0.97, "cache-noeviction"),
        ("volatile-lru", None, 0.97, "volatile-no-ttl"),
        ("noeviction", None, 0.97, "raise-limit"),
        ("allkeys-lru", None, 0.5, "store-allkeys"),
    ],
)
async def test_policies_and_limits_that_do_not_fit(
    flavour: str, policy: str, expiry: int | None, share: float, id_: str
) -> None:
    with started(flavour, f"maxmemory-policy {policy}") as server:
        with server.client() as client:
            for number in range(500):
                client.set(f"queue:job:{number}", b"x" * 4000, ex=expiry)
            client.config_set("maxmemory", int(client.info("memory")["used_memory"] / share))
        found, _ = await examined(server)
        assert id_ in found


async def test_a_limit_that_the_host_cannot_honour(flavour: str) -> None:
    with started(flavour, "maxmemory 900gb") as server:
        found, _ = await examined(server, scan=False)
        assert set(found) == {"limit-over-host"}


async def test_settings_far_from_the_usual(flavour: str) -> None:
    lazy = ("maxmemory-samples 1", "lazyfree-lazy-eviction no", "lazyfree-lazy-expire no")
    with started(flavour, "maxmemory-policy allkeys-lru", *lazy) as server:
        with server.client() as client:
            pipeline = client.pipeline(transaction=False)
            for number in range(800):
                pipeline.hset("huge", f"field{number}", b"x" * 60_000)
            pipeline.expire("huge", DAY)
            pipeline.execute()
            client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 1.1))
        found, _ = await examined(server)
        assert {"samples", "lazyfree-lazy-eviction", "lazyfree-lazy-expire", "giant-key"} <= set(found)


async def test_giants_and_what_they_are(flavour: str) -> None:
    with started(flavour) as server:
        with server.client() as client:
            pipeline = client.pipeline(transaction=False)
            for number in range(20_000):
                pipeline.xadd("orders", {"body": b"x" * 100})
                pipeline.rpush("jobs", b"x" * 80)
                pipeline.zadd("events", {f"event{number}": number})
                if number % 1000 == 999:
                    pipeline.execute()
        found, first = await examined(server)
        assert {"stream-untrimmed", "queue-growing", "zset-log"} <= set(found)
        with server.client() as client:
            for _ in range(20):
                client.rpush("jobs", *[b"x" * 1000] * 200)
        found, _ = await examined(server, before=first)
        assert found["grew"].title.startswith("jobs grew by")


@pytest.mark.parametrize("flavour", [flavour for flavour in available() if flavour != "redis6"])
async def test_ttls_far_beyond_use(flavour: str) -> None:
    """Not on 6.2, whose RESTORE reads an idle time of days as one of months."""
    with started(flavour) as server:
        with server.client() as client:
            client.set("report:1", b"x" * 900_000)
            saved = client.dump("report:1")
            for number in range(1, 4):
                client.restore(f"report:{number}", 90 * DAY * 1000, saved, replace=True, idletime=4 * DAY)
        found, _ = await examined(server)
        assert "long-ttl" in found


@pytest.mark.parametrize("flavour", [flavour for flavour in available() if flavour != "redis6"])
async def test_data_that_nobody_uses_any_more(flavour: str) -> None:
    with started(flavour) as server:
        with server.client() as client:
            client.set("x", b"x" * 2000)
            saved = client.dump("x")
            pipeline = client.pipeline(transaction=False)
            for number in range(500):
                pipeline.restore(f"invoice:{number}", 0, saved, idletime=(60 + number % 9) * DAY)
            pipeline.execute()
        found, _ = await examined(server)
        assert "have been idle for" in found["old-data"].title


async def test_what_may_not_be_read_here(flavour: str) -> None:
    """A user without CONFIG and MEMORY; values are read behind CLIENT NO-TOUCH alone, which 6.2 and 7.0 lack."""
    with started(flavour) as server:
        with server.client() as client:
            rights = ("~*", "&*", "+@all", "-config", "-memory")
            client.execute_command("ACL", "SETUSER", "watcher", "on", ">pw", *rights)
            client.mset({f"page:{number}": b"x" * 3000 for number in range(300)})
        connection = replace(server.connection, username="watcher", password=Secret("pw"))
        async with opened(connection) as live:
            view = await live.scan(ScanOptions(pace=Pace.FULL_SPEED)).run()
            values = await sample_patterns(live, view)
            snapshot, capabilities = await live.snapshot(), await live.capabilities()
        case = Case(now=snapshot, scan=view, values=values, capabilities=capabilities)
        found = {finding.id: finding for finding in examine(case, refused_reads, unread_values)}
    assert found["not-readable"].title == "Not readable: sizes of keys and settings"
    assert ("values-unread" in found) == (not capabilities.has(Feature.NO_TOUCH))


async def test_who_sends_large_values(flavour: str) -> None:
    """Valkey keeps them in its COMMANDLOG; of others only what was slow is in their SLOWLOG. Values are not kept."""
    with started(flavour, "maxmemory 24mb", "slowlog-log-slower-than 0") as server:
        client = server.client()
        client.client_setname("importer")
        client.set("export:2026", b"secret" * 1_500_000)
        with contextlib.suppress(redis.OutOfMemoryError):
            client.set("blob", b"x" * 20_000_000)
        async with opened(server.connection) as live:
            large = await large_commands(live)
            now = await live.snapshot()
            clients = {client.name: client for client in await live.clients()}
    # In the question before a client is killed, too: of those over a unix socket, by their names.
    asked = {
        name: " ".join(kill_question(client, "here", large, now.taken_at).lines) for name, client in clients.items()
    }
    assert "in the server's log: SET of export:2026 with 8.6 MiB" in asked[b"importer"]
    assert "log" not in asked[b"redis-oom-tui"]
    assert now.counters.refused_writes_total == 1
    (found,) = [one for one in examine(Case(now, large=large)) if one.id == "large-writers"]
    assert found.title == "Commands of up to 8.6 MiB are sent: SET of export:2026 by importer"
    assert b"secret" not in repr(large).encode()


async def test_what_this_tool_restores_is_not_told_as_large_values_of_others(flavour: str, tmp_path: Path) -> None:
    """Nor does it count as a client that holds much, or as one of many."""
    with started(flavour, "slowlog-log-slower-than 0") as server, server.client() as client:
        client.set("export:2026", random.randbytes(1_500_000))
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.run(await planned(operator, ALL), backup=BackupChoice()).run()
            assert not (await operator.restore(Path(str(view.backup_path))).run()).failed
        client.client_setname("importer")
        client.set("export:2027", random.randbytes(1_200_000))
        async with opened(server.connection) as live:
            large, clients = await large_commands(live), await live.clients()
    assert (b"export:2027", b"importer") in [(one.key, one.name) for one in large]
    assert {one.command.upper() for one in large} == {b"SET"}
    assert [hog.client.name for hog in others(clients)] == [b"importer"]


@pytest.mark.parametrize("flavour", [flavour for flavour in available() if flavour != "redis6"])
async def test_clients_that_were_closed_for_their_buffers(flavour: str) -> None:
    half = b"*3\r\n$3\r\nSET\r\n$1\r\nh\r\n$9000000\r\n" + b"x" * 4_000_000
    with started(flavour, "maxmemory 100mb", "maxmemory-clients 2mb") as server, server.client() as client:
        for _ in range(2):
            # It may be closed while it still sends.
            with contextlib.suppress(OSError), stalled(server, 1, half):
                pass
        await until_async(lambda: client.info("stats")["evicted_clients"], "a client to be closed")
        found, _ = await examined(server, scan=False)
    assert "closed by maxmemory-clients" in found["clients-evicted"].title
