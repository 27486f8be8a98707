"""`python -m tests.benchmarks.link`: how long a key takes to its paint on slow links, beside the round trip alone."""

import sys
import time
from statistics import median, quantiles

from tests.benchmarks.ssh import over_ssh
from tests.support.link import SlowLink
from tests.support.terminal import Terminal, terminal

APP = [sys.executable, "-m", "tests.support.app_on_script"]
DELAY = 0.1
RATES = (32 * 1024, 8 * 1024, 2 * 1024)
KEYS = 40
# The cursor's ground in the dark look.
_CURSOR = "005f87"


def main() -> None:
    """Print the table."""
    print(f"round trip {2 * DELAY * 1000:.0f} ms, scanning at 80x24; ms from key to paint over {KEYS} keys")
    print(f"{'':26} {'median':>7} {'p99':>7} {'above RTT':>10} {'lost':>5} {'B/s':>6}")
    for rate in RATES:
        with terminal(APP) as run:
            _line(f"{rate // 1024} KB/s", run, SlowLink(run, rate=rate, delay=DELAY))
    with over_ssh(APP) as argv:
        if argv is not None:
            with terminal(argv) as run:
                _line("8 KB/s through sshd", run, SlowLink(run, rate=8 * 1024, delay=DELAY))


def _line(name: str, run: Terminal, link: SlowLink) -> None:
    if link.until(lambda run: "refused writes" in run.text(), 60.0) is None:
        raise RuntimeError(run.text())
    link.type("2")
    link.type("r")
    link.until(lambda run: "scanning" in run.text(), 30.0)
    link.linger(3.0)
    began, before = time.monotonic(), run.received
    taken = [_press(link, "\x1b[B" if n % 20 < 10 else "\x1b[A") for n in range(KEYS)]
    rate = (run.received - before) / (time.monotonic() - began)
    painted = [one * 1000 for one in taken if one is not None]
    lost = len(taken) - len(painted)
    p99 = quantiles(painted, n=100)[-1] if len(painted) > 1 else float("nan")
    middle = median(painted) if painted else float("nan")
    print(f"{name:26} {middle:>7.0f} {p99:>7.0f} {p99 - 2 * DELAY * 1000:>10.0f} {lost:>5} {rate:>6.0f}", flush=True)


def _press(link: SlowLink, key: str) -> float | None:
    here = _cursor(link.run)
    link.type(key)
    took = link.until(lambda run: _cursor(run) != here, 10.0)
    link.linger(0.25)
    return took


def _cursor(run: Terminal) -> int:
    """The line of the table that has the cursor."""
    return next((y for y in range(run.lines) if run.screen.buffer[y][4].bg == _CURSOR), -1)


if __name__ == "__main__":
    main()
