"""Elements come back in their order, once, with their expiries, wherever their key stands by then."""

import random
from pathlib import Path
from typing import Any

import pytest

from redis_oom_tui.actions import node_restore
from redis_oom_tui.actions.node_restore import NodeRestore
from redis_oom_tui.files.backup import BackupWriter
from redis_oom_tui.files.backup_reading import read_records
from redis_oom_tui.models.action import BackupChoice, RestoreOutcome
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.snapshot import Server
from redis_oom_tui.models.stepped import ListEnd
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.mutations.restoring import Elements
from tests.support.acting import operating
from tests.support.faulty import REFUSALS
from tests.support.proxy import lying
from tests.support.servers import RunningServer
from tests.support.shrinking import NAME, content, filled, frozen


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
            assert dict(report.counts) == {RestoreOutcome.ALIKE: 37, RestoreOutcome.RESTORED: 963}
            assert content(client) == before
            getattr(client, push)(NAME, b"newer")
            again = await operator.restore(path).run()
            assert dict(again.counts) == {RestoreOutcome.ALIKE: 1000}
            assert client.llen(NAME) == 1201


@pytest.mark.parametrize("end", ListEnd)
async def test_elements_like_those_added_since_are_not_said_to_exist(
    server: RunningServer, tmp_path: Path, end: ListEnd
) -> None:
    with server.client() as client:
        client.rpush(NAME, *[b"tick"] * 1200)
        async with operating(server.connection, tmp_path) as operator:
            view = await operator.steps.run_shrink(
                await frozen(operator, keep_last=200, oldest_end=end), backup=BackupChoice()
            ).run()
            # As many again from the producer, at the other end.
            (client.rpush if end is ListEnd.LEFT else client.lpush)(NAME, *[b"tick"] * 1000)
            report = await operator.restore(Path(str(view.backup_path))).run()
        assert dict(report.counts) == {RestoreOutcome.ALIKE: 1000}
        assert not report.complete
        assert report.ended == (
            "Restored 0 of 1,000 elements; 1,000 were not restored: whether the list has them, or others like them that"
            " were added since, is unknown."
        )
        assert client.llen(NAME) == 1200


async def test_elements_come_back_where_their_key_lives_on(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        filled(client, "hash", 300)
        async with operating(server.connection, tmp_path) as operator:
            plan = await frozen(operator, "hash")
            view = await operator.steps.run_shrink(plan, backup=BackupChoice()).run()
            # As a session that was to expire, and was used again meanwhile.
            path = tmp_path / "of a session"
            writer = BackupWriter(path, plan, Server("valkey", "9", "master", Address()), 0.0)
            writer.add(*[replace(one, expires_ms=1) for one in read_records(Path(str(view.backup_path))) if one])
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
