"""A signal in the middle of a cleanup, in a real terminal: the audit then says what the server says."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from redis_oom_tui.files.audit_lines import LETTERS
from redis_oom_tui.models.plan import Outcome
from tests.support.long_cleanup import KEPT, KEYS, audit_lines, begin, command, environ, fill, wait_until_under_way
from tests.support.servers import RunningServer, started
from tests.support.terminal import terminal

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def full() -> Iterator[RunningServer]:
    """A server with more keys than are deleted before a signal arrives."""
    with started("valkey") as server:
        yield server


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_at_an_edge_that_is_written_down(
    number: int, full: RunningServer, tmp_path: Path
) -> None:
    fill(full)
    with terminal(command(full), (100, 30), **environ(tmp_path)) as run:
        begin(run)
        wait_until_under_way(run, full)
        run.signal(number)
        assert run.wait() == 128 + number
        assert b"\x1b[?1049l" in run.raw
        assert run.is_restored()
        # What became of it is said where the shell's prompt comes.
        said = run.raw.rpartition(b"\x1b[?1049l")[2].decode()
    with full.client() as client:
        left = sum(1 for _ in client.scan_iter("old:*", count=5000))
        assert sum(1 for _ in client.scan_iter("keep:*", count=5000)) == KEPT
    lines = audit_lines(tmp_path)
    (intent,) = [line for line in lines if line["phase"] == "intent" and line["action"] == "delete"]
    (result,) = [line for line in lines if line["phase"] == "result" and line["id"] == intent["id"]]
    assert intent["keys"] == KEYS
    assert 0 < left < KEYS
    assert result["counts"]["deleted"] == KEYS - left
    assert result["counts"]["not attempted"] == left
    assert f"redis-oom-tui: {result['result']}" in said
    assert f"Undo with: redis-oom-tui -s {full.socket_path} restore {tmp_path}/" in said
    batches = {line["batch"]: line["keys"] for line in lines if line["phase"] == "batch"}
    done = {line["batch"]: line["outcomes"] for line in lines if line["phase"] == "done"}
    # What was begun was ended: each batch that was announced has the outcome of each of its keys.
    assert {number: len(keys) for number, keys in batches.items()} == {n: len(letters) for n, letters in done.items()}
    assert "".join(done.values()).count(LETTERS[Outcome.DELETED]) == KEYS - left
