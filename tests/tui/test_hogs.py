"""Pane 2: each state of a scan looks right, the cursor stays on its key, and what is planned is what was marked."""

import re

import pytest
from rich.color import ColorSystem

from redis_oom_tui.formatting.sanitize import cells
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.keys import KeyDetails, KeyId, KeyRow
from redis_oom_tui.models.scan import Interval, Pace, PatternRow, ScanState, ThrottleState
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Remedy
from redis_oom_tui.rules.key_sizes import size_histograms
from redis_oom_tui.tui.dialogs.questions import ConfirmDialog
from redis_oom_tui.tui.glyphs import Appearance
from redis_oom_tui.tui.messages import ApplyRemedy, MakePlan
from redis_oom_tui.tui.panes.hogs_tables import Selection
from redis_oom_tui.tui.panes.keyspace_map import _icicle, _treemap
from redis_oom_tui.tui.terminal.diff import FrameDiff
from redis_oom_tui.tui.widgets.table_model import fitting
from tests.rules.scanned import scanned
from tests.support.scripted import FakeClock, ScriptedSource, a_snapshot, a_view, some_rows
from tests.support.scripted_operator import ScriptedOperator
from tests.tui.support import an_app, rows, screen_text, until

HOSTILE = (
    b"[/x]",
    b"[red]k",
    b"\x1b]0;pwned\x07",
    b"\xff\xfe",
    b"",
    b"k" * 100_000,
    "\u202eevil".encode(),
    "\u732b:\u72ac".encode(),
)


async def scanning(pilot, *keys):
    await pilot.press("2", "r", *keys)
    await pilot.pause()


def hogs(app):
    return app.main.panes["hogs"]


async def test_before_a_scan_it_says_how_to_begin_and_what_it_costs():
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await pilot.pause()
        assert "Press r to read the size" in screen_text(app)
        await pilot.press("x")
        await pilot.pause()
        assert "nothing to plan" in screen_text(app)


# A larger screen scans by itself.
@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 36)])
async def test_before_a_scan_it_shows_what_the_server_counts_itself(size):
    told = {"2": "9", "1K": "3", "2M": "2", "4M": "1"}
    histograms = size_histograms({"db0_distrib_strings_sizes": told, "db0_distrib_hashes_items": {"512": "4"}})
    snapshot = replace(a_snapshot(), size_histograms=histograms)
    app = an_app(ScriptedSource(snapshots=[snapshot]))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.session.state.snapshot is not None)
        await pilot.press("2")
        await until(pilot, lambda: "INFO keysizes" in screen_text(app))
        text = screen_text(app)
        assert "Press r to read the size" in text
        assert "of used_memory" in text
        assert "2.0M to 4.0M value" in text or size == (60, 20), "the smallest screen has room for the summary alone"
        assert all(len(line) <= size[0] for line in rows(app))
        await pilot.press("r")
        await until(pilot, lambda: "session:10000" in screen_text(app))
        assert "INFO keysizes" not in screen_text(app)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (ScanState.RUNNING, "scanning"),
        (ScanState.PAUSED, "PAUSED"),
        (ScanState.COMPLETE, "COMPLETE"),
        (ScanState.STOPPED, "STOPPED"),
        (ScanState.SAMPLED, "SAMPLE"),
        (ScanState.FAILED, "FAILED"),
    ],
)
@pytest.mark.parametrize("size", [(80, 24), (120, 36), (40, 12)])
async def test_each_state_reads_as_itself(state, words, size):
    source = ScriptedSource(views=[a_view(state, error="The server went away." if state is ScanState.FAILED else None)])
    app = an_app(source)
    async with app.run_test(size=size) as pilot:
        await scanning(pilot)
        text = screen_text(app)
        assert words in text
        assert "session:10000" in text, "what was found so far stays"
        if state is ScanState.FAILED:
            assert "The server went away." in text
        assert all(len(line) <= size[0] for line in rows(app))


