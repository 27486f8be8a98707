"""Bytes reach the disk: where fsync is not enough (macOS), by what is."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from redis_oom_tui.files import disk

FULL_SYNC = 51


class Calls:
    """Stands for the system's calls; `fails` is what the full sync answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fails: int | None) -> None:
        self.made: list[str] = []
        self._fails = fails
        monkeypatch.setattr(disk, "_FULL_SYNC", FULL_SYNC)
        monkeypatch.setattr(fcntl, "fcntl", self._full)
        monkeypatch.setattr(os, "fsync", lambda handle: self.made.append("fsync"))

    def _full(self, handle: int, command: int) -> None:
        assert command == FULL_SYNC
        self.made.append("full")
        if self._fails is not None:
            raise OSError(self._fails, os.strerror(self._fails))


@pytest.mark.parametrize(("fails", "made"), [(None, ["full"]), (errno.EOPNOTSUPP, ["full", "fsync"])])
def test_a_drive_is_asked_to_write_out_what_it_holds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fails: int | None, made: list[str]
) -> None:
    calls = Calls(monkeypatch, fails)
    with (tmp_path / "file").open("wb") as file:
        disk.sync_file(file.fileno())
    assert calls.made == made


def test_a_disk_that_fails_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = Calls(monkeypatch, errno.EIO)
    with (tmp_path / "file").open("wb") as file, pytest.raises(OSError, match="Input/output"):
        disk.sync_file(file.fileno())
    assert calls.made == ["full"]
