"""What is recorded comes back as it was; a recording answers as the server did; damaged files are refused in words."""

import json
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from redis_oom_tui.files.recorded_values import decode, encode
from redis_oom_tui.files.recording_source import RecordingSource, recording
from redis_oom_tui.files.recordings import Moment, Recorder, load
from redis_oom_tui.files.replay import ReplaySource
from redis_oom_tui.models.address import Address, ClientBuffer, ClusterNode, Connection
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.errors import BadInput, ServerUnreachable, TriageError
from redis_oom_tui.models.keys import KeyId, KeyRow, Measure, SizeBucket, SizeHistogram
from redis_oom_tui.models.scan import Interval, Pace, PatternRow, ScanOptions, ScanState, ScanView, TypeRow
from redis_oom_tui.models.snapshot import ClusterView, NodeView, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.ports.source import (
    ClusteredSource,
    GoesOn,
    KeepsItsPlace,
    Replayable,
    SamplesValues,
    Scan,
    SeesReplicas,
    Source,
    TellsSettings,
)
from redis_oom_tui.rules.info import snapshot_from_info
from redis_oom_tui.server.cluster.source import ClusterSource
from redis_oom_tui.server.live import LiveServer
from tests.rules.captured import REDIS_6_2, REDIS_7_0, VALKEY_9_1
from tests.rules.snapshots import snapshot_of
from tests.support.scripted import ScriptedSource

HOSTILE = b"\xff\x1b[31m[red]\x00"
VIEW = ScanView(
    ScanState.COMPLETE,
    scanned_keys=3,
    top=tuple(KeyRow(KeyId(2, HOSTILE + b"%d" % n), "hash", 900 - n, ttl_ms=5, idle_seconds=7) for n in range(300)),
    patterns=(PatternRow(b"user:*", b"user:*", 3, 900, 1.0, 2, db=0, types=(("hash", 3),), idle_quantiles=(1, 2, 3)),),
    types=(TypeRow("hash", 3, 900),),
    estimated_bytes=Interval(900.0, 800.0, 1000.0),
    pace=Pace.GENTLE,
)


@pytest.mark.parametrize("info", [REDIS_6_2, REDIS_7_0, VALKEY_9_1])
def test_snapshots_survive_the_file(info: dict[str, object]) -> None:
    snapshot = snapshot_from_info(info, address=Address("::1", 7000), monotonic=5.5, wall=1000.25, took=0.1)
    assert decode(Snapshot, json.loads(json.dumps(encode(snapshot)))) == snapshot


@pytest.mark.parametrize(
    "value",
    [
        VIEW,
        Moment(1.0, 2.0, clients=(ClientBuffer(1, "[::1]:5", HOSTILE, total_bytes=9),)),
        Moment(1.0, 2.0, capabilities=Capabilities().without(Feature.SCRIPT, "renamed away")),
        Moment(1.0, 2.0, settings={"maxmemory-samples": "5"}),
        Moment(1.0, 2.0, lost="gone"),
        Moment(1.0, 2.0, replicas=(NodeView(ClusterNode("r:1", "i", Address("r", 1), "m:1"), error="silent"),)),
        Address(socket_path="/run/s"),
        SizeHistogram(0, "string", Measure.VALUE, (SizeBucket(4, 7, 3),)),
    ],
)
def test_whatever_is_kept_comes_back_equal(value: object) -> None:
    assert decode(type(value), json.loads(json.dumps(encode(value)))) == value


HEAD = '{"format": "redis-oom-tui recording", "version": 1, "address": {}, "made_at": 0}\n'


def record(path: Path, *moments: Moment) -> Path:
    recorder = Recorder(path, Address("cache-1"))
    for moment in moments:
        recorder.add(moment)
    recorder.close()
    return path


def poll(at: float, **figures: int) -> Moment:
    snapshot = snapshot_of(at=at, **figures)  # type: ignore[arg-type]
    return Moment(snapshot.taken_monotonic, snapshot.taken_at, snapshot=snapshot)


def test_a_file_is_its_owners_and_never_written_over(tmp_path: Path) -> None:
    path = record(tmp_path / "r", poll(1.0))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(BadInput, match="cannot be written as a new file"):
        Recorder(path, Address())
    assert len(load(path).snapshots) == 1


