"""Hostile names in every place that shows strings: no control byte, no markup, no line wider than its room."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import TypeAlias
from unittest.mock import patch

import pytest
from rich.cells import cell_len
from textual.app import App, active_app

from redis_oom_tui.formatting import hogs
from redis_oom_tui.formatting.report import markdown
from redis_oom_tui.formatting.sanitize import cells, escape_exact, safe_text, unescape_exact
from redis_oom_tui.models.action import AuditEntry
from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.application import Recognition
from redis_oom_tui.models.config import Profile
from redis_oom_tui.models.keys import KeyDetails, KeyId, KeyRow
from redis_oom_tui.models.plan import Criteria, KeyOutcome, Operation, Outcome, Plan, PlannedKey, RunView
from redis_oom_tui.models.scan import PatternRow, ScanState
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import IncidentReport
from redis_oom_tui.models.verdict import Finding, Level, Verdict
from redis_oom_tui.tui.dialogs.plan import PlanDialog
from redis_oom_tui.tui.dialogs.questions import ConfirmDialog, Question, kill_question, name_lines
from redis_oom_tui.tui.drawing import DrawStyle, Line, width
from redis_oom_tui.tui.flows.state import CleanupState, LimitsState, Stage
from redis_oom_tui.tui.panes import cleanup_draw, limits_draw, log_draw, triage_lists
from redis_oom_tui.tui.profiles import target
from redis_oom_tui.tui.screens.details import DetailsScreen
from redis_oom_tui.tui.widgets.keybar import KeyBar
from tests.support.names import harmless, names
from tests.support.scripted import ScriptedSource, a_snapshot, a_view
from tests.tui.support import an_app, screen_text, until

ROOM = 57
PEN = DrawStyle()
Drawn: TypeAlias = Iterator[Sequence[Line]]


def text_of(name: bytes) -> str:
    """The same as a server's text reaches us."""
    return name[:400].decode("utf-8", "surrogateescape")


def key_of(name: bytes) -> PlannedKey:
    return PlannedKey(KeyId(0, name), text_of(name), 900, idle_seconds=5)


def plan_of(some: Sequence[bytes]) -> Plan:
    criteria = Criteria(patterns=tuple(name[:60] for name in some[:2]))
    flags = tuple(text_of(name) for name in some[:2])
    return Plan(tuple(map(key_of, some)), criteria, 0.0, "a place", flags=flags, matched_keys=99, keyspace_keys=99)


def plans(some: Sequence[bytes]) -> Drawn:
    yield cleanup_draw.plan_head(plan_of(some), cleanup_draw.PlanSums(1), ROOM, 24, PEN)
    yield [cleanup_draw.key_line(key, ROOM, PEN, here=False) for key in plan_of(some).keys]


def runs(some: Sequence[bytes]) -> Drawn:
    for name in some:
        said = text_of(name)
        view = RunView(2, {Outcome.DELETED: 1}, backup_path=said, phase=said, ended=said, freed_bytes=3)
        outcomes = tuple(KeyOutcome(KeyId(0, one), Outcome.CHANGED, said) for one in some[:4])
        yield cleanup_draw.run_lines(CleanupState(Stage.REPORT, run=view, outcomes=outcomes), None, ROOM, 24, PEN)
        yield [cleanup_draw.outcome_line(one, ROOM, PEN, here=False) for one in outcomes]


def questions(some: Sequence[bytes]) -> Drawn:
    plan = plan_of(some)
    yield PlanDialog(plan, lambda _: (text_of(some[0]), *plan.flags), budget=text_of(some[1])).body(ROOM)
    yield PlanDialog(replace(plan, operation=Operation.EXPIRE), lambda _: ("once",)).body(30)
    for name in some:
        client = ClientBuffer(1, text_of(name), name, name, name, name)
        yield ConfirmDialog(kill_question(client, text_of(name))).body(ROOM)
        yield ConfirmDialog(Question(text_of(name), (text_of(name),), "Do it", (text_of(name),))).body(ROOM)
        yield name_lines(KeyId(0, name[:2000], text_of(name)), (text_of(name),), ROOM)


def details(some: Sequence[bytes]) -> Drawn:
    with patch.object(DetailsScreen, "host", SimpleNamespace(scan=None)):
        yield from _details(some)


def _details(some: Sequence[bytes]) -> Drawn:
    for name in some:
        said = text_of(name)
        shown = DetailsScreen(KeyId(0, name, said))
        shown.show(KeyDetails(KeyRow(KeyId(0, name), said, 5, encoding=said), preview=tuple(some[:3])))
        yield shown.text(ROOM)
        shown.show(None, said)
        yield shown.text(ROOM)


def messages(some: Sequence[bytes]) -> Drawn:
    for name in some:
        bar = KeyBar()
        bar.say(f"It was refused: {text_of(name)}", "crit")
        yield bar.lines(ROOM, 4)


def notices(some: Sequence[bytes]) -> Drawn:
    for name in some:
        yield limits_draw.notices(LimitsState(error=text_of(name), notice=text_of(name)), ROOM, 0.0)


