"""How it ends: by key, by signal, by a crash, by a terminal that is gone. The terminal is given back each time."""

import os
import signal
import sys

import pytest
from textual import constants

from tests.support.app_on_script import BLOCKED
from tests.support.terminal import terminal
from tests.support.waiting import stand_still

APP = [sys.executable, "-m", "tests.support.app_on_script"]
RESTORED = (
    b"\x1b[?1049l",
    b"\x1b[?25h",
    b"\x1b[?1004l",
    b"\x1b[?2004l",
    b"\x1b[?1016l",
    b"\x1b[?1003l",
    b"\x1b[?1002l",
    b"\x1b[<u",
)
# The rest of a sequence comes when Escape is taken for a key already.
LATE_SECONDS = 3 * constants.ESCAPE_DELAY
pytestmark = pytest.mark.e2e


def assert_restored(run, since=0):
    tail = bytes(run.raw[since:])
    for sequence in RESTORED:
        assert sequence in tail, sequence
    assert run.is_restored()


@pytest.mark.parametrize("keys", ["q", "\x03"])
def test_leaving_by_key(keys):
    with terminal(APP) as run:
        run.wait_for("refused writes")
        run.type(keys)
        assert run.wait() == 0
        assert_restored(run)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_leaving_by_signal(number):
    with terminal(APP) as run:
        run.wait_for("refused writes")
        run.signal(number)
        assert run.wait() == 128 + number
        assert_restored(run)


def test_a_signal_ends_it_even_when_the_loop_is_blocked():
    with terminal([*APP, "--block-at", "2"]) as run:
        run.wait_for(lambda _: BLOCKED in run.raw)
        run.signal(signal.SIGTERM)
        assert run.wait() == 143
        assert b"\x1b[?1049l" in run.raw
        assert run.is_restored()


def test_a_crash_ends_with_1_and_tells_no_secret():
    with terminal([*APP, "--crash"]) as run:
        run.wait_for("refused writes")
        run.type("f")
        assert run.wait() == 1
        assert_restored(run)
        text = bytes(run.raw).rsplit(b"\x1b[?1004l", 1)[1]
        assert b"crashed (a bug in it)" in text
        assert b"ValueError: a defect of 19 letters" in text
        assert b"hunter2" not in run.raw


def test_a_killed_ssh_ends_it():
    with terminal(APP) as run:
        run.wait_for("refused writes")
        run.hang_up()
        assert run.wait() in (128 + signal.SIGHUP, -signal.SIGHUP)


def test_a_hangup_under_nohup_leaves_no_orphan():
    deaf = f"import os, signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv({APP[0]!r}, {APP!r})"
    with terminal(deaf) as run:
        run.wait_for("refused writes")
        run.hang_up()
        assert run.wait() == 128 + signal.SIGHUP


def test_suspend_and_back_paints_every_line_again():
    with terminal(APP) as run:
        run.wait_for("refused writes")
        before = len(run.raw)
        run.type("\x1a")
        for _ in range(200):
            run.read(0.05)
            if b"\x1b[?1049l" in bytes(run.raw[before:]):
                break
        assert run.is_restored()
        run.wait_until_stopped()
        run.screen.reset()
        run.signal(signal.SIGCONT)
        text = run.wait_for("refused writes")
        assert "redis-oom-tui" in text
        assert "q quit" in run.wait_for("q quit")
        run.type("q")
        assert run.wait() == 0


def test_a_stop_from_outside_and_back_goes_on():
    with terminal(APP) as run:
        run.wait_for("refused writes")
        run.signal(signal.SIGSTOP)
        run.wait_until_stopped()
        run.signal(signal.SIGCONT)
        run.type("2")
        run.wait_for("No scan yet")
        run.type("q")
        assert run.wait() == 0
        assert_restored(run)


def test_bytes_that_are_no_text_do_not_end_it():
    with terminal(APP) as run:
        run.wait_for("refused writes")
        run.type(b"\xff\xc3\x28\xf0\x9f\x98")
        run.type("2")
        run.wait_for("No scan yet")
        run.type("q")
        assert run.wait() == 0


def test_split_and_late_sequences_change_no_more_than_the_pane():
    with terminal(APP) as run:
        run.wait_for("refused writes")
        for part in ("\x1b", "[B", "\x1b[", "D", "\x1b[?2026;2$", "y", "\x1b[<0;10", ";5M"):
            run.type(part)
            stand_still(LATE_SECONDS)
        run.read(0.3)
        run.type("\x1b")
        stand_still(LATE_SECONDS)
        run.type("1")
        run.wait_for("refused writes")
        assert run.code is None


def test_nothing_is_left_behind():
    with terminal(APP) as run:
        run.wait_for("refused writes")
        run.type("q")
        run.wait()
        with pytest.raises(ProcessLookupError):
            os.kill(run.pid, 0)


def test_the_mouse_works_without_reports_of_each_movement():
    with terminal(APP) as run:
        run.wait_for("refused writes")
        assert b"\x1b[?1003h" not in run.raw
        run.type("\x1b[<0;13;2M\x1b[<0;13;2m")
        run.wait_for("No scan yet")
        run.type("q")
        assert run.wait() == 0


def test_without_a_mouse_the_terminal_keeps_its_own():
    with terminal([*APP, "--no-mouse"]) as run:
        run.wait_for("refused writes")
        assert b"\x1b[?1000h" not in run.raw
        assert b"\x1b[?1002h" not in run.raw
