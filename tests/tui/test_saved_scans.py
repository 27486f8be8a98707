"""A scan is kept in a file from the screen; opened again it goes on where it broke off, or says what grew."""

from pathlib import Path

import pytest
from textual.widgets import Input

from redis_oom_tui.files.scans import load_scan, save_scan
from redis_oom_tui.models.config import ScreenOptions
from redis_oom_tui.models.scan import Pace, PatternRow, SavedScan, ScanOptions, ScanState
from redis_oom_tui.server.cluster.source import ClusterSource
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.tui.app import TriageApp
from redis_oom_tui.tui.dialogs.base import Dialog
from tests.server.test_cluster_scan import KEYS as ALL_KEYS
from tests.server.test_cluster_scan import fill
from tests.support.cluster import clustered
from tests.support.scripted import FakeClock, ScriptedSource, a_view
from tests.support.sources import cluster_opened
from tests.tui.support import an_app, rows, screen_text, until

KEYS = 20_000


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    monkeypatch.setattr(Dialog, "GUARD_SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)


async def asked(pilot, words):
    await until(pilot, lambda: isinstance(pilot.app.screen, Dialog) and words in screen_text(pilot.app))


async def named(pilot, name):
    """Type a path in place of the proposed one, and go on."""
    field = pilot.app.screen.query_one("#path", Input)
    field.value = name
    field.focus()
    await pilot.press("enter")


async def scanned(pilot, keys):
    """A whole scan whose one pattern has so many keys."""
    await pilot.press("2", "r")
    await until(pilot, lambda: pilot.app.session.scan is not None and pilot.app.session.scan.scanned_keys == keys)


def whole(keys: int):
    pattern = PatternRow(b"user:*", b"user:*", keys=keys, size=keys * 100, share=1.0, no_ttl_keys=0)
    return a_view(ScanState.COMPLETE, scanned_keys=keys, total_keys=keys, patterns=(pattern,))


async def test_it_is_saved_to_a_new_file_and_compared_with_later():
    source, clock = ScriptedSource(views=[whole(1000)]), FakeClock()
    app = an_app(source, clock=clock)
    async with app.run_test(size=(80, 24)) as pilot:
        await scanned(pilot, 1000)
        ended = clock.wall()
        clock.move(3600)
        await pilot.press("w")
        await asked(pilot, "Save the scan")
        assert ".scan" in app.screen.query_one("#path", Input).value
        await named(pilot, "monday.scan")
        await until(pilot, lambda: "Scan saved to" in screen_text(app))
        await pilot.press("o")
        await asked(pilot, "monday.scan")
        await pilot.press("enter")
        await asked(pilot, "No pattern has grown or shrunk.")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Dialog))
        source.views = [whole(3000)]
        await scanned(pilot, 3000)
        await pilot.press("o")
        await asked(pilot, "monday.scan")
        await pilot.press("enter")
        await asked(pilot, "What grew")
        (pattern,) = [row for row in rows(app) if "user:*" in row and "+2,000" in row]
        assert "+195.3K" in pattern
    saved = load_scan(Path("monday.scan"))
    assert (saved.view.scanned_keys, saved.taken_at) == (1000, ended)


async def test_a_path_that_cannot_be_is_said_and_nothing_is_overwritten():
    Path("there.scan").write_text("mine")
    app = an_app(ScriptedSource(views=[whole(10)]))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2", "w")
        await until(pilot, lambda: "no scan to save yet" in screen_text(app))
        await scanned(pilot, 10)
        await pilot.press("w")
        await asked(pilot, "Save the scan")
        await named(pilot, "there.scan")
        await until(pilot, lambda: "exists already" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Dialog))
        await pilot.press("o")
        await asked(pilot, "Open a saved scan")
        await named(pilot, "nowhere.scan")
        await until(pilot, lambda: "does not exist" in screen_text(app))
        await named(pilot, "there.scan")
        await until(pilot, lambda: "is not a scan that this tool saved" in screen_text(app))
    assert Path("there.scan").read_text() == "mine"


async def test_a_running_scan_is_ended_before_it_is_saved():
    app = an_app(ScriptedSource())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2", "r")
        await until(pilot, lambda: app.session.scanner.active)
        await pilot.press("w")
        await until(pilot, lambda: "The scan has not ended: e stops it" in screen_text(app))
        assert not isinstance(app.screen, Dialog)


