"""Scans on disk: what was saved comes back, and nothing else is taken for one."""

import re
from pathlib import Path

import pytest

from redis_oom_tui.files.scans import load_scan, save_scan
from redis_oom_tui.formatting.typed import KeyRecord
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyId, KeyRow
from redis_oom_tui.models.scan import Interval, PatternRow, SavedScan, ScanState, ScanView, TypeRow

VIEW = ScanView(
    state=ScanState.STOPPED,
    scanned_keys=10,
    total_keys=20,
    bytes_seen=1000,
    top=(KeyRow(KeyId(1, b"\xff\x00"), "hash", 500, 1000, idle_seconds=5, encoding="listpack", suspect=True),),
    patterns=(
        PatternRow(b"a:*", b"a:*", 5, 600, 0.6, 2, 1, 1, None, 0.01, (("hash", 5),), (1, 2, 3), Interval(1, 0, 2)),
    ),
    types=(TypeRow("hash", 5, 600),),
    estimated_bytes=Interval(2000.0, 1500.0, 2500.0),
    scanned_share=0.5,
    notes=("a note",),
)


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    scan = SavedScan(VIEW, 1700000000.5, "127.0.0.1:6379", "abc", b"a*\xff", "hash", databases=(0, 2))
    save_scan(scan, tmp_path / "s")
    assert load_scan(tmp_path / "s") == scan
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("precious")
    with pytest.raises(BadInput, match="exists already"):
        save_scan(SavedScan(VIEW, 0.0, ""), tmp_path / "s")
    assert (tmp_path / "s").read_text() == "precious"


@pytest.mark.parametrize("text", ["", "{}", "[1]", "no json", '{"format": "redis-oom-tui scan 1"}', "\u00e9"])
def test_other_files_are_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "s").write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=r"not a scan|`taken_at` is missing"):
        load_scan(tmp_path / "s")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        load_scan(tmp_path / "s")


def test_every_field_of_a_row_is_written() -> None:
    assert {*KeyRecord.__struct_fields__} - {"db", "key", "node"} == {*KeyRow.__struct_fields__} - {"id"}


@pytest.mark.parametrize(
    ("what", "by", "words"),
    [
        ('"scanned_keys":10', '"scanned_keys":"10"', "`view.scanned_keys` is not a whole number"),
        ('"scanned_keys":10', '"scanned_keys":1e999', "`view.scanned_keys` is out of range"),
        ('"db":1', '"db":"1"', "`top[0].db` is not a whole number"),
        ('"type":"hash"', '"type":null', "`top[0].type` is not a string"),
        ('"state":"stopped"', '"state":[]', "`state` is not a string"),
        ('"notes":["a note"]', '"notes":' + "[" * 60000 + "]" * 60000, "`notes[0]` is not a string"),
        ('"progress":null', '"progress":{"a":' + "[" * 60000 + "]" * 60000 + "}", "nested too deep"),
        ('"taken_at":5.0', '"taken_at":1e300', "`taken_at` is out of range"),
    ],
    ids=["a string", "infinite", "db", "type", "state", "notes", "deep", "time"],
)
def test_a_damaged_scan_is_named_with_what_is_wrong(tmp_path: Path, what: str, by: str, words: str) -> None:
    path = tmp_path / "s"
    save_scan(SavedScan(VIEW, 5.0, "127.0.0.1:6379", "abc"), path)
    text = path.read_text()
    assert what in text
    path.write_text(text.replace(what, by, 1))
    with pytest.raises(BadInput, match=re.escape(words)) as error:
        load_scan(path)
    assert f"{path}, line 1" in str(error.value)
