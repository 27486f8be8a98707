"""`watch --all`: one process for several profiles, none of which can end the others."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.test_check_profiles import configured, ran
from tests.support.json_documents import document_of
from tests.support.servers import RunningServer, started

COMMAND = [sys.executable, "-m", "redis_oom_tui"]


@contextmanager
def four_profiles(folder: Path, extra: str = "") -> Iterator[tuple[RunningServer, str]]:
    """A configuration of a quiet server, one that refuses writes, one that is away, and one without its password."""
    with started("valkey") as quiet, started("redis7") as full, full.client() as client:
        client.set("a", b"x" * 100_000)
        client.config_set("maxmemory", 1)
        file = configured(
            folder,
            **{
                "cache-1": f'socket = "{quiet.socket_path}"\n{extra}',
                "cache-2": f'socket = "{full.socket_path}"\n{extra}',
                "gone": f'socket = "{folder}/nowhere"\n{extra}',
                "locked": f'socket = "{full.socket_path}"\npassword_command = "cat {folder}/password"\n{extra}',
            },
        )
        yield full, file


def test_once_tells_of_all_and_exits_as_the_worst(tmp_path: Path) -> None:
    metrics, events = tmp_path / "profiles.prom", tmp_path / "events"
    with four_profiles(tmp_path) as (full, config):
        with full.client() as client, pytest.raises(Exception, match="maxmemory"):
            client.set("b", b"x")
        words = ["--exec-shell", "--exec", f"cat >> {events}", "--prometheus-file", str(metrics)]
        done = subprocess.run(
            [*COMMAND, "--config", config, "watch", "--all", "--once", "--json", *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    lines = [document_of("watch", line) for line in done.stdout.splitlines()]
    verdicts = {line["profile"]: line["verdict"] for line in lines if line["type"] == "tick"}
    assert verdicts.keys() == {"cache-1", "cache-2", "gone", "locked"}, done.stderr
    assert (verdicts["cache-1"], verdicts["gone"], verdicts["locked"]) == ("ok", "unknown", "unknown")
    assert verdicts["cache-2"] in {"critical", "oom"}
    assert done.returncode == 2
    servers = {json.loads(line)["server"] for line in events.read_text().splitlines()}
    assert servers == {"cache-2", "gone", "locked"}
    text = metrics.read_text()
    assert text.count("# TYPE redis_oom_up gauge") == 1
    for server, up in (("cache-1", 1.0), ("cache-2", 1.0), ("gone", 0.0), ("locked", 0.0)):
        assert f'redis_oom_up{{server="{server}"}} {up}' in text


def test_each_outlives_the_others_and_comes_back(tmp_path: Path) -> None:
    """A password that can be fetched later is; text has a line for each change, and one at the end."""
    with (
        four_profiles(tmp_path, "watch.interval = 0.5\nwatch.lost = 0.5") as (full, config),
        full.client() as client,
        subprocess.Popen(
            [*COMMAND, "--config", config, "watch", "--all"], stdout=subprocess.PIPE, text=True, bufsize=1
        ) as running,
    ):
        assert running.stdout is not None
        client.config_set("requirepass", "a-password")
        lines: list[str] = []
        for line in running.stdout:
            lines.append(line)
            if "locked  EVENT 1 lost" in line:
                (tmp_path / "password").write_text("a-password\n")
            if "locked  EVENT 2 back" in line:
                break
        running.send_signal(signal.SIGTERM)
        lines += running.stdout
        assert running.wait(20) == 0
    text = "".join(lines)
    assert "cache-1  ok" in text
    assert text.count("cache-1  ok") == 1
    assert "gone  unknown" in text
    assert "cache-2  EVENT 1 lost" in text
    assert "end: stopped after" in lines[-1]
    assert "4 profiles: " in lines[-1]


def test_a_service_and_a_metrics_file_go_by_the_profile_that_is_polled_most_often(
    valkey: RunningServer, tmp_path: Path
) -> None:
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(str(tmp_path / "notify"))
    heard.settimeout(30)
    seldom, often = (f'socket = "{valkey.socket_path}"\nwatch.interval = {seconds}' for seconds in (3600, 0.5))
    file = configured(tmp_path, a_seldom=seldom, b_often=often)
    with (
        heard,
        subprocess.Popen(
            [*COMMAND, "--config", file, "watch", "--all"],
            stdout=subprocess.DEVNULL,
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")},
        ) as running,
    ):
        messages = [heard.recv(4096).decode() for _ in range(3)]
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
    assert messages[0].startswith("READY=1\nWATCHDOG=1")
    assert [words.splitlines()[0] for words in messages[1:]] == ["WATCHDOG=1"] * 2
    assert "2 profiles: " in messages[2]


def test_what_cannot_go_with_several_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(tmp_path, one='host = "127.0.0.1"')
    for words, sentence in (
        (("-p", "1", "watch", "--all"), "-p/--port cannot be given with --all"),
        (("watch", "--all", "--warn", "9"), "--warn cannot be given with --all: thresholds come from each profile"),
        (("watch", "--all", "--on-critical", "x"), "--on-critical cannot be given with --all: an unattended cleanup"),
        (("--profile", "o*", "watch", "--scan-every", "1h"), "--scan-every cannot be given with a glob as --profile"),
    ):
        code, out, err = ran(capsys, "--config", config, *words)
        assert code in {2, 3}
        assert sentence in out + err
