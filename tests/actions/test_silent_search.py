"""A server that falls silent, or closes the connection, while keys are looked for: the search goes on where it was."""

import os
import signal
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import redis

from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.models.action import PlanningState, PlanningView
from redis_oom_tui.models.errors import OtherServer
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.models.stepped import ShrinkRequest
from redis_oom_tui.models.structs import replace
from tests.apps import samples
from tests.support.acting import fill, operating
from tests.support.finished_jobs import frozen
from tests.support.proxy import lied_to
from tests.support.servers import RunningServer

NAMES = [b"cache:%d" % number for number in range(3000)]
CACHE = Criteria(patterns=(b"cache:*",))


class Freezing:
    """Stops the server once, at the `number`th command that begins with `first`, for longer than one question; where
    `closing`, every connection is closed instead.
    """

    def __init__(self, server: RunningServer, first: bytes, number: int, *, closing: bool = False) -> None:
        self._server = server
        self._first, self._number = first, number
        self._closing = closing
        self.timer: threading.Timer | None = None
        self.run_id: bytes | None = None

    def __call__(self, words: tuple[bytes, ...]) -> bytes | None:
        asked = b" ".join(words[:2]).upper()
        if self.timer is None and asked.startswith(self._first):
            self._number -= 1
            if not self._number:
                if self._closing:
                    with self._server.client() as client:
                        client.client_kill_filter(_type="normal", skipme=True)
                else:
                    os.kill(self._server.pid, signal.SIGSTOP)
                frozen_for = 0.0 if self._closing else 0.8
                self.timer = threading.Timer(frozen_for, os.kill, (self._server.pid, signal.SIGCONT))
                self.timer.start()
        elif self.timer is not None and self.run_id is not None and asked == b"INFO SERVER":
            info = b"run_id:" + self.run_id + b"\r\n"
            return b"$%d\r\n%s\r\n" % (len(info), info)
        return None

    def over(self) -> None:
        """Return once the server goes on; fails where it never was stopped."""
        assert self.timer is not None
        self.timer.join()


async def searched(server: RunningServer, freezing: Freezing, folder: Path) -> PlanningView:
    """What the search for the keys of a plan comes to where `freezing` happens to it."""
    with server.client() as client, lied_to(server.connection, {}) as liar:
        fill(client, NAMES)
        liar.lie = freezing
        async with operating(replace(liar.connection, read_timeout_seconds=0.3), folder) as operator:
            view = await operator.plan(CACHE).run()
        freezing.over()
    return view


@pytest.mark.parametrize(
    ("first", "number", "closing"),
    [(b"SCAN", 4, False), (b"SCAN", 4, True), (b"OBJECT IDLETIME", 2000, False), (b"TIME", 5, False)],
    ids=str,
)
async def test_the_search_goes_on_with_no_key_twice_or_missed(
    server: RunningServer, tmp_path: Path, first: bytes, number: int, closing: bool
) -> None:
    freezing = Freezing(server, first, number, closing=closing)
    view = await searched(server, freezing, tmp_path)
    assert view.plan is not None, view.error
    assert view.plan.complete
    assert sorted(key.id.key for key in view.plan.keys) == sorted(NAMES)
    assert (view.plan.matched_keys, view.plan.scanned_keys) == (len(NAMES), len(NAMES))


async def test_the_search_ends_where_the_server_was_restarted_meanwhile(server: RunningServer, tmp_path: Path) -> None:
    freezing = Freezing(server, b"SCAN", 4)
    freezing.run_id = b"0" * 40
    view = await searched(server, freezing, tmp_path)
    assert (view.state, view.plan) == (PlanningState.FAILED, None)
    assert "its run id changed" in str(view.error)


async def _finished(operator: LiveOperator) -> object:
    return {job.member for job in (await frozen(operator)).jobs}


async def _shrunk(operator: LiveOperator) -> object:
    return set((await operator.steps.plan_shrink(ShrinkRequest(KeyId(0, b"large"), matching=b"old*")).run()).marked)


async def _orphans(operator: LiveOperator) -> object:
    return set(await operator.steps.orphans("celery", 0))


async def _reaped(operator: LiveOperator) -> object:
    return (await operator.reap()).figures["expired_keys"]


def _fill_for_searches(client: redis.Redis) -> None:
    samples.write(client, samples.load("bullmq").keys)
    pipeline = client.pipeline(transaction=False)
    for number in range(1500):
        pipeline.zadd("bull:mail:completed", {f"9{number}": 1_700_000_000_000})
        pipeline.hset("large", mapping={f"old{number}": "x" * 80, f"new{number}": "x"})
        name = f"0f0d00b0-2222-4333-8444-{number:012d}.reply.celery.pidbox"
        pipeline.lpush(name, "reply")
        if number % 3:
            pipeline.sadd("_kombu.binding.reply.celery.pidbox", "\x06\x16".join((name[:36], "", name)))
    pipeline.execute()


@pytest.mark.parametrize(
    ("search", "first", "number"),
    [(_finished, b"ZRANGE", 3), (_shrunk, b"HSCAN", 2), (_orphans, b"SSCAN", 2), (_reaped, b"SCAN", 2)],
    ids=["finished", "shrink", "orphans", "reap"],
)
async def test_other_searches_go_on_as_well(
    server: RunningServer,
    tmp_path: Path,
    search: Callable[[LiveOperator], Awaitable[object]],
    first: bytes,
    number: int,
) -> None:
    with server.client() as client, lied_to(server.connection, {}) as liar:
        _fill_for_searches(client)

        async def found() -> object:
            async with operating(replace(liar.connection, read_timeout_seconds=0.3), tmp_path) as operator:
                return await search(operator)

        expected = await found()
        for closing in (True, False):
            liar.lie = freezing = Freezing(server, first, number, closing=closing)
            assert await found() == expected
            freezing.over()
        liar.lie = freezing = Freezing(server, first, number, closing=True)
        freezing.run_id = b"0" * 40
        with pytest.raises(OtherServer):
            await found()
        freezing.over()
