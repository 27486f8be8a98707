"""Whatever is done to a file of ours, reading it ends in a value or in a sentence, never in another error."""

import base64
import json
import os
import random
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from redis_oom_tui.files import config
from redis_oom_tui.files.audit import AuditFile
from redis_oom_tui.files.audit_lines import change_fields
from redis_oom_tui.files.backup import BackupWriter
from redis_oom_tui.files.backup_lines import Record
from redis_oom_tui.files.backup_reading import as_lines, backups, inspect, read_head, read_records, records_backward
from redis_oom_tui.files.ledger import Ledger
from redis_oom_tui.files.plans import load_plan, save_plan
from redis_oom_tui.files.recordings import Moment, load
from redis_oom_tui.files.replay import RecordedTime
from redis_oom_tui.files.scans import load_scan, save_scan
from redis_oom_tui.formatting import hogs
from redis_oom_tui.formatting.hogs import hogs_document
from redis_oom_tui.models.application import Recognition
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Outcome, PlannedKey
from redis_oom_tui.models.scan import SavedScan
from redis_oom_tui.models.settings import Change, ChangeResult
from redis_oom_tui.rules.compare import compare
from redis_oom_tui.rules.emergency import Spent
from redis_oom_tui.rules.restoring import backup_contents
from redis_oom_tui.rules.verdict import judge
from redis_oom_tui.server.scan.checkpoint import checkpoint_from
from tests.files import test_plans, test_record, test_scans
from tests.support import backup_files

ROUNDS = 120
MIB = 2**20
ODD: list[Any] = [None, True, -1, 0, 2**70, -(2**70), 1.5, -1e300, "", "x", "\udc80", "\x1b[2J", [], {}, [[]], [None]]
# What json.dumps does not write.
RAW = ["1e999", "NaN", "-Infinity", "1" + "0" * 400, "9" * 5000, "[" * 60000 + "]" * 60000, "[" * 60000, '"\\ud800"']


def a_backup(path: Path) -> None:
    writer = BackupWriter(path, backup_files.PLAN, backup_files.SERVER, 5.0)
    writer.add(*backup_files.KEYS[:4])
    writer.add(Record(1, b"giant\xff", "hash", node="n:1", left_out="too large"))
    writer.add(Record(1, b"e", "set", None, 9, 8, 7, 6, 5, 4))
    writer.close()


def a_backup_of_lines(path: Path) -> None:
    a_backup(path)
    backup_files.of_before(path)


def read_backup(path: Path) -> None:
    for read in (
        lambda: inspect(path),
        lambda: read_head(path),
        lambda: backup_contents(read_head(path, damaged_ok=True)),
        lambda: list(read_records(path)),
        lambda: list(read_records(path, damaged_ok=True)),
        lambda: list(records_backward(path, damaged_ok=True)),
        lambda: list(as_lines(path)),
    ):
        with sentences():
            read()
    backups(path.parent)


def a_plan(path: Path) -> None:
    keys = [PlannedKey(KeyId(n, b"k%d\xff" % n), "string", 5, 6, 7, None, 8.5) for n in range(3)]
    save_plan(test_plans.plan(*keys), path)


def a_scan(path: Path) -> None:
    progress = {
        "run_id": "r",
        "elapsed": 1.5,
        "options": {"databases": None, "match": None, "type": None, "pace": "normal", "top": 5, "idle": True}
        | {"delimiters": base64.b64encode(b":").decode(), "max_patterns": 9},
        "walks": [[{"db": 0, "part": 0, "bits": 0, "cursor": 7, "ended": False, "page": ["YQ=="], "head": None}]],
        "tally": {"keys": 1, "types": [["hash", 1, 2]], "top": [], "tree": []},
    }
    save_scan(SavedScan(test_scans.VIEW, 5.0, "a:1", "r", b"a*", "hash", progress), path)


def read_scan(path: Path) -> None:
    with sentences():
        saved = load_scan(path)
        hogs.summary(saved.view)
        hogs.keys(list(saved.view.top), saved.view)
        hogs.patterns(list(saved.view.patterns), saved.view, Recognition())
        json.dumps(hogs_document(saved.view, list(saved.view.top), compare(saved, saved)))
        checkpoint_from(saved.progress or {})


def a_recording(path: Path) -> None:
    polls = [test_record.poll(float(second)) for second in range(1, 4)]
    test_record.record(path, *polls, Moment(4.0, 4.0, scan=test_record.VIEW), Moment(5.0, 5.0, lost="gone"))


def read_recording(path: Path) -> None:
    with sentences():
        recording = load(path)
        for number in range(len(recording.moments)):
            with sentences():
                moment = recording.moments[number]
                if moment.snapshot is not None:
                    judge(moment.snapshot)
        shown = RecordedTime(recording)
        for _ in range(shown.position[1] + 1):
            shown.next_poll()
            shown.monotonic()
            shown.last("scan")


def an_audit(path: Path) -> None:
    file = AuditFile(path, wall=lambda: 1000.0)
    action = file.intent("delete", server="s:1", who="w", what="x", plan="p", backup="/b", reverts_in_seconds=5.0)
    file.batch(action, 1, [(0, b"a"), (3, b"\xff\n")])
    file.done(action, 1, [Outcome.FAILED, Outcome.DELETED], {0: "why"})
    change = change_fields(ChangeResult(Change("maxmemory", "1", "2"), took=True, now="2"))
    file.result(action, ok=True, result="done", counts={"deleted": 1}, change=change)