async def test_where_keys_may_not_be_listed_no_scan_is_offered_and_none_begins():
    source = ScriptedSource(capabilities=Capabilities({Feature.SCAN: "this user has no permissions to run 'scan'"}))
    app = an_app(source, operator=ScriptedOperator())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state.snapshot is not None)
        await pilot.press("2")
        refusal = "SCAN is refused here: this user has no permissions to run 'scan'"
        await until(pilot, lambda: f"Keys cannot be listed here. {refusal}" in " ".join(screen_text(app).split()))
        assert "Press r" not in screen_text(app)
        await pilot.press("r")
        await until(pilot, lambda: refusal in rows(app)[-1])
        await pilot.press("4", "x")
        await until(pilot, lambda: refusal in rows(app)[-1])
        await pilot.press("end", "enter")
        await until(pilot, lambda: f"Keys cannot be searched: {refusal}" in " ".join(screen_text(app).split()))
        assert source.scans == []


async def test_a_braking_scan_says_so():
    view = a_view(throttle=ThrottleState(share=0.5, throttled=True, words="server slow: 4 ms"))
    app = an_app(ScriptedSource(views=[view]))
    async with app.run_test(size=(100, 24)) as pilot:
        await scanning(pilot)
        assert "server slow: 4 ms" in screen_text(app)


async def test_where_there_is_little_room_a_brake_does_not_hide_how_far_the_scan_is():
    words = "using 2% of the server (budget 50%), throttled"
    app = an_app(ScriptedSource(views=[a_view(throttle=ThrottleState(share=0.02, throttled=True, words=words))]))
    async with app.run_test(size=(60, 20)) as pilot:
        await scanning(pilot)
        (line,) = [row for row in rows(app) if "scanning" in row]
        assert "40%" in line
        assert "throttled normal" in line
        assert "…dget" not in line


async def test_pause_end_and_pace_reach_the_scan():
    source = ScriptedSource()
    app = an_app(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "p", "p", "minus", "plus", "plus", "plus", "e")
        assert source.scans[0][1].calls == ["pause", "resume", "gentle", "normal", "full-speed", "full-speed", "stop"]
        await until(pilot, lambda: "STOPPED" in screen_text(app))
        await pilot.press("r")
        assert len(source.scans) == 2
        assert source.scans[1][0].pace is Pace.FULL_SPEED


async def test_a_second_r_does_not_throw_a_scan_away():
    source = ScriptedSource()
    app = an_app(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot)
        await until(pilot, lambda: app.session.scanner.active)
        await pilot.press("r")
        await until(pilot, lambda: "A scan is running" in screen_text(app))
        assert len(source.scans) == 1
        assert source.scans[0][1].calls == []


@pytest.mark.usefixtures("listening_at_once")
@pytest.mark.parametrize("state", [ScanState.COMPLETE, ScanState.SAMPLED, ScanState.FAILED])
async def test_a_scan_that_has_ended_is_replaced_only_after_a_question(state):
    source = ScriptedSource(views=[a_view(state)])
    app = an_app(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot)
        await until(pilot, lambda: not app.session.scanner.active)
        await pilot.press("r")
        await until(pilot, lambda: "Scan again?" in screen_text(app))
        assert app.focused.id == "cancel"
        await pilot.press("enter")
        await until(pilot, lambda: "Scan again?" not in screen_text(app))
        assert len(source.scans) == 1
        await pilot.press("r")
        await until(pilot, lambda: "Scan again?" in screen_text(app))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: len(source.scans) == 2)


async def test_a_scan_that_was_stopped_a_while_ago_is_replaced_only_after_a_question():
    source, clock = ScriptedSource(), FakeClock()
    app = an_app(source, clock=clock)
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "e")
        await until(pilot, lambda: "STOPPED" in screen_text(app) and app.session.scanner.ended_at is not None)
        clock.move(60)
        await pilot.press("r")
        await until(pilot, lambda: "Scan again?" in screen_text(app))
        assert len(source.scans) == 1


