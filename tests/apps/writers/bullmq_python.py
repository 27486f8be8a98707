"""BullMQ's client for Python: jobs done, failed, waiting, delayed."""

import asyncio
import sys

from bullmq import Queue, Worker


async def main() -> None:
    options = {"connection": sys.argv[1]}
    queue = Queue("mail", options)
    for at in range(3):
        await queue.add("send", {"to": at}, {})
    await queue.add("fail", {"to": "nobody"}, {})
    done = asyncio.Event()
    seen = 0

    async def process(job, token):
        if job.name == "fail":
            raise ValueError("no such order")
        return "sent"

    def ended(*_):
        nonlocal seen
        seen += 1
        if seen == 4:
            done.set()

    worker = Worker("mail", process, options)
    worker.on("completed", ended)
    worker.on("failed", ended)
    await asyncio.wait_for(done.wait(), 10)
    await worker.close(force=True)
    await queue.add("send", {"to": 4}, {})
    await queue.add("send", {"to": 5}, {"delay": 3_600_000})
    await queue.add("send", {"to": 6}, {"priority": 5})
    await queue.close()


asyncio.run(main())
