"""The screen on a recording: what was shown then, moved along by keys, with nothing that could be changed."""

from pathlib import Path

from redis_oom_tui.files.recordings import Moment, Recorder, load
from redis_oom_tui.files.replay import ReplaySource
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.config import Profile, ScreenOptions
from redis_oom_tui.models.scan import PatternRow, ScanState, ScanView
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.tui.app import ReplayApp
from tests.support.scripted import MIB, a_snapshot
from tests.tui.support import screen_text, until

CARTS = PatternRow(b"cart:*", b"cart:*", 40, 8 * MIB, 1.0, 40, types=(("hash", 40),))
VIEW = ScanView(ScanState.COMPLETE, scanned_keys=40, total_keys=40, bytes_seen=8 * MIB, patterns=(CARTS,))


def an_app(path: Path) -> ReplayApp:
    recorder = Recorder(path, Address("cache-1"))
    for second in range(20):
        used = (100 + 20 * second) * MIB
        snapshot = a_snapshot(at=1000.0 + second, used=used, refused=0)
        recorder.add(Moment(snapshot.taken_monotonic, snapshot.taken_at, snapshot=snapshot))
        if second == 10:
            recorder.add(Moment(snapshot.taken_monotonic, snapshot.taken_at, scan=VIEW))
    recorder.close()
    source = ReplaySource(load(path))
    source.hold(True)
    return ReplayApp(
        source,
        options=ScreenOptions(interval_seconds=0.05),
        profile=Profile("", read_only=True),
        clock=Clock(source.monotonic, source.wall),
    )


async def test_keys_move_along_the_time_line(tmp_path: Path) -> None:
    app = an_app(tmp_path / "r")

    def used() -> int:
        state = app.session.state
        return 0 if state is None or state.snapshot is None else state.snapshot.memory.used_bytes // MIB

    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: used() == 100)
        await pilot.press("full_stop")
        await until(pilot, lambda: used() == 120)
        assert "sample 2 of 20, paused" in screen_text(app)
        await pilot.press("right_curly_bracket")
        await until(pilot, lambda: used() == 160)
        await pilot.press("comma")
        await until(pilot, lambda: used() == 140)
        await pilot.press("t")
        await until(pilot, lambda: used() == 480)
        assert "Close to its limit" in screen_text(app)
        await pilot.press("comma")
        await until(pilot, lambda: "Close to its limit at 90%" in screen_text(app))
        # In Hogs, t is the picture.
        await pilot.press("2", "ctrl+t")
        await until(pilot, lambda: ", playing" in screen_text(app))


async def test_a_scan_is_known_from_the_moment_it_ended(tmp_path: Path) -> None:
    app = an_app(tmp_path / "r")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state is not None and app.session.state.snapshot is not None)
        assert app.session.scan is None
        await pilot.press(*["right_curly_bracket"] * 5)
        await until(pilot, lambda: app.session.scan is not None and app.session.scan.patterns == (CARTS,))
        await pilot.press(*["left_curly_bracket"] * 5)
        await until(pilot, lambda: app.session.scan is None)


async def test_the_header_says_that_it_is_a_replay(tmp_path: Path) -> None:
    app = an_app(tmp_path / "r")
    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: "(1 of 20)" in screen_text(app))
        await pilot.press("full_stop")
        await until(pilot, lambda: "(2 of 20)" in screen_text(app))
        title = screen_text(app).splitlines()[0]
        assert " REPLAY " in title
        badge = next(piece for piece in app.main.header._drawn[0] if "REPLAY" in piece[0])
        assert badge == (" REPLAY ", "warn_block")
        assert "live" not in title


async def test_a_recording_with_a_gap_and_a_clock_that_jumps_is_replayed_to_its_end(tmp_path: Path) -> None:
    """17 s, nothing for 190 s, a clock set back by an hour: two clusters of samples, and then three."""
    path = tmp_path / "r"
    recorder = Recorder(path, Address("cache-1"))
    for start in (1000.0, 1207.0, 5000.0):
        for second in range(18):
            at = start + second
            snapshot = a_snapshot(at=at, used=(100 + second) * MIB, refused=0)
            recorder.add(Moment(at, at - (3600 if start == 5000.0 else 0), snapshot=snapshot))
    recorder.close()
    source = ReplaySource(load(path))
    source.hold(True)
    app = ReplayApp(
        source,
        options=ScreenOptions(interval_seconds=0.05),
        profile=Profile("", read_only=True),
        clock=Clock(source.monotonic, source.wall),
    )
    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: "(1 of " in screen_text(app))
        for _ in range(53):
            await app.action_rewind(1)
        await until(pilot, lambda: "(54 of 54)" in screen_text(app))
    assert app.crash is None
