"""Safety rule 3: what runs is what was read; a key that changed since is kept, on every server, at its limit."""

import asyncio
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from redis_oom_tui.formatting.sanitize import escape_glob
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Outcome
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.plan_hash import frozen
from redis_oom_tui.server.call_throttle import CallThrottle
from redis_oom_tui.server.latency_monitor import LatencyMonitor
from tests.support.acting import NO_BACKUP, audited, fill, fill_to_the_limit, names_of, operating, planned, stepped
from tests.support.keyspace import HOSTILE
from tests.support.servers import RunningServer, started

MANY = 2000
VERY_MANY = 10_000
CACHE = Criteria(patterns=(b"cache:*",))


class Meddler(threading.Thread):
    """A second client that changes random keys while they are being deleted, and remembers which it changed for sure.

    Each change succeeds only on a key that is there, so a key it changed must be there ever after. `reading` counts
    a mere read as well.
    """

    def __init__(self, server: RunningServer, names: list[bytes], seed: int, *, reading: bool) -> None:
        super().__init__(daemon=True)
        self._client = server.client()
        self._names = names
        self._random = random.Random(seed)
        self._reading = reading
        self.changed: set[bytes] = set()
        self.enough = threading.Event()

    def run(self) -> None:
        changes: list[Callable[[bytes], object]] = [
            lambda name: self._client.expire(name, 100_000),
            self._client.lpop,
            lambda name: self._client.lset(name, 0, b"z"),
        ]
        if self._reading:
            changes.append(lambda name: self._client.lindex(name, 0))
        while not self.enough.is_set():
            name = self._random.choice(self._names)
            try:
                if self._random.choice(changes)(name):
                    self.changed.add(name)
            except redis.ResponseError:
                continue
        self._client.close()


@pytest.mark.parametrize("backup", [False, True], ids=["no backup", "backup"])
async def test_not_one_key_that_changed_after_the_preview_is_lost(
    server: RunningServer, tmp_path: Path, backup: bool
) -> None:
    # Many batches once; the others differ in the server alone.
    many = VERY_MANY if server.flavour == "valkey" and not backup else MANY
    names = [b"cache:%d" % n for n in range(many)]
    with server.client() as client:
        client.rpush(b"model", *[b"value%d" % n for n in range(100)])
        fill(client, names)
        fill_to_the_limit(client)
        # Without NO-TOUCH the saving is itself a read: then only what alters the key can be told.
        reading = not backup or server.flavour == "valkey"
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            assert len(plan.keys) == many
            meddlers = [Meddler(server, names, seed, reading=reading) for seed in (1, 2)]
            for meddler in meddlers:
                meddler.start()
            run = operator.run(plan, backup=BackupChoice(wanted=backup))
            view = await run.run()
            for meddler in meddlers:
                meddler.enough.set()
                meddler.join()
            assert not view.failed, view.ended
        changed = set().union(*(meddler.changed for meddler in meddlers))
        assert len(changed) > 50
        there = set(client.scan_iter(b"cache:*", count=5000))
        assert changed <= there
        assert there == names_of(run, Outcome.CHANGED)
        assert set(names) - there == names_of(run, Outcome.DELETED)
        said, in_doubt = audited(tmp_path / "audit.jsonl")
        assert {name for name, letter in said.items() if letter == "d"} == set(names) - there
        assert not in_doubt


