"""APScheduler's Redis job store: three jobs."""

import operator
import sys
from urllib.parse import urlsplit

from apscheduler.jobstores.redis import RedisJobStore
from apscheduler.schedulers.background import BackgroundScheduler

where = urlsplit(sys.argv[1])
scheduler = BackgroundScheduler(jobstores={"default": RedisJobStore(host=where.hostname, port=where.port)})
scheduler.start(paused=True)
for at in range(3):
    scheduler.add_job(operator.add, "interval", hours=1, args=(at, 1))
scheduler.shutdown(wait=False)
