"""What goes down the line, counted in bytes: exact, so it can be a gate."""

import re
import sys

import pytest

from tests.support.terminal import terminal
from tests.support.waiting import stand_still

APP = [sys.executable, "-m", "tests.support.app_on_script"]
SECONDS = 2


def clock(run):
    """The time of the last poll, as the header shows it, in seconds."""
    found = re.search(r"(\d\d):(\d\d):(\d\d)", run.text())
    assert found, run.text()
    hours, minutes, seconds = map(int, found.groups())
    return hours * 3600 + minutes * 60 + seconds


def rate(run, seconds=SECONDS):
    """Bytes a second once the screen has come to rest, by the clock of its own polls: the machine may be busy."""
    run.read(0.8)
    began = clock(run)
    while clock(run) == began:
        run.read(0.05)
    began, count = clock(run), 0
    while clock(run) - began < seconds:
        count += run.read(0.05)
    return count / (clock(run) - began)


@pytest.mark.e2e
@pytest.mark.parametrize(("size", "most"), [((80, 24), 512), ((200, 60), 1024)])
def test_idle_costs_next_to_nothing(size, most):
    with terminal(APP, size) as run:
        run.wait_for("refused writes")
        if size == (80, 24):
            assert run.received <= 8 * 1024, "the first screen"
        # A large screen lists clients, too: every 5 s.
        assert rate(run, SECONDS if size == (80, 24) else 5) <= most
        before = run.received
        run.type("\x1b[B")
        run.read(0.3)
        assert run.received - before <= 1024 + most


@pytest.mark.e2e
@pytest.mark.parametrize(("size", "most"), [((80, 24), 1024), ((120, 40), 2048)])
def test_a_scan_stays_within_its_budget(size, most):
    with terminal(APP, size) as run:
        run.wait_for("refused writes")
        run.type("2r")
        run.wait_for("scanning")
        assert rate(run) <= most


@pytest.mark.e2e
def test_frozen_costs_nothing():
    with terminal(APP) as run:
        run.wait_for("refused writes")
        run.type("f")
        run.wait_for("frozen")
        run.read(1.0)
        assert sum(run.read(0.5) for _ in range(4)) == 0


@pytest.mark.e2e
def test_without_the_diff_it_still_fits_a_slow_link():
    with terminal([*APP, "--no-diff"]) as run:
        run.wait_for("refused writes")
        assert rate(run) <= 8 * 1024


@pytest.mark.e2e
def test_what_a_key_costs_until_it_is_painted():
    """So that on 8 KB/s it is there within a third of a second, and on 2 KB/s within little more than one."""
    with terminal([*APP, "--interval", "3600"]) as run:
        run.wait_for("refused writes")
        run.read(1.0)
        for keys, shown, most in (
            ("2", "No scan yet", 2560),
            ("1", "refused writes", 3072),
            ("?", "Copy verdict", 8192),
            ("\x1b", "refused writes", 8192),
            ("\x10", "Search for commands", 8192),
        ):
            before = run.received
            run.type(keys)
            run.wait_for(shown)
            run.read(0.5)
            assert run.received - before <= most, keys


@pytest.mark.e2e
def test_a_step_into_the_picture_of_the_keyspace():
    with terminal([*APP, "--interval", "3600"], (200, 60)) as run:
        run.wait_for("refused writes")
        assert run.received <= 10 * 1024, "the first screen"
        run.type("2r")
        run.wait_for("scanning")
        run.type("e\tt")
        run.wait_for("by TTL (T)")
        for keys, shown, most in (("j", "cart:*:items  1", 512), ("\r", "› cart:*:items", 6144), ("h", "by TTL", 8192)):
            run.read(0.3)
            before = run.received
            run.type(keys)
            run.wait_for(shown)
            run.read(0.5)
            assert run.received - before <= most, (keys, run.received - before)


@pytest.mark.e2e
def test_frames_that_a_stalled_link_did_not_take_are_left_out():
    with terminal([*APP, "--interval", "3600"], (200, 60)) as run:
        run.wait_for("refused writes")
        before = run.received
        for _ in range(30):
            run.type("2")
            run.type("1")
            stand_still(0.01)
        run.type("f")
        run.wait_until_idle()
        run.wait_for("frozen")
        # What the kernel held, what was on its way, and one frame that says where things stand; all are 450 KiB.
        assert run.received - before <= 160 * 1024
        run.type("q")
        assert run.wait() == 0
