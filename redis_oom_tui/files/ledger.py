"""What unattended cleanups have taken lately, on disk: a restarted watch must not begin a new hour.

One small file, replaced whole, in which only the last hour is kept; held by a lock while a cleanup runs, so that two
watches never act at once.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from redis_oom_tui.files.disk import MIB, make_folder, read_small, sync_file, sync_folder
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.typed import Count, Damaged, UnixTime, decoded, encoded
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.rules.cluster import is_run_id
from redis_oom_tui.rules.emergency import HOUR_SECONDS, Spent

_LARGEST = MIB


class _Entry(Struct, frozen=True):
    """What one cleanup of a server took, and when; earlier versions wrote down no `run_id`."""

    server: str
    at: UnixTime
    keys: Count
    size: Count
    run_id: str | None = None


_decoder = msgspec.json.Decoder(tuple[_Entry, ...])


class LedgerHeld(BadInput):
    """Another watch runs its cleanup: this one may try again at its next poll."""


class Ledger:
    """The ledger at `path`. Every method raises BadInput where the file cannot be read or written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the ledger: nobody else may act on it meanwhile. Raises LedgerHeld where somebody does."""
        with self._sentences(), contextlib.ExitStack() as stack:
            make_folder(self._path.parent)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
            handle = os.open(self._path.with_suffix(".lock"), flags, 0o600)
            stack.callback(os.close, handle)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LedgerHeld("Another watch runs its emergency cleanup now: this one waits for its turn") from None
            kept = stack.pop_all()
        with kept:
            yield

    def spent(self, server: str, now: float, *, run_id: str | None = None) -> tuple[Spent, ...]:
        """What was taken in the last hour from `server`, or from the process with that `run_id` at another address."""
        known = is_run_id(run_id)
        return tuple(
            Spent(entry.at, entry.keys, entry.size)
            for entry in self._entries()
            if (entry.server == server or (known and entry.run_id == run_id)) and now - entry.at < HOUR_SECONDS
        )

    def put(self, server: str, spent: Spent, *, run_id: str | None = None, instead_of: Spent | None = None) -> None:
        """Write down what a run takes, before it runs; and, `instead_of` that, what it took in the end."""
        entries = [entry for entry in self._entries() if spent.at - entry.at < HOUR_SECONDS]
        if instead_of is not None and (before := _entry(server, instead_of, run_id)) in entries:
            entries.remove(before)
        entries.append(_entry(server, spent, run_id))
        with self._sentences():
            make_folder(self._path.parent)
            new = self._path.with_suffix(".new")
            handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(encoded(entries))
                file.flush()
                sync_file(file.fileno())
            new.replace(self._path)
            sync_folder(self._path.parent)

    def _entries(self) -> tuple[_Entry, ...]:
        if not os.path.lexists(self._path):
            return ()
        raw, _ = read_small(self._path, _LARGEST)
        try:
            return decoded(_decoder, raw)
        except Damaged:
            raise BadInput(
                f"{self._name} is damaged, so what was deleted in the last hour is not known: check it, then remove it"
            ) from None

    @contextlib.contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BadInput(f"{self._name} cannot be written: {error.strerror}") from None

    @property
    def _name(self) -> str:
        return safe_text(str(self._path), 200)


def _entry(server: str, spent: Spent, run_id: str | None) -> _Entry:
    return _Entry(server, spent.at, spent.keys, spent.size, run_id)
