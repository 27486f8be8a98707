"""Hogs: a scan before it begins, while it runs and when it has ended."""

import pytest

from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.scan import Pace, ScanState, ThrottleState
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.breakdown import size_histograms
from tests.support.scripted import FakeClock, ScriptedSource, a_snapshot, a_view, some_rows
from tests.support.scripted_operator import ScriptedOperator
from tests.tui.support import an_app, rows, screen_text, until
from tests.tui.test_hogs import hogs, scanning


async def test_before_a_scan_it_says_how_to_begin_and_what_it_costs():
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await pilot.pause()
        assert "Press r to read the size" in screen_text(app)
        await pilot.press("x")
        await pilot.pause()
        assert "nothing to plan" in screen_text(app)
        await pilot.press("tab")
        await until(pilot, lambda: hogs(app).in_patterns)
        assert "drill down" not in rows(app)[-1], "there is no pattern to go into"


# A larger screen scans by itself.
@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 36)])
async def test_before_a_scan_it_shows_what_the_server_counts_itself(size):
    counts = {"2": "9", "1K": "3", "2M": "2", "4M": "1"}
    histograms = size_histograms({"db0_distrib_strings_sizes": counts, "db0_distrib_hashes_items": {"512": "4"}})
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
@pytest.mark.parametrize("size", [(80, 24), (60, 20), (40, 12)])
async def test_each_state_reads_as_itself(state, words, size):
    source = ScriptedSource(views=[a_view(state, error="The server went away." if state is ScanState.FAILED else None)])
    app = an_app(source)
    async with app.run_test(size=size) as pilot:
        await scanning(pilot)
        text = screen_text(app)
        assert words in text
        (line,) = [row for row in rows(app) if words in row]
        assert "…" not in line, "no count is cut"
        if state is ScanState.RUNNING and size[0] >= 60:
            assert "165,280 of 413,200 keys" in line
        assert state is ScanState.RUNNING or " left" not in line, "what does not go on has no countdown"
        assert "session:10000" in text, "what was found so far stays"
        assert ("p pause" in text, "p resume" in text) == (state is ScanState.RUNNING, state is ScanState.PAUSED)
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
        # The time of day is set back.
        clock.offset -= 7200
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
        await until(pilot, lambda: "OLD: scanned 40 minutes ago" in screen_text(app))
        assert row_roles(app) == {"dim", "cursor"}, "old figures have lost their color"
        (line,) = [row for row in rows(app) if "COMPLETE" in row]
        assert "165,280 keys" in line
        await pilot.press("f1")
        await until(pilot, lambda: "ended more than 10 minutes ago" in " ".join(screen_text(app).split()))


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


@pytest.mark.parametrize("emptied", [True, False])
async def test_figures_of_keys_that_are_gone_are_told_as_old(emptied):
    source = ScriptedSource(views=[a_view(ScanState.COMPLETE)])
    app = an_app(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot)
        await until(pilot, lambda: "COMPLETE" in screen_text(app))
        asked = next(source.asked)
        now = a_snapshot(evicted=0 if emptied else 90_000)
        source.script += [a_snapshot()] * asked + [replace(now, databases=()) if emptied else now]
        await until(pilot, lambda: "OLD: " in screen_text(app))
        await pilot.press("1")
        await until(pilot, lambda: any("Findings" in row and "OLD scan" in row for row in rows(app)))