def read_audit(path: Path) -> None:
    file = AuditFile(path, wall=lambda: 1000.0)
    file.history()
    file.unfinished("p")


def a_ledger(path: Path) -> None:
    Ledger(path).put("a", Spent(1000.0, 5, 50))
    Ledger(path).put("b", Spent(1001.0, 5, 50))


def read_ledger(path: Path) -> None:
    with sentences():
        Ledger(path).spent("a", 1002.0)


def a_config(path: Path) -> None:
    path.write_text(
        "[watch]\nwarn = 80\ninterval = 5\n[hooks]\nexec = ['a', 'b']\ntimeout = 5\n[plans.x]\nmatch = ['x:*']\n"
        "max_bytes = '5mb'\n[profiles.p]\nhost = 'h'\nport = 1\npassword_env = 'X'\nsentinels = ['a:1']\nmaster = 'm'\n"
    )
    path.chmod(0o600)


def read_config(path: Path) -> None:
    with sentences():
        config.load(path)


def read_plan(path: Path) -> None:
    with sentences():
        load_plan(path)


KINDS: dict[str, tuple[Callable[[Path], None], Callable[[Path], None]]] = {
    "x.backup": (a_backup, read_backup),
    "backup.jsonl": (a_backup_of_lines, read_backup),
    "plan": (a_plan, read_plan),
    "scan": (a_scan, read_scan),
    "recording": (a_recording, read_recording),
    "audit": (an_audit, read_audit),
    "ledger.json": (a_ledger, read_ledger),
    "config.toml": (a_config, read_config),
}


@contextmanager
def sentences() -> Iterator[None]:
    """Errors of our own are what may be raised, each one sentence."""
    said = ""
    try:
        yield
    except TriageError as error:
        said = str(error)
    assert said.isprintable(), repr(said[:200])
    assert len(said) < 2000


def mutated(chance: random.Random, good: bytes) -> bytes:
    lines = good.splitlines(keepends=True)
    place = chance.randrange(len(lines))
    what = chance.randrange(10)
    if what < 5:
        lines[place] = with_another_value(chance, lines[place])
    elif what == 5:
        lines[place] = lines[place][: chance.randrange(len(lines[place]))] + chance.choice([b"", b"\n"])
    elif what == 6:
        lines[place] = chance.choice([b"", lines[place] * 2, b"\0" * 100 + b"\n", chance.randbytes(200), b"\n"])
    elif what == 7:
        other = chance.randrange(len(lines))
        lines[place], lines[other] = lines[other], lines[place]
    elif what == 8:
        raw = bytearray(lines[place])
        for _ in range(3):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        lines[place] = bytes(raw)
    else:
        return good[: chance.randrange(len(good))]
    return b"".join(lines)


def with_another_value(chance: random.Random, line: bytes) -> bytes:
    """The line with one value in it of another type, or gone; a line that is not JSON with one word replaced."""
    try:
        value = json.loads(line)
    except ValueError:
        words = line.split(b" ")
        words[-1] = chance.choice([str(chance.choice(ODD)).encode("utf-8", "replace"), *map(str.encode, RAW)]) + b"\n"
        return b" ".join(words)
    holders = [holder for holder in within(value) if holder]
    if not holders:
        return b"[]\n"
    holder = chance.choice(holders)
    name = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    if chance.random() < 0.2:
        del holder[name]
        return json.dumps(value).encode() + b"\n"
    if chance.random() < 0.4:
        holder[name] = "@@@"
        return json.dumps(value).replace('"@@@"', chance.choice(RAW)).encode() + b"\n"
    holder[name] = chance.choice(ODD)
    separators = chance.choice([None, (",", ":")])
    return json.dumps(value, separators=separators).encode() + b"\n"


def within(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        yield value
        for part in value.values() if isinstance(value, dict) else value:
            yield from within(part)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_was_tampered_with_ends_in_a_sentence(tmp_path: Path, kind: str) -> None:
    write, read = KINDS[kind]
    write(tmp_path / kind)
    good = (tmp_path / kind).read_bytes()
    read(tmp_path / kind)
    for seed in range(ROUNDS):
        (tmp_path / kind).write_bytes(mutated(random.Random(f"{kind} {seed}"), good))
        try:
            read(tmp_path / kind)
        except Exception as error:
            error.add_note(f"{kind}, seed {seed}")
            raise


@pytest.mark.parametrize("kind", KINDS)
def test_a_huge_line_takes_little_memory(tmp_path: Path, kind: str) -> None:
    write, read = KINDS[kind]
    write(tmp_path / kind)
    path = tmp_path / kind
    start, end = path.read_bytes()[:150], path.read_bytes()[-50:]
    # What is between takes no room on the disk, and reads as zeros.
    with path.open("r+b") as file:
        file.truncate(0)
        file.write(start)
        file.seek(300 * MIB)
        file.write(end)
    tracemalloc.start()
    try:
        read(path)
        assert tracemalloc.get_traced_memory()[1] < 150 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["/dev/zero", "/dev/full", "/", "/proc/self/mem", "a pipe", "x\0y"])
def test_what_is_no_plain_file_is_neither_waited_for_nor_read_for_ever(tmp_path: Path, kind: str, place: str) -> None:
    _, read = KINDS[kind]
    path = Path(place)
    if place == "a pipe":
        path = tmp_path / "pipe"
        os.mkfifo(path)
    read(path)
