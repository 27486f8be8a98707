"""Being a service under systemd: it is told when the watch is ready, that it lives, and how the server is."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.alert import Event
from redis_oom_tui.monitor.state import ServerState


class Service:
    """Tells systemd by its notification socket. A `Listener`; each look is a sign of life for WatchdogSec."""

    def __init__(self, address: str) -> None:
        # A leading @ stands for the NUL of an abstract socket (sd_notify(3)).
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.name = "the word to systemd"
        self._ready = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Service | None":
        """The service that systemd started, by NOTIFY_SOCKET; None where it did not, or wants to hear nothing."""
        address = environment.get("NOTIFY_SOCKET", "")
        return cls(address) if address.startswith(("/", "@")) else None

    def seen(self, state: ServerState) -> None:
        """Say that the watch lives, and what it saw."""
        alive = "WATCHDOG=1" if self._ready else "READY=1\nWATCHDOG=1"
        self._ready = True
        self._tell(f"{alive}\nSTATUS={state.verdict_now.level.value}: {safe_text(state.verdict_now.reason, 400)}")

    def told(self, event: Event) -> None:
        """Looks say enough."""

    async def run(self, stop: asyncio.Event) -> None:
        """Say that it ends once it was asked to."""
        await stop.wait()
        self._tell("STOPPING=1")

    def _tell(self, state: str) -> None:
        """Send, and never wait: a notification that cannot be delivered is systemd's loss."""
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as out,
        ):
            out.sendto(state.encode("utf-8", "backslashreplace"), self._address)
