"""Huey: results that nobody read, a waiting task, a scheduled one, a lock."""

import logging
import sys

from huey import PriorityRedisHuey, RedisHuey

logging.disable()
for huey in (RedisHuey("shop", url=sys.argv[1]), PriorityRedisHuey("mail", url=sys.argv[1])):

    @huey.task()
    def add(x, y):
        return x + y

    @huey.task()
    def fail():
        raise ValueError("no such order")

    add(1, 2)
    fail()
    for _ in range(2):
        huey.execute(huey.dequeue())
    # As a consumer does with a task that is not due.
    huey.add_schedule(add.s(5, 6, delay=3600))
    add(7, 8)
    huey.lock_task("nightly").__enter__()
