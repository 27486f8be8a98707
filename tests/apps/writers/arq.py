"""arq: a result kept, a failed job, a waiting job, a deferred one, and the worker's health record."""

import asyncio
import logging
import sys

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker

logging.disable()


async def add(context, x, y):
    return x + y


async def fail(context):
    raise ValueError("no such order")


async def main() -> None:
    settings = RedisSettings.from_dsn(sys.argv[1])
    pool = await create_pool(settings)
    await pool.enqueue_job("add", 1, 2)
    await pool.enqueue_job("fail")
    worker = Worker([add, fail], redis_settings=settings, burst=True, handle_signals=False, poll_delay=0.01)
    await worker.async_run()
    await worker.record_health()
    await pool.enqueue_job("add", 3, 4)
    await pool.enqueue_job("add", 5, 6, _defer_by=3600)


asyncio.run(main())