def test_it_stops_at_its_limit(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r", Address(), max_bytes=20_000)
    for second in range(500):
        recorder.add(poll(float(second)))
    assert recorder.ended_early == "it is as large as a recording may be"
    recorder.close()
    assert (tmp_path / "r").stat().st_size <= 20_000
    assert load(tmp_path / "r").whole


def test_only_the_largest_rows_are_kept(tmp_path: Path) -> None:
    path = record(tmp_path / "r", poll(1.0), Moment(2.0, 2.0, scan=VIEW))
    kept = load(path).moments[-1].scan
    assert kept is not None
    assert kept.top == VIEW.top[:200]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "not a recording"),
        ("{}\n", "not a recording"),
        ("garbage\n", "not a recording"),
        ('{"format": "redis-oom-tui recording", "version": 99}\n', "another version"),
        (HEAD, "no poll"),
        (HEAD + '{"monotonic": 1, "at": 1, "snapshot": {"server": 5}}\n', "line 2"),
    ],
)
def test_other_files_are_refused_in_words(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "r").write_text(content)
    with pytest.raises(BadInput, match=words):
        load(tmp_path / "r")
    with pytest.raises(BadInput, match="cannot be read"):
        load(tmp_path / "none")


def test_a_recording_may_grow_while_it_is_shown_but_not_be_another(tmp_path: Path) -> None:
    path, other = tmp_path / "r", tmp_path / "o"
    for each, at in ((path, 1.0), (other, 2.0)):
        recorder = Recorder(each, Address())
        recorder.add(Moment(at, at, snapshot=snapshot_of()))
        recorder.add(Moment(at + 1, at + 1, lost="gone"))
        recorder.close()
    found = load(path)
    with path.open("ab") as file:
        file.write(b"a line to come")
    assert found.moments[1].lost == "gone"
    path.write_bytes(other.read_bytes() + b"more")
    with pytest.raises(BadInput, match="was replaced or changed"):
        _ = found.moments[1]
    found = load(other)
    path.replace(other)
    with pytest.raises(BadInput, match="was replaced or changed"):
        _ = found.moments[1]


def test_a_line_cut_off_by_a_crash_costs_only_itself(tmp_path: Path) -> None:
    path = record(tmp_path / "r", poll(1.0), poll(2.0))
    path.write_bytes(path.read_bytes()[:-30])
    recording = load(path)
    assert len(recording.snapshots) == 1
    assert not recording.whole


async def test_a_watched_source_replays_as_it_was(tmp_path: Path) -> None:
    inner = ScriptedSource()
    source = recording(inner, Recorder(tmp_path / "r", inner.address))
    await source.open()
    answers = [await source.snapshot(), await source.capabilities(), await source.clients(), await source.snapshot()]
    scan = source.scan(ScanOptions())
    scan.stop()
    view = await scan.run()
    await source.close()
    replayed = ReplaySource(load(tmp_path / "r"))
    assert replayed.address == inner.address
    assert await replayed.snapshot() == answers[0]
    assert await replayed.clients() == answers[2]
    assert await replayed.snapshot() == answers[3]
    assert await replayed.snapshot() == answers[3]
    again = await replayed.scan(ScanOptions()).run()
    assert again == replace(view, top=view.top[:200])
    details = await replayed.details(view.top[0].id)
    assert details is not None
    assert details.preview_withheld
    assert not (await replayed.capabilities()).has(Feature.UNLINK)


async def test_failures_are_part_of_the_past(tmp_path: Path) -> None:
    class Failing(ScriptedSource):
        async def snapshot(self) -> Snapshot:
            raise ServerUnreachable("cache-1 closed the connection")

    source = recording(Failing(), Recorder(tmp_path / "r", Address()))
    with pytest.raises(TriageError):
        await source.snapshot()
    await source.close()
    with (tmp_path / "r").open() as file:
        assert json.loads(file.readlines()[-1])["lost"] == "cache-1 closed the connection"


async def test_the_time_line_moves_and_holds(tmp_path: Path) -> None:
    moments = [poll(float(n), refused=n) for n in range(10)]
    moments.insert(5, Moment(4.5, 4.5, lost="gone for a moment"))
    now = [100.0]
    source = ReplaySource(load(record(tmp_path / "r", *moments)), clock=lambda: now[0])
    assert isinstance(source, Replayable)
    assert isinstance(source, TellsSettings)
    assert (await source.snapshot()).taken_monotonic == 0.0
    now[0] += 0.5
    assert source.monotonic() == 0.5
    assert (await source.snapshot()).taken_monotonic == 1.0
    source.hold(True)
    now[0] += 50
    assert (await source.snapshot()).taken_monotonic == 1.0
    assert source.monotonic() == 1.0
    source.move(4)
    with pytest.raises(ServerUnreachable, match="gone for a moment"):
        await source.snapshot()
    source.move(1000)
    assert (await source.snapshot()).taken_monotonic == 9.0
    assert source.position == (11, 11)
    source.hold(False)
    source.move(-1000)
    assert (await source.snapshot()).taken_monotonic == 0.0