CHANGES: dict[str, Callable[[redis.Redis, bytes], object]] = {
    "written with the same size": lambda client, name: client.set(name, b"y" * 100),
    "written with another size": lambda client, name: client.append(name, b"y" * 900),
    "read": lambda client, name: client.get(name),
    "given an expiry": lambda client, name: client.expire(name, 1000),
    "made another type": lambda client, name: (client.delete(name), client.sadd(name, b"x")),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("backup", [False, True], ids=["no backup", "backup"])
async def test_a_key_that_was_changed_is_kept(server: RunningServer, tmp_path: Path, change: str, backup: bool) -> None:
    with server.client() as client:
        fill(client, [b"cache:1", b"cache:2"])
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            CHANGES[change](client, b"cache:1")
            run = operator.run(plan, backup=BackupChoice(wanted=backup))
            await run.run()
        assert client.keys() == [b"cache:1"]
        (kept,) = run.outcomes(frozenset({Outcome.CHANGED}))
        assert kept.id.key == b"cache:1"
        assert kept.detail


async def test_a_counter_that_went_on_is_never_lost(flavour: str, tmp_path: Path) -> None:
    """With a backup and without one, each on a server of its own, because both wait for old keys."""
    async with asyncio.TaskGroup() as group:
        for backup in (False, True):
            group.create_task(_keeps_a_counter(flavour, tmp_path / str(backup), backup=backup))


async def _keeps_a_counter(flavour: str, folder: Path, *, backup: bool) -> None:
    with started(flavour) as server, server.client() as client:
        numbers = {b"cache:%d" % n: n % 7 for n in range(50)}
        client.mset(numbers)
        client.set(b"six", 6)
        shares = client.object("refcount", b"cache:1") > 1_000_000_000
        while client.object("idletime", b"cache:6") < 3:
            await asyncio.sleep(0.05)
        async with operating(server.connection, folder) as operator:
            plan = await planned(operator, CACHE)
            assert client.incr(b"cache:5") == 6
            run = operator.run(plan, backup=BackupChoice(wanted=backup))
            view = await run.run()
            kept = {one.id.key: one.detail for one in run.outcomes(frozenset({Outcome.CHANGED}))}
            if backup and shares:
                assert (client.dbsize(), kept) == (1, {})
                await operator.restore(Path(str(view.backup_path))).run()
                assert client.mget(sorted(numbers)) == [b"%d" % (numbers | {b"cache:5": 6})[k] for k in sorted(numbers)]
            elif shares:
                assert client.dbsize() == 51
                assert set(kept) == set(numbers)
                assert all("only a deletion with a backup" in detail for detail in kept.values())
            else:
                assert set(client.keys()) == {b"cache:5", b"six"}


async def test_a_key_that_lost_its_expiry_or_got_another_is_kept(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, [b"cache:1", b"cache:2", b"cache:3"])
        for name in (b"cache:1", b"cache:2", b"cache:3"):
            client.expire(name, 5000)
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            client.persist(b"cache:1")
            client.expire(b"cache:2", 9000)
            run = operator.run(plan, backup=NO_BACKUP)
            await run.run()
        assert set(client.keys()) == {b"cache:1", b"cache:2"}


async def test_a_key_that_went_away_is_called_gone(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, [b"cache:1", b"cache:2"])
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            client.delete(b"cache:1")
            run = operator.run(plan, backup=BackupChoice())
            view = await run.run()
        assert dict(view.counts) == {Outcome.GONE: 1, Outcome.DELETED: 1}


async def test_hostile_names_are_deleted_exactly_and_no_others(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, [*HOSTILE, b"user1x", b"x", b"n" * 99_999])
        async with operating(server.connection, tmp_path) as operator:
            marked = Criteria(keys=tuple(KeyId(0, name) for name in HOSTILE))
            plan = await planned(operator, marked)
            assert {key.id.key for key in plan.keys} == set(HOSTILE)
            run = operator.run(plan, backup=BackupChoice())
            view = await run.run()
            assert dict(view.counts) == {Outcome.DELETED: len(HOSTILE)}
        assert set(client.keys()) == {b"user1x", b"x", b"n" * 99_999}
        said, _ = audited(tmp_path / "audit.jsonl")
        assert set(said) == set(HOSTILE)


async def test_a_pattern_made_from_a_literal_name_takes_that_name_alone(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, [b"user[1]*:a", b"user1:a", b"user1x:a"])
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, Criteria(patterns=(escape_glob(b"user[1]*") + b":*",)))
        assert [key.id.key for key in plan.keys] == [b"user[1]*:a"]


async def test_keys_of_several_databases_are_deleted_where_they_are(server: RunningServer, tmp_path: Path) -> None:
    for db in (0, 3):
        with server.client(db=db) as client:
            fill(client, [b"cache:1", b"cache:2", b"other"])
    async with operating(server.connection, tmp_path) as operator:
        plan = await planned(operator, Criteria(patterns=(b"cache:*",)))
        assert {key.id.db for key in plan.keys} == {0, 3}
        await operator.run(plan, backup=BackupChoice()).run()
    for db in (0, 3):
        with server.client(db=db) as client:
            assert client.keys() == [b"other"]


