"""`--plain`: whole lines that need nothing of a terminal, and never Textual."""

import subprocess
import sys

import pytest

from redis_oom_tui.cli import plain
from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.plain import PlainLines, line
from redis_oom_tui.formatting.vitals import trend_words
from redis_oom_tui.models.activity import Counters
from redis_oom_tui.models.address import ClientBuffer, Connection
from redis_oom_tui.models.config import Profile, ScreenOptions
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.snapshot import LimitSource, Memory
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Rates, TrendSample
from redis_oom_tui.models.verdict import Level, Verdict
from redis_oom_tui.monitor.state import Link, ServerState
from redis_oom_tui.ports.source import Source
from redis_oom_tui.tui.drawing import DrawStyle
from redis_oom_tui.tui.panes.triage import TriagePane
from redis_oom_tui.tui.panes.triage_vitals import trend
from tests.cli.ran import ran
from tests.support.scripted import FakeClock, a_snapshot
from tests.support.servers import RunningServer
from tests.tui.support import an_app, until
from tests.tui.test_nodes import ScriptedCluster, a_cluster

LIVE = ServerState(
    a_snapshot().server.address,
    link=Link.LIVE,
    snapshot=a_snapshot(),
    rates=Rates(seconds=10.0, refused_writes=420, evicted_keys=0),
    verdict=Verdict(Level.OOM, "Refusing writes.", "refusing"),
)


def test_a_tick_is_one_line_with_all_that_matters() -> None:
    text = line(LIVE, 1_760_000_000.0, 0.0)
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
    text = line(replace(LIVE, snapshot=a_snapshot(maxmemory=None), rates=Rates()), 1_760_000_000.0, 0.0)
    assert " used, no limit  noeviction" in text
    assert "refused ?/s" in text


def test_a_lost_server_is_a_line_with_its_reason_and_the_age_of_what_is_known() -> None:
    lost = replace(LIVE, link=Link.LOST, error="It hung up.\x1b[2J")
    text = line(lost, 1_760_000_000.0, lost.snapshot.taken_monotonic + 75 if lost.snapshot else 0)
    assert "UNKNOWN  It hung up.\\x1b[2J (last figures 1m15s old)" in text


