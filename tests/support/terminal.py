"""A bare pseudo-terminal with a program in it: what comes out of it is counted, and drawn by an emulator."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyte

from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 30.0
# A tenth of a processor, in the clock ticks of 0.7 seconds.
_IDLE_TICKS = 7


class Terminal:
    """A program in a pty of its own; what it writes is counted and drawn by an emulator."""

    def __init__(self, argv: Sequence[str], size: tuple[int, int], environ: Mapping[str, str]) -> None:
        self.columns, self.lines = size
        self.screen = pyte.Screen(self.columns, self.lines)
        self._stream = pyte.ByteStream(self.screen)
        self.received = 0
        self.raw = bytearray()
        self.code: int | None = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:  # pragma: no cover - the child
            os.chdir(ROOT)
            os.execvpe(argv[0], list(argv), dict(environ))
        self.resize(*size)
        self.before: list[Any] = termios.tcgetattr(self.fd)

    def resize(self, columns: int, lines: int) -> None:
        """Another size, with the signal that tells of it."""
        self.columns, self.lines = columns, lines
        self.screen.resize(lines, columns)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self, seconds: float = 0.05) -> int:
        """Take what comes within so many seconds; returns how many bytes."""
        got = 0
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            ready, _, _ = select.select([self.fd], [], [], left)
            if not ready:
                break
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                break
            if not data:
                break
            got += len(data)
            self.take(data)
        return got

    def take(self, data: bytes) -> None:
        """Count and draw what has come."""
        self.received += len(data)
        self.raw += data
        # Queries that pyte would print, and modes that it does not know.
        self._stream.feed(data.replace(b"\x1b[>25u", b"").replace(b"\x1b[<u", b"").replace(b"$p", b"h"))

    def text(self) -> str:
        """What stands on the screen."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def wait_for(self, true: str | Callable[[str], bool]) -> str:
        """Read until the screen shows it."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            self.read(0.05)
            text = self.text()
            if (true in text) if isinstance(true, str) else true(text):
                return text
        raise AssertionError(f"{true!r} never showed; the screen is:\n{self.text()}")

    def wait_until_idle(self) -> None:
        """Wait, and read nothing, until the program does no more than look whether it may write again."""
        before = -100
        while (now := self._ticks()) - before > _IDLE_TICKS:
            before = now
            time.sleep(0.7)

    def _ticks(self) -> int:
        """How long the processor worked on it, in clock ticks."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def type(self, keys: str | bytes) -> None:
        """Send keys."""
        os.write(self.fd, keys.encode() if isinstance(keys, str) else keys)

    def signal(self, number: int) -> None:
        """Send a signal to the program."""
        os.kill(self.pid, number)

    def wait_until_stopped(self) -> None:
        """Wait, and read nothing, until the program is suspended."""
        stat = Path(f"/proc/{self.pid}/stat")
        until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "the program to be suspended")

    def hang_up(self) -> None:
        """Close our end, as a killed ssh does."""
        os.close(self.fd)
        self.fd = -1

    def wait(self) -> int:
        """Read until the program ends; returns its exit code, or minus the signal that killed it."""
        end = time.monotonic() + PATIENCE_SECONDS
        while self.code is None and time.monotonic() < end:
            if self.fd >= 0:
                self.read(0.02)
            else:
                time.sleep(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        if self.code is None:
            raise AssertionError(f"it did not end; the screen is:\n{self.text()}")
        if self.fd >= 0:
            self.read(0.1)
        return self.code

    def is_restored(self) -> bool:
        """Whether modes and the line discipline are as they were before the program."""
        mask = termios.ICANON | termios.ECHO
        return int(termios.tcgetattr(self.fd)[3] & mask) == int(self.before[3] & mask)

    def close(self) -> None:
        """End everything."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


@contextlib.contextmanager
def terminal(
    program: str | Sequence[str], size: tuple[int, int] = (80, 24), **environ: str | None
) -> Iterator[Terminal]:
    """A terminal with `program` in it: a command, or a Python text that is run with this interpreter.

    `environ` adds to a plain environment (None takes a variable away).
    """
    plain = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
    }
    for name, value in environ.items():
        if value is None:
            plain.pop(name, None)
        else:
            plain[name] = value
    argv = [sys.executable, "-c", program] if isinstance(program, str) else list(program)
    run = Terminal(argv, size, plain)
    try:
        yield run
    finally:
        run.close()
