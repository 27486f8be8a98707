"""A server that says nothing: each tick says so and since when, and a poll is given up in time."""

import asyncio
import itertools
import re
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from redis_oom_tui.models.alert import EventKind
from redis_oom_tui.models.config import WatchSettings
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.poller import Poller
from redis_oom_tui.monitor.state import Link, ServerState
from tests.monitor.scripted import Script, snapshot
from tests.support.servers import RunningServer
from tests.support.waiting import be_late, stand_still

QUICK = WatchSettings(interval_seconds=0.3, lost_seconds=1.0)


class Hanging(Script):
    """Answers its first `answers` polls, then none until `go_on` is set."""

    def __init__(self, answers: int) -> None:
        super().__init__(itertools.repeat(snapshot(50)), Clock())
        self.left = answers
        self.go_on = asyncio.Event()
        self.given_up = 0

    async def snapshot(self) -> Snapshot:
        self.left -= 1
        if self.left < 0:
            try:
                await self.go_on.wait()
            except asyncio.CancelledError:
                self.given_up += 1
                raise
        return await super().snapshot()


async def watched(poller: Poller, until: Callable[[list[ServerState]], bool]) -> list[ServerState]:
    states: list[ServerState] = []
    stop = asyncio.Event()

    def publish(state: ServerState) -> None:
        states.append(state)
        if until(states):
            stop.set()

    await asyncio.wait_for(poller.run(publish, stop), 20)
    return states


@pytest.mark.parametrize("shared", [False, True])
async def test_while_a_poll_waits_each_tick_says_so(shared: bool) -> None:
    source = Hanging(answers=2)
    states = await watched(Poller(source, QUICK, shared=shared), lambda states: len(states) == 8)
    assert [state.answer is not None for state in states] == [True, True, *[False] * 6]
    silent = states[2:]
    waited = [state.silent_seconds for state in silent]
    assert waited == sorted(set(waited))
    assert waited[0] >= QUICK.interval_seconds / 2
    assert all(state.verdict_now.level is Level.UNKNOWN for state in silent)
    words = re.compile(r"cache-1:6379 has not answered since \d\d:\d\d:\d\d")
    assert all(words.fullmatch(state.sample.reason) for state in silent)
    assert {state.link for state in silent} == {Link.LIVE}, "it has not failed yet"
    assert all(state.snapshot is states[1].snapshot for state in silent), "what was known stays"
    lost = [event for state in states for event in state.events]
    assert [event.kind for event in lost] == [EventKind.LOST]
    assert [state.alert for state in silent][-1] is Level.UNKNOWN


async def test_an_answer_at_last_ends_the_silence() -> None:
    source = Hanging(answers=1)

    def until(states: list[ServerState]) -> bool:
        if len(states) == 4:
            source.left = 100
            source.go_on.set()
        return len(states) == 6

    states = await watched(Poller(source, QUICK), until)
    assert [state.answer is not None for state in states] == [True, False, False, False, True, True]
    assert states[-1].silent_since is None
    assert states[-1].silent_seconds == 0
    assert states[-1].error is None


async def test_a_poll_of_its_own_is_given_up_in_time_and_the_source_opened_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("redis_oom_tui.models.timeouts.GIVE_UP", 0.8)
    source = Hanging(answers=1)
    states = await watched(Poller(source, QUICK), lambda _: source.given_up == 2)
    assert any("did not answer in time" in (state.error or "") for state in states)
    assert source.opened >= 2
    failed = next(state for state in states if state.error)
    assert 0.7 < failed.silent_seconds < 3


async def test_the_patience_is_an_interval_where_that_is_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redis_oom_tui.models.timeouts.GIVE_UP", 0.01)
    slow = WatchSettings(interval_seconds=20)  # A crowded machine takes its time.
    source = Hanging(answers=0)
    asyncio.get_running_loop().call_later(0.15, source.go_on.set)
    assert (await Poller(source, slow).poll()).answer is not None


async def test_a_shared_source_is_never_closed_and_its_own_timeouts_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redis_oom_tui.models.timeouts.GIVE_UP", 0.01)
    source = Hanging(answers=1)
    states = await watched(Poller(source, QUICK, shared=True), lambda states: len(states) == 6)
    assert not any(state.error for state in states)
    assert source.closed == 0


async def test_a_process_that_stood_still_blames_no_server() -> None:
    """As after Ctrl+Z and fg: the answer lies there when it goes on."""
    source = Hanging(answers=1)

    def suspended() -> None:
        stand_still(1.5)
        source.go_on.set()

    asyncio.get_running_loop().call_later(0.35, suspended)
    states = await watched(Poller(source, QUICK), lambda states: len(states) == 3)
    assert all(state.answer is not None for state in states)
    assert not any(state.events for state in states)


def test_the_watch_writes_a_line_a_tick_while_the_server_is_frozen(server: RunningServer) -> None:
    command = [sys.executable, "-m", "redis_oom_tui", "-s", str(server.socket_path), "watch", "--interval", "0.5"]
    watch = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert watch.stdout is not None
    try:
        assert "ok" in watch.stdout.readline()
        with server.frozen():
            times, lines = [], []
            while len(lines) < 5:
                lines.append(watch.stdout.readline())
                times.append(time.monotonic())
        silent = [line for line in lines if "no answer for" in line]
        assert len(silent) >= 3
        assert "has not answered since" in silent[0]
        assert max(after - before for before, after in itertools.pairwise(times)) < 2.5
        while "no answer for" in (line := watch.stdout.readline()):
            pass
        assert " ok " in line
    finally:
        watch.terminate()
        watch.wait(10)
        watch.stdout.close()


async def test_a_process_that_stood_still_while_it_connected_blames_no_server() -> None:
    source = Hanging(answers=9)
    connect = source.open

    async def slow_open() -> None:
        await be_late(0.05)
        await connect()

    source.open = slow_open  # type: ignore[method-assign]
    asyncio.get_running_loop().call_later(0.02, stand_still, 1.5)
    states = await watched(Poller(source, QUICK), lambda states: len(states) == 3)
    assert all(state.answer is not None for state in states)
