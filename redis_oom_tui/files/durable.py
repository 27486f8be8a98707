"""Writing files so that they outlive a crash, for their owner's eyes only; and the file that defects are kept in."""

import contextlib
import errno
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from redis_oom_tui import __version__
from redis_oom_tui.files.reading import shown
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.rules.guarded import NotJudged

# What file systems say that have nothing to sync for a folder.
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES})
# What file systems say that have no hard links.
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})


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
            os.fsync(file.fileno())
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