@pytest.mark.parametrize(
    ("what", "by", "words"),
    [
        (b'"snapshot":{', b'"snapshot":5,"x":{', "line 3, a snapshot"),
        (b'"snapshot":{', b'"snapshot":' + b"[" * 60000 + b",{", "line 3, a snapshot: its values are nested too deep"),
        (b'"snapshot":{', b'"snapshot":{"took_seconds":' + b"[" * 60000 + b"]" * 60000 + b",", "nested too deep"),
        (b'"snapshot":{', b'"snapshot":{"taken_at":1e999,"keys":' + b"9" * 5000 + b",", "out of range"),
    ],
    ids=["another type", "deep and cut", "deep", "huge numbers"],
)
async def test_a_damaged_poll_is_a_server_that_was_lost_and_ends_nothing(
    tmp_path: Path, what: bytes, by: bytes, words: str
) -> None:
    path = record(tmp_path / "r", poll(1.0), poll(2.0), poll(3.0))
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(what, by)
    path.write_bytes(b"".join(lines))
    source = ReplaySource(load(path))
    await source.snapshot()
    with pytest.raises(ServerUnreachable, match=re.escape(words)):
        await source.snapshot()
    assert source.monotonic() >= 2.0
    assert (await source.snapshot()).taken_monotonic == 3.0
    with pytest.raises(BadInput, match=re.escape(str(path))):
        _ = load(path).snapshots


@pytest.mark.parametrize(
    ("what", "by", "words"),
    [
        (b'"made_at":', b'"made":', "line 1: `made_at` is missing"),
        (b'"address":{', b'"address":5,"x":{', "line 1: `address` is not a JSON object"),
        (b'"monotonic":1.0', b'"monotonic":1e999', "line 2: `monotonic` is out of range"),
        (b'"monotonic":1.0', b'"monotonic":NaN', "line 2: it is not a line"),
        (b'"at":', b'"at":-', "line 2: `at` is out of range"),
        (b'"version":1', b'"version":' + b"[" * 60000, "not a recording"),
    ],
    ids=["no time", "no address", "infinite", "not a number", "before 1970", "deep"],
)
def test_times_and_the_first_line_are_checked_when_it_is_opened(
    tmp_path: Path, what: bytes, by: bytes, words: str
) -> None:
    path = record(tmp_path / "r", poll(1.0), poll(2.0))
    path.write_bytes(path.read_bytes().replace(what, by, 1))
    with pytest.raises(BadInput, match=re.escape(words)):
        load(path)


@pytest.mark.parametrize("kind", [LiveServer, ClusterSource])
def test_a_source_that_is_recorded_can_do_all_that_it_could(
    tmp_path: Path, kind: Callable[[Connection], Source]
) -> None:
    source = kind(Connection(cluster=kind is ClusterSource))
    recorder = Recorder(tmp_path / "r", source.address)
    recorder.close()
    recorded = recording(source, recorder)
    for capability in (ClusteredSource, GoesOn, Replayable):
        assert isinstance(recorded, capability) == isinstance(source, capability), capability
    # These it always answers: with nothing where the source has nothing.
    for capability in (TellsSettings, SamplesValues, SeesReplicas):
        assert isinstance(recorded, capability), capability
    assert isinstance(recorded.scan(ScanOptions()), KeepsItsPlace)
    assert isinstance(source.scan(ScanOptions()), KeepsItsPlace)


def test_what_a_source_can_do_stands_in_its_class() -> None:
    """From Python 3.12 on `isinstance` does not see what `__getattr__` passes on."""
    for kind in (RecordingSource, ReplaySource, LiveServer, ClusterSource, ScriptedSource):
        assert not hasattr(kind, "__getattr__"), kind


async def test_a_cluster_that_is_recorded_lets_a_node_be_picked(tmp_path: Path) -> None:
    class ACluster(ScriptedSource):
        picked: str | None = None

        async def cluster(self) -> ClusterView:
            return ClusterView((), None, None)  # type: ignore[call-arg, arg-type]

        def node(self, name: str) -> Source:
            return self

        def pin(self, name: str | None) -> None:
            self.picked = name

    inner = ACluster()
    source = recording(inner, Recorder(tmp_path / "r", inner.address))
    assert isinstance(source, ClusteredSource)
    source.pin("a:1")
    assert (inner.picked, source.node("a:1")) == ("a:1", inner)
    await source.close()


async def test_a_scan_that_is_recorded_can_be_saved_and_resumed(tmp_path: Path) -> None:
    class AServer(ScriptedSource):
        def resumed(self, progress: object, *, pace: object = None, sample: object = None) -> Scan:
            return self.scan(ScanOptions())

    inner = AServer()
    source = recording(inner, Recorder(tmp_path / "r", inner.address))
    assert isinstance(source, GoesOn)
    scan = source.resumed({})
    scan.stop()
    view = await scan.run()
    await source.close()
    assert f'"scan":{{"state":"{view.state}"' in (tmp_path / "r").read_text()