def test_it_runs_without_textual_and_prints_line_by_line(valkey: RunningServer) -> None:
    program = (
        "import sys, redis_oom_tui.cli.plain as plain\n"
        "shown = []\n"
        "def echo(text):\n"
        "    shown.append(text.splitlines()[0])\n"
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
    assert all("keys 0" in line for line in lines)
    assert textual == "False"


LOW = Memory(1_750_000, 2_000_000, "allkeys-lru", rss_bytes=1_400_000, limit_source=LimitSource.OPERATOR)
CLIENTS = (
    ClientBuffer(1, "10.0.0.1:1", b"feed", b"jedis", total_bytes=9 << 20, output_bytes=8 << 20, idle_seconds=75),
    ClientBuffer(2, "10.0.0.2:2", total_bytes=3 << 20, query_bytes=3 << 20),
)
STATES = {
    "refusing writes": [a_snapshot()],
    "no limit": [a_snapshot(maxmemory=None)],
    "figures unknown": [replace(a_snapshot(), memory=Memory(5 << 20), counters=Counters(), databases=())],
    "limit not reported": [
        replace(a_snapshot(), memory=replace(LOW, maxmemory_bytes=None, limit_source=LimitSource.NOT_REPORTED))
    ],
    "limit stated": [replace(a_snapshot(), memory=LOW)],
    "growing and refused": [
        replace(a_snapshot(at=1000 + 60 * n, used=(300 + 10 * n) << 20, refused=7 * n, evicted=3 * n), doubts=())
        for n in range(5)
    ],
    "a cluster": [a_cluster()],
}
# What Triage draws around its facts: titles, a hint how to scan, and panes and keys where `--plain` names commands.
TITLES = {"redis-oom-tui", "live", "frozen", "mem", "Findings", "Largest", "clients", "CLIENT", "Nodes", "Triage"}
HEADS = {"BYTES", "OUTPUT", "QUERY", "IDLE", "Hogs", "Cleanup", "Limits", "c"}
HINT = {"Nothing", "stands", "out", "yet", "Scan", "in", "r", "to", "check", "the", "keys", "too", "No", "2"}


def words_of(text: str) -> set[str]:
    """What stands in a text, without the marks around it and between two of them; sizes and shares without units."""
    words = (word.strip(".,;:()[]!▼") for word in text.split() if any(map(str.isalnum, word)))
    return {word.rstrip("M%").removesuffix(".0") for word in words}


@pytest.mark.parametrize("name", STATES)
async def test_every_fact_of_triage_stands_in_lines_too(name: str) -> None:
    clock = FakeClock()
    source = ScriptedCluster(STATES[name], clients=() if name == "limit stated" else CLIENTS)
    options = ScreenOptions(interval_seconds=0.02, auto_scan=False)
    app = an_app(source, options=options, profile=Profile("prod", production=True), clock=clock)
    async with app.run_test(size=(240, 60)) as pilot:
        await until(pilot, lambda: app.session.state is not None and next(source.asked) > len(STATES[name]) + 2)
        # What is drawn stays with the reading that it was drawn from.
        app.main.frozen = True
        await pilot.pause()
        triage = app.main.panes["triage"]
        assert isinstance(triage, TriagePane)
        state = triage.vitals.state
        assert state is not None
        assert state.snapshot is not None
        widgets = (triage.vitals, triage.breakdown, triage.nodes, triage.findings, triage.clients)
        title, _, *header = app.main.header._drawn
        drawn = [title, *header, *(line for widget in widgets for line in widget._drawn)]
        shown = {word for line in drawn for word in words_of("".join(text for text, _ in line))}
    lines = PlainLines(Profile("prod", production=True)).lines(state, state.snapshot.taken_at, clock.monotonic())
    missing = shown - words_of("\n".join(lines)) - TITLES - HEADS - HINT
    assert not missing, (missing, "\n".join(lines))


def test_what_became_of_the_connection_is_told_once() -> None:
    plain = PlainLines(Profile(""))
    plain.lines(LIVE, 0.0, 100.0)
    moved = replace(LIVE, snapshot=replace(LIVE.snapshot, notes=("failover: now \x1b[31m7001",)))
    assert plain.lines(moved, 1.0, 101.0)[1:] == ["  note: failover: now \\x1b[31m7001"]
    assert len(plain.lines(LIVE, 2.0, 102.0)) == 1


def test_facts_are_told_again_each_minute_and_words_as_they_change() -> None:
    plain = PlainLines(Profile(""))
    first = plain.lines(LIVE, 0.0, 100.0)
    assert len(first) > 6
    assert len(plain.lines(LIVE, 1.0, 101.0)) == 1, "nothing changed"
    other = replace(LIVE, verdict=replace(LIVE.verdict, first_step="Raise maxmemory in Limits."))
    assert plain.lines(other, 2.0, 102.0)[1:] == ["  next: Raise maxmemory with `redis-oom-tui limits`."]
    assert len(plain.lines(LIVE, 60.0, 161.0)) == len(first)


def test_refused_writes_that_a_server_does_not_report_are_unknown_in_the_trend() -> None:
    seen = (TrendSample(1.0, 1.0, 100, 100), TrendSample(9.0, 9.0, 120, 120))
    for total, sentence in (
        (None, "refused writes ?, evicted keys none"),
        (0, "refused writes none, evicted keys none"),
    ):
        counters = Counters(refused_writes_total=total, evicted_keys_total=0)
        state = replace(LIVE, samples=seen, snapshot=replace(LIVE.snapshot, counters=counters))
        assert sentence in trend_words(seen, state.forecast, counters)
        drawn = trend(state, counters, 120, DrawStyle(), 12)
        (row,) = [words for words in ("".join(text for text, _ in line) for line in drawn) if "refused writes" in words]
        assert ("?" in row) is (total is None)


def test_read_only_by_option_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Profile] = []

    async def watched(source: Source, invocation: Invocation) -> None:
        asked.append(invocation.profile)
        await source.close()

    monkeypatch.setattr(plain, "_watch", watched)
    plain.watch_plainly(Invocation(connection=Connection(read_only=True)))
    assert [line for line in PlainLines(asked[0]).lines(LIVE, 0.0, 0.0) if line.endswith("read-only")]


@pytest.mark.parametrize("arguments", [["-s", "/nowhere/at.sock", "--plain"]])
def test_an_unreachable_server_is_a_sentence_and_exit_3(arguments: list[str]) -> None:
    run = ran(*arguments)
    assert run.returncode == 3
    assert run.stderr.count("\n") == 1
    assert run.stdout == ""


def test_without_a_standard_output_nothing_goes_on_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(BadInput, match="standard output is closed"):
        plain.watch_plainly(Invocation(Connection(a_snapshot().server.address), ScreenOptions()))
