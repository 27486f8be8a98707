"""The record of defects that ended nothing: readable by its owner, bounded, one entry for each, no values in it."""

import os
from pathlib import Path

import pytest

from redis_oom_tui.files.disk import append_defect
from redis_oom_tui.rules.guarded import DEFECTS, attempt, sentence


def fails(secret: str) -> str:
    return secret + 1  # type: ignore[operator]


@pytest.mark.defects
def test_each_is_written_once_without_values(tmp_path: Path) -> None:
    path = tmp_path / "state" / "defects.log"
    DEFECTS.report = lambda fault: append_defect(path, fault)
    for _ in range(3):
        assert attempt("the trend is", lambda: fails("hunter2"), lambda fault: fault.words).startswith(
            "the trend is not"
        )
    sentence("the hook is", ValueError("odd"))
    text = path.read_text()
    assert text.count("the trend is not judged: a defect of this tool (TypeError)") == 1
    assert text.count("the hook is not judged") == 1
    assert "in fails" in text
    assert "hunter2" not in text
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.defects
def test_it_is_bounded_and_no_other_file_is_written(tmp_path: Path) -> None:
    path, other = tmp_path / "defects.log", tmp_path / "other"
    fault = DEFECTS.take("the trend is", ValueError("x" * 300))
    for _ in range(3000):
        append_defect(path, fault)
    assert path.stat().st_size < 260 * 1024
    other.write_text("kept")
    path.unlink()
    path.symlink_to(other)
    append_defect(path, fault)
    assert other.read_text() == "kept"
    path.unlink()
    os.mkfifo(path)
    append_defect(path, fault)
    append_defect(tmp_path / "other" / "defects.log", fault)
