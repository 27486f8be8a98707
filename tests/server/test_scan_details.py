"""What is shown of a single key: its details, value, idle time and size."""

import pytest

from redis_oom_tui.models.capabilities import Feature
from redis_oom_tui.models.errors import NotAllowed
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.scan import Pace, ScanOptions
from redis_oom_tui.models.structs import replace
from tests.server.test_scan import fill
from tests.support.servers import RunningServer, started
from tests.support.sources import opened


@pytest.mark.parametrize(("policy", "column"), [("allkeys-lru", "IDLETIME"), ("allkeys-lfu", "FREQ")])
async def test_idle_times_and_frequencies_are_as_before(flavour: str, policy: str, column: str) -> None:
    with started(flavour, f"maxmemory-policy {policy}") as server, server.client() as client:
        aged = {b"old:%d" % number: 1000 + number for number in range(200)}
        client.set(b"seed", b"v" * 50)
        client.hset(b"seed-hash", mapping={b"f%d" % n: b"v" * 100 for n in range(200)})
        value, hash_value = client.dump(b"seed"), client.dump(b"seed-hash")
        for name, age in aged.items():
            stamp = ("IDLETIME", age) if column == "IDLETIME" else ("FREQ", age % 200 + 20)
            client.execute_command("RESTORE", name, 0, hash_value if age % 2 else value, *stamp)

        def evidence() -> dict[bytes, int]:
            return {name: int(client.execute_command("OBJECT", column, name)) for name in aged}

        before = evidence()
        async with opened(server.connection) as source:
            view = await source.scan(ScanOptions(idle=True, pace=Pace.FULL_SPEED)).run()
            for row in view.top[:20]:
                await source.details(row.id)
        after = evidence()
    assert view.complete
    assert all(0 <= after[name] - before[name] <= 5 for name in aged) if column == "IDLETIME" else after == before
    quantiles = [row.idle_quantiles for row in view.patterns if row.pattern == b"old:*"]
    assert (quantiles == [None]) == (column == "FREQ")
    assert column == "FREQ" or 800 <= (quantiles[0] or (0,))[0] <= 1020
    shown = {row.id.key: row.idle_seconds if column == "IDLETIME" else row.frequency for row in view.top}
    assert all(abs((shown[name] or 0) - before[name]) <= 5 for name in aged)


async def test_details_of_one_key(server: RunningServer) -> None:
    with server.client() as client:
        client.set(b"s", b"hello" * 1000, ex=100)
        client.rpush(b"l", *[b"%d" % n for n in range(100)])
        client.hset(b"h", mapping={b"f": b"v"})
        client.sadd(b"set", b"m")
        client.zadd(b"z", {b"m": 1.5})
        client.xadd(b"x", {b"f": b"v"})
    async with opened(server.connection) as source:
        untouched = (await source.capabilities()).has(Feature.NO_TOUCH)
        assert await source.details(KeyId(0, b"gone")) is None
        for name, kind, elements, first in (
            (b"s", "string", 5000, b"hello"),
            (b"l", "list", 100, b"0"),
            (b"h", "hash", 1, b"f"),
            (b"set", "set", 1, b"m"),
            (b"z", "zset", 1, b"m"),
            (b"x", "stream", 1, None),
        ):
            found = await source.details(KeyId(0, name))
            assert found is not None
            assert found.row.type == kind
            assert found.row.size is not None
            assert found.row.encoding is not None
            if untouched:
                assert found.row.elements == elements
                assert found.preview_withheld is None
                assert first is None or found.preview[0].startswith(first)
            else:
                assert found.preview == ()
                assert found.preview_withheld is not None
                assert found.touchable
                read = await source.details(KeyId(0, name), touch=True)
                assert read is not None
                assert (read.row.elements, read.preview_withheld, read.touchable) == (elements, None, False)
                assert first is None or read.preview[0].startswith(first)


async def test_a_value_is_read_as_a_use_of_the_key_only_where_that_is_asked_for(server: RunningServer) -> None:
    key = KeyId(0, b"cold")
    with server.client() as client:
        client.rpush(b"cold", *[b"%d" % n for n in range(100)])
        client.restore(b"cold", 0, client.dump(b"cold"), replace=True, idletime=1000)
        async with opened(server.connection) as source:
            untouched = (await source.capabilities()).has(Feature.NO_TOUCH)
            first = await source.details(key)
            assert first is not None
            assert first.touchable is not untouched
            assert client.object("IDLETIME", b"cold") >= 1000
            read = await source.details(key, touch=True)
            assert read is not None
            assert (read.row.idle_seconds or 0) >= 1000, "as it was before"
            assert read.preview[:2] == (b"0", b"1")
            assert (client.object("IDLETIME", b"cold") >= 1000) is untouched
        async with opened(replace(server.connection, read_only=True)) as source:
            found = await source.details(key)
            assert found is not None
            assert not found.touchable
            if not untouched:
                with pytest.raises(NotAllowed):
                    await source.details(key, touch=True)


async def test_giant_elements_are_not_pulled_through_the_link(valkey: RunningServer) -> None:
    with valkey.client() as client:
        client.rpush(b"l", b"x" * 10_000_000, b"y")
    async with opened(valkey.connection) as source:
        found = await source.details(KeyId(0, b"l"))
    assert found is not None
    assert found.preview == ()
    assert found.preview_withheld is not None


async def test_every_row_shown_tells_its_idle_time_and_encoding(server: RunningServer) -> None:
    fill(server, 300)
    async with opened(server.connection) as source:
        view = await source.scan(ScanOptions(top=50)).run()
        untouched = (await source.capabilities()).has(Feature.NO_TOUCH)
    assert len(view.top) == 50
    assert all(row.idle_seconds is not None and row.idle_seconds < 60 for row in view.top)
    assert all(row.encoding is not None for row in view.top)
    assert all((row.elements is not None) == untouched for row in view.top)
    assert all(row.measured for row in view.top)


async def test_a_size_that_cannot_be_true_is_flagged_or_mended(server: RunningServer) -> None:
    with server.client() as client:
        client.rpush(b"list", b"x" * 3_000_000, *[b"y" * 200] * 5000)
        client.zadd(b"zset", {b"x" * 3_000_000: -1.0} | {b"member:%d" % n: float(n) for n in range(5000)})
        client.set(b"honest", b"x" * 1000)
        estimated = max(client.memory_usage(b"list"), client.memory_usage(b"zset"))
        used = client.info("memory")["used_memory"]
        assert estimated > used
    async with opened(server.connection) as source:
        view = await source.scan(ScanOptions()).run()
        untouched = (await source.capabilities()).has(Feature.NO_TOUCH)
    assert view.bytes_seen < used
    by_key = {row.id.key: row for row in view.top}
    for row in by_key.values():
        assert row.suspect == ((row.size or 0) > used)
    if untouched:
        # Lengths may be asked for there, so that all elements of these could be measured.
        assert not any(row.suspect for row in view.top)
        assert by_key[b"zset"].measured
        assert 3_000_000 < (by_key[b"zset"].size or 0) < 7_000_000
    assert sum(row.size for row in view.types) == view.bytes_seen
    assert sum(row.size for row in view.patterns if row.level == 1) == view.bytes_seen
