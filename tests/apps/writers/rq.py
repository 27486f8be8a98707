"""RQ: a finished, a failed, a waiting, a deferred and a scheduled job, as a worker in burst mode leaves them."""

import operator
import sys
from datetime import timedelta

from redis import Redis
from rq import Queue, Retry, SimpleWorker

client = Redis.from_url(sys.argv[1])
mail = Queue("mail", connection=client)
mail.enqueue(operator.add, 1, 2)
mail.enqueue(operator.add, 2, 3)
mail.enqueue(operator.truediv, 1, 0, retry=Retry(max=1, interval=3600))
mail.enqueue(operator.truediv, 1, 0)
SimpleWorker([mail], connection=client).work(burst=True, logging_level="CRITICAL")
first = mail.enqueue(operator.add, 3, 4)
mail.enqueue(operator.add, 5, 6, depends_on=first)
mail.enqueue_in(timedelta(hours=1), operator.add, 7, 8)
worker = SimpleWorker([mail], connection=client)
worker.register_birth()
