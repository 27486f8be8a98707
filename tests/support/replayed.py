"""A server that answers with a captured INFO text: nothing is kept, and unknown commands are refused as such."""

import asyncio
import contextlib
import fnmatch
import re
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from redis_oom_tui.models.address import Address, ClientBuffer
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.rules.info import snapshot_from_info
from redis_oom_tui.server.replies import client_buffers, clients_in, info_in
from tests.support.listener import Listener

_Result = TypeVar("_Result")
INFO = Path(__file__).parents[1] / "cases" / "info"
NAMES = sorted(path.stem for path in INFO.glob("*.txt"))
_WRITES = ("CONFIG", "EVAL", "EVALSHA", "PEXPIREAT", "RESTORE", "SCRIPT", "UNLINK")
_OF_KEYS = {
    "TYPE": b"+string\r\n",
    "PTTL": b":-1\r\n",
    "MEMORY USAGE": b":100\r\n",
    "OBJECT IDLETIME": b":1000\r\n",
    "OBJECT ENCODING": b"$3\r\nraw\r\n",
    "OBJECT REFCOUNT": b":1\r\n",
    "DUMP": b"$4\r\ndump\r\n",
    "EXISTS": b":1\r\n",
}
_DISABLED = b"-ERR This instance has cluster support disabled\r\n"


@dataclass(frozen=True)
class Case:
    """An INFO text and a CLIENT LIST; `growing` counters gain so much with each INFO after the first.

    `keys` are strings of 100 bytes that nobody used for 1,000 seconds; `refusal` is the answer to each write, `answers`
    those to some commands, `unfiltered` the pages of a SCAN without MATCH and TYPE.
    """

    info: str
    clients: str = ""
    refused: Sequence[str] = ()
    growing: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    keys: Sequence[str] = ()
    refusal: str = ""
    answers: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    unfiltered: Sequence[Sequence[str]] = ()

    def after(self, polls: int) -> str:
        """The text of the INFO that follows so many others."""
        text = self.info
        for name, by in self.growing.items():
            pattern = rf"(?m)^({name}:(?:count=)?)(\d+)"
            text = re.sub(pattern, partial(_more, by * polls), text)
        return text

    def snapshot(self, polls: int = 0, stated_limit: int | None = None) -> Snapshot:
        """What the product makes of it."""
        info = info_in(self.after(polls).encode())
        moment = 100.0 + polls
        return snapshot_from_info(
            info, address=Address(), monotonic=moment, wall=1e9 + moment, stated_limit=stated_limit
        )

    def buffers(self) -> tuple[ClientBuffer, ...]:
        """The clients, as the product reads them."""
        return client_buffers(clients_in(self.clients.encode()))


def _more(by: int, match: re.Match[str]) -> str:
    return f"{match[1]}{int(match[2]) + by}"


def case(name: str, *, refused: Sequence[str] = (), growing: Mapping[str, int] | None = None) -> Case:
    """The case of that name in tests/cases/info."""
    clients = INFO / f"{name}.clients"
    return Case(
        (INFO / f"{name}.txt").read_text(),
        clients.read_text() if clients.exists() else "",
        refused,
        growing or MappingProxyType({}),
    )


@contextlib.contextmanager
def replayed(shown: Case) -> Iterator[int]:
    """The port of a server that is in that state; gone afterwards."""
    with listening(shown, [0]) as ports:
        yield ports[0]


