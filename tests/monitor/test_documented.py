"""docs/monitoring.md: every event, field, metric and option of `watch` that it promises exists, and none is missing."""

import re

import click
from prometheus_client import CollectorRegistry

from redis_oom_tui.cli.check import check
from redis_oom_tui.cli.watch import watch
from redis_oom_tui.models.alert import Event, EventKind
from redis_oom_tui.models.config import WatchSettings
from redis_oom_tui.models.scan import PatternRow, ScanState, ScanView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.monitor.hooks import environment
from redis_oom_tui.monitor.metrics import Metrics
from redis_oom_tui.rules.alerts import AlertBook
from tests.monitor.scripted import snapshot
from tests.monitor.test_metrics import server_state
from tests.support.documents import page

SECTION = page("monitoring")
EVENT = Event(1, EventKind.OOM, 0.0, "s", Level.OOM, Level.OK, "reason")


def table(header: str) -> set[str]:
    """The names in the first column of the table under `header`."""
    rows = SECTION[SECTION.index(header) :].split("\n\n")[0].splitlines()[2:]
    return {name for row in rows for name in re.findall(r"`([a-z_]+)`", row.split("|")[1])}


def test_every_event_is_in_the_table() -> None:
    assert table("| `event` |") == {kind.value for kind in EventKind}


def test_the_variables_of_a_command_are_those_named() -> None:
    assert set(re.findall(r"REDIS_OOM_[A-Z_]+", SECTION)) <= set(environment(EVENT))


def test_the_metrics_named_are_exposed() -> None:
    metrics = Metrics(AlertBook("s", WatchSettings()))
    counters = replace(snapshot().counters, refused_by_command={"set": 1})
    metrics.on_event(EVENT)
    metrics.on_state(server_state(replace(snapshot(85), counters=counters)))
    metrics.scanned(ScanView(ScanState.COMPLETE, patterns=(PatternRow(b"a:*", b"", 3, 4096, 0.5, 3),)))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(metrics)
    exposed = {sample.name for family in registry.collect() for sample in family.samples}
    named = set(re.findall(r"`(redis_oom_[a-z_]+)`", SECTION))
    assert named - exposed == {"redis_oom_seconds_to_limit"}  # only once the memory grows


def test_the_options_named_are_there() -> None:
    parameters = [each for each in (*watch.params, *check.params) if isinstance(each, click.Option)]
    known = {option for parameter in parameters for option in parameter.opts}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", SECTION)) - {"--profile", "--read-only", "--team"}
    assert named <= known