def clients(some: Sequence[bytes]) -> Drawn:
    hogs = [ClientBuffer(1, text_of(name), name, name, name, name, total_bytes=9 << 20) for name in some]
    shown = triage_lists.Clients()
    shown.show(tuple(hogs), 100)
    yield shown.lines(ROOM, len(hogs) + 1)


def logs(some: Sequence[bytes]) -> Drawn:
    entries = [
        AuditEntry(9.0, said, said, said, said, said, 10.0, said, True, undo=said) for said in map(text_of, some)
    ]
    every = log_draw.log_entries((), entries, 0.0)
    yield [log_draw.log_row(one, ROOM, PEN, 10.0, here=n == 0, several=True) for n, one in enumerate(every)]


def tables(some: Sequence[bytes]) -> Iterator[list[str]]:
    rows = [KeyRow(KeyId(0, name, text_of(name)), text_of(name), 1) for name in some]
    pattern_rows = [PatternRow(name, name, 1, 1, 0.1, 0, types=((text_of(name), 1),)) for name in some]
    yield hogs.keys(rows, a_view(ScanState.COMPLETE))
    yield hogs.patterns(pattern_rows, a_view(ScanState.COMPLETE), Recognition())
    for one in (hogs.keys_csv(rows), hogs.patterns_csv(pattern_rows, Recognition())):
        yield one.replace("\r", "").split("\n")


def reports(some: Sequence[bytes]) -> Iterator[list[str]]:
    rows = tuple(KeyRow(KeyId(0, name), text_of(name), 1) for name in some)
    pattern_rows = tuple(PatternRow(name, name, 1, 1, 0.1, 0) for name in some)
    said = text_of(some[0])
    verdict, finding = Verdict(Level.OOM, said, rule=said), Finding("x", Level.OK, said, said, (said,))
    scan = replace(a_view(ScanState.COMPLETE), top=rows, patterns=pattern_rows)
    actions = (AuditEntry(9.0, said, said, said, said, said, 10.0, said, True),)
    shot = a_snapshot()
    yield markdown(IncidentReport(1.0, shot, shot, verdict, findings=(finding,), scan=scan, actions=actions)).split(
        "\n"
    )
    yield [target(Profile(said)), str(safe_text(str(Path(said.replace("\x00", "")))))]


def in_twenties(count: int, seed: int) -> Iterator[list[bytes]]:
    """Names as lists show them: twenty at a time."""
    source = names(count, seed)
    while some := list(islice(source, 20)):
        yield some


def test_a_hundred_thousand_names_as_words():
    for name in names(100_000, seed=11):
        short = safe_text(name, 24)
        assert harmless(short), name[:80]
        assert cells(short) == cell_len(short) <= 24
        if len(name) < 1000 and name[:1] < b"a":
            assert harmless(safe_text(name))
            assert unescape_exact(escape_exact(name)) == name


@pytest.fixture
def within_an_app() -> Iterator[None]:
    """How many keys a question names depends on the height of the screen."""
    token = active_app.set(App())
    yield
    active_app.reset(token)


@pytest.mark.usefixtures("within_an_app")
@pytest.mark.parametrize("place", [plans, runs, questions, details, messages, notices, clients, logs])
def test_every_place_draws_lines_that_fit_and_do_nothing(place: Callable[[Sequence[bytes]], Drawn]):
    for some in in_twenties(1200, seed=len(place.__name__)):
        for lines in place(some):
            for line in lines:
                assert width(line) <= ROOM, line
                assert all(harmless(text) for text, _ in line), line


@pytest.mark.parametrize("place", [tables, reports])
def test_every_text_that_is_printed_does_nothing(place: Callable[[Sequence[bytes]], Iterator[list[str]]]):
    for some in in_twenties(3000, seed=len(place.__name__)):
        for lines in place(some):
            for line in lines:
                assert harmless(line), ascii(line)


async def test_the_whole_screen_of_a_thousand_names_is_text_of_the_right_width():
    rows = [KeyRow(KeyId(0, name), "string", 1 << 20) for name in names(1100, seed=3)]
    app = an_app(ScriptedSource())
    async with app.run_test(size=(110, 112)) as pilot:
        await pilot.press("2")
        for at in range(0, len(rows), 55):
            some = tuple(rows[at : at + 55])
            pattern_rows = tuple(PatternRow(row.id.key, row.id.key, 1, 1, 0.1, 0) for row in some)
            app.session.scan = replace(a_view(ScanState.COMPLETE), top=some, patterns=pattern_rows)
            table = app.main.panes["hogs"].keys
            await until(pilot, lambda some=some, table=table: set(table.model.rows) == set(some))
            await until(pilot, lambda some=some: screen_text(app).count("1.0M") >= len(some))
            for strip in app.screen._compositor.render_strips():
                assert harmless(strip.text), ascii(strip.text)
                assert strip.cell_length == cell_len(strip.text) == 110
                for segment in strip:
                    assert segment.style is None or not (segment.style.link or segment.style.meta.get("@click"))
