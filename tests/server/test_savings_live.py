"""The savings that findings promise, checked on real servers: the advice is taken, and used_memory falls by as much."""

import json
import random
import zlib
from collections.abc import Iterable, Iterator

import pytest
import redis

from redis_oom_tui.models.keys import PatternSample, SampledKey
from redis_oom_tui.models.scan import Pace, ScanOptions
from redis_oom_tui.models.verdict import Finding
from redis_oom_tui.rules.findings import find
from redis_oom_tui.rules.sampled_values import summarize
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.replies import read_settings
from redis_oom_tui.server.values import sample_patterns
from tests.support.servers import RunningServer, started
from tests.support.waiting import kept_still

Command = tuple[bytes | int, ...]
USERS = 4000
FIELDS = (b"name", b"email", b"plan", b"last_seen")


def taken(server: RunningServer, commands: Iterable[Command]) -> int:
    """By how many bytes used_memory rises when these are run on a server without data."""
    with server.client() as client:
        before = settled(client)
        pipeline = client.pipeline(transaction=False)
        for number, command in enumerate(commands):
            pipeline.execute_command(*command)
            if number % 1000 == 999:
                pipeline.execute()
        pipeline.execute()
        return settled(client) - before


def settled(client: redis.Redis) -> int:
    """used_memory once the server has ended what it does by itself: a larger table, smaller buffers."""
    finish_rehashing(client)
    # More than one turn of the server's own cycle between two looks.
    return kept_still(lambda: int(client.info("memory")["used_memory"]), 1024, 0.12)