@contextlib.contextmanager
def listening(shown: Case, ports: Sequence[int]) -> Iterator[list[int]]:
    """A server at each of `ports` that is in that state, 0 for any port: those that they have. Gone afterwards."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    listeners = [Listener(_Server(shown).serve) for _ in ports]
    try:
        yield [_run(loop, listener.listen(port)) for listener, port in zip(listeners, ports, strict=True)]
    finally:
        for listener in listeners:
            _run(loop, listener.end())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def _run(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, _Result]) -> _Result:
    return asyncio.run_coroutine_threadsafe(work, loop).result(10)


class _Server:
    def __init__(self, shown: Case) -> None:
        self._case = shown
        self._polls = 0
        fields = info_in(shown.info.encode())
        self._settings = {
            "maxmemory": str(fields.get("maxmemory", "0")),
            "maxmemory-policy": str(fields.get("maxmemory_policy", "noeviction")),
            "maxmemory-samples": "5",
        }
        self._keys = [len(shown.keys)] if shown.keys else re.findall(r"(?m)^db\d+:keys=(\d+)", shown.info)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it ends."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while head := await reader.readline():
                words = []
                for _ in range(int(head[1:])):
                    length = int((await reader.readline())[1:])
                    words.append((await reader.readexactly(length + 2))[:-2].decode("latin-1"))
                writer.write(self._answer(words))
                await writer.drain()
        writer.close()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()

    def _answer(self, words: list[str]) -> bytes:
        command = " ".join(words[:2]).upper()
        unknown = f"-ERR unknown command '{words[0]}', with args beginning with: \r\n".encode()
        if any(command.startswith(name.upper()) for name in self._case.refused):
            return unknown
        if self._case.unfiltered and words[0].upper() == "SCAN" and not {"MATCH", "TYPE"} & set(words):
            number = int(words[1]) + 1
            cursor = number if number < len(self._case.unfiltered) else 0
            return _array(_bulk(str(cursor)), _array(*map(_bulk, self._case.unfiltered[number - 1])))
        if command in self._case.answers:
            return self._case.answers[command]
        if words[0].upper() == "INFO":
            self._polls += 1
            return _bulk(self._case.after(self._polls - 1).replace("\n", "\r\n"))
        if command == "CONFIG GET":
            found = [(name, value) for name, value in self._settings.items() if fnmatch.fnmatch(name, words[2].lower())]
            return _array(*(_bulk(part) for pair in found for part in pair))
        if self._case.refusal and words[0].upper() in _WRITES:
            return f"-{self._case.refusal}\r\n".encode()
        if self._case.keys and command in _OF_KEYS:
            return _OF_KEYS[command]
        if self._case.keys and words[0].upper() in _OF_KEYS:
            return _OF_KEYS[words[0].upper()]
        fixed = {
            "TIME": _array(_bulk(str(int(time.time()))), _bulk("0")),
            "HELLO": b"-NOPROTO unsupported protocol version\r\n",
            "PING": b"+PONG\r\n",
            "SELECT": b"+OK\r\n" if words[-1] == "0" else b"-ERR DB index is out of range\r\n",
            "CLIENT SETNAME": b"+OK\r\n",
            "CLIENT SETINFO": b"+OK\r\n",
            "CLIENT LIST": _bulk(self._case.clients),
            "DBSIZE": f":{sum(map(int, self._keys))}\r\n".encode(),
            "SCAN": _array(_bulk("0"), _array(*map(_bulk, self._case.keys))),
            "SLOWLOG GET": _array(),
            "LATENCY LATEST": _array(),
        }
        return fixed.get(command) or fixed.get(words[0].upper()) or (_DISABLED if "CLUSTER" in command else unknown)


def reply(value: object) -> bytes:
    """A text, a number, a list of them, or nothing, as RESP2 has it.

    >>> reply(["k", 1]), reply(None)
    (b'*2\\r\\n$1\\r\\nk\\r\\n:1\\r\\n', b'$-1\\r\\n')
    """
    if isinstance(value, list):
        return _array(*map(reply, value))
    if isinstance(value, int):
        return f":{value}\r\n".encode()
    return b"$-1\r\n" if value is None else _bulk(str(value))


def _bulk(text: str) -> bytes:
    raw = text.encode()
    return b"$%d\r\n%s\r\n" % (len(raw), raw)


def _array(*parts: bytes) -> bytes:
    return b"*%d\r\n%s" % (len(parts), b"".join(parts))
