"""The real app on a scripted server, as a program for a terminal: `python -m tests.support.app_on_script [options]`."""

import argparse
import asyncio
import itertools
import os
import sys
import time
from collections.abc import Iterator

from redis_oom_tui.models.config import ScreenOptions
from redis_oom_tui.models.scan import ScanOptions, ScanState, ScanView
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.tui.run import run_app
from tests.support.scripted import MIB, ScriptedScan, ScriptedSource, a_snapshot, a_view, some_rows
from tests.support.waiting import stand_still

# What a terminal is told before the event loop is blocked.
BLOCKED = b"\x1b]2;blocked\x07"


class LivelyScan(ScriptedScan):
    """A scan that finds more at each look: 20 figures change every time, and two rows jump."""

    def view(self) -> ScanView:
        """A little further than last time."""
        self.looks += 1
        rows = list(some_rows())
        for n in range(0, 40, 2):
            jump = 400_000 if n // 2 in (self.looks % 20, self.looks * 7 % 20) else 0
            rows[n] = replace(rows[n], size=(rows[n].size or 0) + jump, idle_seconds=n * 97 + self.looks // 2)
        scanned = min(413_200, 40_000 + self.looks * 997)
        state = self.state or ScanState.RUNNING
        view = a_view(state, scanned_keys=scanned, top=tuple(rows))
        inner = (
            replace(row, pattern=row.pattern + part, size=row.size // share, level=2, parent=row.pattern)
            for row in view.patterns
            for part, share in ((b"v1:*", 2), (b"v2:*", 3), (b"v3:*", 6))
        )
        return replace(view, pace=self.pace, patterns=(*view.patterns, *inner))


class Lively(ScriptedSource):
    """A server whose figures move a little at each poll."""

    def __init__(self, crash_at: int | None, block_at: int | None) -> None:
        super().__init__()
        self._ticks: Iterator[int] = itertools.count()
        self._crash_at, self._block_at = crash_at, block_at

    async def snapshot(self) -> Snapshot:
        """Not quite what it was."""
        tick = next(self._ticks)
        if tick == self._block_at:
            # The window's title tells a test of it; the screen is not painted any more.
            os.write(2, BLOCKED)
            stand_still(60)
        shot = a_snapshot(used=500 * MIB + (tick * 37 % 11) * MIB, refused=1_284 + tick * 13)
        await asyncio.sleep(0)
        return replace(shot, taken_monotonic=time.monotonic(), taken_at=time.time())

    def scan(self, options: ScanOptions) -> ScriptedScan:
        """A lively one."""
        scan = LivelyScan(self.views)
        self.scans.append((options, scan))
        return scan


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--no-diff", action="store_true")
    parser.add_argument("--ascii", action="store_true")
    parser.add_argument("--no-mouse", action="store_true")
    parser.add_argument("--interval", type=float, default=1.0)
    parser.add_argument("--theme")
    parser.add_argument("--no-color", action="store_true")
    parser.add_argument("--crash", action="store_true", help="a defect on the first key")
    parser.add_argument("--block-at", type=int, help="the tick that blocks the event loop")
    given = parser.parse_args()
    if given.crash:
        _plant_a_defect()
    options = ScreenOptions(
        interval_seconds=given.interval,
        diff=not given.no_diff,
        ascii=given.ascii,
        mouse=not given.no_mouse,
        theme=given.theme,
        color=False if given.no_color else None,
    )
    return run_app(Lively(None, given.block_at), options=options)


def _plant_a_defect() -> None:
    from redis_oom_tui.tui.main_screen import MainScreen

    def broken(self: MainScreen, frozen: bool) -> None:
        del frozen
        password = "hunter2-very-secret"
        raise ValueError(f"a defect of {len(password)} letters")

    MainScreen.action_freeze = broken  # type: ignore[method-assign]


if __name__ == "__main__":
    sys.exit(main())
