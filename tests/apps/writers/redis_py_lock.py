"""Locks of redis-py, and Pottery's Redlock."""

import sys

from pottery import Redlock
from redis import Redis

client = Redis.from_url(sys.argv[1])
client.lock("orders-import", timeout=60).acquire()
client.lock("lock:nightly", timeout=60).acquire()
Redlock(key="printer", masters={client}, auto_release_time=60).acquire()