def row_roles(app):
    """How the rows of the keys are drawn."""
    return {role for line in hogs(app).keys._drawn[1:] for text, role in line if text.strip()}


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 36)])
async def test_a_scan_that_ended_long_ago_says_how_long(size):
    clock = FakeClock()
    app = an_app(ScriptedSource(views=[a_view(ScanState.COMPLETE)], clock=clock), clock=clock)
    async with app.run_test(size=size) as pilot:
        await scanning(pilot)
        await until(pilot, lambda: "COMPLETE" in screen_text(app))
        assert "ago" not in screen_text(app)
        assert row_roles(app) == {"text", "cursor"}
        clock.move(5 * 60)
        await until(pilot, lambda: "5 minutes ago" in screen_text(app))
        assert "OLD" not in screen_text(app)
        clock.move(35 * 60)
        await until(pilot, lambda: "OLD: 40 minutes ago" in screen_text(app))
        assert row_roles(app) == {"dim", "cursor"}, "old figures have lost their color"
        (line,) = [row for row in rows(app) if "COMPLETE" in row]
        assert "165,280 keys" in line


@pytest.mark.usefixtures("listening_at_once")
@pytest.mark.parametrize("key", ["q", "ctrl+q", "ctrl+c"])
async def test_a_running_scan_is_left_only_after_a_question(key):
    app = an_app(ScriptedSource())
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot)
        await until(pilot, lambda: app.session.scanner.active)
        await pilot.press(key)
        await until(pilot, lambda: "Quit?" in screen_text(app))
        assert "Quitting stops the scan" in " ".join(screen_text(app).replace("│", " ").split())
        assert app.focused.id == "cancel"
        await pilot.press("enter")
        await until(pilot, lambda: "Quit?" not in screen_text(app))
        assert app.session.scanner.active
        await pilot.press(key)
        await until(pilot, lambda: "Quit?" in screen_text(app))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: app.return_code == 0)


async def test_a_scan_goes_on_while_another_pane_is_shown():
    views = [a_view(), a_view(scanned_keys=200_000, top=some_rows(3))]
    app = an_app(ScriptedSource(views=views))
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "1")
        await until(pilot, lambda: app.session.scan.scanned_keys == 200_000)
        await pilot.press("2")
        await pilot.pause()
        assert "200,000 of" in screen_text(app)


async def test_the_cursor_stays_on_its_key_when_larger_ones_come():
    first = some_rows(10)
    larger = tuple(KeyRow(KeyId(0, f"new{n}".encode()), "string", 10**9 + n) for n in range(5))
    clock = FakeClock()
    source = ScriptedSource(views=[a_view(top=first), a_view(top=first), a_view(top=larger + first)], clock=clock)
    app = an_app(source, clock=clock)
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "j", "j")
        key = hogs(app).keys.model.current.id

        def fifteen():
            # Tables are drawn once a second by this clock, and a slow machine looks at the scan less often.
            clock.move(1)
            return len(hogs(app).keys.model.rows) == 15

        await until(pilot, fifteen)
        assert hogs(app).keys.model.current.id == key
        await pilot.press("enter")
        await pilot.pause()
        assert key.key.decode() in screen_text(app), "the key that is opened is the one that was under the cursor"


async def test_every_column_sorts_from_the_keyboard_and_by_a_click():
    app = an_app()
    async with app.run_test(size=(100, 24)) as pilot:
        await scanning(pilot)
        model = hogs(app).keys.model
        seen = [model.sort]
        for _ in range(5):
            await pilot.press("s")
            seen.append(model.sort)
        assert seen == ["size", "share", "type", "ttl", "idle", "key"]
        assert model.rows[0].id.key == min(row.id.key for row in model.rows)
        await pilot.press("S")
        assert model.rows[0].id.key == max(row.id.key for row in model.rows)
        await pilot.click("#keys", offset=(5, 0))
        assert (model.sort, model.falling) == ("size", True)
        await pilot.click("#keys", offset=(5, 0))
        assert (model.sort, model.falling) == ("size", False)


