"""A recording on a disk that fills up: its end is noted once, and no empty file stays."""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from redis_oom_tui.files.recording_source import recording
from redis_oom_tui.files.recordings import Recorder, load
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.errors import BadInput
from tests.support.scripted import ScriptedSource


@contextlib.contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: a write fails then as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_no_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "r"
    with file_size_limit(20), pytest.raises(BadInput, match=f"^{path} cannot be written: File too large$"):
        Recorder(path, Address())
    assert not path.exists()


async def test_a_recording_that_ends_early_is_noted_once(tmp_path: Path) -> None:
    inner = ScriptedSource()
    source = recording(inner, Recorder(tmp_path / "r", inner.address))
    assert not (await source.snapshot()).notes
    with file_size_limit((tmp_path / "r").stat().st_size + 10):
        [note] = (await source.snapshot()).notes
    assert note == f"the recording {tmp_path / 'r'} ends here: File too large"
    assert not (await source.snapshot()).notes
    await source.close()
    assert len(load(tmp_path / "r").snapshots) == 1
