"""The screen on a recording: what was shown then, moved along by keys, with nothing that could be changed."""

from pathlib import Path

from redis_oom_tui.files.record import Moment, Recorder, load
from redis_oom_tui.files.replay import ReplaySource
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.config import Profile
from redis_oom_tui.models.scan import PatternRow, ScanState, ScanView
from redis_oom_tui.models.screen import ScreenOptions
from redis_oom_tui.tui.reading import Clock
from redis_oom_tui.tui.replay import ReplayApp
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
        reading = app.reading
        return 0 if reading is None or reading.snapshot is None else reading.snapshot.memory.used_bytes // MIB

    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: used() == 100)
        await pilot.press("full_stop")
        await until(pilot, lambda: used() == 120)
        assert "poll 2 of 20, held" in screen_text(app)
        await pilot.press("right_curly_bracket")
        await until(pilot, lambda: used() == 160)
        await pilot.press("comma")
        await until(pilot, lambda: used() == 140)
        await pilot.press("t")
        await until(pilot, lambda: used() == 480)
        assert "Close to its limit" in screen_text(app)
        await pilot.press("comma")
        await until(pilot, lambda: "Close to its limit at 90 %" in screen_text(app))


async def test_a_scan_is_known_from_the_moment_it_ended(tmp_path: Path) -> None:
    app = an_app(tmp_path / "r")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.reading is not None and app.reading.snapshot is not None)
        assert app.scan is None
        await pilot.press(*["right_curly_bracket"] * 5)
        await until(pilot, lambda: app.scan is not None and app.scan.patterns == (CARTS,))
        await pilot.press(*["left_curly_bracket"] * 5)
        await until(pilot, lambda: app.scan is None)
