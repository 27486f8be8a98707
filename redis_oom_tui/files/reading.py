"""Opening and reading files that people name: plain files only, never waited for, never more held than is stated."""

import os
import select
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.errors import BadInput

MIB = 1024 * 1024
LONGEST_LINE = 64 * MIB
_CHUNK = MIB
# A pipe from `<(command)`: the command may have to ask somewhere first.
_PIPE_SECONDS = 20.0
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class Line(NamedTuple):
    """A line of a file: its number from 1, where it begins, how long it is, and its bytes.

    `raw` is None where it is longer than is held at once, `start` then its first bytes; `whole` is False where the file
    ends within it.
    """

    number: int
    offset: int
    size: int
    raw: bytes | None
    whole: bool
    start: bytes = b""


def shown(path: Path) -> str:
    """`path` for a sentence."""
    return safe_text(str(path), 200)


def cannot_be_read(path: Path, error: OSError) -> BadInput:
    """The sentence for a file that the system does not let us read."""
    return BadInput(f"{shown(path)} cannot be read: {error.strerror or type(error).__name__}")


def open_plain(path: Path) -> BinaryIO:
    """The plain file at `path`, opened for reading. Raises BadInput for anything else, which is never waited for."""
    try:
        return os.fdopen(_opened(path, pipes=False), "rb")
    except OSError as error:
        raise cannot_be_read(path, error) from None


def read_small(
    path: Path, most: int, *, pipes: bool = False, what: str = "such a file"
) -> tuple[bytes, os.stat_result]:
    """All that the file at `path` holds, `most` bytes at most, and what the system says of it. Raises BadInput.

    With `pipes`, a pipe is read as well, as long as somebody writes to it.
    """
    try:
        handle = _opened(path, pipes=pipes)
        with os.fdopen(handle, "rb", buffering=0) as file:
            about = os.fstat(handle)
            raw: bytes | None
            if stat.S_ISFIFO(about.st_mode):
                raw = _from_pipe(path, handle, most + 1)
            elif about.st_size > most:
                raw = None
            else:
                raw = b"".join(iter_chunks(file, most + 1))
    except OSError as error:
        raise cannot_be_read(path, error) from None
    if raw is None or len(raw) > most:
        raise BadInput(f"{shown(path)} cannot be read: it is larger than {what} can be ({most // 1024:,} KiB)")
    return raw, about


def iter_chunks(file: BinaryIO, most: int) -> Iterator[bytes]:
    """The file from where it stands, in pieces, `most` bytes at most in all."""
    while most > 0 and (chunk := file.read(min(most, _CHUNK))):
        most -= len(chunk)
        yield chunk


def lines(file: BinaryIO, longest: int = LONGEST_LINE, number: int = 1) -> Iterator[Line]:
    """The lines of `file` from where it stands; of one over `longest` bytes, nothing is held."""
    offset = file.tell()
    while raw := file.readline(longest + 1):
        size, whole = len(raw), raw.endswith(b"\n")
        if size <= longest or whole:
            yield Line(number, offset, size, raw, whole)
        else:
            start = raw[:100]
            del raw
            rest, whole = _skip_line(file)
            size += rest
            yield Line(number, offset, size, None, whole, start)
        offset += size
        number += 1


def _skip_line(file: BinaryIO) -> tuple[int, bool]:
    """Read on behind the next line break: how many bytes that took, and whether there was one."""
    size = 0
    while raw := file.readline(_CHUNK):
        size += len(raw)
        if raw.endswith(b"\n"):
            return size, True
    return size, False


def _opened(path: Path, *, pipes: bool) -> int:
    """A handle. Without O_NONBLOCK the opening of a pipe would wait for a writer, maybe for ever."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except ValueError:
        raise BadInput(f"{shown(path)} cannot be read: no file can be called so") from None
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode) or (pipes and stat.S_ISFIFO(mode)):
        return handle
    os.close(handle)
    kind = next((name for test, name in _KINDS if test(mode)), "something else")
    raise BadInput(f"{shown(path)} cannot be read: it is {kind}, not a plain file")


def _from_pipe(path: Path, handle: int, most: int) -> bytes:
    until = time.monotonic() + _PIPE_SECONDS
    found = bytearray()
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    while len(found) < most:
        try:
            # Without a writer this is the end at once; with one that has written nothing yet, it is refused.
            chunk = os.read(handle, min(_CHUNK, most - len(found)))
        except BlockingIOError:
            if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
                raise BadInput(f"{shown(path)} cannot be read: its writer wrote nothing for too long") from None
            continue
        if not chunk:
            break
        found += chunk
    if not found:
        raise BadInput(f"{shown(path)} cannot be read: it is a pipe that nobody writes to")
    return bytes(found)
