"""The real start of the screen on a scripted server: `python -m tests.support.behind_splash GATE [options]`.

The frame before the screen stays until there is a file at GATE; then the screen shows its own first frame and no more,
since the server says nothing more.
"""

import argparse
import asyncio
import sys
import time
from pathlib import Path

from redis_oom_tui.models.address import Address
from redis_oom_tui.models.config import Profile, ScreenOptions
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.ports.operator import Operator
from redis_oom_tui.ports.source import Source
from redis_oom_tui.tui.run import run_app
from tests.support.scripted import MIB, ScriptedSource, a_snapshot
from tests.support.waiting import stand_still


class Silent(ScriptedSource):
    """It never says anything more."""

    async def snapshot(self) -> Snapshot:
        """Never."""
        await asyncio.Event().wait()
        raise AssertionError


class Held:
    """A server on its way that is waited for until the gate opens. Implements `ports.PendingServer`."""

    def __init__(self, gate: Path, snapshot: Snapshot | None, after: float) -> None:
        self.address = Address("cache-1", 6379)
        self._gate, self._snapshot, self._after = gate, snapshot, after
        self.failed_early = False

    def first(self, patience: float) -> Snapshot | None:
        """The scripted look, for whoever has the patience."""
        if patience < self._after and not self._gate.exists():
            return None
        stand_still(min(patience, self._after))
        return self._snapshot

    def answers(self) -> bool:
        """Once the gate is open."""
        while not self._gate.exists():
            time.sleep(0.01)
        return True

    def source(self) -> Source:
        """One that keeps silent."""
        return Silent()

    def operator(self) -> Operator:
        """Never."""
        raise AssertionError


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("gate", type=Path)
    parser.add_argument("--unseen", action="store_true", help="the server has not answered yet")
    parser.add_argument("--after", type=float, default=0.0, help="seconds until it does")
    parser.add_argument("--theme")
    parser.add_argument("--ascii", action="store_true")
    parser.add_argument("--no-color", action="store_true")
    parser.add_argument("--badged", action="store_true", help="a production server of a profile")
    given = parser.parse_args()
    # However long the test waits: its figures are never old.
    fresh = replace(a_snapshot(used=530 * MIB, refused=1_284), taken_monotonic=time.monotonic() + 3600)
    snapshot = None if given.unseen else fresh
    options = ScreenOptions(theme=given.theme, ascii=given.ascii, color=False if given.no_color else None)
    profile = Profile("cache", production=True, read_only=True) if given.badged else Profile("")
    try:
        return run_app(Held(given.gate, snapshot, given.after), options=options, profile=profile)
    except TriageError as error:
        print(error, file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
