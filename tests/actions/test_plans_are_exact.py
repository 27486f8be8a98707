"""A plan holds exactly the keys that match, each as the server tells of it one by one."""

import fnmatch
import random
from pathlib import Path

import pytest
import redis

from redis_oom_tui.models.action import BackupChoice, PlanningState
from redis_oom_tui.models.plan import Criteria, PlannedKey, TtlFilter
from tests.support.acting import ALL, operating, planned
from tests.support.servers import RunningServer

_ODD = [b"", b"cache:\\", b'cache:"', b"cache:\xff\x00\n", b"*3\r\n$4\r\n", b"cache:" + b"x" * 300]


def _fill(client: redis.Redis, keys: int) -> None:
    chance = random.Random(7)
    pipeline = client.pipeline(transaction=False)
    names = [b"%s:%d" % (chance.choice([b"cache", b"user"]), n) for n in range(keys)] + _ODD
    for n, name in enumerate(names):
        value = b"v" * chance.randrange(300)
        kind = n % 5
        if kind == 0:
            pipeline.set(name, value, ex=1000 + n if n % 3 else None)
        elif kind == 1:
            pipeline.rpush(name, value, b"b")
        elif kind == 2:
            pipeline.hset(name, mapping={b"f": value})
        elif kind == 3:
            pipeline.zadd(name, {value: 1})
        else:
            pipeline.set(name, n)
        if kind in {1, 3} and n % 7 == 0:
            pipeline.expire(name, 5000)
    pipeline.execute()


def _truth(client: redis.Redis) -> dict[bytes, tuple[str, int, bool]]:
    names = list(client.scan_iter(count=1000))
    pipeline = client.pipeline(transaction=False)
    for name in names:
        pipeline.type(name).memory_usage(name).pttl(name)
    replies = pipeline.execute()
    rows = zip(names, replies[::3], replies[1::3], replies[2::3], strict=True)
    return {name: (kind.decode(), size, ttl >= 0) for name, kind, size, ttl in rows}


def _as_told(key: PlannedKey) -> tuple[str, int | None, bool]:
    return key.type, key.size, key.ttl_ms is not None


@pytest.mark.in_turn
@pytest.mark.parametrize(
    ("criteria", "fits"),
    [
        (ALL, lambda name, row: True),
        (Criteria(patterns=(b"cache:*",)), lambda name, row: fnmatch.fnmatchcase(name.decode("latin-1"), "cache:*")),
        (Criteria(patterns=(b"cache:1*", b"user:*")), lambda name, row: name.startswith((b"cache:1", b"user:"))),
        (Criteria(types=("list",)), lambda name, row: row[0] == "list"),
        (Criteria(types=("list", "zset")), lambda name, row: row[0] in {"list", "zset"}),
        (Criteria(patterns=(b"*",), ttl=TtlFilter.WITH), lambda name, row: row[2]),
        (Criteria(ttl=TtlFilter.WITHOUT, larger_than_bytes=150), lambda name, row: not row[2] and row[1] > 150),
    ],
    ids=["all", "one pattern", "two patterns", "one type", "two types", "expiring", "large for ever"],
)
async def test_a_plan_is_what_single_questions_tell(  # type: ignore[no-untyped-def]
    server: RunningServer, tmp_path: Path, criteria: Criteria, fits
) -> None:
    with server.client() as client:
        client.flushall()
        _fill(client, 3000)
        truth = {name: row for name, row in _truth(client).items() if fits(name, row)}
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, criteria)
    assert {key.id.key: _as_told(key) for key in plan.keys} == truth
    assert len(plan.keys) == len(truth) == plan.matched_keys > 0
    assert [key.size for key in plan.keys] == sorted([key.size for key in plan.keys], reverse=True)


@pytest.mark.parametrize(("keys", "databases", "whole"), [(10, 1, True), (10, 2, False), (30_000, 1, False)])
async def test_a_search_that_is_stopped_tells_whether_anything_was_left(
    server: RunningServer, tmp_path: Path, keys: int, databases: int, whole: bool
) -> None:
    with server.client() as client:
        for db in range(databases):
            client.select(db)
            client.mset({b"k:%d" % number: b"v" for number in range(keys)})
    async with operating(server.connection, tmp_path) as operator:
        planning = operator.plan(ALL)
        planning.stop()
        view = await planning.run()
        assert view.state is PlanningState.STOPPED
        assert view.plan is not None
        assert view.plan.complete is whole
        said = any("more may match" in sentence for sentence in operator.consent(view.plan, BackupChoice()))
        assert said is not whole
        assert (view.matched_keys == keys) is (whole or databases == 2)