async def test_a_filter_narrows_and_escape_gives_back():
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "slash", *"QUEUE")
        assert {row.id.key[:5] for row in hogs(app).keys.model.rows} == {b"queue"}
        await pilot.press("enter")
        found = len(hogs(app).keys.model.rows)
        assert f"/QUEUE  {found} of the 200 largest keys" in screen_text(app)
        await pilot.press("j", "escape")
        assert len(hogs(app).keys.model.rows) == 200


async def test_a_finding_shows_the_keys_that_it_is_about():
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "slash", *"QUEUE", "enter")
        pane = hogs(app)
        await until(pilot, lambda: pane._view is not None and pane._view.patterns)
        row = pane._view.patterns[0]
        await pilot.press("1")
        app.post_message(ApplyRemedy(Remedy("hogs", match=row.match, db=row.db, pattern=row.select)))
        await until(pilot, lambda: pane.tables.selection.pattern == row)
        assert app.main.pane == "hogs"
        assert (pane.tables.selection.text, pane.filter_line.value) == ("", "")
        assert pane.keys.model.rows == pane.tables.selection.keys(pane._view)

        app.post_message(ApplyRemedy(Remedy("hogs", match=b"queue:*")))
        await until(pilot, lambda: pane.tables.selection.pattern is None or pane.tables.selection.pattern != row)
        assert {row.id.key[:5] for row in pane.keys.model.rows} == {b"queue"}

        app.post_message(ApplyRemedy(Remedy("hogs", match=b"\xff\xfe")))
        await until(pilot, lambda: pane.tables.selection == Selection())


async def test_a_filter_that_finds_nothing_says_where_it_looked():
    app = an_app()
    async with app.run_test(size=(100, 24)) as pilot:
        await scanning(pilot, "slash", *"nowhere")
        await pilot.pause()
        assert "No match of the 200 largest keys" in screen_text(app)
        await pilot.press("enter", "e", "r")
        await pilot.pause()
        assert [options.match for options, _ in app.session.source.scans] == [None, b"*[nN][oO][wW][hH][eE][rR][eE]*"]
        assert app.session.scanner.options.match is None, "the next scan walks all again"


async def test_digits_typed_into_the_filter_do_not_switch_panes():
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "slash", "1", "q")
        assert app.main.pane == "hogs"
        assert hogs(app).filter_line.value == "1q"


async def test_a_pattern_leads_to_its_keys_and_escape_leads_back():
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "tab")
        assert "cart:*:items" in screen_text(app)
        await pilot.press("j", "enter")
        await pilot.pause()
        assert "in cart:*:items" in screen_text(app)
        assert {row.id.key[:5] for row in hogs(app).keys.model.rows} == {b"cart:"}
        await pilot.press("escape")
        await pilot.pause()
        assert hogs(app).main_widget is hogs(app).patterns


async def test_patterns_open_level_by_level():
    tree = (
        PatternRow(b"user:*", b"user:*", 100, 9000, 0.9, 0, db=0),
        PatternRow(b"user:*:cart", b"user:*:cart", 60, 6000, 0.6, 0, db=0, level=2, parent=b"user:*"),
        PatternRow(b"other", b"other", 1, 1000, 0.1, 0, db=0),
    )
    app = an_app(ScriptedSource(views=[a_view(patterns=tree)]))
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "tab")
        model = hogs(app).patterns.model
        assert [row.pattern for row in model.rows] == [b"user:*", b"other"]
        assert "user:* +" in screen_text(app), "what can be opened is marked"
        assert "other +" not in screen_text(app)
        await pilot.press("l")
        assert [row.pattern for row in model.rows] == [b"user:*:cart"]
        await pilot.press("l", "h")
        assert model.current.pattern == b"user:*"


