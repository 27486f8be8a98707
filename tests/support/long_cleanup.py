"""A cleanup in a real terminal that is still under way when something happens to it."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.servers import RunningServer
from tests.support.terminal import Terminal
from tests.support.tmux import COMMAND

KEYS = 60_000
KEPT = 500


def command(server: RunningServer) -> list[str]:
    """What runs the tool on that server."""
    return [str(COMMAND), "-s", server.socket_path]


def environ(state: Path) -> dict[str, str]:
    """An environment in which everything is written under `state`."""
    return {"XDG_STATE_HOME": str(state), "XDG_CONFIG_HOME": str(state), "HOME": str(state)}


def fill(server: RunningServer) -> None:
    """More keys than are deleted before anything can happen, and some to keep."""
    with server.client() as client:
        client.flushall()
        for at in range(0, KEYS, 5000):
            client.mset({f"old:{number:06}": "x" * 40 for number in range(at, at + 5000)})
        client.mset({f"keep:{number}": "y" for number in range(KEPT)})


def audit_lines(state: Path) -> list[dict[str, Any]]:
    """All that was written down so far."""
    (path,) = state.rglob("audit*.jsonl")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def begin(run: Terminal) -> None:
    """Through the form and the list to a run that has begun."""
    come_to_the_button(run)
    run.type("\r")


def come_to_the_button(run: Terminal) -> None:
    """Through the form, the list and the typed word; Enter would begin the run."""
    run.wait_for("noeviction")
    run.type("4")
    run.wait_for("Key pattern")
    run.type("\r")
    run.wait_for("Key pattern:")
    run.type("old:*\r")
    run.wait_for("Key pattern      old:*")
    run.type("x")
    run.wait_for(f"To delete: {KEYS:,} keys")
    run.type("x")
    run.wait_for("Type delete to confirm:")
    for _ in range(40):
        run.type("delete")
        if _shows(run, lambda text: "Type delete to confirm: delete " in text, 0.3):
            break
        # A dialog is deaf for its first moment, and part of the word may have come after it.
        run.type("\x15")
        _shows(run, lambda text: "Type delete to confirm: ______" in text)
    for _ in range(10):
        _press_tab(run)
        if any(f"Delete {KEYS:,}" in button for button in _focused(run.text())):
            return
    raise AssertionError(run.text())


def _press_tab(run: Terminal) -> None:
    before = _focused(run.text())
    run.type("\t")
    _shows(run, lambda text: _focused(text) != before)


def _focused(text: str) -> list[str]:
    """The button with the focus, which is in brackets."""
    return re.findall(r"\[ [^\]\n]+", text)


def _shows(run: Terminal, right: Callable[[str], bool], seconds: float = 2.0) -> bool:
    """Whether the screen comes to be so within `seconds`: a busy machine paints late."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        run.read(0.02)
        if right(" ".join(run.text().split())):
            return True
    return False


def wait_until_under_way(run: Terminal, server: RunningServer, *, reading: bool = True) -> None:
    """Until some keys are gone; nobody looks at the screen meanwhile unless `reading`."""
    with server.client() as client:
        end = time.monotonic() + 30
        while client.dbsize() > KEYS - 1000:
            assert time.monotonic() < end, run.text()
            if reading:
                run.read(0.002)
            else:
                time.sleep(0.002)
