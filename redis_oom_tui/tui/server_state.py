"""What the poller hands to the screen at each tick: one frozen value, with the state of the link in it."""

import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct, field

from redis_oom_tui.models.address import Address
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.snapshot import ClientBuffer, NodeView, Snapshot
from redis_oom_tui.models.trend import Forecast, Rates, TrendSample
from redis_oom_tui.models.verdict import Verdict


class ScreenClock(Struct, frozen=True):
    """The tool's two clocks, in seconds: one that never jumps, and the time of day (Unix)."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


class Link(StrEnum):
    """How it stands with the server: never reached yet, answering, or lost (what is shown is old)."""

    CONNECTING = "connecting"
    LIVE = "live"
    LOST = "lost"


class ServerState(Struct, frozen=True):
    """All that the screen knows of the server at one moment.

    `samples` are the trend of the last minutes to hours, oldest first; `rates` are over the last ten seconds. When the
    link is LOST, everything is from before, `error` says why in one sentence and `next_try` when it is tried again
    (monotonic seconds). A LIVE one has a `next_try` where the server took so long to answer that it is left alone for a
    while. `clients` is None until CLIENT LIST answered; `settings` are the few that a diagnosis looks at;
    `replicas` what those of a master without a cluster last said.
    """

    address: Address
    link: Link = Link.CONNECTING
    snapshot: Snapshot | None = None
    samples: tuple[TrendSample, ...] = ()
    rates: Rates = field(default_factory=Rates)
    verdict: Verdict | None = None
    forecast: Forecast = field(default_factory=Forecast)
    clients: tuple[ClientBuffer, ...] | None = None
    capabilities: Capabilities = field(default_factory=Capabilities)
    settings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    replicas: tuple[NodeView, ...] = ()
    error: str | None = None
    next_try: float | None = None
    attempts: int = 0

    def age(self, now: float) -> float | None:
        """Seconds since the figures were read, `now` being monotonic; None before the first."""
        return None if self.snapshot is None else max(0.0, now - self.snapshot.taken_monotonic)
