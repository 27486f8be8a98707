"""The command on a computer whose clock is wrong: nothing on the server follows it, and it is said."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.acting import fill
from tests.support.servers import RunningServer

# Python runs this by itself when it starts: every clock of the day in the process is then off.
_SITE = """
import os, time
_right, _off = time.time, float(os.environ["TEST_CLOCK_OFF"])
time.time = lambda: _right() + _off
"""
SKEWS = pytest.mark.parametrize("skew", [-7200, 20])
NAMES = [b"cache:%d" % number for number in range(300)]


class SkewedCommand:
    """The command as a process of its own, `skew` seconds off."""

    def __init__(self, server: RunningServer, folder: Path, skew: int) -> None:
        (folder / "sitecustomize.py").write_text(_SITE)
        state = {"XDG_STATE_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}
        here = Path(__file__).parents[2]
        self._environment = {
            **os.environ,
            **state,
            "TEST_CLOCK_OFF": str(skew),
            "PYTHONPATH": os.pathsep.join([str(folder), str(here)]),
        }
        self._server = server

    def __call__(self, *words: str) -> dict[str, Any]:
        ran = subprocess.run(
            [sys.executable, "-m", "redis_oom_tui", "-s", self._server.socket_path, *words],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode in {0, 1}, ran.stderr
        document: dict[str, Any] = json.loads(ran.stdout)
        return document


@SKEWS
def test_expiries_are_set_and_taken_back_by_the_servers_clock(valkey: RunningServer, tmp_path: Path, skew: int) -> None:
    run = SkewedCommand(valkey, tmp_path, skew)
    backup = str(tmp_path / "b")
    with valkey.client() as client:
        fill(client, NAMES)
        document = run("cleanup", "--match", "cache:*", "--expire", "2400h", "--yes", "--backup", backup, "--json")
        assert any("this computer's" in flag for flag in document["plan"]["flags"])
        ends = [client.pttl(name) for name in NAMES]
        assert 0 < min(ends) <= max(ends) <= 8_640_001_000
        restored = run("restore", backup, "--yes", "--json")
        assert restored["counts"] == {"restored": len(NAMES)}
        assert {client.pttl(name) for name in NAMES} == {-1}


@SKEWS
def test_what_is_put_back_is_there(valkey: RunningServer, tmp_path: Path, skew: int) -> None:
    run = SkewedCommand(valkey, tmp_path, skew)
    backup = str(tmp_path / "b")
    with valkey.client() as client:
        fill(client, NAMES)
        for name in NAMES:
            client.expire(name, 600)
        run("cleanup", "--match", "cache:*", "--yes", "--backup", backup, "--json")
        assert client.dbsize() == 0
        run("restore", backup, "--yes", "--json")
        assert client.dbsize() == len(NAMES)
        ends = [client.pttl(name) for name in NAMES]
        assert 540_000 < min(ends) <= max(ends) <= 601_000


@SKEWS
def test_check_tells_how_far_the_clocks_are_apart(valkey: RunningServer, tmp_path: Path, skew: int) -> None:
    document = SkewedCommand(valkey, tmp_path, skew)("check", "--json")
    assert document["clock_skew_seconds"] == pytest.approx(-skew, abs=2)
    (finding,) = [one for one in document["findings"] if one["id"] == "clock-skew"]
    assert ("ahead of" if skew < 0 else "behind") in finding["title"]
