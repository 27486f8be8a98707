"""Hooks: events in order, bounded, paced, and each delivery in the log."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from redis_oom_tui.models.address import Secret
from redis_oom_tui.models.alert import Event, EventKind, Figures
from redis_oom_tui.models.config import HookSettings, WebhookFormat
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.hooks import WAITING_EVENTS, DeliveryFailed, HookQueue
from redis_oom_tui.monitor.output import Note
from redis_oom_tui.monitor.webhook import Webhook
from tests.monitor.scripted import TurnedClock

EVENT = Event(
    number=7,
    kind=EventKind.OOM,
    at=1_700_000_000.0,
    server="cache-1:6379",
    level=Level.OOM,
    before=Level.CRITICAL,
    reason="Refusing writes at 100%.",
    rule="refusing-data",
    figures=Figures(used_bytes=100, maxmemory_bytes=100, pressure=1.0, policy="noeviction", refused_writes_total=3),
)


ROOMY = HookSettings(burst=1000, min_gap_seconds=0)


class Scripted:
    """A hook whose deliveries a test decides."""

    name = "scripted"

    def __init__(self, act: Callable[[Event], str] = lambda _: "taken") -> None:
        self.got: list[int] = []
        self.asked = 0
        self.act = act
        self.gate = asyncio.Event()
        self.gate.set()

    async def deliver(self, event: Event) -> str:
        self.asked += 1
        await self.gate.wait()
        self.got.append(event.number)
        return self.act(event)


@contextmanager
def nothing_left() -> Iterator[None]:
    before = asyncio.all_tasks()
    yield
    assert asyncio.all_tasks() == before


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def test_events_are_delivered_in_order_and_each_is_in_the_log() -> None:
    def act(event: Event) -> str:
        if event.number == 2:
            raise DeliveryFailed("it answered 500")
        return "taken"

    notes: list[Note] = []
    hook = Scripted(act)
    courier = HookQueue(hook, ROOMY, Clock(), notes.append)
    stop = asyncio.Event()
    with nothing_left():
        running = asyncio.create_task(courier.run(stop))
        for number in (1, 2, 3):
            courier.on_event(replace(EVENT, number=number))
        await until(lambda: len(notes) == 3)
        stop.set()
        await running
    assert hook.got == [1, 2, 3]
    assert [(note.figures["number"], note.figures["ok"]) for note in notes] == [(1, True), (2, False), (3, True)]
    assert "event 2 oom: it answered 500" in notes[1].text
    assert (courier.counts.delivered, courier.counts.failed, courier.counts.dropped) == (2, 1, 0)


async def test_a_hook_that_hangs_holds_up_nobody_and_later_events_wait_for_it() -> None:
    notes: list[Note] = []
    hook = Scripted()
    hook.gate.clear()
    courier = HookQueue(hook, ROOMY, Clock(), notes.append)
    stop = asyncio.Event()
    running = asyncio.create_task(courier.run(stop))
    for number in range(1, 51):
        courier.on_event(replace(EVENT, number=number))
        await asyncio.sleep(0)
    assert hook.got == []
    hook.gate.set()
    await until(lambda: len(notes) == 50)
    assert hook.got == list(range(1, 51))
    stop.set()
    await running


async def test_the_queue_is_bounded_and_what_falls_out_is_said() -> None:
    notes: list[Note] = []
    courier = HookQueue(Scripted(), ROOMY, Clock(), notes.append)
    for number in range(1, WAITING_EVENTS + 3):
        courier.on_event(replace(EVENT, number=number))
    assert [note.figures["number"] for note in notes] == [1, 2]
    assert courier.counts.dropped == 2


async def test_what_is_due_at_the_end_is_still_delivered_and_what_hangs_is_named() -> None:
    notes: list[Note] = []
    hook = Scripted()
    courier = HookQueue(hook, replace(ROOMY, burst=1, min_gap_seconds=3600), Clock(), notes.append)
    stop = asyncio.Event()
    running = asyncio.create_task(courier.run(stop))
    for number in (1, 2, 3):
        courier.on_event(replace(EVENT, number=number))
    await until(lambda: hook.got == [1])
    stop.set()
    await asyncio.wait_for(running, 4)
    assert hook.got == [1, 2, 3]


async def test_a_delivery_that_outlives_the_farewell_is_given_up_and_said() -> None:
    notes: list[Note] = []
    hook = Scripted()
    hook.gate.clear()
    courier = HookQueue(hook, ROOMY, Clock(), notes.append, farewell_seconds=0.05)
    stop = asyncio.Event()
    with nothing_left():
        running = asyncio.create_task(courier.run(stop))
        courier.on_event(replace(EVENT, number=1))
        courier.on_event(replace(EVENT, number=2))
        await until(lambda: hook.asked)
        stop.set()
        await running
    assert [note.figures["number"] for note in notes] == [1, 2]
    assert all("the watch has ended" in note.text for note in notes)


async def test_deliveries_are_paced_beyond_the_first_few() -> None:
    clock = TurnedClock()
    delivered: list[float] = []

    def act(_: Event) -> str:
        delivered.append(clock.now - 1000)
        return "taken"

    courier = HookQueue(Scripted(act), HookSettings(burst=3, min_gap_seconds=10), clock, lambda _: None)
    stop = asyncio.Event()
    running = asyncio.create_task(courier.run(stop))
    for number in range(6):
        courier.on_event(replace(EVENT, number=number))
    await until(lambda: len(delivered) == 6)
    stop.set()
    await running
    assert delivered == [0, 0, 0, 10, 20, 30]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [(ROOMY, list(range(8))), (replace(ROOMY, events=(EventKind.OOM, EventKind.RESTARTED)), [2, 7])],
    ids=["all but restarts", "as asked"],
)
async def test_a_hook_is_told_of_the_kinds_it_asks_for(settings: HookSettings, expected: list[int]) -> None:
    order = [kind for kind in EventKind if kind is not EventKind.RESTARTED]
    kinds = [*order[:7], EventKind.CLEANUP if settings is ROOMY else EventKind.RESTARTED]
    hook = Scripted()
    courier = HookQueue(hook, settings, Clock(), lambda _: None)
    for number, kind in enumerate(kinds):
        courier.on_event(replace(EVENT, number=number, kind=kind))
    stop = asyncio.Event()
    stop.set()
    await courier.run(stop)
    assert hook.got == expected


class Receiver:
    """A webhook's other end: answers with the script's statuses, then with its last one; a negative one is slow."""

    def __init__(self, *statuses: int) -> None:
        self.bodies: list[dict[str, object]] = []
        left = list(statuses)
        bodies = self.bodies
        self.released = released = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                status = left.pop(0) if len(left) > 1 else left[0]
                if status < 0:
                    released.wait(20)
                    return
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/services/SECRET"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


@contextmanager
def receiving(*statuses: int) -> Iterator[Receiver]:
    receiver = Receiver(*statuses)
    try:
        yield receiver
    finally:
        receiver.close()


def webhook(url: str, pauses: list[float], **changes: object) -> Webhook:
    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    settings = replace(HookSettings(timeout_seconds=10), **changes)  # type: ignore[arg-type]
    return Webhook(Secret(url), settings, sleep=sleep, chance=lambda: 0.5)


async def test_a_webhook_is_sent_the_event() -> None:
    with receiving(204) as receiver:
        assert await webhook(receiver.url, []).deliver(EVENT) == "127.0.0.1 accepted it"
    assert receiver.bodies[0]["event"] == "oom"
    assert receiver.bodies[0]["refused_writes_total"] == 3


async def test_slack_is_sent_a_text() -> None:
    with receiving(200) as receiver:
        await webhook(receiver.url, [], webhook_format=WebhookFormat.SLACK).deliver(EVENT)
    assert receiver.bodies == [{"text": "OOM on cache-1:6379: Refusing writes at 100%."}]


async def test_what_slack_takes_for_markup_is_escaped() -> None:
    with receiving(200) as receiver:
        event = replace(EVENT, reason="Most of it is in <!channel> & <http://x|y>.")
        await webhook(receiver.url, [], webhook_format=WebhookFormat.SLACK).deliver(event)
        await webhook(receiver.url, []).deliver(event)
    assert receiver.bodies[0]["text"].endswith("in &lt;!channel&gt; &amp; &lt;http://x|y&gt;.")
    assert receiver.bodies[1]["reason"] == event.reason


async def test_a_receiver_in_trouble_is_tried_again_with_growing_pauses() -> None:
    pauses: list[float] = []
    with receiving(500, 503, 429, 200) as receiver:
        assert "at attempt 4" in await webhook(receiver.url, pauses, retries=3).deliver(EVENT)
    assert pauses == [1, 2, 4]


@pytest.mark.parametrize(("status", "tries"), [(500, 3), (404, 1), (302, 1)])
async def test_a_receiver_that_refuses_is_one_sentence_without_the_url(status: int, tries: int) -> None:
    with receiving(status) as receiver, pytest.raises(DeliveryFailed) as caught:
        await webhook(receiver.url, [], retries=2).deliver(EVENT)
    assert len(receiver.bodies) == tries
    assert f"127.0.0.1 answered {status}" in str(caught.value)
    assert "SECRET" not in str(caught.value)


async def test_a_slow_receiver_is_given_up_in_time() -> None:
    with nothing_left(), receiving(-1) as receiver:
        with pytest.raises(DeliveryFailed, match=r"did not answer within 0\.1s"):
            await webhook(receiver.url, [], retries=0, timeout_seconds=0.1).deliver(EVENT)
        receiver.released.set()


async def test_a_receiver_that_is_not_there_is_one_sentence() -> None:
    with receiving(200) as receiver:
        url = receiver.url
    with pytest.raises(DeliveryFailed, match=r"127\.0\.0\.1 cannot be reached: Connection refused \(2 attempts\)"):
        await webhook(url, [], retries=1).deliver(EVENT)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "https://", "nonsense"])
async def test_only_web_addresses_are_taken(url: str) -> None:
    with pytest.raises(BadInput, match="must start with https:// or http:// and name a host"):
        webhook(url, [])
