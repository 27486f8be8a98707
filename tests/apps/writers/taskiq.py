"""Taskiq: results kept for ever, a list queue and a stream queue that wait, a schedule."""

import asyncio
import sys

from taskiq.receiver import Receiver
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend, RedisStreamBroker


async def main() -> None:
    url = sys.argv[1]
    broker = ListQueueBroker(url).with_result_backend(RedisAsyncResultBackend(url))
    streams = RedisStreamBroker(url, queue_name="taskiq-stream")

    @broker.task(task_name="shop:add")
    async def add(x: int, y: int) -> int:
        return x + y

    @streams.task(task_name="shop:mail")
    async def mail(to: str) -> str:
        return to

    await broker.startup()
    await streams.startup()
    await add.kiq(1, 2)
    receiver = Receiver(broker, run_startup=False)
    async for message in broker.listen():
        await receiver.callback(message)
        break
    await add.kiq(3, 4)
    await mail.kiq("a@example.org")
    await broker.shutdown()
    await streams.shutdown()


asyncio.run(main())
