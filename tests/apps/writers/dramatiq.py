"""Dramatiq: a message done, its result kept, one waiting, one delayed, one dead."""

import sys
import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.rate_limits import ConcurrentRateLimiter, WindowRateLimiter
from dramatiq.rate_limits.backends import RedisBackend as Limits
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

broker = RedisBroker(url=sys.argv[1])
broker.add_middleware(Results(backend=RedisBackend(url=sys.argv[1])))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def add(x, y):
    return x + y


@dramatiq.actor(max_retries=0, queue_name="mail")
def fail():
    raise ValueError("no such order")


message = add.send(1, 2)
fail.send()
worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=1)
worker.start()
assert message.get_result(block=True, timeout=5000) == 3
deadline = time.monotonic() + 5
while not broker.client.exists("dramatiq:mail.XQ") and time.monotonic() < deadline:
    time.sleep(0.01)
worker.stop()
add.send(3, 4)
add.send_with_options(args=(5, 6), delay=3_600_000)
limits = Limits(url=sys.argv[1])
ConcurrentRateLimiter(limits, "one-at-a-time", limit=1, ttl=900_000)._acquire()
WindowRateLimiter(limits, "per-minute", limit=10, window=60)._acquire()
