"""The application's side of the demo, as a process of its own: refused writers, readers, and a stuck subscriber.

`python -m redis_oom_tui.demo.traffic SOCKET`. It prints `ready` once the subscriber's buffer is full, and ends with the
server.
"""

import sys
import time
from pathlib import Path
from random import Random

from redis_oom_tui.demo.data import WORDS, text
from redis_oom_tui.demo.wire import Argument, Refused, Wire

TURN_SECONDS = 0.1
# Under the server's own limit for subscribers (8 MB for a minute), so that it stays connected.
STUCK_BYTES = 4 * 1024 * 1024
# Valkey refers to larger messages without copying them, and books nothing for them.
MESSAGE_BYTES = 8 * 1024


def stuck_subscriber(path: Path) -> Wire:
    """A client that subscribed and never reads again."""
    wire = Wire(path, name="price-feed-legacy")
    wire.call("SUBSCRIBE", "prices")
    return wire


def fill_buffer(publisher: Wire) -> None:
    """Publish until the stuck subscriber's output buffer holds about `STUCK_BYTES`, beyond what the socket takes."""
    body = text(Random(1), MESSAGE_BYTES)  # noqa: S311 - data for show
    for _ in range(STUCK_BYTES // MESSAGE_BYTES):
        publisher.call("PUBLISH", "prices", body)


def writes(rng: Random) -> list[tuple[Argument, ...]]:
    """What a shop writes in one turn: four commands of several kinds."""
    user = rng.randint(1000, 25_000)
    return [
        ("SET", f"sess:{rng.getrandbits(128):032x}", text(rng, 300), "EX", 1_209_600),
        ("HSET", f"cart:{user}", f"item:{rng.randint(10_000, 99_999)}", 1),
        ("XADD", "stream:clicks", "*", "path", f"/{rng.choice(WORDS)}", "user", user),
        ("LPUSH", "queue:emails", f'{{"to":{user},"template":"{rng.choice(WORDS)}"}}'),
    ]


def reads(rng: Random) -> list[tuple[Argument, ...]]:
    """What it reads meanwhile."""
    return [("GET", f"user:{rng.randint(1000, 1400)}:plan"), ("HGETALL", f"product:{rng.randint(20_000, 20_200)}")]


def turn(wire: Wire, commands: list[tuple[Argument, ...]]) -> int:
    """Send the commands one by one and return how many were refused."""
    refused = 0
    for command in commands:
        try:
            wire.call(*command)
        except Refused:
            refused += 1
    return refused


def run(path: Path) -> None:
    """Play every client until the server is gone."""
    rng = Random()  # noqa: S311 - data for show
    api, web, jobs = (Wire(path, name=name) for name in ("shop-api-7f9c", "shop-web-2b41", "jobs-worker-1"))
    stuck = stuck_subscriber(path)
    fill_buffer(web)
    print("ready", flush=True)  # noqa: T201 - the parent waits for it
    with api, web, jobs, stuck:
        while True:
            turn(api, writes(rng))
            turn(web, reads(rng))
            jobs.call("LLEN", "queue:thumbnails")
            time.sleep(TURN_SECONDS)


def main() -> int:
    """Run until the server goes."""
    try:
        run(Path(sys.argv[1]))
    except (OSError, EOFError, KeyboardInterrupt):
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
