"""A slow link between a terminal and the program in it: so many bytes a second each way, each held back for a while."""

import os
import select
import time
from collections import deque
from collections.abc import Callable

from tests.support.terminal import Terminal
from tests.support.waiting import stand_still

_TURN_SECONDS = 0.002
_BURST_SECONDS = 0.02


class SlowLink:
    """Relays between `run` and whoever looks at its screen. `delay` is one way, in seconds; `rate` bytes a second.

    What the link does not take stays in the pseudo-terminal, so that the program feels it.
    """

    def __init__(self, run: Terminal, *, rate: float, delay: float) -> None:
        self.run = run
        self._rate, self._delay = rate, delay
        self._down: deque[tuple[float, bytes]] = deque()
        self._up: deque[tuple[float, bytes]] = deque()
        self._credit = {"up": 0.0, "down": 0.0}
        self._turned = time.monotonic()

    def type(self, keys: str) -> None:
        """Keys set out on their way."""
        self._up.append((time.monotonic() + self._delay, keys.encode()))

    def turn(self) -> None:
        """Carry what may be carried by now."""
        now = time.monotonic()
        for way in self._credit:
            most = max(1.0, self._rate * _BURST_SECONDS)
            self._credit[way] = min(most, self._credit[way] + (now - self._turned) * self._rate)
        self._turned = now
        while self._up and self._up[0][0] <= now and self._credit["up"] >= 1.0:
            _, keys = self._up.popleft()
            self._credit["up"] -= len(keys)
            self.run.type(keys)
        if self._credit["down"] >= 1.0 and select.select([self.run.fd], [], [], _TURN_SECONDS)[0]:
            data = os.read(self.run.fd, int(self._credit["down"]))
            self._credit["down"] -= len(data)
            self._down.append((time.monotonic() + self._delay, data))
        else:
            stand_still(_TURN_SECONDS)
        while self._down and self._down[0][0] <= time.monotonic():
            self.run.take(self._down.popleft()[1])

    def until(self, true: Callable[[Terminal], bool], patience: float) -> float | None:
        """Seconds until the screen at this end shows it; None where it never did."""
        began = time.monotonic()
        while time.monotonic() - began < patience:
            self.turn()
            if true(self.run):
                return time.monotonic() - began
        return None

    def linger(self, seconds: float) -> None:
        """Carry on for so long."""
        self.until(lambda _: False, seconds)