async def test_a_stop_ends_at_the_edge_of_a_batch_and_the_plan_can_go_on(server: RunningServer, tmp_path: Path) -> None:
    names = [b"cache:%d" % n for n in range(3000)]
    with server.client() as client:
        fill(client, names)
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            run = await stepped(operator, plan, after=lambda number: run.stop())
            view = await run.run()
            done, left = view.counts[Outcome.DELETED], view.counts[Outcome.NOT_ATTEMPTED]
            assert (done + left, client.dbsize()) == (3000, left)
            assert view.ended is not None
            assert view.ended.startswith("Interrupted. Deleted")
            entry = operator.history()[0]
            assert (entry.ok, entry.result) == (False, view.ended)
            view = await operator.run(plan, backup=NO_BACKUP).run()
        assert dict(view.counts) == {Outcome.DELETED: left, Outcome.GONE: done}
        assert client.dbsize() == 0


async def test_what_is_freed_in_the_background_is_waited_for(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        for start in range(0, 100_000, 10_000):
            client.hset(b"cache:giant", mapping={b"f%d" % n: b"v" * 20 for n in range(start, start + 10_000)})
        before = client.info("memory")["used_memory"]
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            view = await operator.run(plan, backup=NO_BACKUP).run()
        assert view.lazyfree_pending_objects == 0
        assert view.used_now_bytes is not None
        assert view.used_now_bytes < before / 2


async def test_under_lfu_there_is_no_idle_time_and_the_plan_says_what_that_means(
    server: RunningServer, tmp_path: Path
) -> None:
    with server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lfu")
        fill(client, [b"cache:1"])
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            assert any("does not report idle times" in flag for flag in plan.flags)
            view = await operator.run(plan, backup=BackupChoice()).run()
            assert dict(view.counts) == {Outcome.DELETED: 1}
            refused = await operator.plan(Criteria(idle_over_seconds=5)).run()
            assert refused.plan is None
            assert "frequencies" in str(refused.error)


async def test_marked_keys_are_read_again_when_the_plan_is_made(valkey: RunningServer, tmp_path: Path) -> None:
    with valkey.client() as client:
        fill(client, [b"a", b"b"])
        client.delete(b"b")
        async with operating(valkey.connection, tmp_path) as operator:
            plan = await planned(operator, Criteria(keys=(KeyId(0, b"a"), KeyId(0, b"b"), KeyId(0, b"c"))))
    assert [key.id.key for key in plan.keys] == [b"a"]


async def test_a_key_that_stands_twice_in_a_plan_is_deleted_once(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, [b"cache:1", b"cache:2"])
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            twice = frozen(replace(plan, keys=(*plan.keys, plan.keys[0])))
            run = operator.run(twice, backup=NO_BACKUP)
            view = await run.run()
        assert dict(view.counts) == {Outcome.DELETED: 2, Outcome.GONE: 1}
        assert view.freed_bytes == plan.size


async def test_keys_of_every_type_and_expiry_go_in_one_call(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        for n in range(20):
            client.set(b"cache:string:%d" % n, b"x" * n, ex=1000 if n % 2 else None)
            client.hset(b"cache:hash:%d" % n, mapping={b"f": b"v"})
            client.rpush(b"cache:list:%d" % n, b"a", b"b")
            client.sadd(b"cache:set:%d" % n, b"a")
            client.zadd(b"cache:zset:%d" % n, {b"a": 1})
            client.xadd(b"cache:stream:%d" % n, {b"f": b"v"})
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            view = await operator.run(plan, backup=NO_BACKUP).run()
        assert dict(view.counts) == {Outcome.DELETED: 120}
        assert client.dbsize() == 0


async def test_beside_others_at_work_plan_and_run_hold_back_and_say_so(
    valkey: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, phases = iter(range(0, 10**9, 1000)), []
    words = CallThrottle.words

    async def busy(self: LatencyMonitor) -> int:
        return next(asked)

    def spoken(self: CallThrottle, doing: str) -> str:
        # On a machine that is busy otherwise, a PING may take as long as over a long way.
        assert not self.alone
        assert self.window == 1 or self.probes.round_trip >= 0.003
        phases.append(words(self, doing))
        return phases[-1]

    monkeypatch.setattr(LatencyMonitor, "_commands", busy)
    monkeypatch.setattr(CallThrottle, "words", spoken)
    with valkey.client() as client:
        fill(client, [b"cache:%d" % n for n in range(5000)])
        async with operating(valkey.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            view = await operator.run(plan, backup=NO_BACKUP).run()
        assert dict(view.counts) == {Outcome.DELETED: 5000}
    assert {phase.split(",")[0] for phase in phases} == {"looking for keys", "measuring", "deleting"}
