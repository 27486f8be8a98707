"""No look has a reply that costs others: on a full server that evicts, all keys are there after each of them."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import redis

from redis_oom_tui.models.capabilities import Feature
from redis_oom_tui.models.errors import CommandRefused
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.models.scan import Pace, ScanOptions
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.preflight import Preflight
from tests.support.acting import operating, planned, settled
from tests.support.servers import RunningServer
from tests.support.waiting import until

OTHERS = 5000
MB = 1_000_000
# A list of 600 clients needs 880 KB free.
ROOM_FOR_NO_LIST = 600_000


def others(client: redis.Redis) -> None:
    client.mset({f"other:{n}": "x" * 200 for n in range(OTHERS)})


@contextmanager
def full(server: RunningServer, room: int) -> Iterator[redis.Redis]:
    """The server as it stands, with `room` bytes left and a policy that evicts."""
    with server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", settled(client) + room)
        yield client
        assert client.info("stats")["evicted_keys"] == 0


async def live(server: RunningServer) -> LiveServer:
    reached = LiveServer(server.connection)
    await reached.open()
    await reached.capabilities()
    return reached


@pytest.mark.in_turn
@pytest.mark.parametrize("kind", ["list", "hash", "set", "zset", "many"])
async def test_the_details_of_a_key_with_a_giant_element(server: RunningServer, kind: str) -> None:
    with server.client() as client:
        others(client)
        giant = os.urandom(10 * MB)
        small = [b"e%d" % n for n in range(2000)]
        if kind == "list":
            client.rpush("hog", giant, *small)
        elif kind == "hash":
            client.hset("hog", mapping={b"giant": giant})
        elif kind == "set":
            client.sadd("hog", giant, b"x")
        elif kind == "zset":
            client.zadd("hog", {giant: 1, b"x": 2})
        else:
            client.rpush("hog", giant, *[b"e"] * 20_000)
    reached = await live(server)
    with full(server, MB):
        found = await reached.details(KeyId(0, b"hog"))
        assert found is not None
        assert found.preview_withheld
        assert not found.preview
    await reached.close()


async def test_the_details_of_a_small_key_are_shown_also_where_there_is_little_room(valkey: RunningServer) -> None:
    with valkey.client() as client:
        others(client)
        client.hset("small", "field", "value")
    reached = await live(valkey)
    with full(valkey, MB):
        found = await reached.details(KeyId(0, b"small"))
        assert found is not None
        assert found.preview == (b"field", b"value")
    await reached.close()


def buffers_freed(client: redis.Redis) -> bool:
    """Whether the server took back what it lends clients for a query and a reply, from all that are idle now.

    It does so in turns, a client's some seconds after its last command; 6.2 keeps those of replies, and names none.
    """
    own = client.client_id()
    idle = [one for one in client.client_list() if int(one["id"]) != own]
    return all(int(one["qbuf-free"]) + int(one.get("rbs", 0)) < 2048 for one in idle)


async def test_a_long_list_of_clients_is_not_asked_for(server: RunningServer) -> None:
    with server.client() as client, ExitStack() as stack:
        others(client)
        for _ in range(600):
            stack.enter_context(server.client()).ping()
        reached = await live(server)
        with full(server, ROOM_FOR_NO_LIST) as asking:

            def tight() -> None:
                """As much room as before, however much the server took or gave back meanwhile."""
                asking.config_set("maxmemory", 0)
                until(lambda: buffers_freed(asking), "buffers of idle clients to be freed")
                asking.config_set("maxmemory", settled(asking) + ROOM_FOR_NO_LIST)

            tight()
            with pytest.raises(CommandRefused, match=r"CLIENT LIST was not asked for: 60. clients are about"):
                await reached.clients()
            tight()
            *_, clients, known = await reached.read_closely()
            assert clients == ()
            assert "was not asked for" in str(known.why_not(Feature.CLIENT_LIST))
            tight()
            sample = Preflight(server.connection, again_after=0.0).closer()
            assert sample is not None
            assert sample.clients() == ()
            assert "was not asked for" in str(sample.capabilities().why_not(Feature.CLIENT_LIST))
            assert sample.settings()["maxmemory-policy"] == "allkeys-lru"
            one = await reached.client_by_id(asking.client_id())
            assert one is not None
            asking.config_set("maxmemory", 0)
            assert len(await reached.clients()) > 600
        await reached.close()


@pytest.mark.in_turn
@pytest.mark.parametrize("pace", list(Pace))
async def test_names_of_100_kb_come_in_small_pages(server: RunningServer, pace: Pace) -> None:
    with server.client() as client:
        pipeline = client.pipeline(transaction=False)
        for n in range(300):
            pipeline.set(b"%06d" % n + b"n" * 100_000, "x")
            if n % 20 == 19:
                pipeline.execute()
        for n in range(3000):
            pipeline.set(f"other:{n}", "x" * 200)
        pipeline.execute()
    reached = await live(server)
    with full(server, 3 * MB):
        view = await reached.scan(ScanOptions(pace=pace)).run()
        assert view.complete
        assert view.scanned_keys == 3300
    await reached.close()


async def test_a_plan_over_names_of_100_kb(server: RunningServer, tmp_path: object) -> None:
    with server.client() as client:
        pipeline = client.pipeline(transaction=False)
        for n in range(300):
            pipeline.set(b"%06d" % n + b"n" * 100_000, "x")
            if n % 20 == 19:
                pipeline.execute()
    async with operating(server.connection, tmp_path) as operator:  # type: ignore[arg-type]
        await operator.learn()
        with full(server, 3 * MB):
            assert len((await planned(operator, Criteria(patterns=(b"*",)))).keys) == 300


@pytest.mark.in_turn
@pytest.mark.parametrize("kind", ["set", "string"])
async def test_samples_of_values(server: RunningServer, kind: str) -> None:
    with server.client() as client:
        others(client)
        for n in range(40):
            if kind == "set":
                client.sadd(f"family:{n}", os.urandom(MB), "x")
            else:
                client.set(f"family:{n}", os.urandom(MB))
    reached = await live(server)
    scanned = await reached.scan(ScanOptions()).run()
    with full(server, MB):
        samples = await reached.samples(scanned)
        assert {sample.pattern for sample in samples} >= {b"other:*"}
    await reached.close()


async def test_a_later_look_at_a_full_server_costs_its_connections_alone(server: RunningServer) -> None:
    """A command's first call takes 23 KB from Redis 7.0 on (its latency histogram), whoever makes it."""

    async def ask_info() -> None:
        reached = await live(server)
        await reached.snapshot()
        await reached.read_closely()
        await reached.capabilities()
        await reached.samples(await reached.scan(ScanOptions()).run())
        await reached.close()

    evicted = []
    with server.client() as client:
        client.mset({b"k:%d" % n: b"v" * 100 for n in range(30_000)})
        client.config_set("maxmemory-policy", "allkeys-lru")
        for _ in range(2):
            client.config_set("maxmemory", settled(client) + 50_000)
            before = client.info("stats")["evicted_keys"]
            await ask_info()
            evicted.append(client.info("stats")["evicted_keys"] - before)
            client.config_set("maxmemory", 0)
    first, later = evicted
    assert later < 1000
    assert first < 3500
    assert server.flavour == "redis6" or later < first / 2
