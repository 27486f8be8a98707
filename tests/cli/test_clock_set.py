"""The time of day is set back and forward while the tool runs: nothing stops, and nothing lasts less than no time."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_watch import COMMAND, QUICK, watching
from tests.support.json_documents import document_of
from tests.support.servers import RunningServer, started

# Python runs this by itself when it starts: the time of day is then off by what the file says at that moment.
_SITE = """
import os, time
_right = time.time
def _shifted():
    with open(os.environ["TEST_CLOCK_OFF"]) as file:
        return _right() + float(file.read() or 0)
time.time = _shifted
"""
# These may be below zero: memory that shrinks, a clock that is behind.
_SIGNED = {"growth_bytes", "growth_bytes_per_second", "clock_skew_seconds", "loses_bytes"}


@dataclass(frozen=True)
class DayClock:
    """The time of day of a process that gets this environment."""

    file: Path

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process go by it."""
        paths = [str(self.file.parent), str(Path(__file__).parents[2])]
        return {"TEST_CLOCK_OFF": str(self.file), "PYTHONPATH": os.pathsep.join(paths)}

    def set(self, seconds: int) -> None:
        """Be so far from the right time from now on."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(str(seconds))
        fresh.replace(self.file)


@pytest.fixture
def day_clock(tmp_path: Path) -> DayClock:
    (tmp_path / "sitecustomize.py").write_text(_SITE)
    clock = DayClock(tmp_path / "off")
    clock.set(0)
    return clock


def below_zero(value: Any, name: str = "") -> list[str]:
    """The names of all numbers in a document that are below zero, and must not be."""
    if isinstance(value, dict):
        return [found for key, one in value.items() for found in below_zero(one, key)]
    if isinstance(value, list):
        return [found for one in value for found in below_zero(one, name)]
    return [name] if isinstance(value, (int, float)) and value < 0 and name not in _SIGNED else []


def fill_nearly(server: RunningServer) -> None:
    """Close to its limit, and no write refused: after refusals a verdict holds for long."""
    with server.client() as client:
        number = 0
        while client.info("memory")["used_memory"] < 4.85 * 2**20:
            client.set(f"k{number}", b"x" * 40_000)
            number += 1


def test_a_watch_goes_on_and_tells_how_long_things_lasted(day_clock: DayClock, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[watch]\nlost = 2\n")
    seen: list[dict[str, Any]] = []

    def until(wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        running.until(lambda line: not seen.append(document_of("watch", line)) and wanted(seen[-1]))
        return seen[-1]

    def event(*kinds: str) -> dict[str, Any]:
        return until(lambda line: line.get("event") in kinds)

    with (
        started("valkey", "maxmemory 5mb") as server,
        watching(
            *("--config", str(config), "-s", server.socket_path, "watch", "--json", *QUICK), **day_clock.environment
        ) as running,
    ):
        until(lambda line: line["type"] == "tick")
        fill_nearly(server)
        event("critical")
        day_clock.set(-3600)
        until(lambda line: line["type"] == "tick")
        with server.client() as client:
            client.flushall()
        assert 0 <= event("eased", "recovered")["lasted_seconds"] < 120
        server.kill()
        day_clock.set(3600)
        assert 0 <= until(lambda line: line.get("silent_seconds") is not None)["silent_seconds"] < 120
        event("lost")
        server.start()
        assert 0 <= event("back")["lasted_seconds"] < 120
        code, left, errors = running.end(signal.SIGTERM)
    assert (code, errors) == (0, "")
    seen += [document_of("watch", line) for line in left]
    assert seen[-1]["type"] == "end"
    assert below_zero(seen) == []


def test_plain_lines_and_a_recording_go_on(day_clock: DayClock, tmp_path: Path) -> None:
    recording = str(tmp_path / "recording")
    with (
        started("valkey", "maxmemory 5mb") as server,
        watching(
            *("-s", server.socket_path, "--plain", "--interval", "0.5", "--record", recording), **day_clock.environment
        ) as running,
    ):
        running.until(lambda line: "  OK  " in line)
        day_clock.set(-3600)
        fill_nearly(server)
        running.until(lambda line: "  CRITICAL  " in line)
        day_clock.set(7200)
        with server.client() as client:
            client.flushall()
        running.until(lambda line: "  OK  " in line)
        day_clock.set(-7200)
        server.kill()
        running.until(lambda line: re.search(r"UNKNOWN .*\(last figures [1-9]\d*s old\)", line) is not None)
        code, _, errors = running.end(signal.SIGINT)
    assert (code, errors.strip()) == (130, "")
    command = [*COMMAND, "report", "--from", recording, "--json"]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    document = document_of("report", printed)
    moments = [
        moment
        for episode in document["episodes"]
        for moment in (episode["began_unix_seconds"], episode["ended_unix_seconds"])
    ]
    assert moments == sorted(moments)
    assert len(moments) >= 4
    assert below_zero(json.loads(printed)) == []
    played = [*COMMAND, "replay", recording, "--plain"]
    lines = subprocess.run(played, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "  CRITICAL  " in lines
    html = [*COMMAND, "report", "--from", recording, "--html"]
    page = subprocess.run(html, capture_output=True, text=True, timeout=60, check=True).stdout
    assert not re.search(r'(width|height|x)="-', page)
