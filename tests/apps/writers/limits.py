"""limits, as Flask-Limiter and SlowAPI use it: fixed window, moving window, sliding counter."""

import sys

from limits import parse
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter

storage = storage_from_string(sys.argv[1])
for address in ("10.0.0.1", "10.0.0.2"):
    for limiter, limit in (
        (FixedWindowRateLimiter(storage), "10/minute"),
        (MovingWindowRateLimiter(storage), "100/hour"),
        (SlidingWindowCounterRateLimiter(storage), "1000/day"),
    ):
        limiter.hit(parse(limit), "index", address)
