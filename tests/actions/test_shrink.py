"""A key that must live is made smaller: what goes is shown, saved, checked again, counted and put back."""

import json
from pathlib import Path

import pytest
import redis

from redis_oom_tui.files.backup_reading import as_lines
from redis_oom_tui.formatting.keys import slot_of
from redis_oom_tui.models.action import BackupChoice, RestoreOutcome
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Outcome
from redis_oom_tui.models.stepped import ListEnd, ShrinkRequest
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import shrinking
from tests.actions.test_cluster import acting
from tests.support.acting import NO_BACKUP, operating
from tests.support.cluster import clustered
from tests.support.proxy import lied_to
from tests.support.servers import RunningServer
from tests.support.shrinking import CHOICES, NAME, content, filled, frozen, meddled


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


async def test_one_element_is_told_as_one(valkey: RunningServer, tmp_path: Path) -> None:
    with valkey.client() as client:
        filled(client, "stream", 2)
        async with operating(valkey.connection, tmp_path) as operator:
            nothing = await frozen(operator, keep_last=2)
            assert (nothing.going, shrinking.nothing_goes(nothing)) == (0, "None of the 2 entries is to go")
            view = await operator.steps.run_shrink(await frozen(operator, keep_last=1), backup=BackupChoice()).run()
            assert "Removed 1 of 1 entry; " in str(view.ended)
            assert "The key has 1 entry now" in str(view.ended)
            nothing = await frozen(operator, keep_last=1)
            assert shrinking.nothing_goes(nothing) == "It has 1 entry, which stays"
            client.delete(NAME)
            restoring = operator.restore(Path(str(view.backup_path)))
            assert restoring.view().things == "elements"
            assert str((await restoring.run()).ended) == "Restored 1 of 1 element."


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


@pytest.mark.parametrize("carried_out", [True, False], ids=["carried out", "not"])
async def test_after_a_lost_reply_it_is_read_back_what_is_there_and_the_run_goes_on(
    server: RunningServer, tmp_path: Path, carried_out: bool
) -> None:
    calls = 0

    def lie(words: tuple[bytes, ...]) -> bytes | None:
        nonlocal calls
        calls += words[0] in {b"EVAL", b"EVALSHA"} and b"HPEXPIRETIME" not in words[1]
        if calls != 3 or words[0] not in {b"EVAL", b"EVALSHA"}:
            return None
        calls += 1
        if carried_out:
            client.execute_command(*words)
        raise ConnectionResetError

    with server.client() as client, lied_to(server.connection, {}) as liar:
        for kind in sorted(CHOICES):
            client.delete(NAME)
            filled(client, kind)
            before = content(client)
            async with operating(liar.connection, tmp_path) as operator:
                plan = await frozen(operator, kind)
                liar.lie, calls = lie, 0
                view = await operator.steps.run_shrink(plan, backup=BackupChoice()).run()
                assert calls > 3
                assert not view.failed, (kind, view.ended)
                assert len(content(client)) == 200
                assert sum(view.counts.values()) == 1000
                assert set(view.counts) == {Outcome.DELETED} | ({Outcome.IN_DOUBT} if carried_out else set())
                if kind == "list":
                    await operator.restore(Path(str(view.backup_path))).run()
                    assert content(client) == before


async def test_a_lost_reply_about_elements_that_are_alike_leaves_one_step_in_doubt(
    server: RunningServer, tmp_path: Path
) -> None:
    with server.client() as client:
        client.rpush(NAME, *[b"alike"] * 600)
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


@pytest.mark.usefixtures("gives_up_soon")
async def test_of_a_server_that_was_killed_meanwhile_no_figure_is_told(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        filled(client, "list", 600)
        async with operating(server.connection, tmp_path) as operator:
            view = await meddled(operator, await frozen(operator, "list"), server.kill).run()
    assert view.failed
    assert view.used_now_bytes is None
    assert "The key has" not in str(view.ended)


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