async def plan_of(keys):
    app = an_app()
    plans = []
    async with app.run_test(
        size=(80, 24), message_hook=lambda m: plans.append(m) if isinstance(m, MakePlan) else None
    ) as pilot:
        await scanning(pilot, *keys, "x")
        await pilot.pause()
        assert app.main.pane == "cleanup"
    return plans[0].criteria


async def test_x_plans_the_marked_keys_before_all_else():
    criteria = await plan_of(["space", "j", "space"])
    top = some_rows()
    assert criteria.keys == (top[0].id, top[2].id)


async def test_x_on_a_pattern_plans_its_glob():
    criteria = await plan_of(["tab", "j"])
    assert criteria.patterns == (b"cart:*:items",)
    assert not criteria.keys


async def test_x_plans_the_key_under_the_cursor():
    assert (await plan_of(["j"])).keys == (some_rows()[1].id,)


@pytest.mark.parametrize("size", [(80, 24), (160, 24), (40, 12)])
async def test_hostile_names_are_harmless_everywhere(size):
    top = tuple(KeyRow(KeyId(0, name), "string", 1000 - n) for n, name in enumerate(HOSTILE))
    patterns = tuple(PatternRow(name, name, 1, 1000 - n, 0.1, 0) for n, name in enumerate(HOSTILE))
    source = ScriptedSource(
        views=[a_view(top=top, patterns=patterns)],
        details=lambda key: KeyDetails(KeyRow(key, "string", 10), preview=HOSTILE[:7]),
    )
    app = an_app(source)
    async with app.run_test(size=size) as pilot:
        await scanning(pilot)
        assert any(line.endswith('""') or ' "" ' in line for line in rows(app)), "a name of no bytes is seen as well"
        for _ in range(len(HOSTILE)):
            await pilot.press("enter")
            await pilot.pause()
            assert all(char.isprintable() for line in rows(app) for char in line)
            await pilot.press("escape", "j")
        await pilot.press("tab", "enter")
        await pilot.pause()
        for line in rows(app):
            assert all(char.isprintable() and char != "\u202e" for char in line)


async def test_details_show_the_exact_bytes_and_say_when_a_key_is_gone():
    top = (KeyRow(KeyId(3, b"a\\b\xff"), "string", 1000),)
    app = an_app(ScriptedSource(views=[a_view(top=top)], details=lambda key: None))
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "enter")
        await until(pilot, lambda: "It is gone" in screen_text(app))
        assert "a\\\\b\\xff" in screen_text(app)
        assert "database 3" in screen_text(app)


@pytest.mark.parametrize(
    ("facts", "reset"),
    [
        ({"idle_seconds": 7200}, "Its idle time (2h00m now) is reset to 0"),
        ({"frequency": 12}, "frequency (12 of 255 now) may rise"),
        ({}, "is reset: its idle time, or its access frequency"),
    ],
)
async def test_a_value_is_read_anyway_only_after_it_was_said_what_that_resets(facts, reset, listening_at_once):
    row = KeyRow(KeyId(0, b"cold"), "list", 1000, **facts)
    withheld = KeyDetails(row, preview_withheld="reading would reset", touchable=True)
    source = ScriptedSource(views=[a_view(top=(row,))])
    source.some_details = lambda key: KeyDetails(row, preview=(b"first",)) if source.touched else withheld
    app = an_app(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "enter")
        await until(pilot, lambda: "read anyway" in screen_text(app))
        for answer in ("escape", "tab"):
            await pilot.press("r")
            await until(pilot, lambda: isinstance(app.screen, ConfirmDialog) and app.focused is not None)
            assert reset in " ".join(screen_text(app).replace("│", " ").split())
            assert source.touched == []
            await pilot.press(answer)
        await pilot.press("enter")
        await until(pilot, lambda: "Value (start)" in screen_text(app))
        assert source.touched == [row.id]
        text = screen_text(app)
        assert "are from before that" in text
        assert "read anyway" not in text


