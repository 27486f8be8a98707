"""Reading files that people name, and writing files that outlive a crash: plain ones only, for their owner's eyes."""

import contextlib
import errno
import fcntl
import os
import select
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from redis_oom_tui import __version__
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.rules.guarded import NotJudged

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


def identity(file: BinaryIO) -> tuple[int, ...]:
    """What tells this open file from another, or from itself once it was changed: device, inode, size, nanoseconds of
    its last change.
    """
    about = os.fstat(file.fileno())
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


def open_same(path: Path, wanted: tuple[int, ...]) -> BinaryIO:
    """As `open_plain`, where the file is still the one of that `identity`; () takes any."""
    file = open_plain(path)
    if wanted and identity(file) != wanted:
        file.close()
        raise was_replaced(path)
    return file


def was_replaced(path: Path) -> BadInput:
    """The sentence for a file that is not the one that was read before."""
    what = f"{shown(path)} was replaced or changed since it was inspected: nothing more is read from it"
    return BadInput(f"{what}. Open it again to see it as it is")


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


# What file systems say that have nothing to sync for a folder.
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.EACCES})
# What file systems say that have no hard links.
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
# macOS leaves what fsync wrote in the drive's own memory; this brings it to the disk.
_FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)


def sync_file(handle: int) -> None:
    """Bring the bytes of an open file to the disk. Raises OSError where that failed."""
    if _FULL_SYNC is not None:
        try:
            fcntl.fcntl(handle, _FULL_SYNC)
        except OSError as error:
            if error.errno not in _NO_SYNC:
                raise
        else:
            return
    os.fsync(handle)


def lock_while_written(handle: int) -> None:
    """Let others see by `is_being_written` that this open file is; until it is closed, or the tool ends in any way."""
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_being_written(file: BinaryIO) -> bool:
    """Whether somebody writes what `file` reads, as far as its file system tells."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    fcntl.flock(file.fileno(), fcntl.LOCK_UN)
    return False


def sync_folder(folder: Path) -> None:
    """Bring the names in `folder` to the disk: a file that was synced can still lose its name in a crash."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _NO_SYNC:
            return
        raise
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make `folder` and those above it, for their owner alone, with their names on disk."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
    for each in missing:
        sync_folder(each.parent)


def write_whole(path: Path, parts: Iterable[bytes]) -> None:
    """Write `parts` to a new file at `path`, which is there whole and on disk, or not at all.

    Raises FileExistsError where something stands at `path`, and OSError where it cannot be written.
    """
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(parts)
            file.flush()
            sync_file(file.fileno())
        _put_in_place(name, path)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name)  # noqa: PTH108 - as tempfile gave it
    sync_folder(path.parent)


def _put_in_place(name: str, path: Path) -> None:
    """Give the file its name, which must not be taken: a rename would overwrite what came there meanwhile."""
    try:
        os.link(name, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        os.replace(name, path)  # noqa: PTH105 - as above


def write_new(path: Path, text: str) -> None:
    """Write `text` to a new file at `path`; raises BadInput where one stands there, or none can be made."""
    try:
        write_whole(path, [text.encode("utf-8")])
    except OSError as error:
        raise BadInput(f"{shown(path)} cannot be written as a new file: {error.strerror or error}") from None


_MOST_BYTES = 256 * 1024


def append_defect(path: Path, fault: NotJudged) -> None:
    """Append `fault` to the file at `path`. One that cannot be written, or is full, ends nothing either."""
    now = time.strftime("%Y-%m-%d %H:%M:%S %z")
    text = "\n".join((f"{now}  redis-oom-tui {__version__}  {fault.words}", *fault.lines, ""))
    with contextlib.suppress(OSError):
        _append(path, text.encode("utf-8", "backslashreplace"))


def _append(path: Path, text: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    try:
        if os.fstat(file).st_size < _MOST_BYTES:
            os.write(file, text)
    finally:
        os.close(file)
