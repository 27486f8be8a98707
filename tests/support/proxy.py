"""What may stand between the tool and a server: a slow, broken or lying proxy, mostly in a thread of its own.

`Wire` passes bytes and spoils the replies; `Liar` reads whole commands and answers some of them itself.
"""

import asyncio
import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from redis_oom_tui.models.address import Address, Connection
from redis_oom_tui.models.structs import replace
from tests.support.listener import Listener
from tests.support.waiting import be_late

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Lie = Callable[[tuple[bytes, ...]], bytes | None]


@dataclass
class Faults:
    """What happens to replies; changed while the proxy runs. Times in seconds, on the way back only.

    `cut_after` lets so many bytes of replies pass on each connection and then closes it; `silent` swallows them;
    `reset` closes at the first request; `garbage` is sent in place of every reply.
    """

    delay: float = 0.0
    bytes_per_second: float | None = None
    cut_after: int | None = None
    silent: bool = False
    reset: bool = False
    garbage: bytes | None = None


class _Proxy(ABC):
    """A TCP listener on the loopback before the server at `upstream`; `connection` leads through it."""

    def __init__(self, upstream: Connection) -> None:
        self.upstream = upstream
        self.connection = upstream
        self._listener = Listener(self._relay)
        self.ends: list[Exception] = []
        """Why connections ended; an EOFError where one side closed it."""

    def start(self) -> None:
        """Listen, in a thread of its own."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def stop(self) -> None:
        """Close everything, and leave the thread."""
        asyncio.run_coroutine_threadsafe(self._listener.end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def drop(self) -> None:
        """Close every connection that is open now, and go on listening."""
        asyncio.run_coroutine_threadsafe(self._listener.drop(), self._loop).result(10)

    async def __aenter__(self) -> Self:
        """Listen in the loop that runs: a test with hundreds of proxies saves their threads and loops."""
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._listener.end()

    async def _listen(self) -> None:
        self.connection = replace(self.upstream, address=Address(port=await self._listener.listen()))

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind: asyncio.StreamWriter | None = None
        try:
            server = await self._reach()
            behind = server[1]
            await self.serve((reader, writer), server)
        except (OSError, EOFError, ValueError) as error:  # the last of what speaks another protocol
            self.ends.append(error)
        finally:
            for end in (writer, behind):
                if end is not None:
                    end.close()
                    with contextlib.suppress(OSError, asyncio.CancelledError):
                        await end.wait_closed()

    async def _reach(self) -> Streams:
        where = self.upstream.address
        if where.socket_path is not None:
            return await asyncio.open_unix_connection(where.socket_path)
        return await asyncio.open_connection(where.host, where.port)

    @abstractmethod
    async def serve(self, client: Streams, server: Streams) -> None:
        """Carry one connection to its end."""


class Wire(_Proxy):
    """Passes requests as they are, and replies as `faults` says.

    `turns` counts the requests that waited for a reply before: with a delay, the round trips. Connecting is one more.
    """

    def __init__(self, upstream: Connection) -> None:
        super().__init__(upstream)
        self.faults = Faults()
        self.turns = 0
        self._answered = True
        self._generation = 0

    def forget(self) -> None:
        """Know no connection of before any more, as a firewall or proxy after a rest: the next request is reset."""
        self._generation += 1

    async def serve(self, client: Streams, server: Streams) -> None:
        """Both directions, until one ends."""
        ways = [
            asyncio.ensure_future(self._requests(client, server[1])),
            asyncio.ensure_future(self._replies(server[0], client[1])),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _requests(self, client: Streams, server: asyncio.StreamWriter) -> None:
        generation = self._generation
        while data := await client[0].read(65536):
            if self.faults.reset or generation != self._generation:
                client[1].transport.abort()
                return
            if self.faults.garbage is not None:
                client[1].write(self.faults.garbage)
                continue
            self.turns += self._answered
            self._answered = False
            server.write(data)
            await server.drain()

    async def _replies(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        passed = 0
        while data := await server.read(65536):
            faults = self.faults
            if faults.silent:
                continue
            if faults.delay:
                await be_late(faults.delay)
            if faults.cut_after is not None:
                data = data[: max(0, faults.cut_after - passed)]
            passed += len(data)
            self._answered = True
            await _pour(data, client, faults.bytes_per_second)
            if faults.cut_after is not None and passed >= faults.cut_after:
                return


async def _pour(data: bytes, client: asyncio.StreamWriter, rate: float | None) -> None:
    if rate is None:
        client.write(data)
        await client.drain()
        return
    step = max(1, int(rate / 20))
    for start in range(0, len(data), step):
        client.write(data[start : start + step])
        await client.drain()
        await be_late(step / rate)


class Liar(_Proxy):
    """Answers what `lie` answers (raw RESP) in the server's place; None lets the command through.

    `heard` keeps every command, in the order of arrival.
    """

    def __init__(self, upstream: Connection, lie: Lie) -> None:
        super().__init__(upstream)
        self.lie = lie
        self.heard: list[tuple[bytes, ...]] = []

    async def serve(self, client: Streams, server: Streams) -> None:
        """One command after the other, so that replies keep their order."""
        while True:
            raw, words = await _command(client[0])
            self.heard.append(words)
            answer = self.lie(words)
            if answer is None:
                server[1].write(raw)
                answer = await _reply(server[0])
            client[1].write(answer)
            await client[1].drain()


async def _command(reader: asyncio.StreamReader) -> tuple[bytes, tuple[bytes, ...]]:
    head = await reader.readuntil(b"\r\n")
    raw, words = [head], []
    for _ in range(int(head[1:])):
        size = await reader.readuntil(b"\r\n")
        word = await reader.readexactly(int(size[1:]) + 2)
        raw += [size, word]
        words.append(word[:-2])
    return b"".join(raw), tuple(words)


async def _reply(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n")
    kind, rest = head[:1], head[1:-2]
    if kind == b"$" and int(rest) >= 0:
        return head + await reader.readexactly(int(rest) + 2)
    if kind == b"*":
        return head + b"".join([await _reply(reader) for _ in range(max(0, int(rest)))])
    return head


def answering(answers: Mapping[str, bytes]) -> Lie:
    """A lie by command: each key is the first word or words, in upper case; the longest that fits answers."""

    def lie(words: tuple[bytes, ...]) -> bytes | None:
        said = [word.decode("latin-1").upper() for word in words]
        for length in range(min(3, len(said)), 0, -1):
            if (answer := answers.get(" ".join(said[:length]))) is not None:
                return answer
        return None

    return lie


def unknown(name: str) -> bytes:
    """The reply of a server that has no such command."""
    return f"-ERR unknown command '{name}', with args beginning with: \r\n".encode()


@contextmanager
def wired(upstream: Connection) -> Iterator[Wire]:
    """A `Wire` before `upstream`, gone afterwards."""
    wire = Wire(upstream)
    with _running(wire):
        yield wire


@contextmanager
def lied_to(upstream: Connection, answers: Mapping[str, bytes]) -> Iterator[Liar]:
    """A `Liar` before `upstream`, gone afterwards."""
    with lying(upstream, answering(answers)) as liar:
        yield liar


@contextmanager
def lying(upstream: Connection, lie: Lie) -> Iterator[Liar]:
    """The same, with answers by `lie`."""
    liar = Liar(upstream, lie)
    with _running(liar):
        yield liar


@contextmanager
def _running(proxy: _Proxy) -> Iterator[None]:
    proxy.start()
    try:
        yield
    finally:
        with contextlib.suppress(TimeoutError):
            proxy.stop()
