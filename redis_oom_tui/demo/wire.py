"""Just enough of Redis's protocol to fill a server at speed and to play its clients."""

import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self, TypeAlias

Argument: TypeAlias = bytes | str | int
Reply: TypeAlias = "bytes | int | list[Reply] | None"

OK = b"+OK\r\n"


class Refused(Exception):
    """The server's own error text, without the leading dash."""


def pack(*arguments: Argument) -> bytes:
    r"""One command as RESP.

    >>> pack("GET", b"k", 7)
    b'*3\r\n$3\r\nGET\r\n$1\r\nk\r\n$1\r\n7\r\n'
    """
    parts = [b"*%d\r\n" % len(arguments)]
    for argument in arguments:
        raw = argument if isinstance(argument, bytes) else str(argument).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(raw), raw))
    return b"".join(parts)


class Wire:
    """One blocking connection over a unix socket. Raises OSError or EOFError when the server has gone."""

    def __init__(self, path: Path, *, name: str = "", db: int = 0, timeout_seconds: float = 30.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_seconds)
        try:
            self._socket.connect(str(path))
            self._reader = self._socket.makefile("rb", buffering=1 << 16)
            if name:
                self.call("CLIENT", "SETNAME", name)
            if db:
                self.call("SELECT", db)
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """Let go of the connection."""
        self._reader.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, *arguments: Argument) -> Reply:
        """One command and its answer; an error answer is raised as `Refused`."""
        self._socket.sendall(pack(*arguments))
        return self._read()

    def call_all(self, commands: list[bytes]) -> list[Reply]:
        """Packed commands in one go, and all their answers."""
        self._socket.sendall(b"".join(commands))
        return [self._read() for _ in commands]

    def stream(self, batches: Iterable[list[bytes]]) -> Iterator[int]:
        """Packed commands that each answer OK, sent one batch ahead of the answers; yields the size of each batch."""
        waiting = 0
        for batch in batches:
            self._socket.sendall(b"".join(batch))
            self._expect_ok(waiting)
            yield waiting
            waiting = len(batch)
        self._expect_ok(waiting)
        yield waiting

    def _expect_ok(self, answers: int) -> None:
        data = self._reader.read(len(OK) * answers)
        if data != OK * answers:
            data += self._reader.readline()
            unexpected = next((line for line in data.split(b"\r\n") if line != OK[:-2]), b"nothing")
            raise Refused(unexpected.decode(errors="replace"))

    def _read(self) -> Reply:
        line = self._reader.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"-":
            raise Refused(rest.decode(errors="replace"))
        if kind == b"*":
            return [self._read() for _ in range(int(rest))]
        return self._read_bulk(int(rest))

    def _read_bulk(self, length: int) -> bytes | None:
        if length < 0:
            return None
        data: bytes = self._reader.read(length + 2)
        if len(data) < length + 2:
            raise EOFError("the server closed the connection")
        return data[:-2]
