"""Triage: findings, where they lead, and what they leave out."""

import pytest

from redis_oom_tui.models.config import Profile, ScreenOptions
from redis_oom_tui.models.keys import PatternSample
from redis_oom_tui.models.scan import Pace, ScanState
from redis_oom_tui.models.verdict import Finding, Level, Remedy
from redis_oom_tui.tui.screens.reader import FindingScreen
from tests.support.acting import settled
from tests.support.scripted import FakeClock, ScriptedSource, a_view
from tests.support.waiting import until as wait_until
from tests.tui.support import an_app, rows, screen_text, until
from tests.tui.test_dialogs_live import live_app
from tests.tui.test_triage import FINDINGS


async def test_findings_scroll_explain_and_lead_to_their_pane():
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        app.main.frozen = True
        findings = app.main.panes["triage"].findings
        findings.show(FINDINGS)
        await pilot.press(*["j"] * 11)
        await pilot.pause()
        assert "Finding number 11" in screen_text(app)
        findings.show(FINDINGS[6:])
        assert findings.current.id == "f11", "the cursor stays on its finding"
        await pilot.press("enter")
        await pilot.pause()
        assert "Do 11" in screen_text(app)
        await pilot.press("m")
        await pilot.pause()
        assert app.main.pane == "limits"


async def test_a_finding_that_is_mended_nowhere_here_offers_no_way_there():
    app = an_app()
    # The narrowest screen, too, has room for what a finding leads to.
    async with app.run_test(size=(60, 20)) as pilot:
        app.main.frozen = True
        findings = app.main.panes["triage"].findings
        findings.show((FINDINGS[0], Finding("told", Level.OK, "Only told", "", evidence=("One.", "Two."))))
        await until(pilot, lambda: "m fix" in rows(app)[-1])
        await pilot.press("down")
        await until(pilot, lambda: "m fix" not in rows(app)[-1] and "Enter explain" in rows(app)[-1])
        await pilot.press("enter")
        await until(pilot, lambda: "One." in screen_text(app))
        assert "m fix" not in rows(app)[-1]
        await pilot.press("m", "escape")
        await pilot.pause()
        assert app.main.pane == "triage"
        findings.show(())
        await until(pilot, lambda: "Enter explain" not in rows(app)[-1])


@pytest.mark.parametrize(("read", "sentence"), [(None, True), (20.0, False)])
async def test_values_that_were_not_looked_into_are_told(read, sentence):
    app = an_app()
    async with app.run_test(size=(120, 36)) as pilot:
        app.session.scanner.values = (PatternSample(b"page:*", "string", 4, value_bytes=read),)
        await until(pilot, lambda: app.session.state is not None and len(app.session.state.samples) > 2)
        await until(pilot, lambda: ("Values not sampled" in screen_text(app)) is sentence)


async def test_findings_of_one_kind_are_each_reached_by_the_cursor():
    alike = tuple(
        Finding("no-ttl-family", Level.WARNING, f"None of db {db}", "Do", remedy=Remedy("cleanup", match=b"a:*", db=db))
        for db in range(3)
    )
    app = an_app()
    async with app.run_test(size=(120, 36)) as pilot:
        app.main.frozen = True
        findings = app.main.panes["triage"].findings
        for n, one in enumerate(alike):
            findings.show(alike)
            assert findings.current == one
            assert findings.index == n
            await pilot.press("j")


async def test_a_scan_that_began_by_itself_gets_faster_step_by_step():
    source = ScriptedSource()
    app = an_app(source)
    async with app.run_test(size=(200, 60)) as pilot:
        await until(pilot, lambda: app.session.scan is not None)
        ((options, scan),) = source.scans
        assert options.pace is Pace.GENTLE
        await pilot.press("2", "plus")
        await until(pilot, lambda: scan.calls == ["normal"])
        await pilot.press("minus")
        await until(pilot, lambda: scan.calls == ["normal", "gentle"])


