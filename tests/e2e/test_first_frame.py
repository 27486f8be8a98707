"""The frame before the screen: the same cells as the screen's own, and the terminal given back whatever happens."""

import os
import signal
import socket
import sys
import time
from contextlib import contextmanager

import pytest

from tests.support.servers import available, started
from tests.support.terminal import PATIENCE_SECONDS, terminal
from tests.support.tmux import COMMAND, showing, terminals

HELD = [sys.executable, "-m", "tests.support.behind_splash"]
ENTERED, LEFT = b"\x1b[?1049h", b"\x1b[?1049l\x1b[?25h"
pytestmark = pytest.mark.e2e


@contextmanager
def held(tmp_path, *options, size=(80, 24), **environ):
    """A start that stays before the screen until `gate` is touched."""
    gate = tmp_path / "gate"
    with terminal([*HELD, str(gate), *options], size, **environ) as run:
        yield run, gate


def cells(run, rows):
    return [[run.screen.buffer[y][x] for x in range(run.columns)] for y in range(rows)]


@pytest.mark.parametrize(
    ("size", "options", "environ"),
    [
        ((80, 24), (), {}),
        ((80, 24), ("--unseen",), {}),
        ((80, 24), ("--badged",), {}),
        ((40, 12), (), {}),
        ((200, 60), (), {"COLORTERM": "truecolor"}),
        ((80, 24), (), {"TERM": "linux"}),
        ((80, 24), (), {"TERM": "screen-256color", "LC_ALL": "C", "LANG": None, "PYTHONIOENCODING": "latin-1"}),
        ((80, 24), (), {"NO_COLOR": "1"}),
        ((80, 24), ("--no-color", "--theme", "light"), {}),
        ((80, 24), ("--ascii", "--theme", "high-contrast"), {}),
        ((80, 24), ("--theme", "ansi-dark"), {}),
        ((80, 24), (), {"COLUMNS": "70", "LINES": "20"}),
    ],
)
def test_the_screen_draws_the_same_cells(tmp_path, size, options, environ):
    with held(tmp_path, *options, size=size, **environ) as (run, gate):
        run.wait_for("Waiting for" if "--unseen" in options else "Refusing writes")
        early, rows = run.text().splitlines(), 5 if size[1] >= 20 else 3
        before = cells(run, rows)
        assert run.received < (2048 if size[0] == 80 else 4096)
        gate.touch()
        run.wait_for("q quit")
        assert run.text().splitlines()[:rows] == early[:rows]
        assert cells(run, rows) == before
        assert bytes(run.raw).count(ENTERED) == 1
        run.type("q")
        assert run.wait() == 0
        assert bytes(run.raw).count(b"\x1b[?1049l") == 1
        assert run.is_restored()


def test_what_is_known_without_the_server_takes_less_than_a_kilobyte(tmp_path):
    with held(tmp_path, "--unseen") as (run, _):
        run.wait_for("memory unknown")
        assert "cache-1:6379" in run.text()
        assert run.received < 1024


def test_an_answer_that_comes_later_is_drawn_when_it_comes(tmp_path):
    with held(tmp_path, "--after", "0.4") as (run, _):
        run.wait_for("Waiting for")
        run.wait_for("Refusing writes")


def test_keys_are_neither_echoed_nor_lost(tmp_path):
    with held(tmp_path) as (run, gate):
        before = run.wait_for("Refusing writes")
        run.type("3\r")
        run.read(0.2)
        assert run.text() == before
        gate.touch()
        # Whichever is painted first: the pane's keys, or the answer to Enter, for a server that says nothing more.
        run.wait_for(lambda text: "Enter change" in text or "Connecting to" in text)
        run.type("q")
        assert run.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_ends_it_as_ever_and_the_terminal_is_as_before(tmp_path, number):
    with held(tmp_path) as (run, _):
        run.wait_for("Refusing writes")
        run.signal(number)
        assert run.wait() == -number
        assert bytes(run.raw).endswith(LEFT)
        assert run.is_restored()


def test_ctrl_c_leaves(tmp_path):
    with held(tmp_path) as (run, _):
        run.wait_for("Refusing writes")
        run.type("\x03")
        # Where that came while Python ran a text as code, as dataclasses do, it kills itself: the same for a shell.
        assert run.wait() in (130, -signal.SIGINT)
        assert LEFT in bytes(run.raw)
        assert run.is_restored()


def test_ctrl_z_stops_it_and_it_is_drawn_anew(tmp_path):
    with held(tmp_path) as (run, gate):
        before = run.wait_for("Refusing writes")
        run.type("\x1a")
        assert os.WIFSTOPPED(os.waitpid(run.pid, os.WUNTRACED)[1])
        run.read(0.1)
        assert bytes(run.raw).endswith(LEFT)
        assert run.is_restored()
        run.screen.reset()
        run.signal(signal.SIGCONT)
        run.wait_for(lambda text: text == before)
        assert not run.is_restored()
        gate.touch()
        run.wait_for("q quit")
        run.type("q")
        assert run.wait() == 0
        assert run.is_restored()


def test_ctrl_s_holds_nothing_up(tmp_path):
    with held(tmp_path) as (run, gate):
        run.wait_for("Refusing writes")
        run.type("\x13")  # without flow control this is a key like others
        gate.touch()
        run.wait_for("q quit")
        run.type("q")
        assert run.wait() == 0


def test_what_keeps_it_from_connecting_is_one_sentence_on_the_normal_screen():
    """A server behind no TLS: the frame is drawn, since nothing is known yet, and taken away."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [str(COMMAND), "--tls", "--insecure", "-p", str(listener.getsockname()[1])]
        with terminal(command) as run:
            line, _ = listener.accept()
            run.wait_for("Waiting for")
            line.close()
            assert run.wait() == 3
            assert run.is_restored()
            text = bytes(run.raw).rpartition(LEFT)[2].decode()
            assert text.startswith("redis-oom-tui: 127.0.0.1:")
            assert text.strip().count("\n") == 0


@pytest.mark.parametrize("way", [("--no-diff",), ("--record", "incident.rec"), ()])
def test_a_start_on_a_server_shows_its_verdict_and_never_takes_it_back(tmp_path, way):
    options = tuple(str(tmp_path / word) if "." in word else word for word in way)
    with started(available()[0]) as server, terminal([str(COMMAND), "-s", server.socket_path, *options]) as run:
        run.wait_for("no limit")
        until = time.monotonic() + PATIENCE_SECONDS
        while "q quit" not in run.text() and time.monotonic() < until:
            run.read(0.01)
            assert "no limit" in run.text() or "--no-diff" in way
        run.type("q")
        assert run.wait() == 0
        assert run.is_restored()


@pytest.mark.parametrize("tmux", terminals())
def test_in_tmux_nothing_is_left_over(tmux, tmp_path):
    gate = tmp_path / "gate"
    with showing(tmux, [*HELD, str(gate), "--badged"]) as run:
        early = run.wait_for("Refusing writes").splitlines()[:5]
        gate.touch()
        assert run.wait_for("q quit").splitlines()[:5] == early
        run.press("q")
        assert "Refusing" not in run.wait_for("EXIT=0")
