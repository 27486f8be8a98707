"""A signal in the middle of a cleanup, in a real terminal: the audit then says what the server says."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from redis_oom_tui.files.audit import LETTERS
from redis_oom_tui.models.plan import Outcome
from tests.support.servers import RunningServer, started
from tests.support.terminal import Terminal, terminal
from tests.support.tmux import COMMAND

pytestmark = pytest.mark.e2e

KEYS = 60_000


@pytest.fixture(scope="module")
def full() -> Iterator[RunningServer]:
    """A server with more keys than are deleted before a signal arrives."""
    with started("valkey") as server:
        yield server


def fill(server: RunningServer) -> None:
    with server.client() as client:
        client.flushall()
        for at in range(0, KEYS, 5000):
            client.mset({f"old:{number:06}": "x" * 40 for number in range(at, at + 5000)})
        client.mset({f"keep:{number}": "y" for number in range(500)})


def audit_lines(state: Path) -> list[dict[str, Any]]:
    (path,) = state.rglob("audit*.jsonl")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def begin(run: Terminal) -> None:
    """Through the form and the list to a run that has begun."""
    run.wait_for("noeviction")
    run.type("4")
    run.wait_for("Names matching")
    run.type("\r")
    run.wait_for("Names matching:")
    run.type("old:*\r")
    run.wait_for("Names matching  old:*")
    run.type("x")
    run.wait_for(f"To delete: {KEYS:,} keys")
    run.type("x")
    run.wait_for("Type delete:")
    for _ in range(60):
        run.type("\t")
        run.read(0.1)
        run.type("delete")
        run.read(0.2)
        if "Type delete: delete" in " ".join(run.text().split()):
            break
    run.type("\t")
    run.wait_for(lambda text: f"[ Delete {KEYS:,}" in text)
    run.type("\r")


def wait_until_under_way(run: Terminal, server: RunningServer) -> None:
    with server.client() as client:
        end = time.monotonic() + 30
        while client.dbsize() > KEYS - 1000:
            assert time.monotonic() < end, run.text()
            run.read(0.002)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_at_an_edge_that_is_written_down(
    number: int, full: RunningServer, tmp_path: Path
) -> None:
    fill(full)
    environ = {"XDG_STATE_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
    with terminal([str(COMMAND), "-s", full.socket_path], (100, 30), **environ) as run:
        begin(run)
        wait_until_under_way(run, full)
        run.signal(number)
        assert run.wait() == 128 + number
        assert b"\x1b[?1049l" in run.raw
        assert run.is_restored()
    with full.client() as client:
        left = sum(1 for _ in client.scan_iter("old:*", count=5000))
        assert sum(1 for _ in client.scan_iter("keep:*", count=5000)) == 500
    lines = audit_lines(tmp_path)
    (intent,) = [line for line in lines if line["phase"] == "intent" and line["action"] == "delete"]
    (result,) = [line for line in lines if line["phase"] == "result" and line["id"] == intent["id"]]
    assert intent["keys"] == KEYS
    assert 0 < left < KEYS
    assert result["counts"]["deleted"] == KEYS - left
    assert result["counts"]["not attempted"] == left
    batches = {line["batch"]: line["keys"] for line in lines if line["phase"] == "batch"}
    done = {line["batch"]: line["outcomes"] for line in lines if line["phase"] == "done"}
    # What was begun was ended: each batch that was announced has the outcome of each of its keys.
    assert {number: len(keys) for number, keys in batches.items()} == {n: len(told) for n, told in done.items()}
    assert "".join(done.values()).count(LETTERS[Outcome.DELETED]) == KEYS - left