def finish_rehashing(client: redis.Redis) -> None:
    """Let lookups move what the tables' growth has not moved yet: until then old and new are held, at no change."""
    known = client.randomkey() or b""
    for _ in range(client.dbsize() * 2 // 1000):
        pipeline = client.pipeline(transaction=False)
        for _ in range(1000):
            pipeline.exists(known)
        pipeline.execute()


async def findings(server: RunningServer, *values: PatternSample) -> tuple[Finding, ...]:
    live = LiveServer(server.connection)
    try:
        await live.open()
        scan = await live.scan(ScanOptions(pace=Pace.FULL_SPEED)).run()
        values = values or await sample_patterns(live, scan)
        settings = await read_settings(live.client())
        snapshot = await live.snapshot()
        return find(snapshot, scan, values=values, settings=settings)
    finally:
        await live.close()


async def promised_and_kept(
    flavour: str, id_: str, before: Iterable[Command], after: Iterable[Command], *config: str
) -> tuple[tuple[int, int], int]:
    """The range that the finding states, and what taking its advice really freed."""
    with started(flavour, *config) as server:
        used = taken(server, before)
        found = {finding.id: finding for finding in await findings(server)}
    assert id_ in found
    promised = found[id_].saves_bytes
    assert promised is not None
    with started(flavour, *config) as server:
        return promised, used - taken(server, after)


def word(rng: random.Random, length: int) -> bytes:
    return bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz", k=length))


def users(length: int) -> list[list[bytes]]:
    # None over 64 bytes: its hash would leave the compact encoding, and a sample that meets one gives no finding.
    rng = random.Random(length)
    return [[word(rng, min(64, max(1, int(rng.gauss(length, length / 6))))) for _ in FIELDS] for _ in range(USERS)]


@pytest.mark.in_turn
@pytest.mark.parametrize(("length", "fields", "ttl"), [(20, 3, 0), (40, 4, 0), (20, 3, 50_000)])
async def test_one_hash_in_place_of_separate_keys(flavour: str, length: int, fields: int, ttl: int) -> None:
    expiry = (b"EX", ttl) if ttl else ()
    separate = [
        (b"SET", b"user:%d:%s" % (user, field), value, *expiry)
        for user, values in enumerate(users(length))
        for field, value in zip(FIELDS[:fields], values, strict=False)
    ]
    hashes: list[Command] = [
        (b"HSET", b"user:%d" % user, *(part for pair in zip(FIELDS[:fields], values, strict=False) for part in pair))
        for user, values in enumerate(users(length))
    ]
    if ttl:
        hashes += [(b"EXPIRE", b"user:%d" % user, ttl) for user in range(USERS)]
    (low, high), saved = await promised_and_kept(flavour, "hash-grouping", separate, hashes)
    assert low <= saved <= high
    assert high - low < 0.6 * sum(len(b"".join(map(str_bytes, command))) + 60 for command in separate)


def str_bytes(part: bytes | int) -> bytes:
    return part if isinstance(part, bytes) else str(part).encode()


def long_named(prefix: bytes) -> Iterator[Command]:
    return ((b"SET", b"%s:%06d" % (prefix, number), b"v" * 20) for number in range(10_000))


async def test_shorter_names(flavour: str) -> None:
    before = long_named(b"recommendations:personalized:frontpage-widgets:carousel-items")
    (low, high), saved = await promised_and_kept(flavour, "long-names", before, long_named(b"reco:pers:fron:caro"))
    assert low <= saved <= high


def documents(seed: int, count: int = 1500) -> Iterator[tuple[int, bytes]]:
    rng = random.Random(seed)
    for number in range(count):
        lines = [
            {"sku": rng.randrange(10**6), "title": word(rng, 12).decode(), "quantity": rng.randrange(9), "gift": False}
            for _ in range(rng.randrange(8, 25))
        ]
        yield number, json.dumps({"cart": number, "currency": "EUR", "lines": lines}).encode()


async def test_compressed_values(valkey: RunningServer) -> None:
    """Only Valkey here lets values be read without a trace; where the server does not, nothing is promised."""
    used = taken(valkey, ((b"SET", b"cart:%d" % n, value) for n, value in documents(1)))
    found = {finding.id: finding for finding in await findings(valkey)}
    promised = found["compressible"].saves_bytes
    assert promised is not None
    assert "100% look like JSON" in found["compressible"].evidence[0]
    with started("valkey") as server:
        packed = taken(server, ((b"SET", b"cart:%d" % n, zlib.compress(value)) for n, value in documents(1)))
    assert promised[0] <= used - packed <= promised[1]


def looked_into(server: RunningServer, pattern: bytes, names: Iterable[bytes]) -> PatternSample:
    """A pattern's sample as a server with NO-TOUCH would give it, taken by the test's own hands."""
    with server.client() as client:
        keys = [
            SampledKey(
                name=name,
                size=client.memory_usage(name),
                encoding=str(client.object("encoding", name), "ascii"),
                length=client.strlen(name),
                head=client.getrange(name, 0, 8191),
            )
            for name in names
        ]
    return summarize(pattern, "string", keys)


@pytest.mark.parametrize("id_", ["compressible", "numbers-as-text"])
async def test_what_values_would_save_holds_where_they_cannot_be_read(flavour: str, id_: str) -> None:
    """The range is right on each server; whether the product may look is another matter."""
    if id_ == "compressible":
        before = [(b"SET", b"cart:%d" % n, value) for n, value in documents(5)]
        after = [(b"SET", b"cart:%d" % n, zlib.compress(value)) for n, value in documents(5)]
    else:
        before = [(b"SET", b"counter:%06d" % n, b"%014d" % (n * 7)) for n in range(10_000)]
        after = [(b"SET", b"counter:%06d" % n, b"%d" % (n * 7)) for n in range(10_000)]
    pattern = before[0][1].split(b":")[0] + b":*"
    with started(flavour) as server:
        used = taken(server, before)
        names = [name for _, name, _ in random.Random(6).sample(before, 32)]
        found = {one.id: one for one in await findings(server, looked_into(server, pattern, names))}
    if flavour == "valkey" and id_ == "numbers-as-text":
        assert found[id_].saves_bytes is None  # Its rounding decides: 0 to 22 bytes a number were measured.
        return
    low, high = found[id_].saves_bytes or (0, 0)
    with started(flavour) as server:
        saved = used - taken(server, after)
    assert low <= saved <= high


async def test_values_are_not_read_where_that_would_leave_a_trace(flavour: str) -> None:
    with started(flavour) as server:
        taken(server, ((b"SET", b"cart:%d" % n, value) for n, value in documents(2)))
        with server.client() as client:
            names = list(client.scan_iter())
            for name in names:
                client.restore(name, 0, client.dump(name), replace=True, idletime=5000)
            found = await findings(server)
            assert min(client.object("idletime", name) for name in names) >= 5000
        assert ("compressible" in {finding.id for finding in found}) == (flavour == "valkey")


def collections(kind: str) -> Iterator[Command]:
    rng = random.Random(kind)
    for number in range(40):
        key = b"%s:%d" % (kind.encode(), number)
        if kind == "hash":
            yield (b"HSET", key, *(word(rng, 9) for _ in range(2 * 700)))
        elif kind == "zset":
            yield (b"ZADD", key, *(part for n in range(200) for part in (b"%d" % n, word(rng, 15))))
        else:
            yield (b"SADD", key, *(b"%d" % rng.randrange(10**9) for _ in range(800)))


@pytest.mark.in_turn
@pytest.mark.parametrize("kind", ["hash", "zset", "set"])
async def test_collections_just_over_the_compact_limit(flavour: str, kind: str) -> None:
    with started(flavour) as server:
        used = taken(server, collections(kind))
        found = {finding.id: finding for finding in await findings(server)}
    if flavour != "valkey":
        assert "encoding-limit" not in found  # how many members there are cannot be read without a trace
        return
    promised = found["encoding-limit"].saves_bytes
    assert promised is not None
    words = found["encoding-limit"].advice.split()
    setting, value = words[words.index("Set") + 1], words[words.index("to") + 1]
    with started(flavour, f"{setting} {value}") as server:
        saved = used - taken(server, collections(kind))
    assert promised[0] <= saved <= promised[1]


async def test_a_hash_of_few_fields_and_one_long_value_is_over_no_limit(flavour: str) -> None:
    fields = [part for n in range(7) for part in (b"field%d" % n, b"x")]
    with started(flavour) as server:
        taken(server, [(b"HSET", b"bull:mail:%d" % n, b"data", b"x" * 60_000, *fields) for n in range(40)])
        assert "encoding-limit" not in {finding.id for finding in await findings(server)}


async def test_what_is_deleted_frees_what_was_said(flavour: str) -> None:
    """Keys of exact size, and keys without a TTL that are larger than the others of their pattern."""
    rng = random.Random(flavour)
    items = [word(rng, rng.randrange(20, 50)) for _ in range(12_000)]
    with started(flavour) as server, server.client() as client:
        client.hset("profiles", mapping={item: item for item in items})
        client.zadd("scores", {item: rng.random() for item in items})
        client.sadd("members", *items, *(b"%s!" % item for item in items))
        lasting = [f"session:{number}" for number in range(150)]
        client.mset(dict.fromkeys(lasting, b"x" * 4000))
        pipeline = client.pipeline(transaction=False)
        for number in range(150, 900):
            pipeline.set(f"session:{number}", b"x" * 900, ex=9000)
        pipeline.execute()
        found = {(one.id, one.remedy.match): one.saves_bytes for one in await findings(server) if one.remedy}
        # The buffers that it wrote with go later.
        client.connection_pool.disconnect()
        before = settled(client)
        for id_, match, names in (
            ("giant-key", b"profiles", ["profiles"]),
            ("zset-log", b"scores", ["scores"]),
            ("giant-key", b"members", ["members"]),
            ("no-ttl-stragglers", b"session:*", lasting),
        ):
            low, high = found[id_, match] or (0, 0)
            client.unlink(*names)
            after = settled(client)
            assert low <= before - after <= high <= 2.51 * low, names
            before = after


async def test_expiring_the_keys_that_were_forgotten(flavour: str) -> None:
    commands: list[Command] = [(b"SET", b"session:%d" % n, b"x" * 300, b"EX", 50_000) for n in range(4000)]
    commands += [(b"SET", b"session:%d" % n, b"x" * 300) for n in range(4000, 4600)]
    (low, high), saved = await promised_and_kept(flavour, "no-ttl-stragglers", commands, commands[:4000])
    assert low <= saved <= high


async def test_expiring_a_pattern_of_passing_use(flavour: str) -> None:
    commands: list[Command] = [(b"SET", b"cache:page:%d" % n, b"x" * 300) for n in range(3000)]
    (low, high), saved = await promised_and_kept(flavour, "no-ttl-family", commands, [])
    assert low <= saved <= high