async def test_a_scan_that_was_ended_goes_on_from_its_file_in_another_screen(server):
    with server.client() as client:
        client.mset({b"user:%d" % number: b"v" * 40 for number in range(KEYS)})
    options = ScreenOptions(interval_seconds=0.1)
    first = TriageApp(LiveServer(server.connection), options=options)
    async with first.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: first.session.state.snapshot is not None)
        await pilot.press("2")
        first.session.scanner.start(ScanOptions(pace=Pace.GENTLE, match=b"user:*"))
        await until(pilot, lambda: first.session.scan.scanned_keys > 0)
        await pilot.press("e")
        await until(pilot, lambda: first.session.scan.state is ScanState.STOPPED)
        await pilot.press("w")
        await asked(pilot, "Save the scan")
        await named(pilot, "half.scan")
        await until(pilot, lambda: "Scan saved to" in screen_text(first))
    half = load_scan(Path("half.scan"))
    assert 0 < half.view.scanned_keys < KEYS
    second = TriageApp(LiveServer(server.connection), options=options)
    async with second.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: second.session.state.snapshot is not None)
        await pilot.press("2", "o")
        await asked(pilot, "half.scan")
        await pilot.press("enter")
        await asked(pilot, "Resume this scan?")
        second.screen.query_one("#act").focus()
        await pilot.press("enter")
        await until(pilot, lambda: second.session.scan is not None and second.session.scan.complete)
        assert second.session.scan.scanned_keys == KEYS
        assert (second.session.scanner.scanned.match, second.session.scanner.options.match) == (b"user:*", None)


async def test_a_cluster_is_gone_on_with_and_elsewhere_half_a_scan_is_no_baseline(tmp_path):
    options = ScreenOptions(interval_seconds=0.1)
    with clustered(replicas=False) as cluster:
        fill(cluster)
        async with cluster_opened(cluster.connection) as source:
            scan = source.scan(ScanOptions(sample=3_000))
            half = SavedScan(await scan.run(), 1.0, str(source.address), progress=scan.progress())
        save_scan(half, tmp_path / "half.scan")
        app = TriageApp(ClusterSource(cluster.connection), options=options)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: app.session.state.snapshot is not None)
            await pilot.press("2", "o")
            await asked(pilot, "Open a saved scan")
            await named(pilot, str(tmp_path / "half.scan"))
            await asked(pilot, "same cluster")
            app.screen.query_one("#act").focus()
            await pilot.press("enter")
            await until(pilot, lambda: app.session.scan is not None and app.session.scan.complete)
            assert app.session.scan.scanned_keys == ALL_KEYS
    other = an_app(ScriptedSource())
    async with other.run_test(size=(80, 24)) as pilot:
        await pilot.press("2", "o")
        await asked(pilot, "Open a saved scan")
        await named(pilot, str(tmp_path / "half.scan"))
        await until(pilot, lambda: "That scan is no baseline" in screen_text(other))


async def test_the_whole_path_of_a_new_file_is_shown_and_at_once_what_is_wrong_with_it(tmp_path, monkeypatch):
    deep = tmp_path / ("folder-of-a-long-name" * 4)
    deep.mkdir()
    monkeypatch.chdir(deep)
    (deep / "there.scan").write_text("mine")
    app = an_app(ScriptedSource(views=[whole(10)]))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await scanned(pilot, 10)
        await pilot.press("w")
        await asked(pilot, "Save the scan")
        (line,) = [row for row in rows(app) if "Full path" in row]
        assert "/" in line
        assert "…" in line, "its middle gives way"
        assert ".scan" in line
        app.focused.value = "there.scan"
        await until(pilot, lambda: "exists already" in screen_text(app) and "there.scan" in screen_text(app))
        app.focused.value = "nowhere/there.scan"
        await until(pilot, lambda: "This folder does not exist" in screen_text(app))
        app.focused.value = "n" * 300
        await pilot.press("enter")
        await until(pilot, lambda: "too long" in screen_text(app).lower())
    assert (deep / "there.scan").read_text() == "mine"
