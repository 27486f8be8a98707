"""Safety rule 5: every action leaves a line, before and after, that nobody else can read and no crash can spoil."""

import json
import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from redis_oom_tui.files.audit import AuditFailed, AuditFile
from redis_oom_tui.files.audit_lines import change_fields
from redis_oom_tui.models.plan import Outcome
from redis_oom_tui.models.settings import Change, ChangeResult


def audit(path: Path) -> AuditFile:
    return AuditFile(path / "state" / "audit.jsonl", wall=lambda: 1000.0)


def test_an_action_reads_back_as_one_entry(tmp_path: Path) -> None:
    file = audit(tmp_path)
    action = file.intent("delete", server="s:1", who="sre@host", what="delete 2 keys", backup="/b")
    file.batch(action, 1, [(0, b"a"), (3, b"\xff\n")])
    file.done(action, 1, [Outcome.DELETED, Outcome.CHANGED], {1: "it was used"})
    file.result(action, ok=True, result="Deleted 1", counts={"deleted": 1})
    (entry,) = file.history()
    assert (entry.action, entry.server, entry.who, entry.what) == ("delete", "s:1", "sre@host", "delete 2 keys")
    assert (entry.ok, entry.result, dict(entry.counts), entry.undo) == (True, "Deleted 1", {"deleted": 1}, "/b")
    lines = [json.loads(line) for line in file.path.read_text().splitlines()]
    assert [line["phase"] for line in lines] == ["intent", "batch", "done", "result"]
    assert lines[1]["keys"] == [[0, "a"], [3, "\\xff\\x0a"]]
    assert (lines[2]["outcomes"], lines[2]["details"]) == ("dc", {"1": "it was used"})


def test_an_action_that_was_cut_off_has_no_end(tmp_path: Path) -> None:
    file = audit(tmp_path)
    file.intent("purge", server="s", who="w", what="MEMORY PURGE")
    (entry,) = file.history()
    assert (entry.ended, entry.ok, entry.result) == (None, None, "")


def test_of_two_in_one_millisecond_the_later_line_is_the_newer_one(tmp_path: Path) -> None:
    file = audit(tmp_path)
    for what in ("first", "second", "third"):
        file.result(file.intent("kill-client", server="s", who="w", what=what), ok=True, result=what)
    assert [entry.what for entry in file.history()] == ["third", "second", "first"]
    assert [entry.what for entry in file.history(2)] == ["third", "second"]


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    file = audit(tmp_path)
    file.intent("purge", server="s", who="w", what="x")
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700


def test_a_line_behind_a_torn_one_stands_on_its_own(tmp_path: Path) -> None:
    file = audit(tmp_path)
    file.intent("purge", server="s", who="w", what="first")
    with file.path.open("ab") as raw:
        raw.write(b'{"v":1,"at":1000,"phase":"inte')
    file.intent("purge", server="s", who="w", what="second")
    assert sorted(entry.what for entry in file.history()) == ["first", "second"]


def test_lines_that_are_not_ours_are_passed_over(tmp_path: Path) -> None:
    file = audit(tmp_path)
    file.path.parent.mkdir()
    file.path.write_bytes(b'\xff\xfe\n[]\n{"phase":"intent","id":"x"}\n\n{"at":"soon","phase":"intent","id":"y"}\n')
    file.intent("purge", server="s", who="w", what="ours")
    assert [entry.what for entry in file.history()] == ["ours"]


def test_a_change_reads_back_for_undo(tmp_path: Path) -> None:
    file = audit(tmp_path)
    result = ChangeResult(Change("maxmemory", "100", "200"), took=True, now="200")
    action = file.intent("set", server="s", who="w", what="maxmemory")
    file.result(action, ok=True, result="done", change=change_fields(result))
    assert file.history()[0].change == result


