"""The one scan that the app runs: it outlives the pane that asked for it, and is looked at twice a second."""

import contextlib
import functools
from collections.abc import Mapping
from typing import Any, Protocol

from textual.timer import Timer
from textual.worker import Worker, WorkerCancelled, WorkerFailed, WorkType

from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.keys import PatternSample
from redis_oom_tui.models.scan import Pace, SavedScan, ScanOptions, ScanState, ScanView
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.ports.source import GoesOn, KeepsItsPlace, SamplesValues, Scan, Source
from redis_oom_tui.rules.history import keys_changed
from redis_oom_tui.tui.host import Workers

POLLS_PER_SECOND = 2.0
_ACTIVE = (ScanState.RUNNING, ScanState.PAUSED)


class ScanHost(Protocol):
    """The server that is scanned, and where the scan is shown."""

    clock: Clock
    source: Source
    scan: ScanView | None


class ScanController:
    """Starts, pauses and ends the scan, and puts its views into `host.scan`."""

    def __init__(self, host: ScanHost, workers: Workers) -> None:
        self._host = host
        self._workers = workers
        self._scan: Scan | None = None
        self._worker: Worker[ScanView] | None = None
        self._sampling: Worker[None] | None = None
        self._timer: Timer | None = None
        self._sampled: Scan | None = None
        self.before: ScanView | None = None
        self.values: tuple[PatternSample, ...] = ()
        self.options = ScanOptions(idle=True)
        # What the scan at hand scans: one from a file may scan less than the next one will.
        self.scanned = self.options
        self.ended_at: float | None = None
        self._ended_monotonic = 0.0
        self.outdated = False
        """Whether keys were changed from here since, or many came or went: its figures are of before."""
        self._latest: Snapshot | None = None
        self._at_end: Snapshot | None = None
        self.saved = False
        # A scan that the screen began by itself is nobody's loss.
        self.asked_for = True

    def polled(self, snapshot: Snapshot) -> None:
        """Take in what the server counts now: a scan that has ended may no longer tell of the same keys."""
        self._latest = snapshot
        if self._at_end is not None and not self.active:
            self.outdated |= keys_changed(self._at_end, snapshot)

    @property
    def active(self) -> bool:
        """Whether a scan runs or is paused."""
        view = self._host.scan
        return self._scan is not None and view is not None and view.state in _ACTIVE

    @property
    def figures(self) -> Snapshot | None:
        """The figures of the server that belong to the scan: the latest while it is active, then those of its end."""
        return self._latest if self.active or self._at_end is None else self._at_end

    @property
    def pace(self) -> Pace:
        """That of the scan under way, else of the next one: a scan that began by itself may be slower than those."""
        return self.scanned.pace if self.active else self.options.pace

    def start(self, options: ScanOptions, *, asked_for: bool = True, match: bytes | None = None) -> None:
        """Begin, in place of the scan that may run: that one ends after the page in flight.

        `match` bounds this scan alone: the next one scans what `options` say.
        """
        usual = options if asked_for else self.options
        options = options if match is None else replace(options, match=match)
        if self._scan is not None and self.active:
            self._scan.stop()
        if self._host.scan is not None and self._host.scan.complete:
            self.before = self._host.scan if _asked(options) == _asked(self.scanned) else None
        self.options, self.asked_for = usual, asked_for
        self.scanned = options
        self._run(self._host.source.scan(options))

    def go_on(self, saved: SavedScan) -> None:
        """Go on where a saved scan broke off. Raises BadInput where its file is damaged."""
        if isinstance(self._host.source, GoesOn):
            scan = self._host.source.resumed(saved.progress or {}, pace=self.options.pace)
            self.scanned = replace(
                self.options, match=saved.match, type=saved.type, pattern=saved.pattern, databases=saved.databases
            )
            self.before, self.asked_for = None, True
            self._run(scan)

    def compare_with(self, saved: SavedScan) -> bool:
        """Let findings say what grew since `saved`; False where it did not see the same keys as the scan here does."""
        alike = (saved.match, saved.type, saved.pattern) == (
            self.scanned.match,
            self.scanned.type,
            self.scanned.pattern,
        )
        alike = alike and saved.databases in (None, self.scanned.databases)
        if saved.view.complete and alike:
            self.before = saved.view
        return saved.view.complete and alike

    @property
    def age(self) -> float | None:
        """For how many seconds the scan of this screen has ended; None while it has not."""
        return None if self.ended_at is None else self._host.clock.monotonic() - self._ended_monotonic

    def progress(self) -> Mapping[str, Any] | None:
        """Where the scan broke off, for its file; None where there is no going on."""
        scan: object = self._scan
        return scan.progress() if isinstance(scan, KeepsItsPlace) else None

    def _run(self, scan: Scan) -> None:
        self._scan, self.ended_at, self.saved, self.outdated = scan, None, False, False
        self._at_end = None
        self._worker = self._workers.run_worker(self._scan.run, name="scan", group="scan", exit_on_error=False)
        self._poll()
        if self._timer is None:
            self._timer = self._workers.set_interval(1 / POLLS_PER_SECOND, self._poll)
        self._timer.resume()

    def pause_or_resume(self) -> None:
        """Pause what runs, go on with what is paused."""
        view = self._host.scan
        if self._scan is None or view is None or not self.active:
            return
        if view.state is ScanState.PAUSED:
            self._scan.resume()
        else:
            self._scan.pause()
        self._poll()

    def stop(self) -> None:
        """End the scan and keep what it found."""
        if self._scan is not None and self.active:
            self._scan.stop()
            self._poll()

    async def ended(self) -> ScanView | None:
        """Wait for the end of the scan and for the values that are read after it; None where another replaced it."""
        scan = self._scan
        await _end_of(self._worker)
        if scan is not self._scan:
            return None
        self._poll()
        await _end_of(self._sampling)
        return self._host.scan

    def close(self) -> None:
        """Look at nothing any more."""
        self._scan = None
        if self._timer is not None:
            self._timer.stop()

    def set_pace(self, pace: Pace) -> None:
        """From the next page on, and for the next scan."""
        self.options, self.scanned = replace(self.options, pace=pace), replace(self.scanned, pace=pace)
        if self._scan is not None and self.active:
            self._scan.set_pace(pace)
            self._poll()

    def failed(self, worker: Worker[object], sentence: str) -> None:
        """The scan met a defect of ours: its view says so, with what it had found."""
        view = self._host.scan
        if worker is self._worker and view is not None:
            self._scan = None
            self._host.scan = replace(view, state=ScanState.FAILED, error=sentence)
            self._pause_timer()

    def _poll(self) -> None:
        if self._scan is None:
            return
        view = self._scan.view()
        ended = view.state not in _ACTIVE
        if ended and self.ended_at is None:
            self.ended_at, self._ended_monotonic = self._host.clock.wall(), self._host.clock.monotonic()
            self._at_end = self._latest
        # This draws it.
        self._host.scan = view
        if ended:
            self._pause_timer()
            if view.complete and self._sampled is not self._scan:
                self._sampled = self._scan
                # Not a coroutine: an app that is being left drops it, and Python would complain of that.
                sampling: WorkType[None] = functools.partial(self._read_values, view)
                self._sampling = self._workers.run_worker(sampling, name="values", group="values", exit_on_error=False)

    async def _read_values(self, view: ScanView) -> None:
        """A few keys of each large pattern, for the findings of the next tick; without them, there are fewer."""
        if isinstance(self._host.source, SamplesValues):
            with contextlib.suppress(TriageError):
                self.values = await self._host.source.samples(view)

    def _pause_timer(self) -> None:
        if self._timer is not None:
            self._timer.pause()


async def _end_of(worker: Worker[Any] | None) -> None:
    if worker is not None:
        with contextlib.suppress(WorkerFailed, WorkerCancelled):
            await worker.wait()


def _asked(options: ScanOptions) -> tuple[object, ...]:
    return options.match, options.type, options.databases, options.sample, options.pattern
