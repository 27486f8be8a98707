"""The timed return of a setting is told as it ended, and so is a change whose answer was lost."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from redis_oom_tui.actions.node_settings import TimedReturns
from redis_oom_tui.models.settings import Change, ChangeResult
from redis_oom_tui.models.structs import replace
from redis_oom_tui.tui.flows.state import LimitsState
from tests.support.acting import operating
from tests.support.proxy import Liar, lied_to
from tests.support.servers import RunningServer
from tests.support.waiting import until_async

POLICY = "maxmemory-policy"


def policy(client: redis.Redis) -> str:
    return str(client.config_get(POLICY)[POLICY])


@contextmanager
def losing(valkey: RunningServer, *, done: bool, also: bytes | None = None) -> Iterator[Liar]:
    """Before the server somebody who closes the connection at the change, with or without having carried it out.

    Whatever begins with `also` is lost as well from then on.
    """
    lost: list[bytes] = []
    with lied_to(valkey.connection, {}) as liar, valkey.client() as direct:

        def lie(words: tuple[bytes, ...]) -> bytes | None:
            if lost and also is not None and words[0].upper() == also:
                raise ConnectionResetError
            if words[3:] == (b"allkeys-lru",):
                lost.append(words[3])
                if done:
                    direct.config_set(words[2].decode(), words[3].decode())
                raise ConnectionResetError
            return None

        liar.lie = lie
        yield liar


async def test_it_is_told_that_the_old_value_was_read_back(valkey: RunningServer, tmp_path: Path) -> None:
    with valkey.client() as client:
        async with operating(valkey.connection, tmp_path) as operator:
            change = await operator.settings.propose(POLICY, "allkeys-lru")
            result = await operator.settings.apply(change, revert_after=0.05)
            ended = await operator.settings.returned(result)
            assert (ended.took, ended.now, policy(client)) == (True, "noeviction", "noeviction")
            assert not operator.settings.keep(result), "it is too late"
            assert [entry.action for entry in operator.history()] == ["undo", "set"]


async def test_what_was_changed_by_others_meanwhile_is_not_said_to_be_back(
    valkey: RunningServer, tmp_path: Path
) -> None:
    with valkey.client() as client:
        async with operating(valkey.connection, tmp_path) as operator:
            result = await operator.settings.apply(
                await operator.settings.propose(POLICY, "allkeys-lru"), revert_after=0.05
            )
            client.config_set(POLICY, "volatile-ttl")
            ended = await operator.settings.returned(result)
            # Unless the return was faster than they were.
            if not ended.took:
                assert (ended.now, ended.detail) == ("volatile-ttl", "somebody else changed it")
                assert operator.history()[0].result == "It did not revert: somebody else changed it"
        assert policy(client) == "volatile-ttl"


async def test_where_the_server_was_lost_for_good_nobody_says_that_it_is_back(
    valkey: RunningServer, tmp_path: Path
) -> None:
    with lied_to(valkey.connection, {}) as liar:
        async with operating(liar.connection, tmp_path) as operator:
            result = await operator.settings.apply(
                await operator.settings.propose(POLICY, "allkeys-lru"), revert_after=0.2
            )
            liar.lie = gone
            ended = await operator.settings.returned(result)
            assert isinstance(ended, ChangeResult)
            assert (ended.took, ended.now) == (False, None)
            assert ended.detail
    with valkey.client() as client:
        assert policy(client) == "allkeys-lru"


def gone(words: tuple[bytes, ...]) -> bytes | None:
    raise ConnectionResetError


async def test_a_connection_that_was_closed_meanwhile_keeps_nothing_from_returning(
    valkey: RunningServer, tmp_path: Path
) -> None:
    with valkey.client() as client:
        async with operating(valkey.connection, tmp_path) as operator:
            result = await operator.settings.apply(
                await operator.settings.propose(POLICY, "allkeys-lru"), revert_after=0.2
            )
            client.client_kill_filter(_type="normal", skipme=True)
            assert (await operator.settings.returned(result)).took
        assert policy(client) == "noeviction"


async def test_an_audit_file_that_cannot_be_written_keeps_nothing_from_returning(
    valkey: RunningServer, tmp_path: Path
) -> None:
    with valkey.client() as client:
        async with operating(valkey.connection, tmp_path) as operator:
            result = await operator.settings.apply(
                await operator.settings.propose(POLICY, "allkeys-lru"), revert_after=0.2
            )
            (tmp_path / "audit.jsonl").rename(tmp_path / "elsewhere")
            (tmp_path / "audit.jsonl").mkdir()
            ended = await operator.settings.returned(result)
            assert ended.took
            assert "cannot be written" in ended.detail
        assert policy(client) == "noeviction"


@pytest.mark.parametrize("done", [True, False], ids=["carried out", "not carried out"])
async def test_a_change_whose_answer_was_lost_is_looked_for(valkey: RunningServer, tmp_path: Path, done: bool) -> None:
    with losing(valkey, done=done) as liar:
        async with operating(liar.connection, tmp_path) as operator:
            result = await operator.settings.apply(await operator.settings.propose(POLICY, "allkeys-lru"))
            assert (result.took, result.now) == (done, "allkeys-lru" if done else "noeviction")
            assert operator.history()[0].ok is done


async def test_where_it_cannot_be_looked_for_that_is_said_and_written_down(
    valkey: RunningServer, tmp_path: Path
) -> None:
    with losing(valkey, done=True, also=b"CONFIG") as liar:
        async with operating(liar.connection, tmp_path) as operator:
            change = await operator.settings.propose(POLICY, "allkeys-lru")
            result = await operator.settings.apply(change)
            assert (result.took, result.unread, result.now) == (False, True, None)
            assert "whether maxmemory-policy is allkeys-lru now is not known" in operator.history()[0].result


async def test_a_change_that_nobody_can_read_goes_back_all_the_same(valkey: RunningServer, tmp_path: Path) -> None:
    """The answer was lost, and so was every look afterwards: the return was promised, and is arranged."""
    with valkey.client() as client, losing(valkey, done=True, also=b"CONFIG") as liar:
        async with operating(liar.connection, tmp_path) as operator:
            change = await operator.settings.propose(POLICY, "allkeys-lru")
            result = await operator.settings.apply(change, revert_after=0.2)
            assert result.unread
            assert "reverts to noeviction" in result.detail
            assert policy(client) == "allkeys-lru"
            # The way to the server is there again.
            liar.lie = lambda words: None
            while policy(client) != "noeviction":
                await asyncio.sleep(0.05)
            assert [entry.action for entry in operator.history()] == ["undo", "set"]


async def test_what_was_set_last_returns_first_and_nothing_is_evicted_between(
    server: RunningServer, tmp_path: Path
) -> None:
    with server.client() as client:
        client.mset({f"k{n}": "x" * 1000 for n in range(2000)})
        for name, value in (("maxmemory", "64mb"), (POLICY, "allkeys-lru")):
            client.config_set(name, value)
        async with operating(server.connection, tmp_path) as operator:
            results = []
            for name, new in ((POLICY, "noeviction"), ("maxmemory", str(client.info("memory")["used_memory"] // 2))):
                change = await operator.settings.propose(name, new)
                results.append(await operator.settings.apply(change, revert_after=0.3))
            assert all([(await operator.settings.returned(result)).took for result in results])
            assert [entry.what.split(":")[0] for entry in operator.history()[:2]] == [POLICY, "maxmemory"]
            assert (policy(client), client.dbsize()) == ("allkeys-lru", 2000)


@pytest.mark.parametrize("begun", [False, True])
async def test_leaving_brings_returns_forward_one_after_the_other(begun: bool) -> None:
    """Also where the last has begun by itself, and the first waits for it: `limits` leaves just as they are due."""
    log: list[str] = []
    slowly = asyncio.Event()

    async def take_back(result: ChangeResult) -> ChangeResult:
        log.append(f"{result.change.name} begins")
        await slowly.wait()
        log.append(f"{result.change.name} ends")
        return result

    returns = TimedReturns(take_back)
    for name in ("maxmemory-policy", "maxmemory"):
        returns.arrange(ChangeResult(Change(name, "old", "new"), took=True, now="new"), 0.01 if begun else 60)
    if begun:
        await until_async(lambda: log, "the last to begin")
    leaving = asyncio.create_task(returns.close())
    await until_async(lambda: log, "the last to begin")
    for _ in range(5):
        await asyncio.sleep(0)
    slowly.set()
    await leaving
    assert log == ["maxmemory begins", "maxmemory ends", "maxmemory-policy begins", "maxmemory-policy ends"]
    assert (ended := await returns.ended("maxmemory-policy")) is not None
    assert ended.took


async def test_what_others_set_since_is_told_from_what_this_run_set(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        async with operating(server.connection, tmp_path) as operator:
            settings = operator.settings
            for name, typed, other in ((POLICY, "allkeys-lru", "noeviction"), ("maxmemory", "1gb", "2000000000")):
                held = await settings.apply(await settings.propose(name, typed), revert_after=60)
                state = LimitsState(limits=await settings.limits(), reverting=held, reverts_at=60.0)
                assert (state.changed_elsewhere, state.returning(20)) == (None, (name, 40.0))
                client.config_set(name, other)
                state = replace(state, limits=await settings.limits())
                assert (state.changed_elsewhere, state.returning(20)) == (other, None)
                assert settings.keep(held)