def test_what_cannot_be_written_down_must_not_happen(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    with pytest.raises(AuditFailed, match="--audit"):
        audit(tmp_path).intent("delete", server="s", who="w", what="x")


def _write(path: Path, who: str) -> None:
    file = AuditFile(path, wall=lambda: 1000.0)
    for number in range(50):
        file.intent("purge", server="s", who=who, what="x" * 3000 + str(number))


def test_two_writers_do_not_tear_each_others_lines(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(path, who)) for who in ("a", "b")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 100


def test_when_a_setting_was_to_go_back_reads_back(tmp_path: Path) -> None:
    file = audit(tmp_path)
    file.result(file.intent("set", server="s", who="w", what="x", reverts_in_seconds=60.0), ok=True, result="x is 2")
    file.intent("set", server="s", who="w", what="y", reverts_in_seconds=None)
    assert {entry.what: entry.returns_at for entry in file.history()} == {"x": 1060.0, "y": None}


ODD_LINES = {
    "deep": b'{"v":1,"at":1000,"phase":"intent","id":' + b"[" * 60000 + b"]" * 60000 + b"}",
    "deep and cut": b"[" * 60000,
    "no id": b'{"at":1000,"phase":"intent"}',
    "odd id": b'{"at":1000,"phase":"intent","id":[1]}',
    "odd time": b'{"at":1e300,"phase":"intent","id":"x"}',
    "no number": b'{"at":NaN,"phase":"intent","id":"x"}',
    "odd text": b'{"at":1000,"phase":"intent","id":"x","what":5}',
    "half a character": b'{"at":1000,"phase":"intent","id":"x","what":"\\ud800"}',
    "odd seconds": b'{"at":1000,"phase":"intent","id":"x","reverts_in_seconds":1' + b"0" * 400 + b"}",
    "long": b'{"at":1000,"phase":"intent","id":"x","what":"' + b"x" * 2_000_000 + b'"}',
    "zeros": b"\0" * 5000,
}


@pytest.mark.parametrize("odd", ODD_LINES.values(), ids=ODD_LINES)
def test_an_odd_line_is_skipped_and_counted(tmp_path: Path, odd: bytes) -> None:
    file = audit(tmp_path)
    file.intent("purge", server="s", who="w", what="first")
    with file.path.open("ab") as raw:
        raw.write(odd + b"\n")
    file.intent("purge", server="s", who="w", what="second")
    assert sorted(entry.what for entry in file.history()) == ["first", "second"]
    assert file.skipped == 1
    assert file.unfinished("p") == {}


@pytest.mark.parametrize(
    "odd",
    [
        b'"counts":{"deleted":"x"}',
        b'"counts":5',
        b'"change":{"name":5}',
        b'"ok":"yes"',
        b'"result":null',
        b'"backup":1',
    ],
)
def test_an_odd_end_leaves_the_action_without_one(tmp_path: Path, odd: bytes) -> None:
    file = audit(tmp_path)
    action = file.intent("delete", server="s", who="w", what="x")
    with file.path.open("ab") as raw:
        raw.write(b'{"at":1001,"phase":"result","id":"%b",%b}\n' % (action.encode(), odd))
    assert [entry.ended for entry in file.history()] == [None]
    assert file.skipped == 1


@pytest.mark.parametrize(
    ("odd", "pending"),
    [
        (b'"phase":"done","batch":1,"outcomes":"d"', {(0, b"a"), (0, b"b")}),
        (b'"phase":"done","batch":1,"outcomes":[]', {(0, b"a"), (0, b"b")}),
        (b'"phase":"done","batch":"1","outcomes":"dd"', {(0, b"a"), (0, b"b")}),
        (b'"phase":"done","batch":1', {(0, b"a"), (0, b"b")}),
        (b'"phase":"batch","batch":2,"keys":[["0","c"]]', {(0, b"a"), (0, b"b")}),
        (b'"phase":"batch","batch":2,"keys":[[0]]', {(0, b"a"), (0, b"b")}),
        (b'"phase":"batch","batch":2,"keys":[[0,"\\\\q"]]', {(0, b"a"), (0, b"b")}),
        (b'"phase":"batch","batch":2', {(0, b"a"), (0, b"b")}),
    ],
)
def test_what_an_odd_batch_line_tells_stays_unsettled(
    tmp_path: Path, odd: bytes, pending: set[tuple[int, bytes]]
) -> None:
    file = audit(tmp_path)
    action = file.intent("delete", server="s", who="w", what="x", plan="p", backup="/b")
    file.batch(action, 1, [(0, b"a"), (0, b"b")])
    with file.path.open("ab") as raw:
        raw.write(b'{"v":1,"at":1001,"id":"%b",%b}\n' % (action.encode(), odd))
    assert file.unfinished("p") == {"/b": pending}
    assert file.skipped == 1


def test_a_file_that_is_no_plain_one_is_neither_waited_for_nor_written_to(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    file = audit(tmp_path)
    os.mkfifo(file.path)
    assert file.history() == ()
    assert file.skipped == 1
    with pytest.raises(AuditFailed, match="not a plain file"):
        file.intent("purge", server="s", who="w", what="x")


def test_the_last_actions_are_found_at_the_end_of_a_long_file(tmp_path: Path) -> None:
    """Only as much of it is read as they take; among large batches that is more."""
    path = tmp_path / "audit.jsonl"
    line = '{"v":1,"at":%d,"phase":"intent","id":"%012x","action":"set","server":"a:1","who":"me","what":"%s"}\n'
    batch = '{"v":1,"at":1,"phase":"batch","id":"x","batch":0,"keys":[[0,"%s"]]}\n' % ("k" * 100_000)
    with path.open("w") as file:
        file.write("not a line of ours\n")
        file.writelines(line % (at, at, "early") for at in range(10_000))
        file.writelines(batch + line % (20_000 + at, 20_000 + at, "late") for at in range(45))
    found = AuditFile(path, wall=lambda: 0.0)
    assert [entry.at for entry in found.history(most=20)] == [float(at) for at in range(20_044, 20_024, -1)]
    assert found.skipped == 0
    assert found.unread_before == 20_025.0
    assert len(found.history(most=10_045)) == 10_045
    assert (found.skipped, found.unread_before) == (1, None)
    assert [entry.at for entry in found.history(since=9_998.0)][-2:] == [9_999.0, 9_998.0]
    assert (len(found.history(since=20_000.0)), found.unread_before) == (45, None)
    assert len(found.history()) == 500
    assert found.unread_before == 9_545.0
    assert (len(found.history(since=-1.0)), found.unread_before) == (10_045, None)


def test_a_log_longer_than_is_read_says_from_when_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redis_oom_tui.files.audit._TAILS", (1000, 10_000))
    path = tmp_path / "audit.jsonl"
    line = '{"v":1,"at":%d,"phase":"intent","id":"%012x","action":"set","server":"a:1","who":"me","what":"x"}\n'
    path.write_text("".join(line % (at, at) for at in range(1000, 2000)))
    found = AuditFile(path, wall=lambda: 3000.0)
    listed = found.history(since=0.0)
    assert 50 < len(listed) < 150
    assert found.unread_before == listed[-1].at
    assert (len(found.history(since=1990.0)), found.unread_before) == (10, None)
    path.write_text('{"v":1,"at":1,"phase":"batch","id":"x","batch":0,"keys":[[0,"%s"]]}\n' % ("k" * 20_000))
    assert (found.history(since=0.0), found.unread_before) == ((), 3000.0)
