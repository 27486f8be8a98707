"""What the poller hands to the screen at each tick: one frozen value, with the state of the link in it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from redis_oom_tui.models.address import Address
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.snapshot import ClientBuffer, Snapshot
from redis_oom_tui.models.trend import Rates
from redis_oom_tui.models.verdict import Finding, Verdict


@dataclass(frozen=True, slots=True)
class Clock:
    """The tool's two clocks, in seconds: one that never jumps, and the time of day (Unix)."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


class Link(StrEnum):
    """How it stands with the server: never reached yet, answering, or lost (what is shown is old)."""

    CONNECTING = "connecting"
    LIVE = "live"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Reading:
    """All that the screen knows of the server at one moment.

    `history` holds the snapshots of the last minutes, oldest first; the last of them is `snapshot`. When the link is
    LOST, everything is from before, `error` says why in one sentence and `next_try` when it is tried again (monotonic
    seconds). `rates` are over the last ten seconds. `clients` is None until CLIENT LIST answered.
    """

    address: Address
    link: Link = Link.CONNECTING
    snapshot: Snapshot | None = None
    history: tuple[Snapshot, ...] = ()
    rates: Rates = field(default_factory=Rates)
    verdict: Verdict | None = None
    findings: tuple[Finding, ...] = ()
    clients: tuple[ClientBuffer, ...] | None = None
    capabilities: Capabilities = field(default_factory=Capabilities)
    error: str | None = None
    next_try: float | None = None
    attempts: int = 0

    @property
    def previous(self) -> Snapshot | None:
        """The snapshot one tick before, None at the first."""
        return self.history[-2] if len(self.history) > 1 else None

    def age(self, now: float) -> float | None:
        """Seconds since the figures were read, `now` being monotonic; None before the first."""
        return None if self.snapshot is None else max(0.0, now - self.snapshot.taken_monotonic)
