"""`--plain`: whole lines that need nothing of a terminal, and never Textual."""

import subprocess
import sys

import pytest

from redis_oom_tui.cli.plain import line
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Rates
from redis_oom_tui.models.verdict import Level, Verdict
from redis_oom_tui.monitor.state import Link, ServerState
from tests.support.scripted import a_snapshot
from tests.support.servers import RunningServer

LIVE = ServerState(
    a_snapshot().server.address,
    link=Link.LIVE,
    snapshot=a_snapshot(),
    rates=Rates(seconds=10.0, refused_writes=420, evicted_keys=0),
    verdict=Verdict(Level.OOM, "Refusing writes.", "refusing"),
)


def test_a_tick_is_one_line_with_all_that_matters() -> None:
    text = line(LIVE, 1_760_000_000.0)
    for words in (
        "OOM",
        "509.0 MiB of 512.0 MiB",
        "99.4%",
        "noeviction",
        "refused 42/s",
        "keys 413,200",
        "Refusing writes.",
    ):
        assert words in text
    assert "\n" not in text


def test_no_limit_is_said_and_unknown_is_no_number() -> None:
    text = line(replace(LIVE, snapshot=a_snapshot(maxmemory=None), rates=Rates()), 1_760_000_000.0)
    assert " used, no limit  noeviction" in text
    assert "refused ?/s" in text


def test_a_lost_server_is_a_line_with_its_reason_and_the_age_of_what_is_known() -> None:
    lost = replace(LIVE, link=Link.LOST, error="It hung up.\x1b[2J")
    text = line(lost, lost.snapshot.taken_at + 75 if lost.snapshot else 0)
    assert "UNKNOWN  It hung up.\\x1b[2J (last figures 1m15s old)" in text


def test_it_runs_without_textual_and_prints_line_by_line(valkey: RunningServer) -> None:
    program = (
        "import sys, redis_oom_tui.cli.plain as plain\n"
        "shown = []\n"
        "def echo(text):\n"
        "    shown.append(text)\n"
        "    if len(shown) == 3:\n"
        "        print('\\n'.join(shown)); print('textual' in sys.modules); sys.stdout.flush(); sys.exit(0)\n"
        "plain.click.echo = echo\n"
        "from redis_oom_tui.cli.main import main\n"
        "main(sys.argv[1:])\n"
    )
    arguments = ["-s", str(valkey.socket_path), "--plain", "--interval", "0.1"]
    run = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    *lines, textual = run.stdout.splitlines()
    assert len(lines) == 3, run.stderr
    assert all("keys 0" in told for told in lines)
    assert textual == "False"


@pytest.mark.parametrize("arguments", [["-s", "/nowhere/at.sock", "--plain"]])
def test_an_unreachable_server_is_a_sentence_and_exit_3(arguments: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "redis_oom_tui", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 3
    assert run.stderr.count("\n") == 1
    assert run.stdout == ""
