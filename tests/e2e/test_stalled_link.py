"""Nobody reads what the tool writes: it polls on, its cleanup goes on, and a cancel is heard."""

from pathlib import Path

import pytest

from tests.support.long_cleanup import (
    KEYS,
    audit_lines,
    come_to_the_button,
    command,
    environ,
    fill,
    wait_until_under_way,
)
from tests.support.servers import started
from tests.support.terminal import Terminal, terminal
from tests.support.waiting import stand_still, until

pytestmark = pytest.mark.e2e


def stall(run: Terminal) -> None:
    """Have more painted than the pseudo-terminal holds, and take nothing of it."""
    for _ in range(40):
        run.resize(120, 40)
        run.resize(100, 30)
        run.type("\x0c")
        stand_still(0.02)


def test_a_stalled_link_stops_neither_polls_nor_a_cancel(tmp_path: Path) -> None:
    with started("valkey") as server, server.client() as client:
        fill(server)
        with terminal(command(server), (100, 30), **environ(tmp_path)) as run:
            come_to_the_button(run)
            stall(run)
            run.type("\r")
            wait_until_under_way(run, server, reading=False)
            run.type("\x1b")
            until(lambda: any(line["phase"] == "result" for line in audit_lines(tmp_path)), "the run goes on")
            (result,) = [line for line in audit_lines(tmp_path) if line["phase"] == "result"]
            assert 0 < result["counts"]["not attempted"] < KEYS
            polls = client.info("commandstats")["cmdstat_info"]["calls"]
            until(lambda: client.info("commandstats")["cmdstat_info"]["calls"] > polls + 3, "no more polls")
            run.wait_for("deleted")
            run.type("q")
            assert run.wait() == 0
