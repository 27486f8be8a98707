"""What Prometheus is shown: only what is known, and nothing of a server that is gone."""

import asyncio
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from redis_oom_tui import __version__
from redis_oom_tui.models.alert import JudgedSample
from redis_oom_tui.models.config import WatchSettings
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.scan import PatternRow, ScanState, ScanView
from redis_oom_tui.models.snapshot import LimitSource, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Forecast, Trend
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.monitor.metrics import Endpoint, Metrics, TextFile
from redis_oom_tui.monitor.output import Note
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.rules.alerts import AlertBook
from tests.monitor.scripted import answered, snapshot, unanswered
from tests.support.waiting import stays, until_async


def server_state(snap: Snapshot | None, alert: Level = Level.OK) -> ServerState:
    return unanswered() if snap is None else answered(snap, alert=alert)


def samples(metrics: Metrics) -> dict[str, float]:
    """Every sample as `name{label=value,...}`, without the server's name."""
    found = {}
    registry = CollectorRegistry(auto_describe=False)
    registry.register(metrics)
    for family in registry.collect():
        for sample in family.samples:
            assert sample.labels["server"] == "cache-1"
            rest = ",".join(f"{name}={value}" for name, value in sample.labels.items() if name != "server")
            found[sample.name.removeprefix("redis_oom_") + (f"{{{rest}}}" if rest else "")] = sample.value
    return found


def book() -> AlertBook:
    return AlertBook("cache-1", WatchSettings())


def test_the_verdict_and_its_figures_are_exposed() -> None:
    metrics = Metrics(book())
    counters = replace(snapshot().counters, refused_writes_total=7, refused_by_command={"set": 6, "hset": 1})
    metrics.on_state(server_state(replace(snapshot(85), counters=counters)))
    found = samples(metrics)
    assert found["up"] == 1
    assert (found["verdict{level=warning}"], found["verdict{level=ok}"], found["alert{level=ok}"]) == (1, 0, 1)
    assert found["pressure_ratio"] == pytest.approx(0.85)
    assert found["refused_writes_total"] == 7
    assert (found["rejected_calls_total{command=set}"], found["rejected_calls_total{command=hset}"]) == (6, 1)
    assert found["evictable_keys"] == 0
    assert found["looks_total"] == 1


def test_what_is_not_known_is_left_out() -> None:
    metrics = Metrics(book())
    assert set(samples(metrics)) == {"looks_total", f"build_info{{version={__version__}}}"}
    snap = snapshot(50)
    memory = replace(snap.memory, maxmemory_bytes=None, policy="unknown")
    metrics.on_state(
        server_state(replace(snap, memory=memory, counters=replace(snap.counters, refused_writes_total=None)))
    )
    found = samples(metrics)
    assert not {"pressure_ratio", "maxmemory_bytes", "refused_writes_total", "evictable_keys"} & set(found)
    assert "used_bytes" in found


def test_a_server_that_is_gone_keeps_no_figures() -> None:
    metrics = Metrics(book())
    metrics.on_state(server_state(snapshot(85)))
    metrics.on_state(server_state(None))
    found = samples(metrics)
    assert found["up"] == 0
    assert found["verdict{level=unknown}"] == 1
    assert "used_bytes" not in found


def test_events_are_counted_by_kind() -> None:
    alerts = book()
    metrics = Metrics(alerts)
    for event in alerts.observe(JudgedSample(0.0, 0.0, Level.OOM, Level.OOM)):
        metrics.on_event(event)
    assert samples(metrics)["events_total{event=oom}"] == 1


def test_time_to_full_and_patterns_are_there_once_they_are_known() -> None:
    metrics = Metrics(book())
    metrics.on_state(
        replace(server_state(snapshot(50)), forecast=Forecast(Trend.GROWING, seconds_to_limit=(60.0, None)))
    )
    metrics.scanned(ScanView(ScanState.COMPLETE, patterns=(PatternRow(b"a\xff:*", b"", 3, 4096, 0.5, 3),)))
    found = samples(metrics)
    assert found["seconds_to_limit{end=low}"] == 60
    assert "seconds_to_limit{end=high}" not in found
    assert found["pattern_bytes{pattern=a\\xff:*,db=}"] == 4096


