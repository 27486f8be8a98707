"""Managed services imitated: commands renamed away, refused by ACL, or answered by a proxy that lies."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from redis_oom_tui.actions.deployment import Standalone
from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.models.action import Action, BackupChoice
from redis_oom_tui.models.capabilities import Feature
from redis_oom_tui.models.errors import CommandRefused
from redis_oom_tui.models.plan import Criteria, Outcome
from redis_oom_tui.models.scan import ScanOptions, ScanState
from redis_oom_tui.rules.verdict import judge
from redis_oom_tui.server.live import LiveServer
from tests.support.proxy import Liar, lied_to, unknown
from tests.support.servers import RunningServer, started
from tests.support.sources import opened

KEYS = 20


@pytest.fixture
def filled(valkey: RunningServer) -> RunningServer:
    with valkey.client() as client:
        client.mset({f"k{n}": "v" * 100 for n in range(KEYS)})
        client.config_set("maxmemory", 100_000_000)
    return valkey


@contextlib.contextmanager
def lying(server: RunningServer, answers: Mapping[str, bytes]) -> Iterator[Liar]:
    with lied_to(server.connection, answers) as liar:
        yield liar


async def test_a_setting_that_is_answered_ok_and_stays_is_found_out(filled: RunningServer, tmp_path: Path) -> None:
    with lying(filled, {"CONFIG SET": b"+OK\r\n"}) as liar:
        async with opened(liar.connection) as live:
            operator = LiveOperator(Standalone(live), folder=tmp_path)
            result = await operator.settings.apply(await operator.settings.propose("maxmemory-policy", "allkeys-lru"))
            await operator.close()
    assert not result.took
    assert result.now == "noeviction"
    assert "kept the old value" in result.detail
    assert "provider's console" in result.detail


async def test_a_proxy_that_knows_no_client(filled: RunningServer) -> None:
    with lying(filled, {"CLIENT": unknown("CLIENT")}) as liar:
        async with opened(liar.connection) as live:
            snapshot = await live.snapshot()
            known = await live.capabilities()
            with pytest.raises(CommandRefused, match="CLIENT LIST"):
                await live.clients()
    assert snapshot.keys == KEYS
    for feature in (Feature.CLIENT_LIST, Feature.NO_TOUCH, Feature.NO_EVICT):
        assert "unknown command" in (known.why_not(feature) or "")


async def test_sizes_that_nobody_tells_are_unknown_and_not_nothing(filled: RunningServer) -> None:
    with lying(filled, {"MEMORY": unknown("MEMORY")}) as liar:
        async with opened(liar.connection) as live:
            view = await live.scan(ScanOptions()).run()
    assert (view.state, view.scanned_keys) == (ScanState.COMPLETE, KEYS)
    assert all(row.size is None for row in view.top)
    assert view.explained_share is None
    assert any("sizes are unknown" in note for note in view.notes)


async def test_no_idle_times_no_config_no_latency(filled: RunningServer) -> None:
    answers = {name: unknown(name) for name in ("OBJECT", "CONFIG", "MEMORY STATS")}
    with lying(filled, answers) as liar:
        async with opened(liar.connection) as live:
            view = await live.scan(ScanOptions(idle=True)).run()
            snapshot = await live.snapshot()
            known = await live.capabilities()
    assert view.state is ScanState.COMPLETE
    assert any("idle times are unknown" in note for note in view.notes)
    assert snapshot.memory.maxmemory_bytes == 100_000_000
    assert not known.has(Feature.CONFIG_GET)


async def test_without_scripts_the_promise_is_weaker_and_said(filled: RunningServer, tmp_path: Path) -> None:
    refused = b"-NOPERM this user has no permissions to run the 'eval' command\r\n"
    with lying(filled, {"EVAL": refused, "EVALSHA": refused, "SCRIPT": refused}) as liar:
        async with opened(liar.connection) as live:
            operator = LiveOperator(Standalone(live), folder=tmp_path)
            await operator.learn()
            planned = await operator.plan(Criteria(patterns=(b"k1*",))).run()
            assert planned.plan is not None
            run = await operator.run(planned.plan, backup=BackupChoice()).run()
            await operator.close()
    assert any("in two steps" in flag for flag in planned.plan.flags)
    assert run.counts == {Outcome.DELETED: 11}
    with filled.client() as client:
        assert client.dbsize() == KEYS - 11


async def test_what_may_not_be_set_says_where_it_is_set(flavour: str, tmp_path: Path) -> None:
    with started(flavour, 'rename-command CONFIG ""') as running:
        live = LiveServer(running.connection)
        await live.open()
        operator = LiveOperator(Standalone(live), folder=tmp_path)
        await operator.learn()
        reason = operator.why_not(Action.SET)
        limits = await operator.settings.limits()
        await operator.close()
        await live.close()
    assert "CONFIG SET is refused here" in (reason or "")
    assert "parameter group" in (reason or "")
    assert limits.policy == "noeviction"


async def test_info_without_its_memory_is_no_zero(filled: RunningServer) -> None:
    bare = b"# Server\r\nredis_version:7.0.0\r\n"
    with lying(filled, {"INFO": b"$%d\r\n%s\r\n" % (len(bare), bare)}) as liar:
        async with opened(liar.connection) as live:
            with pytest.raises(CommandRefused, match="used_memory"):
                await live.snapshot()


async def test_a_server_that_may_not_be_scanned_can_be_judged(filled: RunningServer) -> None:
    with lying(filled, {"SCAN": unknown("SCAN")}) as liar:
        async with opened(liar.connection) as live:
            view = await live.scan(ScanOptions()).run()
            verdict = judge(await live.snapshot())
    assert view.state is ScanState.FAILED
    assert "SCAN" in (view.error or "")
    assert verdict.level.value == "ok"
