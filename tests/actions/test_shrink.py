"""A key that must live is made smaller: what goes is shown, saved, checked again, counted and put back."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from redis_oom_tui.actions import node_restore
from redis_oom_tui.actions.node_restore import NodeRestore
from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.actions.shrink import ShrinkRun
from redis_oom_tui.files.backup import BackupWriter
from redis_oom_tui.files.backup_reading import as_lines, read_records
from redis_oom_tui.formatting.keys import slot_of
from redis_oom_tui.models.action import BackupChoice, RestoreOutcome
from redis_oom_tui.models.address import Address, Connection
from redis_oom_tui.models.errors import BadInput, NotAllowed, ReadOnlyMode
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Outcome
from redis_oom_tui.models.snapshot import Server
from redis_oom_tui.models.stepped import ListEnd, ScoreUnit, ShrinkPlan, ShrinkRequest
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import shrinking
from redis_oom_tui.server.mutations.restoring import Elements
from tests.actions.test_cluster import acting
from tests.support.acting import NO_BACKUP, operating
from tests.support.cluster import clustered
from tests.support.faulty import REFUSALS
from tests.support.proxy import lying
from tests.support.servers import RunningServer
from tests.support.shapes import used_at_rest

KEY = KeyId(0, b"giant \xff")
NAME = KEY.key
# Redis 8.2 has it, and crashes with it.
WITHOUT_NO_TOUCH = {"redis6", "redis7", "redis8"}


def request(**choice: Any) -> ShrinkRequest:
    return ShrinkRequest(KEY, **choice)


def filled(client: redis.Redis, kind: str, number: int = 1200) -> None:
    """A key of so many elements, oldest first, with odd bytes in them."""
    pipeline = client.pipeline(transaction=False)
    for n in range(number):
        if kind == "stream":
            pipeline.xadd(NAME, {b"f\\": b"v%d\xff" % n}, id=f"{1_700_000_000_000 + n}-1")
        elif kind == "list":
            pipeline.rpush(NAME, b"job %d\x00" % n)
        elif kind == "zset":
            pipeline.zadd(NAME, {b"m%d" % n: 1_700_000_000 + n})
        elif kind == "hash":
            pipeline.hset(NAME, b"%s:%d" % (b"old" if n < number - 200 else b"new", n), b"v" * 20)
        else:
            pipeline.sadd(NAME, b"%s:%d" % (b"old" if n < number - 200 else b"new", n))
    pipeline.execute()


CHOICES: dict[str, dict[str, Any]] = {
    "stream": {"keep_last": 200},
    "list": {"keep_last": 200, "oldest_end": ListEnd.LEFT},
    "zset": {"keep_last": 200},
    "hash": {"matching": b"old:*"},
    "set": {"matching": b"old:*"},
}


def content(client: redis.Redis) -> Any:
    """All that the key holds, in its order where it has one."""
    readers: dict[bytes, Callable[[], Any]] = {
        b"stream": lambda: client.xrange(NAME),
        b"list": lambda: client.lrange(NAME, 0, -1),
        b"zset": lambda: client.zrange(NAME, 0, -1, withscores=True),
        b"hash": lambda: client.hgetall(NAME),
        b"set": lambda: client.smembers(NAME),
        b"none": lambda: None,
    }
    return readers[client.type(NAME)]()


async def frozen(operator: LiveOperator, kind: str = "", **choice: Any) -> ShrinkPlan:
    return await operator.steps.plan_shrink(request(**(CHOICES[kind] if kind else choice))).run()


class MeddledRun(ShrinkRun):
    """A run that calls `between` before the first removal, when what goes has been read and saved."""

    between: Callable[[], object] | None = None

    async def _remove(self, *args: Any) -> None:
        if self.between is not None:
            between, self.between = self.between, None
            between()
        await super()._remove(*args)


def meddled(operator: LiveOperator, plan: ShrinkPlan, between: Callable[[], object]) -> MeddledRun:
    run = MeddledRun(operator._context, operator.deployment, plan, BackupChoice())
    run.between = between
    return run


@pytest.mark.parametrize("kind", sorted(CHOICES))
async def test_exactly_what_was_shown_goes_and_comes_back(server: RunningServer, tmp_path: Path, kind: str) -> None:
    with server.client() as client:
        filled(client, kind)
        client.pexpire(NAME, 5_000_000)
        before = content(client)
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator, kind)
            assert (plan.elements, plan.going) == (1200, 1000)
            assert content(client) == before
            assert plan.about_bytes is not None
            assert plan.size is not None
            assert 0.6 * plan.size <= plan.about_bytes <= 0.95 * plan.size
            view = await operator.steps.run_shrink(plan, backup=BackupChoice()).run()
            assert dict(view.counts) == {Outcome.DELETED: 1000}, view.ended
            assert "Removed 1,000 of 1,000" in str(view.ended)
            after = content(client)
            assert len(after) == 200
            if kind in shrinking.ORDERED:
                assert after == before[1000:]
            else:
                assert all(name.startswith(b"new:") for name in after)
            assert 4_900_000 < client.pttl(NAME) <= 5_000_000
            report = await operator.restore(Path(str(view.backup_path))).run()
            if kind == "stream":
                assert dict(report.counts) == {RestoreOutcome.FAILED: 1000}
                assert "a stream takes no ID below its last one" in str(report.ended)
                client.delete(NAME)
                report = await operator.restore(Path(str(view.backup_path))).run()
                assert content(client) == before[:1000]
                assert 4_900_000 < client.pttl(NAME) <= 5_000_000
            else:
                assert content(client) == before
            assert dict(report.counts) == {RestoreOutcome.RESTORED: 1000}, report.ended
            again = await operator.restore(Path(str(view.backup_path))).run()
            assert dict(again.counts) == {RestoreOutcome.EXISTS: 1000}
            assert len(content(client)) == (1000 if kind == "stream" else 1200)


@pytest.mark.parametrize("kind", sorted(CHOICES))
async def test_it_is_allowed_at_oom(server: RunningServer, tmp_path: Path, kind: str) -> None:
    with server.client() as client:
        filled(client, kind)
        client.set("ballast", b"x" * 3_000_000)
        client.config_set("maxmemory", 1_500_000)
        with pytest.raises(redis.OutOfMemoryError):
            client.set("more", "x" * 1000)
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator, kind)
            view = await operator.steps.run_shrink(plan, backup=BackupChoice()).run()
        assert dict(view.counts) == {Outcome.DELETED: 1000}, view.ended
        assert len(content(client)) == 200


async def test_a_list_whose_oldest_end_is_the_right_one(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        client.lpush(NAME, *[b"%d" % n for n in range(700)])
        before = content(client)
        async with operating(server.connection, tmp_path) as operator:
            with pytest.raises(BadInput, match="--oldest-end left"):
                await frozen(operator, keep_last=5)
            plan = await frozen(operator, keep_last=50, oldest_end=ListEnd.RIGHT)
            assert (plan.oldest, plan.newest) == ((b"0",), (b"649",))
            view = await operator.steps.run_shrink(plan, backup=BackupChoice()).run()
            assert content(client) == before[:50]
            client.lpush(NAME, b"newer")
            report = await operator.restore(Path(str(view.backup_path))).run()
            assert dict(report.counts) == {RestoreOutcome.RESTORED: 650}
            assert content(client) == [b"newer", *before]


@pytest.mark.parametrize(("values", "end"), [(b"x", ListEnd.LEFT), (b"xy", ListEnd.RIGHT)], ids=["equal", "alike"])
async def test_elements_that_others_resemble_come_back_once(
    server: RunningServer, tmp_path: Path, values: bytes, end: ListEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(7)
    push = "rpush" if end is ListEnd.LEFT else "lpush"
    with server.client() as client:
        getattr(client, push)(NAME, *[bytes([chance.choice(values)]) for _ in range(1200)])
        before = content(client)
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.steps.run_shrink(
                await frozen(operator, keep_last=200, oldest_end=end), backup=BackupChoice()
            ).run()
            assert client.llen(NAME) == 200
            path = Path(str(view.backup_path))
            first = operator.restore(path)
            put = NodeRestore.put

            async def put_some(*args: Any) -> Any:
                first.stop()
                return await put(*args)

            # Interrupted, and resumed in batches of another size.
            monkeypatch.setattr(NodeRestore, "put", put_some)
            monkeypatch.setattr("redis_oom_tui.actions.restore._IN_ONE_CALL", 37)
            report = await first.run()
            assert dict(report.counts) == {RestoreOutcome.RESTORED: 37, RestoreOutcome.NOT_ATTEMPTED: 963}
            monkeypatch.undo()
            report = await operator.restore(path).run()
            assert dict(report.counts) == {RestoreOutcome.EXISTS: 37, RestoreOutcome.RESTORED: 963}
            assert content(client) == before
            getattr(client, push)(NAME, b"newer")
            again = await operator.restore(path).run()
            assert dict(again.counts) == {RestoreOutcome.EXISTS: 1000}
            assert client.llen(NAME) == 1201


async def test_elements_come_back_where_their_key_lives_on(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        filled(client, "hash", 300)
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator, "hash")
            view = await operator.steps.run_shrink(plan, backup=BackupChoice()).run()
            # As a session that was to expire, and was used again meanwhile.
            path = tmp_path / "of a session"
            writer = BackupWriter(path, plan, Server("valkey", "9", "master", Address()), 0.0)
            writer.add(*[one._replace(expires_ms=1) for one in read_records(Path(str(view.backup_path))) if one])
            writer.close()
            report = await operator.restore(path).run()
            assert dict(report.counts) == {RestoreOutcome.RESTORED: 100}, report.ended
            client.delete(NAME)
            report = await operator.restore(path).run()
            assert dict(report.counts) == {RestoreOutcome.EXPIRED: 100}, report.ended
            assert not client.exists(NAME)


async def test_elements_that_differ_come_back_once_though_the_rest_was_taken(
    server: RunningServer, tmp_path: Path
) -> None:
    with server.client() as client:
        filled(client, "list", 300)
        before = content(client)
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.steps.run_shrink(await frozen(operator, "list"), backup=BackupChoice()).run()
            client.delete(NAME)
            # As an interrupted restore leaves it.
            client.rpush(NAME, *before[70:100])
            path = Path(str(view.backup_path))
            outcomes = [dict((await operator.restore(path).run()).counts) for _ in range(2)]
            assert outcomes == [
                {RestoreOutcome.EXISTS: 30, RestoreOutcome.RESTORED: 70},
                {RestoreOutcome.EXISTS: 100},
            ]
            assert content(client) == before[:100]


@pytest.mark.parametrize("kind", ["list", "zset"])
async def test_a_change_at_the_oldest_end_stops_it(server: RunningServer, tmp_path: Path, kind: str) -> None:
    with server.client() as client:
        filled(client, kind, 900)
        before = content(client)
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator, keep_last=100, oldest_end=ListEnd.LEFT)

            def pop() -> None:
                client.lpop(NAME) if kind == "list" else client.zpopmin(NAME)

            view = await meddled(operator, plan, pop).run()
        assert view.failed
        assert "The key changed" in str(view.ended)
        assert dict(view.counts) == {Outcome.NOT_ATTEMPTED: 800}
        assert content(client) == before[1:]
        # What was saved ahead and not removed must not come twice.
        assert view.backup_path is None


async def test_elements_that_came_below_since_the_preview_stop_it(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        filled(client, "zset", 900)
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator, keep_last=100)
            client.zadd(NAME, {b"late": 1_700_000_700})
            view = await operator.steps.run_shrink(plan, backup=NO_BACKUP).run()
        assert dict(view.counts) == {Outcome.NOT_ATTEMPTED: 800}
        assert client.zcard(NAME) == 901


@pytest.mark.parametrize("kind", ["stream", "list", "zset"])
async def test_newer_elements_that_come_meanwhile_stay(server: RunningServer, tmp_path: Path, kind: str) -> None:
    with server.client() as client:
        filled(client, kind, 900)
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator, **{**CHOICES[kind], "keep_last": 100})

            def push() -> None:
                if kind == "stream":
                    client.xadd(NAME, {"new": 1})
                elif kind == "list":
                    client.rpush(NAME, "new")
                else:
                    client.zadd(NAME, {"new": 1_900_000_000})

            view = await meddled(operator, plan, push).run()
        assert dict(view.counts) == {Outcome.DELETED: 800}, view.ended
        assert len(content(client)) == 101


async def test_a_field_that_was_written_since_the_preview_is_kept(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        filled(client, "hash", 900)
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator, "hash")
            client.hset(NAME, b"old:5", b"newer")
            client.hdel(NAME, b"old:6")
            run = meddled(operator, plan, lambda: client.hset(NAME, b"old:7", b"newer"))
            view = await run.run()
        assert dict(view.counts) == {Outcome.DELETED: 697, Outcome.CHANGED: 2, Outcome.GONE: 1}, view.ended
        assert client.hget(NAME, b"old:5") == client.hget(NAME, b"old:7") == b"newer"
        assert client.hlen(NAME) == 202


async def test_what_pending_and_unread_entries_are_lost_is_said_before(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        filled(client, "stream", 600)
        client.xgroup_create(NAME, b"mail\xff", id="0")
        client.xreadgroup(b"mail\xff", "c", {NAME: ">"}, count=30)
        client.xgroup_create(NAME, b"done", id="$")
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator, keep_last=100)
            assert plan.going == 500
            first, second, third = plan.flags[:3]
            assert first.startswith("Group 'mail\\xff': 30 pending entries (delivered, not acknowledged) go")
            assert second.endswith("what stays pending of entries that are gone holds memory until XACK removes it.")
            assert third.startswith("Group 'mail\\xff' has not read 470 of the entries that go")
            assert not any("done" in flag for flag in plan.flags)
            assert shrinking.confirm_word(plan, BackupChoice()) == "shrink"
            await operator.steps.run_shrink(plan, backup=NO_BACKUP).run()
        # That is why it is said: trimming does not free them.
        assert client.xpending(NAME, b"mail\xff")["pending"] == 30


async def test_what_consumers_hold_does_not_go_with_the_entries(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        filled(client, "stream", 150)
        client.xgroup_create(NAME, "mail", id="$")
        pipeline = client.pipeline(transaction=False)
        for number in range(5000):
            pipeline.execute_command("XGROUP", "CREATECONSUMER", NAME, "mail", f"worker-{number:040}")
        pipeline.execute()
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator, keep_last=10)
            assert plan.size is not None
            assert plan.size > 500_000
            assert plan.about_bytes is not None
            assert 1000 < plan.about_bytes < 20_000
            assert any(flag.startswith("5,000 consumers and 0 pending entries hold the rest") for flag in plan.flags)


@pytest.mark.parametrize(("kind", "unit"), [("stream", None), ("zset", "s"), ("zset", "ms")])
async def test_older_than_goes_by_the_servers_clock(
    server: RunningServer, tmp_path: Path, kind: str, unit: str | None
) -> None:
    with server.client() as client:
        seconds, _ = client.time()
        for days in range(10, 0, -1):
            at = seconds - days * 86400
            if kind == "stream":
                client.xadd(NAME, {"f": "v"}, id=f"{at * 1000}-0")
            else:
                client.zadd(NAME, {f"m{days}": at * (1000 if unit == "ms" else 1)})
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator, older_than_seconds=4 * 86400 + 3600)
            assert plan.going == 6
            assert plan.request.score_unit == (None if unit is None else ScoreUnit(unit))
            view = await operator.steps.run_shrink(plan, backup=BackupChoice()).run()
            assert dict(view.counts) == {Outcome.DELETED: 6}
            assert len(content(client)) == 4
            if kind == "stream":
                assert (await frozen(operator, older_than_seconds=1)).going == 4
            else:
                with pytest.raises(BadInput, match="All 4"):
                    await frozen(operator, older_than_seconds=1)


async def test_what_cannot_be_meant_is_refused(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        client.zadd(NAME, {"a": 1, "b": 2})
        async with operating(server.connection, tmp_path) as operator:
            with pytest.raises(BadInput, match="do not look like times"):
                await frozen(operator, older_than_seconds=5)
            with pytest.raises(BadInput, match="exactly one of"):
                await frozen(operator, older_than_seconds=5, keep_last=4)
            with pytest.raises(BadInput, match="at least 1"):
                await frozen(operator, keep_last=0)
            with pytest.raises(BadInput, match="--fields chooses from hashes and sets"):
                await frozen(operator, matching=b"a")
            assert (await frozen(operator, keep_last=2)).going == 0
            client.delete(NAME)
            with pytest.raises(BadInput, match="no such key"):
                await frozen(operator, keep_last=2)
            client.set(NAME, "x")
            with pytest.raises(BadInput, match="only hash, list, set, stream, zset can be shrunk"):
                await frozen(operator, keep_last=2)
            client.delete(NAME)
            client.hset(NAME, "a", 1)
            with pytest.raises(BadInput, match="choose by --fields"):
                await frozen(operator, keep_last=2)
            with pytest.raises(BadInput, match="cleanup --key deletes it"):
                await frozen(operator, matching=b"*")


async def test_read_only_previews_and_never_trims(server: RunningServer, tmp_path: Path) -> None:
    connection: Connection = replace(server.connection, read_only=True)
    with server.client() as client:
        filled(client, "list", 300)
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator, "list")
        async with operating(connection, tmp_path) as operator:
            with pytest.raises(ReadOnlyMode):
                operator.steps.run_shrink(plan, backup=NO_BACKUP)
            if server.flavour in WITHOUT_NO_TOUCH:
                with pytest.raises(NotAllowed, match="would reset the idle time"):
                    await frozen(operator, "list")
            else:
                assert (await frozen(operator, "list")).hash == plan.hash
        assert client.llen(NAME) == 300


async def test_the_preview_leaves_the_idle_time(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        filled(client, "zset", 300)
        client.restore(NAME, 0, client.dump(NAME), replace=True, idletime=5000)
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator, "zset")
        if server.flavour in WITHOUT_NO_TOUCH:
            why = "Redis 8.2.3 can crash on it" if server.flavour == "redis8" else "unknown subcommand"
            (told,) = [flag for flag in plan.flags if "has reset its idle time" in flag]
            assert why in told or why in told.lower()
        else:
            assert client.object("idletime", NAME) >= 5000  # type: ignore[operator]


async def test_a_stop_ends_it_in_a_recorded_state(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        filled(client, "list", 3000)
        before = content(client)
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator, "list")
            run = meddled(operator, plan, lambda: None)
            run.between = run.stop
            view = await run.run()
            left = view.counts[Outcome.NOT_ATTEMPTED]
            assert 0 < left < 2800
            assert str(view.ended).startswith("Interrupted. Removed ")
            assert content(client) == before[2800 - left :]
            report = await operator.restore(Path(str(view.backup_path))).run()
            assert dict(report.counts) == {RestoreOutcome.RESTORED: 2800 - left}
            assert content(client) == before
        lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
        intent, result = lines[0], next(line for line in lines if line["phase"] == "result")
        assert (intent["action"], intent["elements"], intent["plan"]) == ("shrink", 2800, plan.hash)
        assert result["counts"]["deleted"] == 2800 - left
        assert not result["ok"]


async def test_the_backup_can_be_read_by_people(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        filled(client, "stream", 202)
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.steps.run_shrink(await frozen(operator, "stream"), backup=BackupChoice()).run()
        lines = list(as_lines(Path(str(view.backup_path))))
        assert json.loads(lines[1])["e"] == ["1700000000000-1", "f\\\\", "v0\\xff"]
        assert len(lines) == 4


async def test_the_cap_of_the_backup_ends_it(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        filled(client, "list", 3000)
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator, "list")
            view = await operator.steps.run_shrink(plan, backup=BackupChoice(max_total_bytes=5000)).run()
            assert "reached its cap of 4.9 KiB" in str(view.ended)
            kept = client.llen(NAME)
            assert 200 < kept < 3000
            report = await operator.restore(Path(str(view.backup_path))).run()
            assert dict(report.counts) == {RestoreOutcome.RESTORED: 3000 - kept}


async def test_another_server_than_the_plans_is_left_alone(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        filled(client, "list", 300)
        async with operating(server.connection, tmp_path) as operator:
            plan = replace(await frozen(operator, "list"), run_id="0" * 40)
            view = await operator.steps.run_shrink(plan, backup=NO_BACKUP).run()
        assert view.failed
        assert client.llen(NAME) == 300


async def test_a_lost_reply_leaves_one_step_in_doubt(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        filled(client, "list", 600)
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator, "list")

            def cut() -> None:
                for one in client.client_list():
                    if one["cmd"] in {"evalsha", "eval", "lrange"}:
                        client.client_kill_filter(_id=one["id"])

            view = await meddled(operator, plan, cut).run()
        assert view.failed
        assert set(view.counts) == {Outcome.IN_DOUBT, Outcome.NOT_ATTEMPTED}
        assert "in doubt" in str(view.ended)


async def test_a_list_keeps_its_order_where_the_server_is_busy_meanwhile(server: RunningServer, tmp_path: Path) -> None:
    calls = 0

    def lie(words: tuple[bytes, ...]) -> bytes | None:
        nonlocal calls
        calls += words[0].startswith(b"EVAL")
        return REFUSALS["BUSY"] if words[0].startswith(b"EVAL") and calls == 3 else None

    with server.client() as client:
        filled(client, "list")
        before = content(client)
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.steps.run_shrink(await frozen(operator, "list"), backup=BackupChoice()).run()
        with lying(server.connection, lie) as liar:
            async with operating(liar.connection, tmp_path) as operator:
                report = await operator.restore(Path(str(view.backup_path))).run()
        assert calls > 3
        assert dict(report.counts) == {RestoreOutcome.RESTORED: 1000}, report.ended
        assert content(client) == before


async def test_field_expiries_come_back(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        client.hset(NAME, mapping={"old:1": "a", "old:2": "b", "new": "c"})
        if server.flavour not in {"valkey", "redis8"}:
            pytest.skip("its hash fields do not expire")
        client.execute_command("HEXPIRE", NAME, 5000, "FIELDS", 1, "old:1")
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.steps.run_shrink(await frozen(operator, "hash"), backup=BackupChoice()).run()
            assert client.hkeys(NAME) == [b"new"]
            await operator.restore(Path(str(view.backup_path))).run()
        (first,), (second,) = (client.execute_command("HTTL", NAME, "FIELDS", 1, f) for f in ("old:1", "old:2"))
        assert 4900 < first <= 5000
        assert second == -1


async def test_a_field_that_has_expired_or_cannot_is_not_said_to_be_restored(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if server.flavour not in {"valkey", "redis8"}:
        pytest.skip("its hash fields do not expire")
    put_elements = node_restore.put_elements

    async def with_ends(channel: Any, part: Elements) -> Any:
        ends = {b"old:1": b"1", b"old:2": b"never"}
        return await put_elements(channel, part._replace(elements=[(*one[:2], ends[one[0]]) for one in part.elements]))

    with server.client() as client:
        client.hset(NAME, mapping={"old:1": "a", "old:2": "b", "new": "c"})
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.steps.run_shrink(await frozen(operator, "hash"), backup=BackupChoice()).run()
            monkeypatch.setattr(node_restore, "put_elements", with_ends)
            report = await operator.restore(Path(str(view.backup_path))).run()
        assert dict(report.counts) == {RestoreOutcome.EXPIRED: 1, RestoreOutcome.FAILED: 1}, report.ended
        assert client.hkeys(NAME) == [b"new"]


async def test_in_a_cluster_the_node_of_the_key_is_asked(tmp_path: Path) -> None:
    with clustered(replicas=False) as cluster:
        for number in range(6):
            with cluster.owner(slot_of(b"log:%d" % number)).server.client() as client:
                client.rpush(f"log:{number}", *range(300))
        async with acting(cluster, tmp_path) as (_, operator):
            for number in range(6):
                wanted = ShrinkRequest(KeyId(0, b"log:%d" % number), keep_last=100, oldest_end=ListEnd.LEFT)
                plan = await operator.steps.plan_shrink(wanted).run()
                view = await operator.steps.run_shrink(plan, backup=BackupChoice()).run()
                assert dict(view.counts) == {Outcome.DELETED: 200}, view.ended
                report = await operator.restore(Path(str(view.backup_path))).run()
                assert dict(report.counts) == {RestoreOutcome.RESTORED: 200}, report.ended


@pytest.mark.parametrize("kind", ["list", "stream", "hash"])
async def test_no_other_key_is_evicted_by_a_look_at_large_elements(
    server: RunningServer, tmp_path: Path, kind: str
) -> None:
    """Only the others can be evicted here; the first plan has the server's own first costs behind it."""
    with server.client() as client:
        filled(client, kind)
        async with operating(server.connection, tmp_path) as operator:
            await operator.steps.plan_shrink(request(**CHOICES[kind])).run()
            client.delete(NAME)
            pipeline = client.pipeline(transaction=False)
            for number in range(4):
                value = b"x" * 3_000_000
                if kind == "list":
                    pipeline.rpush(NAME, value)
                elif kind == "stream":
                    pipeline.xadd(NAME, {b"f": value})
                else:
                    pipeline.hset(NAME, b"old:%d" % number, value)
            for number in range(5000):
                pipeline.set(f"other:{number}", b"y" * 200, ex=90_000)
            pipeline.execute()
            client.config_set("maxmemory-policy", "volatile-lru")
            client.config_set("maxmemory", used_at_rest(client) + 300_000)
            choice = CHOICES[kind] if kind == "hash" else {**CHOICES[kind], "keep_last": 1}
            with pytest.raises(BadInput, match=r"Its elements take about .* free below maxmemory"):
                await operator.steps.plan_shrink(request(**choice)).run()
        assert client.info("stats")["evicted_keys"] == 0