async def test_details_say_what_a_key_is_to_its_application():
    names = ("meta", "hash", 50), ("events", "stream", 50), ("completed", "zset", 90_000), ("1", "hash", 500)
    view = scanned([(f"bull:mail:{name}", kind, size) for name, kind, size in names])
    app = an_app(ScriptedSource(views=[view], details=lambda key: KeyDetails(view.top[0])))
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "enter")
        await until(pilot, lambda: "BullMQ: completed; its loss is harmless." in screen_text(app))


async def test_while_the_scan_is_partial_patterns_say_what_the_whole_may_be():
    row = PatternRow(
        b"user:*", b"user:*", 100, 9 * 2**20, 0.9, 0, estimated_bytes=Interval(20 * 2**20, 18 * 2**20, 23 * 2**20)
    )
    source = ScriptedSource(views=[a_view(patterns=(row,))])
    app = an_app(source)
    async with app.run_test(size=(90, 24)) as pilot:
        await scanning(pilot, "tab")
        await until(pilot, lambda: "20.0M +-15%" in screen_text(app))
        source.scans[0][1].finish()
        await until(pilot, lambda: "COMPLETE" in screen_text(app))
        assert "EST. TOTAL" not in screen_text(app)


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (120, 36), (200, 60)])
async def test_the_application_of_a_pattern_stands_beside_it(size):
    names = ("meta", "hash"), ("events", "stream"), ("completed", "zset"), ("1", "hash"), ("2", "hash")
    view = scanned([*((f"bull:mail:{name}", kind, 9000) for name, kind in names), ("page:1", "string", 50)])
    app = an_app(ScriptedSource(views=[view]))
    async with app.run_test(size=size) as pilot:
        await scanning(pilot, "tab")
        await until(pilot, lambda: "BullMQ 43.9K" in screen_text(app))
        if size[0] in (80, 200):
            assert re.search(r"APPLICATION +PATTERN", screen_text(app))
            assert re.search(r"BullMQ +bull:mail:\* \+", screen_text(app))
        await pilot.press("l")
        await until(pilot, lambda: "bull:mail:events" in screen_text(app))
        if size[0] >= 80:
            await until(pilot, lambda: "BullMQ: events  " in screen_text(app))


async def test_what_the_figures_leave_out_stands_beside_the_totals():
    view = a_view(ScanState.COMPLETE, notes=("MEMORY USAGE is refused here: sizes are unknown",), types=())
    app = an_app(ScriptedSource(views=[view]))
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot)
        await until(pilot, lambda: "MEMORY USAGE is refused here: sizes are unknown" in screen_text(app))


@pytest.mark.parametrize(("largest", "told"), [(1, True), (150, False)])
async def test_where_no_single_key_matters_the_way_to_the_patterns_is_told(largest, told):
    top = tuple(KeyRow(KeyId(0, b"k%d" % n), "string", largest * 1024 * 1024) for n in range(3))
    app = an_app(ScriptedSource(views=[a_view(ScanState.COMPLETE, top=top)]))
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot)
        await until(pilot, lambda: "k2" in screen_text(app))
        assert ("No key over 1%" in screen_text(app)) is told
        await pilot.press("tab")
        await until(pilot, lambda: "No key over 1%" not in screen_text(app))


def in_each(databases):
    """One pattern in each of these databases."""
    return tuple(PatternRow(b"user:*", b"user:*", 100, 9000, 0.5, 0, db=db) for db in databases)


