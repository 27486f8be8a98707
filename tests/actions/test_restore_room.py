"""A restore says where it has no room, stops before the limit, evicts nothing, and goes on once there is room."""

import random
import re
from pathlib import Path

from redis_oom_tui.models.action import BackupChoice, RestoreOutcome, RestoreReport
from redis_oom_tui.models.plan import Criteria, Outcome
from tests.support.acting import ALL, fill, fill_to_the_limit, operating, planned, settled
from tests.support.finished_jobs import frozen
from tests.support.keyspace import photograph
from tests.support.servers import RunningServer, started


async def test_at_oom_restore_says_so_and_goes_on_once_there_is_room(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, [b"k%d" % n for n in range(500)], b"x" * 1000)
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.run(await planned(operator, ALL), backup=BackupChoice()).run()
            path = Path(str(view.backup_path))
            fill_to_the_limit(client)
            report = await operator.restore(path).run()
            assert report.failed
            assert report.resumable
            assert "over maxmemory" in str(report.ended)
            assert "Raise maxmemory" in str(report.ended)
            client.config_set("maxmemory", 0)
            report = await operator.restore(path).run()
        assert not report.failed
        assert client.dbsize() == 500


async def test_where_the_limit_is_near_already_restore_says_how_near(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, [b"k%d" % n for n in range(3000)], b"x" * 1000)
        fill(client, [b"gone"], b"x" * 1000)
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.run(
                await planned(operator, Criteria(patterns=(b"gone",))), backup=BackupChoice()
            ).run()
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", int(settled(client) / 0.98))
            report = await operator.restore(Path(str(view.backup_path))).run()
        assert "of maxmemory already, close to the limit, where noeviction would refuse writes" in str(report.ended)
        assert "With" not in str(report.ended)
        assert client.dbsize() == 3000


async def test_restore_stops_before_it_brings_the_server_to_its_limit_again(
    server: RunningServer, tmp_path: Path
) -> None:
    with server.client() as client:
        fill(client, [b"k%d" % n for n in range(3000)], b"x" * 1000)
        full = int(client.info("memory")["used_memory"])
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.run(await planned(operator, ALL), backup=BackupChoice()).run()
            path = Path(str(view.backup_path))
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", full)
            report = await operator.restore(path).run()
            found = re.search(
                r"The next \d+ keys? may need up to \S+ \S+ while they arrive, which would take the server from"
                r" (\d+)\S*% to (\d+)\S*% of maxmemory: 95% or more is close to the limit,"
                r" where noeviction would refuse writes",
                str(report.ended),
            )
            assert found, report.ended
            memory = client.info("memory")
            assert abs(int(found[1]) - 100 * int(memory["used_memory"]) / full) < 3
            assert int(found[1]) <= 95 <= int(found[2])
            assert report.resumable
            assert 0 < client.dbsize() < 3000
            client.set(b"still", b"taken")
            client.config_set("maxmemory", 2 * full)
            report = await operator.restore(path).run()
        assert not report.failed
        assert client.dbsize() == 3001


async def test_restore_does_not_evict_others_to_make_room(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, [b"k%d" % n for n in range(300)], b"x" * 1000)
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.run(await planned(operator, ALL), backup=BackupChoice()).run()
            fill(client, [b"other%d" % n for n in range(300)])
            client.config_set("maxmemory-policy", "allkeys-lru")
            client.config_set("maxmemory", int(client.info("memory")["used_memory"]) + 150_000)
            report = await operator.restore(Path(str(view.backup_path))).run()
        assert "would evict other keys" in str(report.ended)
        assert len(client.keys(b"other*")) == 300


async def test_a_value_that_the_server_does_not_take_keeps_no_other_away(flavour: str, tmp_path: Path) -> None:
    with started(flavour, "proto-max-bulk-len 1mb") as server, server.client() as client:
        fill(client, [b"k%d" % n for n in range(50)])
        for _ in range(30):
            client.rpush("large", *[random.randbytes(1000) for _ in range(100)])
        large = photograph(client)[b"large"]
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.run(await planned(operator, ALL), backup=BackupChoice()).run()
            assert dict(view.counts) == {Outcome.DELETED: 51}, view.ended
            report = await operator.restore(Path(str(view.backup_path))).run()
            assert dict(report.counts) == {RestoreOutcome.RESTORED: 50, RestoreOutcome.FAILED: 1}, report.ended
            assert "larger than the 1.0 MiB that the server takes: raise proto-max-bulk-len" in str(report.ended)
            client.config_set("proto-max-bulk-len", 64 * 1024 * 1024)
            report = await operator.restore(Path(str(view.backup_path))).run()
        assert report.counts[RestoreOutcome.RESTORED] == 1, report.ended
        assert photograph(client)[b"large"] == large


async def test_keys_that_are_back_take_nothing_more(server: RunningServer, tmp_path: Path) -> None:
    """Continued where there is room for what is missing alone, and then not even for that."""
    missing = [b"k7", b"k1500", b"k2999"]
    with server.client() as client:
        fill(client, [b"k%d" % n for n in range(3000)], b"x" * 1000)
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.run(await planned(operator, ALL), backup=BackupChoice()).run()
            path = Path(str(view.backup_path))
            assert dict((await operator.restore(path).run()).counts) == {RestoreOutcome.RESTORED: 3000}
            client.config_set("maxmemory-policy", "noeviction")

            async def again(room: int) -> RestoreReport:
                client.config_set("maxmemory", 0)
                client.unlink(*missing)
                client.config_set("maxmemory", int((settled(client) + room) / 0.95))
                return await operator.restore(path).run()

            report = await again(170_000)
            assert dict(report.counts) == {RestoreOutcome.RESTORED: 3, RestoreOutcome.EXISTS: 2997}, report.ended
            assert client.exists(*missing) == 3
            report = await again(10_000)
        assert report.failed
        assert report.resumable
        assert "close to the limit" in str(report.ended)
        assert report.counts[RestoreOutcome.EXISTS] > 0
        assert not client.exists(*missing)
        assert client.info("stats")["evicted_keys"] == 0


async def test_jobs_that_are_back_take_nothing_more(valkey: RunningServer, tmp_path: Path) -> None:
    with valkey.client() as client:
        for number in range(150):
            client.hset(f"bull:mail:{number}", mapping={"name": "send", "data": random.randbytes(4000).hex()})
            client.zadd("bull:mail:completed", {str(number): 1000 + number})
        client.hset("bull:mail:meta", mapping={"opts.maxLenEvents": "10000", "version": "bullmq:5.0.0"})
        async with operating(valkey.connection, tmp_path) as operator:
            plan = await frozen(operator)
            view = await operator.steps.run_finished(plan, backup=BackupChoice()).run()
            assert dict(view.counts) == {Outcome.DELETED: plan.going}, view.ended
            path = Path(str(view.backup_path))
            assert dict((await operator.restore(path).run()).counts) == {RestoreOutcome.RESTORED: plan.going}
            assert plan.going > 100
            client.config_set("maxmemory-policy", "noeviction")
            client.unlink(plan.jobs[3].keys[0])
            client.config_set("maxmemory", int((settled(client) + 170_000) / 0.95))
            report = await operator.restore(path).run()
        assert dict(report.counts) == {RestoreOutcome.RESTORED: 1, RestoreOutcome.EXISTS: plan.going - 1}, report.ended
