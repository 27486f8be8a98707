"""Celery with Redis as broker and result store: results, waiting tasks, and what `inspect` and a dead worker leave."""

import os
import sys

from celery import Celery, chord, group
from celery.contrib.testing.worker import start_worker
from kombu import Exchange, Queue

app = Celery("shop", broker=sys.argv[1], backend=sys.argv[1])
app.conf.task_queues = [Queue("celery"), Queue("mail", Exchange("mail"), routing_key="mail")]
app.conf.task_default_priority = 0
app.conf.broker_connection_retry_on_startup = True


@app.task
def add(x, y):
    return x + y


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def fail():
    raise ValueError("no such order")


def work() -> None:
    for at in range(3):
        add.delay(at, 1)
    fail.delay()
    chord([add.s(1, 2), add.s(3, 4)])(total.s())
    grouped = group(add.s(at, at) for at in range(2)).apply_async()
    grouped.save()
    with start_worker(app, pool="solo", perform_ping_check=False, loglevel="ERROR"):
        grouped.get(timeout=10, disable_sync_subtasks=False)


def leave() -> None:
    add.delay(5, 6)
    add.apply_async((7, 8), queue="mail", priority=6)
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        consumer = connection.Consumer(Queue("mail", Exchange("mail"), routing_key="mail", channel=channel))
        message = channel.basic_get("celery", no_ack=False)
        assert message is not None
        consumer.cancel()
        # The reply queue of an inspector that died before it read the replies.
        mailbox = app.control.mailbox(connection)
        queue = mailbox.get_reply_queue()(channel)
        queue.declare()
        for worker in ("celery@a", "celery@b"):
            mailbox._publish_reply(
                {worker: {"ok": "pong"}}, mailbox.reply_exchange.name, mailbox.oid, "ticket", channel
            )
        # As a killed worker: what was taken and not acknowledged stays.
        os._exit(0)


work()
leave()
