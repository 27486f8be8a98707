"""The alert rules and the dashboard in examples/ ask for what is exported, and promtool reads them."""

import json
import re
import shutil
import subprocess
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from redis_oom_tui.models.alert import Event, EventKind
from redis_oom_tui.models.config import WatchSettings
from redis_oom_tui.models.scan import PatternRow, ScanState, ScanView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Forecast, Trend
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.monitor.metrics import Metrics
from redis_oom_tui.rules.alerts import AlertBook
from tests.monitor.scripted import snapshot
from tests.monitor.test_metrics import server_state
from tests.support.documents import ROOT

EXAMPLES = ROOT / "examples"
RULES = (EXAMPLES / "prometheus-rules.yml").read_text(encoding="utf-8")
DASHBOARD: dict[str, Any] = json.loads((EXAMPLES / "grafana-dashboard.json").read_text(encoding="utf-8"))


def registry() -> CollectorRegistry:
    """Every metric that there is, with some value."""
    metrics = Metrics(AlertBook("s", WatchSettings()))
    counters = replace(snapshot().counters, refused_by_command={"set": 1})
    metrics.on_event(Event(1, EventKind.OOM, 0.0, "s", Level.OOM, Level.OK, "reason"))
    growing = Forecast(Trend.GROWING, seconds_to_limit=(60.0, 90.0))
    metrics.on_state(replace(server_state(replace(snapshot(85), counters=counters)), forecast=growing))
    metrics.scanned(ScanView(ScanState.COMPLETE, patterns=(PatternRow(b"a:*", b"", 3, 4096, 0.5, 3),)))
    collected = CollectorRegistry(auto_describe=False)
    collected.register(metrics)
    return collected


def exported() -> dict[str, dict[str, set[str]]]:
    """Of each metric its labels, with the values that they have here."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for sample in (sample for family in registry().collect() for sample in family.samples):
        for label, value in sample.labels.items():
            found[sample.name][label].add(value)
    return found


def asked_for(text: str) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Each metric in the expressions of `text`, with its matchers: label, operator, value."""
    selectors = re.findall(r"\b(redis_oom_[a-z_]+)(?:\{([^}]*)\})?", text)
    return [(name, re.findall(r'(\w+)(=~|!=|!~|=)"([^"]*)"', matchers)) for name, matchers in selectors]


EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
EXPRESSIONS += [each["expr"] for each in DASHBOARD["annotations"]["list"]]
EXPRESSIONS += [each["query"]["query"] for each in DASHBOARD["templating"]["list"] if each["type"] == "query"]


@pytest.mark.parametrize(("text", "least"), [(RULES, 10), ("\n".join(EXPRESSIONS), 18)], ids=["rules", "dashboard"])
def test_only_what_is_exported_is_asked_for(text: str, least: int) -> None:
    there = exported()
    asked = asked_for(text)
    assert len(asked) >= least
    for name, matchers in asked:
        assert name in there
        for label, operator, value in matchers:
            assert label in there[name], name
            if operator == "=":
                assert value in there[name][label], name


def test_the_dashboard_shows_every_figure() -> None:
    beside = {"redis_oom_limit_known", "redis_oom_limit_stated", "redis_oom_looks_total", "redis_oom_pattern_keys"}
    shown = {name for name, _ in asked_for("\n".join(EXPRESSIONS))}
    assert set(exported()) - shown == beside


def test_every_label_in_a_legend_is_there() -> None:
    there = exported()
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            names = [name for name, _ in asked_for(target["expr"])]
            for label in re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")):
                assert all(label in there[name] for name in names), (panel["title"], label)


def test_no_panel_lies_over_another() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above


def promtool(*words: str, text: bytes = b"") -> None:
    binary = shutil.which("promtool")
    if binary is None:
        pytest.skip("promtool is not installed (Debian: apt install prometheus)")
    done = subprocess.run([binary, *words], input=text, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    assert b"warn" not in done.stderr.lower()


def test_promtool_takes_the_metrics() -> None:
    promtool("check", "metrics", text=generate_latest(registry()))


def test_promtool_takes_the_rules() -> None:
    promtool("check", "rules", str(EXAMPLES / "prometheus-rules.yml"))


def test_each_alert_fires_on_what_it_is_for(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "prometheus-rules.yml", tmp_path)
    shutil.copy(Path(__file__).with_name("prometheus_rules_test.yml"), tmp_path)
    promtool("test", "rules", str(tmp_path / "prometheus_rules_test.yml"))


def test_promtool_takes_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    """As rules: `promtool` has no other way to read one."""
    lines = ["groups:", "- name: dashboard", "  rules:"]
    for number, expression in enumerate(each for each in EXPRESSIONS if "label_values" not in each):
        plain = expression.replace("$__rate_interval", "5m").replace("$server", "s")
        lines += [f"  - record: panel:expr:{number}", f"    expr: {json.dumps(plain)}"]
    file = tmp_path / "dashboard.yml"
    file.write_text("\n".join(lines))
    promtool("check", "rules", "--lint=none", str(file))