@pytest.mark.parametrize("size", [(80, 24), (120, 30)])
async def test_patterns_of_one_name_are_told_apart_by_their_databases(size):
    plans = []
    app = an_app(ScriptedSource(views=[a_view(patterns=in_each([0, 7]))]))
    async with app.run_test(
        size=size, message_hook=lambda m: plans.append(m) if isinstance(m, MakePlan) else None
    ) as pilot:
        await scanning(pilot, "tab")
        table = hogs(app).patterns
        assert [column.title for column in table.model.columns if column.id == "db"] == ["DB"]
        assert re.search(r"\b7 user:\*", screen_text(app))
        await pilot.press("j")
        assert table.model.current.db == 7
        await pilot.press("enter")
        await pilot.pause()
        assert "in user:* of db 7" in screen_text(app)
        await pilot.press("x")
        await pilot.pause()
        assert plans[0].criteria.databases == (7,)
        assert re.search(r"Database +7", screen_text(app))


async def test_one_database_needs_no_column():
    top = tuple(row for row in some_rows() if row.id.db == 0)
    app = an_app(ScriptedSource(views=[a_view(top=top, patterns=in_each([0]))]))
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "tab")
        assert "db" not in {column.id for column in hogs(app).patterns.model.columns}


async def test_with_more_room_each_table_has_at_least_the_columns_of_80():
    def columns(table):
        return {column.title for column, _ in fitting(table.model.columns, table.size.width - 2)}

    seen = {}
    for size in ((80, 24), (120, 36), (200, 60)):
        app = an_app()
        async with app.run_test(size=size) as pilot:
            await scanning(pilot)
            keys = columns(hogs(app).keys)
            await pilot.press("tab")
            await pilot.pause()
            seen[size] = keys, columns(hogs(app).patterns)
            assert hogs(app).keys.display == (size[0] > 80), "where there is room, both are shown"
    for size in ((120, 36), (200, 60)):
        for small, large in zip(seen[80, 24], seen[size], strict=True):
            assert small <= large, size


async def test_in_a_pattern_that_was_entered_only_its_keys_are_listed():
    pattern = PatternRow(b"session:*", b"session:*", 100, 9000, 0.9, 0, db=0)
    inner = PatternRow(b"session:1*", b"session:10000", 60, 6000, 0.6, 0, db=0, level=2, parent=b"session:*")
    app = an_app(ScriptedSource(views=[a_view(patterns=(pattern, inner))]))
    async with app.run_test(size=(120, 36)) as pilot:
        await scanning(pilot, "tab", "l")
        await pilot.pause()
        assert {row.id.key[:8] for row in hogs(app).keys.model.rows} == {b"session:"}
        await pilot.press("h")
        await pilot.pause()
        assert len(hogs(app).keys.model.rows) == 200


def picture_of():
    """Patterns of falling size, each made of two others, one of them with a hostile name."""
    names = (b"session:*", b"cache:page:*", b"\x1b]0;x\x07:*", b"cart:*:items", b"queue:*", b"board:*", b"tmp:*")
    rows = []
    for n, name in enumerate(names):
        size = round(200 * 1.7**-n) * 2**20
        rows.append(PatternRow(name, name, 9_000, size, 0.1, (9_000, 0, 4_500)[n % 3], db=0))
        rows += [
            PatternRow(name[:-1] + part, name, 3_000, size // 3, 0.1, 0, db=0, level=2, parent=name)
            for part in (b"v1:*", b"v2:*")
        ]
    return ScriptedSource(views=[a_view(ScanState.COMPLETE, patterns=tuple(rows), top=some_rows())])


@pytest.mark.parametrize(("size", "glyphs"), [((80, 24), "full"), ((60, 20), "ascii"), ((120, 36), "cp437")])
async def test_the_picture_has_the_selection_of_the_table_and_opens_level_by_level(size, glyphs):
    app = an_app(picture_of(), appearance=Appearance("ansi-dark", glyphs))
    async with app.run_test(size=size) as pilot:
        await scanning(pilot, "tab", "j", "t")
        await pilot.pause()
        text = screen_text(app)
        assert hogs(app).main_widget is hogs(app).tables.map
        assert "cache:page:*  118.0M  9,000 keys, with TTL" in text
        assert "without TTL" in text, "what a color says is said in words"
        assert "\x1b" not in text
        assert glyphs != "ascii" or text.isascii()
        assert all(cells(line) <= size[0] for line in rows(app))
        await pilot.press("enter")
        await pilot.pause()
        within = {"full": "›"}.get(glyphs, ">")
        assert f"patterns {within} cache:page:*" in screen_text(app)
        assert {row.id.key[:6] for row in hogs(app).keys.model.rows} == {b"cache:"}, "its keys are listed"
        await pilot.press("j", "t")
        await pilot.pause()
        assert hogs(app).patterns.model.current.pattern == b"cache:page:v2:*"
        await pilot.press("t", "escape", "j", "x")
        await pilot.pause()
        assert app.main.pane == "cleanup", "a cleanup is planned from the picture, too"


async def test_in_the_picture_enter_on_a_pattern_that_is_made_of_none_lists_its_keys():
    app = an_app(picture_of())
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "t", "enter", "enter")
        await pilot.pause()
        assert hogs(app).main_widget is hogs(app).keys
        assert "in session:v" in screen_text(app)


