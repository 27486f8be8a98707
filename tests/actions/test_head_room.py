"""What the tool reads lies in the server's memory until it has arrived: no key outside the plan is evicted for it."""

import contextlib
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import redis

from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.plan import Criteria, Outcome, Plan
from redis_oom_tui.models.structs import replace
from tests.support.acting import names_of, operating, planned, settled
from tests.support.servers import RunningServer

MB = 1_000_000
OTHERS = 2000
PLANNED = Criteria(patterns=(b"plan:*",))
KEEPING = BackupChoice(keep_unsaved=True)
Fill = Callable[[redis.Redis], None]


def one_giant_field(client: redis.Redis) -> None:
    """A hash that five samples take for less than a megabyte."""
    client.hset("plan:hog", mapping={f"f{n}": "v" * 20 for n in range(3000)})
    client.hset("plan:hog", "data", os.urandom(20 * MB))


def four_large_strings(client: redis.Redis) -> None:
    for n in range(4):
        client.set(f"plan:{n}", os.urandom(4 * MB))


def many_middling_strings(client: redis.Redis) -> None:
    for n in range(40):
        client.set(f"plan:{n}", os.urandom(100_000))


def uneven_hashes(client: redis.Redis) -> None:
    """Ten small fields and a large one each: by five samples as good as empty, or twice as large."""
    pipeline = client.pipeline(transaction=False)
    for n in range(500):
        fields = {f"f{at}": "x" for at in range(10)}
        pipeline.hset(f"plan:{n}", mapping={**fields, "data": os.urandom(10_000)})
    pipeline.execute()


@contextlib.asynccontextmanager
async def nearly_full(
    server: RunningServer, folder: Path, fill: Fill, room: int, policy: str = "allkeys-lru"
) -> AsyncIterator[tuple[LiveOperator, Plan]]:
    """A plan on a server with others that is `room` bytes below its limit."""
    with server.client() as filling:
        # What arrived in large pieces leaves buffers behind, which go with the connection.
        filling.mset({f"other:{n}": "x" * 200 for n in range(OTHERS)})
        fill(filling)
    with server.client() as client:
        client.config_set("maxmemory-policy", policy)
        async with operating(server.connection, folder) as operator:
            plan = await planned(operator, PLANNED)
            await operator.learn()
            client.config_set("maxmemory", settled(client) + room)
            yield operator, plan


def lost(server: RunningServer) -> tuple[int, int]:
    """How many keys were evicted, and how many of the others are gone."""
    with server.client() as client:
        evicted = int(client.info("stats")["evicted_keys"])
        client.config_set("maxmemory", 0)
        return evicted, OTHERS - sum(1 for _ in client.scan_iter("other:*", count=1000))


@pytest.mark.parametrize(
    ("fill", "choice"),
    [(one_giant_field, KEEPING), (four_large_strings, KEEPING), (four_large_strings, BackupChoice())],
    ids=["giant field", "large strings", "large strings of which nobody was told"],
)
async def test_a_copy_that_has_no_room_is_not_taken_and_its_key_kept(
    server: RunningServer, tmp_path: Path, fill: Fill, choice: BackupChoice
) -> None:
    async with nearly_full(server, tmp_path, fill, MB) as (operator, plan):
        run = operator.run(plan, backup=choice)
        await run.run()
    assert lost(server) == (0, 0)
    assert names_of(run, Outcome.FAILED) == {key.id.key for key in plan.keys}
    assert all(one.detail.startswith("kept: ") and "too large to save" in one.detail for one in run.outcomes())


async def test_a_key_that_goes_without_a_copy_is_told_as_deleted_and_not_tried_again(
    server: RunningServer, tmp_path: Path
) -> None:
    async with nearly_full(server, tmp_path, four_large_strings, MB) as (operator, plan):
        run = operator.run(plan, backup=BackupChoice(room_bytes=MB))
        view = await run.run()
        assert view.counts == {Outcome.DELETED: 4}, view.ended
        assert str(view.ended).startswith("Deleted 4 of 4 keys")
    assert lost(server) == (0, 0)


@pytest.mark.parametrize(
    ("fill", "room"),
    [(four_large_strings, 15 * MB), (many_middling_strings, MB // 2), (uneven_hashes, MB // 2)],
)
async def test_what_has_room_is_saved_and_deleted_and_comes_back(
    server: RunningServer, tmp_path: Path, fill: Fill, room: int
) -> None:
    async with nearly_full(server, tmp_path, fill, room) as (operator, plan):
        with server.client() as client:
            names = [key.id.key for key in plan.keys]
            before = {name: content(client, name) for name in names[:10]}
        # To look at them was a use.
        run = operator.run(await planned(operator, PLANNED), backup=KEEPING)
        view = await run.run()
        assert names_of(run, Outcome.DELETED) == set(names), (view.ended, {one.detail for one in run.outcomes()})
        assert lost(server) == (0, 0)
        await operator.restore(Path(str(view.backup_path))).run()
        with server.client() as client:
            assert client.dbsize() == OTHERS + len(names)
            assert {name: content(client, name) for name in before} == before


def content(client: redis.Redis, name: bytes) -> object:
    return client.hgetall(name) if client.type(name) == b"hash" else client.get(name)


@contextlib.contextmanager
def writing(server: RunningServer) -> Iterator[list[int]]:
    """Somebody who writes the same keys again all the time: how many writes were accepted, and refused."""
    writes, ended = [0, 0], threading.Event()

    def write() -> None:
        with server.client() as client:
            while not ended.is_set():
                try:
                    client.set(f"other:{writes[0] % 100}", "x" * 200)
                    writes[0] += 1
                except redis.OutOfMemoryError:
                    writes[1] += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield writes
    finally:
        ended.set()
        thread.join()


async def test_no_write_is_refused_for_a_copy(server: RunningServer, tmp_path: Path) -> None:
    async with nearly_full(server, tmp_path, four_large_strings, 2 * MB, "noeviction") as (operator, plan):
        with writing(server) as writes:
            run = operator.run(plan, backup=KEEPING)
            await run.run()
    assert names_of(run, Outcome.FAILED) == {key.id.key for key in plan.keys}
    assert writes[0] > 0
    assert writes[1] == 0


async def test_where_writes_are_refused_anyway_a_large_key_is_saved_and_deleted(
    server: RunningServer, tmp_path: Path
) -> None:
    async with nearly_full(server, tmp_path, four_large_strings, -MB, "noeviction") as (operator, _):
        one = await planned(operator, Criteria(patterns=(b"plan:1",)))
        run = operator.run(one, backup=KEEPING)
        await run.run()
        assert names_of(run, Outcome.DELETED) == {b"plan:1"}


async def test_a_server_without_scripts_is_spared_as_well(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-eval", "-evalsha")
    async with nearly_full(server, tmp_path, one_giant_field, MB) as (operator, plan):
        run = operator.run(plan, backup=KEEPING)
        await run.run()
    assert lost(server) == (0, 0)
    assert names_of(run, Outcome.FAILED) == {b"plan:hog"}


async def test_a_limit_that_only_the_operator_tells_bounds_copies_as_well(
    server: RunningServer, tmp_path: Path
) -> None:
    with server.client() as client:
        four_large_strings(client)
        stated = replace(server.connection, stated_limit_bytes=settled(client) + MB)
    async with operating(stated, tmp_path) as operator:
        run = operator.run(await planned(operator, PLANNED), backup=KEEPING)
        await run.run()
    assert names_of(run, Outcome.FAILED) == {b"plan:%d" % n for n in range(4)}
    assert all(one.detail.startswith("kept: ") and "too large to save" in one.detail for one in run.outcomes())
