"""A TCP listener on the loopback that leaves no connection open behind it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


class Listener:
    """Hands each connection to `serve`. What it accepted is closed when it ends, whether `serve` came to it or not."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._server: asyncio.Server | None = None

    async def listen(self, port: int = 0) -> int:
        """Listen at `port`, 0 for any; returns the port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        return int(self._server.sockets[0].getsockname()[1])

    async def end(self) -> None:
        """Accept no more, and close every connection."""
        if self._server is not None:
            self._server.close()
        await _turns()  # Connections that were just accepted become tasks.
        await self.drop()
        await _turns()  # Transports that were closed let go of their sockets.

    async def drop(self) -> None:
        """Close every connection that is open now, and go on listening."""
        tasks = list(self._open)
        for task in tasks:
            # What the other side does not read keeps a transport open that was only closed.
            self._open[task].transport.abort()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._open[task] = writer
        # A task that is cancelled before its first step never comes to its own end.
        task.add_done_callback(lambda _: self._open.pop(task).close())


async def _turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