def test_sizes_that_the_server_does_not_tell_are_left_out() -> None:
    metrics = Metrics(book())
    family = PatternRow(b"a:*", b"a:*", 3, 0, 0.0, 0)
    metrics.scanned(ScanView(ScanState.COMPLETE, scanned_keys=3, volatile_keys=3, patterns=(family,)))
    found = samples(metrics)
    assert found["pattern_keys{pattern=a:*,db=}"] == 3
    assert "pattern_bytes{pattern=a:*,db=}" not in found
    assert "evictable_bytes" not in found


def test_an_endpoint_answers_a_scrape() -> None:
    metrics = Metrics(book())
    metrics.on_state(server_state(snapshot(85)))
    endpoint = Endpoint(metrics, "127.0.0.1", 0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{endpoint.port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        names = {family.name for family in text_string_to_metric_families(text)}
        assert {"redis_oom_verdict", "redis_oom_pressure_ratio", "redis_oom_refused_writes"} <= names
        with pytest.raises(BadInput, match=r"--prometheus 127\.0\.0\.1:\d+ cannot be opened: Address already in use"):
            Endpoint(metrics, "127.0.0.1", endpoint.port)
    finally:
        endpoint.close()


async def test_a_file_is_replaced_after_each_look(tmp_path: Path) -> None:
    metrics = Metrics(book())
    path = tmp_path / "redis.prom"
    file = TextFile(metrics, path, lambda _: None)
    stop = asyncio.Event()
    running = asyncio.create_task(file.run(stop))
    for percent in (50, 85):
        metrics.on_state(server_state(snapshot(percent)))
        file.on_state(server_state(snapshot(percent)))
        async with asyncio.timeout(20):
            while not path.exists() or f"{percent / 100}" not in path.read_text():
                await asyncio.sleep(0.01)
    stop.set()
    await running
    assert [entry.name for entry in tmp_path.iterdir()] == ["redis.prom"]


async def test_a_file_that_cannot_be_written_is_told_once(tmp_path: Path) -> None:
    notes: list[Note] = []
    folder = tmp_path / "d"
    folder.mkdir()
    file = TextFile(Metrics(book()), folder / "redis.prom", notes.append)
    folder.rmdir()
    stop = asyncio.Event()
    running = asyncio.create_task(file.run(stop))
    for _ in range(3):
        file.on_state(server_state(snapshot(50)))
        await until_async(lambda: notes, "the note")
        assert await stays(lambda: len(notes) == 1, 0.05)
    stop.set()
    await running
    assert [note.text for note in notes] == ["the Prometheus file cannot be written: No such file or directory"]
    with pytest.raises(BadInput, match="there is no directory"):
        TextFile(Metrics(book()), folder / "redis.prom", notes.append)


def test_a_limit_that_nobody_reports_is_told_from_none_and_from_a_stated_one() -> None:
    metrics = Metrics(book())
    plain = snapshot(85)
    seen = {}
    for source, limit in ((LimitSource.SERVER, None), (LimitSource.NOT_REPORTED, None), (LimitSource.OPERATOR, 2**30)):
        memory = replace(plain.memory, maxmemory_bytes=limit, limit_source=source)
        metrics.on_state(server_state(replace(plain, memory=memory)))
        found = samples(metrics)
        seen[source] = (found["limit_known"], found["limit_stated"], "maxmemory_bytes" in found)
    assert seen == {
        LimitSource.SERVER: (1, 0, False),
        LimitSource.NOT_REPORTED: (0, 0, False),
        LimitSource.OPERATOR: (1, 1, True),
    }


def test_a_count_that_is_broken_is_not_exposed() -> None:
    metrics = Metrics(book())
    metrics.on_state(server_state(replace(snapshot(85), memory=replace(snapshot(85).memory, used_bytes=None))))
    found = samples(metrics)
    assert not {"used_bytes", "counted_bytes", "pressure_ratio"} & set(found)
