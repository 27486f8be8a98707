"""What a screen or a command may ask of a server, without knowing what stands behind it.

`store` answers it with a live server, a recording with the past, and the tests with a script.
"""

from typing import Protocol

from redis_oom_tui.models.address import Address
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.keys import KeyDetails, KeyId
from redis_oom_tui.models.scan import Pace, ScanOptions, ScanView
from redis_oom_tui.models.snapshot import ClientBuffer, Snapshot


class Scan(Protocol):
    """A scan under way. `run` walks; the others may be called while it does, from the same event loop."""

    async def run(self) -> ScanView:
        """Walk to the end, a stop or a failure, and return the last view. Never raises for a server's fault."""

    def view(self) -> ScanView:
        """The scan as it stands: a bounded, frozen value, cheap enough for two a second."""

    def pause(self) -> None:
        """Send nothing more until `resume`."""

    def resume(self) -> None:
        """Go on where it paused."""

    def stop(self) -> None:
        """End after the page in flight; the result so far is kept."""

    def set_pace(self, pace: Pace) -> None:
        """Change how hard it leans on the server from the next page on."""


class Source(Protocol):
    """A server that can be looked at. Its errors are `models.errors`, each one plain sentence."""

    @property
    def address(self) -> Address:
        """Where it is, for people."""

    async def open(self) -> None:
        """Connect and ask who is there and what it can do."""

    async def close(self) -> None:
        """Let go of every connection; never raises."""

    async def capabilities(self) -> Capabilities:
        """What may be used, as known by now."""

    async def snapshot(self) -> Snapshot:
        """One INFO, parsed."""

    async def clients(self) -> tuple[ClientBuffer, ...]:
        """CLIENT LIST, the largest holders of memory first."""

    def scan(self, options: ScanOptions) -> Scan:
        """A scan that has not started yet."""

    async def details(self, key: KeyId) -> KeyDetails | None:
        """A closer look at one key that leaves no trace; None where it is gone."""
