"""Who else listens to a watch: a gentle scan beside it, and systemd, which is told that it lives."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import known_bytes, number_of_keys, percent, size
from redis_oom_tui.models.scan import Pace, PatternRow, ScanOptions, ScanState, ScanView
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.output import Note
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.monitor.watch import Listener
from redis_oom_tui.ports.source import Source
from redis_oom_tui.rules.guarded import TROUBLE, sentence

_NAMED = 5


class Scanning(Listener):
    """Scans every `every_seconds`, from the first answer on; `take` is given each scan that ended.

    `connect` gives a source of its own for each scan, and lets go of it.
    """

    name = "the scan beside the watch"

    def __init__(
        self,
        connect: Callable[[], AbstractAsyncContextManager[Source]],
        every_seconds: float,
        clock: Clock,
        *,
        databases: tuple[int, ...] | None = None,
        log: Callable[[Note], None],
        take: Callable[[ScanView], None],
    ) -> None:
        self._connect = connect
        self._every = every_seconds
        self._clock = clock
        self._options = ScanOptions(databases=databases, pace=Pace.GENTLE, top=_NAMED)
        self._log = log
        self._take = take
        self._answered = asyncio.Event()

    def on_state(self, state: ServerState) -> None:
        """The first answer starts the first scan; a server that is away is not scanned."""
        if state.answer is not None and not state.answer.activity.loading:
            self._answered.set()
        else:
            self._answered.clear()

    async def run(self, stop: asyncio.Event) -> None:
        """Scan until `stop` is set; a scan under way then ends after its page."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                answering = asyncio.create_task(self._answered.wait())
                await asyncio.wait((answering, stopping), return_when=asyncio.FIRST_COMPLETED)
                answering.cancel()
                if not stop.is_set():
                    await self._scan(stopping)
                    await self._clock.wait(stop, self._every)
        finally:
            stopping.cancel()

    async def _scan(self, stopping: asyncio.Task[bool]) -> None:
        try:
            async with self._connect() as source:
                scan = source.scan(self._options)
                running = asyncio.create_task(scan.run())
                await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
                scan.stop()
                view = await running
        except TROUBLE as error:
            self._say(f"not done: {sentence('the scan is', error)}", level=Level.WARNING)
            return
        if view.state is ScanState.FAILED:
            self._say(f"not finished: {view.error}", level=Level.WARNING)
        elif view.complete:
            self._take(view)
            self._say(_words(view), _figures(view))

    def _say(self, text: str, figures: dict[str, object] | None = None, *, level: Level = Level.OK) -> None:
        self._log(Note("scan", text, self._clock.wall(), level, figures or {}))


def _largest(view: ScanView) -> list[PatternRow]:
    return sorted((row for row in view.patterns if row.level == 1), key=lambda row: -row.size)[:_NAMED]


def _words(view: ScanView) -> str:
    known = known_bytes(view.bytes_seen, view.scanned_keys)
    named = "" if known is None else ", ".join(_named(row) for row in _largest(view))
    total = f"{number_of_keys(view.scanned_keys)}, {size(known)}"
    return f"{total}{', most of it in ' if named else ''}{named}"


def _named(row: PatternRow) -> str:
    return f"{safe_text(row.pattern, 60)} {percent(row.share)}"


def _figures(view: ScanView) -> dict[str, object]:
    patterns = [
        {
            "pattern": safe_text(row.pattern),
            "keys": row.keys,
            "bytes": known_bytes(row.size, row.keys),
            "share": round(row.share, 4),
        }
        for row in _largest(view)
    ]
    return {
        "scanned_keys": view.scanned_keys,
        "bytes": known_bytes(view.bytes_seen, view.scanned_keys),
        "with_ttl_bytes": known_bytes(view.volatile_bytes, view.volatile_keys),
        "elapsed_seconds": round(view.elapsed_seconds, 3),
        "patterns": patterns,
    }


def _status(state: ServerState) -> str:
    return f"{state.verdict_now.level.value}: {safe_text(state.verdict_now.reason, 400)}"


class Service(Listener):
    """Tells systemd by its notification socket; each tick is a sign of life for WatchdogSec."""

    name = "the systemd notification"

    def __init__(self, address: str, status: Callable[[ServerState], str] = _status) -> None:
        # A leading @ stands for the NUL of an abstract socket (sd_notify(3)).
        self._status = status
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._ready = False

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] = os.environ, *, status: Callable[[ServerState], str] = _status
    ) -> "Service | None":
        """The service that systemd started, by NOTIFY_SOCKET; None where it did not, or wants to hear nothing."""
        address = environment.get("NOTIFY_SOCKET", "")
        return cls(address, status) if address.startswith(("/", "@")) else None

    def on_state(self, state: ServerState) -> None:
        """Say that the watch lives, and what it saw."""
        alive = "WATCHDOG=1" if self._ready else "READY=1\nWATCHDOG=1"
        self._ready = True
        self._tell(f"{alive}\nSTATUS={self._status(state)}")

    async def run(self, stop: asyncio.Event) -> None:
        """Say that it ends once it was asked to."""
        await stop.wait()
        self._tell("STOPPING=1")

    def _tell(self, state: str) -> None:
        """Send, and never wait: a notification that cannot be delivered is systemd's loss."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)
            out.sendto(state.encode("utf-8", "backslashreplace"), self._address)