async def test_a_click_selects_a_tile_and_a_key_colors_by_something_else():
    app = an_app(picture_of())
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "t")
        await pilot.click("#map", offset=(40, 2))
        await pilot.pause()
        assert hogs(app).patterns.model.current.pattern == b"cache:page:*"
        for words in ("by idle time", "by application", "by TTL"):
            await pilot.press("T")
            await pilot.pause()
            assert words in rows(app)[-2]


@pytest.mark.parametrize(("size", "most"), [((80, 24), 1.5), ((120, 36), 2.5), ((200, 60), 6)])
async def test_a_step_into_the_picture_sends_little(size, most):
    app = an_app(picture_of())
    async with app.run_test(size=size) as pilot:
        await scanning(pilot, "t")
        await pilot.pause()
        diff = FrameDiff(ColorSystem.EIGHT_BIT, erases=True)
        diff.encode(app.screen._compositor.render_strips())
        await pilot.press("enter")
        await pilot.pause()
        assert len(diff.encode(app.screen._compositor.render_strips())) <= most * 1024


async def test_the_picture_marks_estimates_and_claims_no_ttl_that_was_not_told():
    one = PatternRow(b"cart:*", b"cart:*", 1, 3 * 2**20, 0.6, 1, db=0, types=(("hash", 1),))
    two = PatternRow(b"page:*", b"page:*", 2, 2 * 2**20, 0.4, 2, db=0, types=(("string", 2),))
    for told, words in ((True, "without TTL"), (False, "TTL unknown")):
        view = replace(a_view(ScanState.COMPLETE, patterns=(one, two), top=some_rows()), ttls_known=told)
        app = an_app(ScriptedSource(views=[view]))
        async with app.run_test(size=(80, 24)) as pilot:
            await scanning(pilot, "t")
            await pilot.pause()
            picture = screen_text(app)
            assert f"cart:*  ~3.0M  1 key, {words}" in picture
            assert "~3.0M  1 key " in picture
            assert " 2.0M  2 keys" in picture
            assert ("without TTL" in picture) is told


def test_tiles_fill_the_picture_and_do_not_overlap():
    sizes = [1000, 600, 400, 120, 90, 30, 30, 9, 5, 3, 1, 1, 1]
    shown = [PatternRow(b"%d" % n, b"x", 1, size, 0.1, 0) for n, size in enumerate(sizes)]
    for layout in (_treemap, _icicle):
        for width, height in ((80, 15), (40, 7), (200, 50), (9, 2)):
            taken = [
                (x, y)
                for place in layout(shown, width, height, lambda _: ())
                for x in range(place.left, place.right)
                for y in range(place.top, place.bottom)
            ]
            assert len(taken) == len(set(taken)) == width * height
