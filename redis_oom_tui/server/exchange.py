"""Packed commands and their replies on a connection of redis-py's, without its streams and tasks between.

What redis-py does for each command and reply (a timer, a copy, several calls) costs more than the exchange itself.
"""

import asyncio
import fcntl
import sys
import termios
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import hiredis
from redis import exceptions

from redis_oom_tui.server.resp import asking
from redis_oom_tui.server.tasks import ReusableTimeout

_NOTHING = object()
# One buffer for all connections of a thread: bytes of that size made for each read would cost more than the read.
_READ_SIZE = 256 * 1024
_of_thread = threading.local()
# What stumbles over a refusal or a number that is none (`-MOVED` with nothing behind it).
STUMBLES = (ValueError, LookupError, RecursionError, OverflowError, MemoryError)


class Patience(NamedTuple):
    """For how many seconds nothing at all may come, and how long a whole reply may take that keeps coming."""

    silence: float
    whole: float


class Exchange(asyncio.BufferedProtocol):
    """Takes the place of the streams behind `writer`, of which everything was read, until `end`. `refusal` makes the
    exception that stands for one. With `behind_asking` each command goes behind an ASKING of its own.

    Raises redis-py's errors, OSError or TimeoutError: then nobody knows what was carried out, and replies may be on
    their way. The connection is to be closed.
    """

    def __init__(
        self,
        writer: asyncio.StreamWriter,
        refusal: Callable[[str], Exception],
        patience: Patience,
        *,
        behind_asking: bool = False,
    ) -> None:
        self._writer = writer
        self._transport = cast("asyncio.Transport", writer.transport)
        self._streams = cast("asyncio.streams.FlowControlMixin", self._transport.get_protocol())
        self._reader = hiredis.Reader(
            protocolError=exceptions.InvalidResponse, replyError=refusal, notEnoughData=_NOTHING
        )
        self._silence = ReusableTimeout(patience.silence)
        self._silent_after, self._whole = patience
        self._asking = behind_asking
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._ended: Exception | None = None
        self._full = False
        self._transport.set_protocol(self)

    def end(self) -> None:
        """Give the connection back to redis-py: all replies were read."""
        self._transport.set_protocol(self._streams)

    async def send(self, buffer: bytes) -> None:
        """Send packed commands; returns once the connection has taken them."""
        self._transport.write(asking(buffer) if self._asking else buffer)
        if self._full or self._transport.is_closing():
            await self._drained()

    async def _drained(self) -> None:
        """Return once the connection has taken what was sent. Raises TimeoutError where the server takes nothing for as
        long as it may be silent: a frozen one is not waited for as a slow way is.
        """
        until, left = self._loop.time() + self._whole, self._untaken()
        while True:
            try:
                async with asyncio.timeout(max(0.0, min(self._silent_after, until - self._loop.time()))):
                    await self._writer.drain()
                return
            except TimeoutError:
                now = self._untaken()
                if self._loop.time() >= until or (left is not None and now is not None and now >= left):
                    raise
                left = now

    def _untaken(self) -> int | None:
        """How many bytes of what was sent the other side has not taken yet; None where the system does not tell."""
        try:
            there = fcntl.ioctl(self._transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
        except (OSError, AttributeError):
            return None
        return self._transport.get_write_buffer_size() + int.from_bytes(there, sys.byteorder)

    async def replies(self, number: int) -> list[Any]:
        """The next so many replies, refusals in their places as exceptions."""
        if not self._asking:
            return await self._next(number)
        # Where ASKING is refused, so is what follows it: that reply tells.
        return (await self._next(2 * number))[1::2]

    async def page(self, buffer: bytes, number: int) -> list[Any]:
        """The `number` replies to `buffer`, where nothing else is on its way: one array, which hiredis builds in less
        time. The server sends no such array: its head is put before what comes.
        """
        if self._asking:
            await self.send(buffer)
            return await self.replies(number)
        self._reader.feed(b"*%d\r\n" % number)
        await self.send(buffer)
        (page,) = await self._next(1)
        return cast("list[Any]", page)

    async def _next(self, number: int) -> list[Any]:
        found: list[Any] = []
        gets, until = self._reader.gets, 0.0
        try:
            while len(found) < number:
                if (reply := gets()) is not _NOTHING:
                    found.append(reply)
                    continue
                now = self._loop.time()
                until = until or now + self._whole
                if now > until:
                    raise TimeoutError
                await self._more()
        except (exceptions.InvalidResponse, *STUMBLES) as error:
            raise exceptions.InvalidResponse(f"{type(error).__name__}: {error}") from None
        return found

    async def _more(self) -> None:
        if self._ended is not None:
            raise self._ended
        self._waiter = self._loop.create_future()
        try:
            with self._silence:
                await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # What the transport calls.

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 (asyncio names it)
        """Where to put what comes."""
        if not hasattr(_of_thread, "buffer"):
            _of_thread.buffer = memoryview(bytearray(_READ_SIZE))
        return cast("memoryview", _of_thread.buffer)

    def buffer_updated(self, nbytes: int) -> None:
        """So much of it came: it is read before anything else can come."""
        self._reader.feed(_of_thread.buffer, 0, nbytes)
        self._wake()

    def eof_received(self) -> bool | None:
        """The server sends no more."""
        self._ended = self._ended or exceptions.ConnectionError("Connection closed by server.")
        self._wake()
        return cast("asyncio.Protocol", self._streams).eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""
        self._ended = self._ended or exc or exceptions.ConnectionError("Connection closed by server.")
        self._wake()
        self._streams.connection_lost(exc)

    def pause_writing(self) -> None:
        """The server takes less than is sent."""
        self._full = True
        self._streams.pause_writing()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._full = False
        self._streams.resume_writing()
