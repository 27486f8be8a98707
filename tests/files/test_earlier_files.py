"""Files that an earlier version wrote are read as they were meant, and what is written now is what it would read."""

import json
from pathlib import Path

import pytest

from redis_oom_tui.files.audit import AuditFile
from redis_oom_tui.files.backup_reading import inspect, read_head, read_records
from redis_oom_tui.files.plans import load_plan, save_plan
from redis_oom_tui.files.recordings import Moment, Recorder, load
from redis_oom_tui.files.scans import load_scan, save_scan
from redis_oom_tui.models.action import BackupInspection
from redis_oom_tui.models.capabilities import Feature
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Operation
from redis_oom_tui.models.scan import ScanState
from redis_oom_tui.server.scan.checkpoint import checkpoint_from

BEFORE = Path(__file__).parent / "before"
ODD = [b'odd:\xff\x00"\\%d' % number for number in range(6)]
LISTS = [b"list:\xc3\xa9:%d" % number for number in range(5)]


def values(path: Path) -> list[object]:
    """Its lines, without what is written since: an earlier version leaves it out."""
    return [json.loads(line, object_hook=_known) for line in path.read_bytes().splitlines()]


def _known(found: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in found.items() if name != "no_ttl_bytes"}


def test_a_backup_is_whole_and_has_every_key():
    path = BEFORE / "backup.jsonl"
    assert inspect(path) == BackupInspection(read_head(path), 11, 0, 11)
    head, records = read_head(path), list(read_records(path))
    assert (head.keys, head.held_bytes, head.whole, head.server_clock) == (11, 7704, True, True)
    assert {record.key for record in records} == {*ODD, *LISTS}
    assert {record.type for record in records} == {"list", "string"}
    assert all(record.payload and record.saved_ms and record.size for record in records)
    assert {record.key for record in records if record.expires_ms is not None} == {*ODD}


def test_a_backup_whose_frames_have_no_mark_of_its_own_has_every_key(tmp_path):
    path = BEFORE / "frames.backup"
    assert inspect(path) == BackupInspection(read_head(path), 6, 0, 6)
    assert [record.key for record in read_records(path)] == ODD
    # Without its first line, the copy of that line tells the same.
    raw = path.read_bytes()
    (tmp_path / "f").write_bytes(b"?" + raw[1:])
    assert read_head(tmp_path / "f", damaged_ok=True).keys == 6
    assert [record.key for record in read_records(tmp_path / "f", damaged_ok=True)] == ODD


def test_a_backup_of_expiries_has_the_old_and_the_new_one():
    path = BEFORE / "backup_of_expiries.jsonl"
    assert not inspect(path).damaged
    assert read_head(path).operation == Operation.EXPIRE.value
    (record,) = read_records(path)
    assert (record.key, record.payload, record.expires_ms) == (b"cart:1", None, None)
    assert record.due_ms is not None
    assert record.due_ms > record.saved_ms


@pytest.mark.parametrize("name", ["plan", "plan_with_ranges", "plan_of_pattern"])
def test_a_plan_is_the_one_that_was_saved(tmp_path, name):
    path = BEFORE / f"{name}.jsonl"
    plan = load_plan(path)
    assert {key.id.key for key in plan.keys} <= {*ODD, *LISTS, *(b"user:%d" % number for number in range(400))}
    save_plan(plan, tmp_path / "plan")
    assert values(tmp_path / "plan") == values(path)


def test_a_scan_has_its_keys_and_patterns(tmp_path):
    path = BEFORE / "scan.json"
    scan = load_scan(path)
    assert (scan.view.state, scan.view.scanned_keys, len(scan.view.top)) == (ScanState.COMPLETE, 473, 473)
    assert {row.id.key for row in scan.view.top} >= {*LISTS}
    assert all(row.select is not None for row in scan.view.patterns)
    save_scan(scan, tmp_path / "scan")
    assert values(tmp_path / "scan") == values(path)


def test_a_stopped_scan_can_be_resumed(tmp_path):
    path = BEFORE / "stopped_scan.json"
    scan = load_scan(path)
    assert scan.progress is not None
    begun = checkpoint_from(scan.progress)
    assert begun.aggregates.keys == scan.view.scanned_keys
    save_scan(scan, tmp_path / "scan")
    assert values(tmp_path / "scan") == values(path)


def test_a_recording_has_its_moments(tmp_path):
    path = BEFORE / "recording.jsonl"
    recording = load(path)
    moments = list(recording.moments)
    by_kind = {recording.moments.place(index).kind: moment for index, moment in enumerate(moments)}
    assert recording.whole
    assert by_kind["clients"].clients is not None
    assert by_kind["clients"].clients[0].name == b'w\xff"\\'
    assert by_kind["capabilities"].capabilities is not None
    assert by_kind["capabilities"].capabilities.why_not(Feature.SCRIPT) == "EVAL is renamed away"
    assert by_kind["scan"].scan is not None
    assert KeyId(0, LISTS[0]) in {row.id for row in by_kind["scan"].scan.top}
    assert by_kind["snapshot"].snapshot is not None
    assert by_kind["snapshot"].snapshot.cluster is not None
    assert by_kind["snapshot"].snapshot.cluster.nodes[0].node.ranges == ((0, 5460),)
    assert by_kind["settings"].settings == {"maxmemory": "64mb"}
    assert by_kind["lost"] == Moment(by_kind["lost"].monotonic, by_kind["lost"].at, lost="gone")
    recorder = Recorder(tmp_path / "recording", recording.address)
    for moment in moments:
        recorder.add(moment)
    recorder.close()
    assert values(tmp_path / "recording")[1:] == values(path)[1:]


def test_an_audit_file_has_its_actions():
    file = AuditFile(BEFORE / "audit.jsonl", wall=lambda: 0.0)
    changed, expired, deleted = file.history()
    assert file.skipped == 0
    assert (deleted.action, deleted.ok, deleted.counts, deleted.undo) == (
        "delete",
        True,
        {"deleted": 11},
        "backup.jsonl",
    )
    assert (expired.action, expired.counts) == ("expire", {"expiring": 1})
    assert changed.change is not None
    assert (changed.change.change.name, changed.change.change.old, changed.change.now) == (
        "maxmemory-samples",
        "5",
        "7",
    )
    assert file.earlier(deleted.plan).deleted == {(0, name) for name in (*ODD, *LISTS)}
    assert file.unfinished(deleted.plan) == {"backup.jsonl": set()}
