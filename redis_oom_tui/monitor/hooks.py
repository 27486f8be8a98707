"""Hooks: events are delivered in order to a command or a webhook, bounded and paced, and nobody waits for them."""

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.watch_lines import event_object, event_title, json_line
from redis_oom_tui.models.address import Secret
from redis_oom_tui.models.alert import Event
from redis_oom_tui.models.config import HookSettings
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.output import Note
from redis_oom_tui.monitor.watch import Listener
from redis_oom_tui.rules.guarded import TROUBLE, sentence

WAITING_EVENTS = 100
# After the watch was asked to stop: how long deliveries that are due may still take.
FAREWELL_SECONDS = 5.0


class DeliveryFailed(Exception):
    """One event could not be delivered; the text is one sentence without any secret."""


class Hook(Protocol):
    """One way of telling somebody."""

    name: str

    async def deliver(self, event: Event) -> str:
        """Deliver, with whatever retries are due; returns how it went. Raises DeliveryFailed."""


class DeliveryCounts(Struct):
    """What became of the events so far."""

    delivered: int = 0
    failed: int = 0
    dropped: int = 0


class HookQueue(Listener):
    """Delivers to one hook. The watch never waits for it.

    At most WAITING_EVENTS wait; then the oldest falls out, which is logged. `burst` deliveries are free, further ones
    keep `min_gap_seconds` between them.
    """

    def __init__(
        self,
        hook: Hook,
        settings: HookSettings,
        clock: Clock,
        log: Callable[[Note], None],
        *,
        farewell_seconds: float = FAREWELL_SECONDS,
    ) -> None:
        self.counts = DeliveryCounts()
        self.name = f"the {hook.name} hook"
        self._hook = hook
        self._farewell = farewell_seconds
        self._settings = settings
        self._clock = clock
        self._log = log
        self._waiting: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._allowance = float(settings.burst)
        self._counted_at = clock.monotonic()

    def on_event(self, event: Event) -> None:
        """Put the event in the queue, if it is of a kind that the hook is told of."""
        if event.kind not in self._settings.events:
            return
        if len(self._waiting) >= WAITING_EVENTS:
            lost = self._waiting.popleft()
            self.counts.dropped += 1
            self._note(lost, "dropped: too many events are queued", ok=False)
        self._waiting.append(event)
        self._arrived.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set and, for a few seconds more, what waits by then."""
        delivering = asyncio.create_task(self._deliver_all(stop))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((delivering, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not delivering.done():
                self._arrived.set()
                await asyncio.wait((delivering,), timeout=self._farewell)
        finally:
            stopping.cancel()
            delivering.cancel()
            await asyncio.wait((delivering, stopping))
        for event in self._waiting:
            self._note(event, "not delivered: the watch has ended", ok=False)
        if not delivering.cancelled():
            delivering.result()

    async def _deliver_all(self, stop: asyncio.Event) -> None:
        while True:
            if not self._waiting:
                if stop.is_set():
                    return
                self._arrived.clear()
                await self._arrived.wait()
                continue
            await self._turn(stop)
            event = self._waiting.popleft()
            try:
                await self._deliver(event)
            except asyncio.CancelledError:
                self._waiting.appendleft(event)
                raise

    async def _deliver(self, event: Event) -> None:
        try:
            how = await self._hook.deliver(event)
        except (DeliveryFailed, *TROUBLE) as error:
            self.counts.failed += 1
            why = str(error) if isinstance(error, DeliveryFailed) else sentence(f"the {self._hook.name} hook is", error)
            self._note(event, why, ok=False)
        else:
            self.counts.delivered += 1
            self._note(event, how, ok=True)

    async def _turn(self, stop: asyncio.Event) -> None:
        """Wait until the next delivery is allowed; a farewell does not wait."""
        while not stop.is_set():
            now = self._clock.monotonic()
            gap = self._settings.min_gap_seconds
            gained = (now - self._counted_at) / gap if gap > 0 else float(self._settings.burst)
            self._allowance = min(float(self._settings.burst), self._allowance + gained)
            self._counted_at = now
            if self._allowance >= 1.0:
                break
            await self._clock.wait(stop, (1.0 - self._allowance) * gap)
        self._allowance -= 1.0

    def _note(self, event: Event, text: str, *, ok: bool) -> None:
        figures = {"hook": self._hook.name, "number": event.number, "event": event.kind.value, "ok": ok}
        level = Level.OK if ok else Level.WARNING
        line = f"{self._hook.name}, event {event.number} {event.kind.value}: {text}"
        self._log(Note("hook", line, self._clock.wall(), level, figures))


_KEPT_BYTES = 2000
# Between asking a command that took too long to end, and ending it.
_GRACE_SECONDS = 1.0


# Where this tool itself looks for passwords; a URL may hold one.
_SECRETS = frozenset({"REDISCLI_AUTH", "REDIS_SENTINEL_AUTH", "REDIS_URL"})
# A shorter secret may stand in a value by chance, and is looked for as the whole of it alone.
_LONG_ENOUGH = 8


def inherited(ours: Mapping[str, str], names: Iterable[str] = (), secrets: Iterable[Secret] = ()) -> dict[str, str]:
    """What the command may have of our environment: all but the variables that hold a secret.

    Those are the tool's own, those in `names`, and each whose value holds one of `secrets`.

    >>> inherited({"PATH": "/bin", "REDISCLI_AUTH": "a", "HOOK": "b", "X": "https://long-secret"}, ["HOOK"],
    ...     [Secret("long-secret")])
    {'PATH': '/bin'}
    """
    hidden = _SECRETS | set(names)
    values = [secret.reveal() for secret in secrets]
    return {name: value for name, value in ours.items() if name not in hidden and not _holds(value, values)}


def _holds(value: str, secrets: Iterable[str]) -> bool:
    return any(value == secret or (len(secret) >= _LONG_ENOUGH and secret in value) for secret in secrets)


def environment(event: Event) -> dict[str, str]:
    """What the command finds in its environment besides ours; an unknown number is an empty text."""
    fields = {name: value for name, value in event_object(event).items() if name != "type"}
    fields["title"] = event_title(event)
    return {f"REDIS_OOM_{name.upper()}": "" if value is None else str(value) for name, value in fields.items()}


class CommandHook:
    """Runs the command once for each event, in a session of its own. What it writes to stdout is not read.

    `ours` is what it has of our environment.
    """

    def __init__(self, settings: HookSettings, ours: Mapping[str, str] | None = None) -> None:
        self.name = "exec"
        self._settings = settings
        self._ours = inherited(os.environ) if ours is None else ours
        self._argv = ("/bin/sh", "-c", settings.command[0]) if settings.shell else settings.command

    async def deliver(self, event: Event) -> str:
        """Run the command to its end; raises DeliveryFailed where it cannot start, fails, or takes too long."""
        stderr = await _StderrReader.open()
        try:
            status = await self._run(event, stderr)
        finally:
            words = await stderr.close()
        if status:
            raise DeliveryFailed(f"{self._program} exited {status}{': ' if words else ''}{words}")
        return f"{self._program} exited 0"

    @property
    def _program(self) -> str:
        return safe_text(self._argv[-1] if self._settings.shell else self._argv[0], 80)

    async def _run(self, event: Event, stderr: "_StderrReader") -> int | None:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=stderr.writable,
                env={**self._ours, **environment(event)},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise DeliveryFailed(f"{self._program} could not be started: {reason}") from None
        finally:
            stderr.hand_over()
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                await _give(process, json_line(event_object(event)).encode("ascii") + b"\n")
                return await process.wait()
        except TimeoutError:
            limit = f"{self._settings.timeout_seconds:g}s"
            raise DeliveryFailed(f"{self._program} killed after {limit} (timeout)") from None
        finally:
            await _end(process)


class _StderrReader:
    """Reads what a command says on stderr, keeps the start of it, and can be closed while others still hold the pipe.

    asyncio's own pipe would stay open for as long as any grandchild lives.
    """

    def __init__(self, transport: asyncio.ReadTransport, reader: asyncio.StreamReader, writable: int) -> None:
        self.writable = writable
        self._transport = transport
        self._kept = bytearray()
        self._listening = asyncio.create_task(self._listen(reader))

    @classmethod
    async def open(cls) -> "_StderrReader":
        readable, writable = os.pipe()
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(readable, "rb", 0)
        )
        return cls(transport, reader, writable)

    def hand_over(self) -> None:
        """The command has the writing end now, or never will."""
        os.close(self.writable)

    async def close(self) -> str:
        """What was said, on one line; waits only a moment for the rest of it."""
        await asyncio.wait((self._listening,), timeout=0.2)
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        self._transport.close()
        return safe_text(bytes(self._kept).strip(), 300)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(65536):
            self._kept += chunk[: max(0, _KEPT_BYTES - len(self._kept))]


async def _give(process: asyncio.subprocess.Process, message: bytes) -> None:
    """Write the event to the command's stdin; one that does not read it is none the worse."""
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(message)
            await process.stdin.drain()
        process.stdin.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the command and whatever it started: asked first, then not."""
    for number, patience in ((signal.SIGTERM, _GRACE_SECONDS), (signal.SIGKILL, None)):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await process.wait()