@pytest.mark.parametrize(
    ("size", "options", "profile"),
    [
        ((200, 60), ScreenOptions(interval_seconds=0.05, auto_scan=False), Profile("")),
        ((200, 60), ScreenOptions(interval_seconds=0.05), Profile("", auto_scan=False)),
        ((120, 36), ScreenOptions(interval_seconds=0.05), Profile("")),
    ],
)
async def test_it_scans_by_itself_only_where_it_may_and_has_room(size, options, profile):
    source = ScriptedSource()
    app = an_app(source, options=options, profile=profile)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.session.state is not None and len(app.session.state.samples) > 2)
        assert source.scans == []


@pytest.mark.parametrize(
    ("view", "refusal", "words"),
    [
        (None, None, "No scan yet: r in Hogs"),
        (None, "SCAN is refused here: no permission", "SCAN is refused here: no permission"),
        (a_view(ScanState.FAILED, patterns=(), error="The server went away"), None, "The server went away"),
        (a_view(ScanState.PAUSED, patterns=()), None, "the scan is paused"),
        (a_view(ScanState.COMPLETE, patterns=()), None, "The scan found no pattern"),
    ],
)
async def test_where_no_pattern_is_known_it_says_why(view, refusal, words):
    app = an_app(options=ScreenOptions(interval_seconds=0.05, auto_scan=False))
    async with app.run_test(size=(200, 60)):
        patterns = app.main.panes["triage"].patterns
        patterns.show(view, refusal, scans_soon=False)
        assert words in "\n".join("".join(text for text, _ in line) for line in patterns.lines(80, 9))


async def test_a_finding_longer_than_the_screen_scrolls_to_its_end():
    evidence = tuple(f"evidence number {n}" for n in range(60))
    app = an_app(ScriptedSource(clock=FakeClock()))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state is not None and app.session.state.snapshot is not None)
        app.push_screen(FindingScreen(Finding("long", Level.WARNING, "A long one", "Read it all", evidence)))
        await until(pilot, lambda: "lines 1 to 22 of" in screen_text(app))
        assert "evidence number 59" not in screen_text(app)
        await pilot.press("end")
        await until(pilot, lambda: "evidence number 59" in screen_text(app))
        await pilot.press("home", "j", "j")
        await until(pilot, lambda: "lines 3 to 24 of" in screen_text(app))
        await pilot.press("pagedown")
        await until(pilot, lambda: "A long one" not in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, FindingScreen))


async def test_who_sends_large_values_stands_among_the_findings(valkey, tmp_path):
    with valkey.client() as client:
        client.config_set("slowlog-log-slower-than", 0)
        client.client_setname("importer")
        client.set("export:2026", b"x" * 6_000_000)
        client.connection_pool.disconnect()
        wait_until(lambda: settled(client) < 9_000_000, "the buffer that the value came in to go")
        client.config_set("maxmemory", int(settled(client) / 0.9))
        app = live_app(valkey, tmp_path)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: "SET of export:2026 by" in screen_text(app))


async def test_titles_are_whole_where_there_is_room_and_cut_no_number_from_its_unit_elsewhere():
    title = "The host has room: maxmemory can be raised from 39.8 MiB to 59.6 MiB, or more once others are moved away"
    long = Finding("room", Level.WARNING, title, "Raise it", remedy=Remedy("limits"))
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        app.main.frozen = True
        findings = app.main.panes["triage"].findings
        findings.show((long, FINDINGS[1]))
        await until(pilot, lambda: "others are moved away" in screen_text(app))
        (start,) = [n for n, row in enumerate(rows(app)) if "The host has room" in row]
        assert "→ Limits" in rows(app)[start]
        assert FINDINGS[1].title in rows(app)[start + 2]
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, FindingScreen) and FINDINGS[1].title in screen_text(app))
        await pilot.press("escape")
        findings.show((long, *FINDINGS))
        await until(pilot, lambda: "The host has room" in screen_text(app) and "moved away" not in screen_text(app))
        (row,) = [row for row in rows(app) if "The host has room" in row]
        assert "59.6…" not in row
        assert "…" in row
