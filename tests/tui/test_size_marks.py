"""Wherever the screen shows a size or a sum of sizes, an estimate is marked as one, and nothing else is."""

import pytest

from redis_oom_tui.formatting.pattern_columns import pattern_columns
from redis_oom_tui.models.action import Limits, PlanningView, PolicyView
from redis_oom_tui.models.keys import KeyId, KeyRow
from redis_oom_tui.models.plan import Outcome, RunView
from redis_oom_tui.models.scan import PatternRow, ScanState, ScanView, TypeRow
from redis_oom_tui.models.structs import replace
from redis_oom_tui.tui.drawing import DrawStyle
from redis_oom_tui.tui.flows.state import CleanupState, Stage
from redis_oom_tui.tui.panes import cleanup_draw, limits_draw
from redis_oom_tui.tui.panes.limits import sizes_estimated
from tests.support.scripted import FakeClock, ScriptedSource, a_view
from tests.tui.support import an_app, rows, until

STRINGS = PatternRow(b"s:*", b"s:*", 4, 4096, 0.5, 0, types=(("string", 4),))
HASHES = PatternRow(b"h:*", b"h:*", 4, 4096, 0.5, 0, types=(("hash", 4),))


def text(lines):
    return "\n".join("".join(piece for piece, _ in line) for line in lines)


def cell(columns, name, row):
    column = next(column for column in columns if column.id == name)
    return column.text(row, column.width)


@pytest.mark.parametrize(
    ("row", "exact", "bytes_", "mean"),
    [(STRINGS, False, "4.0K", "1.0K"), (HASHES, False, "~4.0K", "~1.0K"), (HASHES, True, "4.0K", "1.0K")],
)
def test_sum_and_mean_of_a_pattern(row, exact, bytes_, mean):
    columns = pattern_columns(lambda _: False, partial=False, exact=exact)
    assert (cell(columns, "size", row), cell(columns, "mean", row)) == (bytes_, mean)


async def test_bytes_by_type_in_hogs():
    types = (TypeRow("string", 10, 4096), TypeRow("hash", 10, 8192), TypeRow("graphdata", 3, 0))
    app = an_app(ScriptedSource(clock=FakeClock()))
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("2")
        app.session.scan = replace(a_view(ScanState.COMPLETE), types=types)
        await until(pilot, lambda: "graphdata" in "\n".join(rows(app)))
        line = next(row for row in rows(app) if "graphdata" in row)
        assert "string 4.0K" in line
        assert "hash ~8.0K" in line
        assert "graphdata ?" in line


def a_scan(kind, *, complete=True):
    row = KeyRow(KeyId(0, b"k"), kind, 4096)
    state = ScanState.COMPLETE if complete else ScanState.STOPPED
    return ScanView(state, scanned_keys=9, bytes_seen=4096, top=(row,), types=(TypeRow(kind, 9, 4096),))


def test_whether_what_a_policy_may_evict_is_an_estimate():
    found = [
        sizes_estimated(view) for view in (None, a_scan("string"), a_scan("hash"), a_scan("string", complete=False))
    ]
    assert found == [True, False, True, True]


@pytest.mark.parametrize(
    ("estimated", "listed", "sentence"), [(True, "~9.8K", "about 9.8"), (False, " 9.8K", "keys, 9.8")]
)
def test_what_a_policy_may_evict(estimated, listed, sentence):
    view = PolicyView("allkeys-lru", "Any key.", evictable_keys=9, evictable_bytes=10_000)
    limits = Limits(None, "allkeys-lru", (view,), scanned=True)
    row = limits_draw.rows(limits)[0]
    assert listed in text(
        limits_draw.row_lines(limits, row, 44, DrawStyle(), here=False, first=True, estimated=estimated)
    )
    assert sentence in text(limits_draw.beside(limits, row, 70, 20, DrawStyle(), estimated=estimated, live=True))


def test_what_was_freed_and_what_matches_while_it_is_looked_for():
    run = RunView(2, {Outcome.DELETED: 2}, ended="Done.", freed_bytes=4096)
    state = CleanupState(Stage.REPORT, run=run)
    assert " ~4.0 KiB freed" in text(cleanup_draw.run_lines(state, None, 80, 20, DrawStyle(), estimated=True))
    assert " 4.0 KiB freed" in text(cleanup_draw.run_lines(state, None, 80, 20, DrawStyle()))
    looking = PlanningView(scanned_keys=9, total_keys=9, matched_keys=2, matched_bytes=4096)
    assert "2 match, 4.0 KiB as first measured" in text(cleanup_draw.planning_lines(looking, 80, DrawStyle()))
