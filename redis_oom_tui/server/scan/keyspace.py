"""The scan of a live server: what it scans, and what happens when something breaks."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from redis_oom_tui.models import timeouts
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.errors import PermissionRefused, ServerBusy, ServerUnreachable, TriageError
from redis_oom_tui.models.scan import Pace, ScanOptions, ScanState, ScanView, ThrottleState
from redis_oom_tui.rules.key_patterns import glob, matcher
from redis_oom_tui.server.errors import translated
from redis_oom_tui.server.latency_monitor import LatencyMonitor
from redis_oom_tui.server.rate_controller import Hold
from redis_oom_tui.server.resp import ScanCommand
from redis_oom_tui.server.scan.aggregates import Columns, ScanAggregates
from redis_oom_tui.server.scan.checkpoint import Checkpoint, checkpoint_values
from redis_oom_tui.server.scan.connection import ScanServer
from redis_oom_tui.server.scan.cursor_ranges import CursorRange
from redis_oom_tui.server.scan.preparation import RETRY_SECONDS, AnotherServer, ScanPreparation
from redis_oom_tui.server.scan.top_key_refiner import TopKeyRefiner
from redis_oom_tui.server.scan.view import ScanProgress, ScanViewBuilder
from redis_oom_tui.server.scan.workers import ScanControl, ScanWorkers
from redis_oom_tui.server.tasks import monitored, not_busy, silent_or_closed_once, until_lost

_CLOSER_EVERY_SECONDS = 0.5
_Answer = TypeVar("_Answer")


class KeyspaceScan:
    """A scan of `server`. Implements `ports.Scan`; `run` may be called again to go on after a stop or a failure.

    `aggregates` is given where several scans count into one, `begun` where an earlier one is gone on with.
    `patience_seconds` is how long a lost server may stay away before the scan gives up.
    """

    def __init__(
        self,
        server: ScanServer,
        options: ScanOptions,
        *,
        aggregates: ScanAggregates | None = None,
        begun: Checkpoint | None = None,
        patience_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._options = options
        self._patience = timeouts.GIVE_UP if patience_seconds is None else patience_seconds
        self._clock = clock
        self._alone = aggregates is None
        fresh = Checkpoint(options, ScanProgress(), ScanAggregates(options) if aggregates is None else aggregates, 0.0)
        begun = fresh if begun is None else begun
        self._aggregates = begun.aggregates
        self._standing = begun.standing
        self._view_builder = ScanViewBuilder(options, self._aggregates, self._standing, clock, begun.elapsed)
        self._control = ScanControl(options.pace, self._aggregates, options.sample, self.count)
        self._command = ScanCommand(_glob(options), None if options.type is None else options.type.encode("latin-1"))
        self._control.given = (
            self._aggregates.keys + self._aggregates.vanished + self._aggregates.refused if self._alone else 0
        )
        self._preparation = ScanPreparation(
            server, options, self._aggregates, self._standing, self._control, alone=self._alone
        )

    # What a screen calls.

    async def run(self) -> ScanView:
        """Scan to the end, a stop or a failure, and return the last view. Never raises for a server's fault."""
        standing, began = self._standing, self._clock()
        if standing.state is ScanState.COMPLETE:
            return self.view()
        standing.state, standing.error, standing.first, standing.held_least = ScanState.RUNNING, None, None, None
        standing.lost_at = None
        self._control.rate.start()
        self._view_builder.start()
        try:
            await until_lost(self._preparation.prepare, lambda: self._control.stopped, worth=self._waited_for())
            await self._work()
            standing.state = self._ended()
        except TriageError as error:
            standing.state, standing.error = ScanState.FAILED, str(error)
            self._standing.lost_at = began if self._standing.lost_at is None else self._standing.lost_at
        finally:
            if standing.under_way:
                standing.state = ScanState.STOPPED
            self._view_builder.stop()
        return self.view()

    def view(self) -> ScanView:
        """The scan as it stands."""
        self._control.batch.hand_over()
        return self._view_builder.view(self.throttle, self._control.pace)

    def pause(self) -> None:
        if self._standing.state is ScanState.RUNNING:
            self._standing.state = ScanState.PAUSED
            self._control.rate.hold(Hold.PAUSE)
            self._view_builder.stop()

    def resume(self) -> None:
        if self._standing.state is ScanState.PAUSED:
            self._standing.state = ScanState.RUNNING
            self._view_builder.start()
        self._control.rate.release(Hold.PAUSE)

    def stop(self) -> None:
        self._control.stop()

    def set_pace(self, pace: Pace) -> None:
        self._control.set_pace(pace)

    def progress(self) -> dict[str, Any] | None:
        """Where it broke off, in plain values, for `begun_from` to go on with; None where there is nothing left."""
        self._control.batch.hand_over()
        return checkpoint_values(
            Checkpoint(self._options, self._standing, self._aggregates, self._view_builder.elapsed)
        )

    @property
    def standing(self) -> ScanProgress:
        """Where it stands, apart from what it has counted."""
        return self._standing

    @property
    def throttle(self) -> ThrottleState:
        """What it costs: a small part of the view."""
        return self._control.rate.shown()

    @property
    def missing(self) -> str | None:
        """Why a scan to the end did not bring all keys; None where it may have."""
        return self._preparation.missing

    def count(self, db: int, names: list[bytes], columns: Columns) -> None:
        """Take one page of replies."""
        self._aggregates.page(db, names, columns)

    # The run itself.

    async def _work(self) -> None:
        """Scan with a monitor and a measuring of the largest keys beside it; then finish that look."""
        informed = None if self._standing.snapshot is None else self._server.snapshot
        monitor = LatencyMonitor(
            self._server,
            self._control.rate,
            snapshot=informed,
            sent=lambda: self._control.sent,
            rests=lambda: self._control.pace is not Pace.FULL_SPEED,
        )
        refiner = TopKeyRefiner(
            self._server.connection,
            self._aggregates,
            evidence=self._preparation.evidence,
            sized=self._standing.sized,
            control=self._control,
        )
        try:
            await self._patiently(monitor, monitor.measure_at_rest, "PING")
            async with monitored(monitor.watch(), self._control.stop, "latency watch"):
                async with monitored(
                    _refine(refiner, self._server.address), self._control.stop, "measuring of the largest keys"
                ):
                    await self._scan_databases()
                if not self._control.stopped:
                    await self._patiently(refiner, refiner.finish, "MEMORY USAGE")
                await self._preparation.take_final_figures()
                if (
                    not self._control.stopped
                    and self._standing.scanned_all
                    and self._view_builder.contradiction() is not None
                ):
                    await self._patiently(refiner, refiner.finish_all, "MEMORY USAGE")
                    self._standing.closely = await self._patiently(refiner, refiner.measured_sample, "MEMORY USAGE")
        finally:
            await refiner.close()
            await monitor.close()

    async def _patiently(
        self, of: LatencyMonitor | TopKeyRefiner, ask: Callable[[], Awaitable[_Answer]], doing: str
    ) -> _Answer:
        """`ask`, and again from where it was while the server carries out nothing or is silent, and once where it
        closed a connection that was idle for most of the scan. Raises one of `models.errors`.
        """
        lost = False

        async def asked() -> _Answer:
            nonlocal lost
            try:
                if lost:
                    await self._preparation.require_same()
                with translated(self._server.address, doing):
                    return await ask()
            except ServerUnreachable:
                lost = True
                await of.close()
                raise

        def stopped() -> bool:
            return self._control.stopped

        return await until_lost(lambda: not_busy(asked, stopped), stopped, worth=self._waited_for())

    def _waited_for(self) -> Callable[[ServerUnreachable], bool]:
        """Whether a loss outside of the pages is waited for; in a cluster its own scan decides that."""
        heard = silent_or_closed_once()
        return lambda error: self._alone and not isinstance(error, AnotherServer) and heard(error)

    async def _scan_databases(self) -> None:
        """One after the other; of a sample each has its part, and what one does not need is left to the others.

        A user who may not SELECT is refused all but the first: that one is read before the refusal is raised.
        """
        refused: PermissionRefused | None = None
        while not self._control.stopped and (unread := self._view_builder.unread()):
            for left, cursor_ranges in zip(range(len(unread), 0, -1), unread, strict=True):
                self._control.share_out(left)
                try:
                    await self._scan_ranges(cursor_ranges)
                except PermissionRefused as error:
                    refused = error
            if refused is not None:
                raise refused
            if self._control.enough:
                return

    async def _scan_ranges(self, cursor_ranges: list[CursorRange]) -> None:
        """Follow the ranges of one database; a lost server is waited for, as long as it is the same one."""
        lost_at: float | None = None
        while not self._control.stopping and not all(cursor_range.done for cursor_range in cursor_ranges):
            seen = self._aggregates.keys
            try:
                await self._work_through(cursor_ranges)
            except (ServerUnreachable, ServerBusy) as error:
                if self._standing.run_id is None:
                    raise  # nobody could tell whether it is the same server that comes back
                now = self._clock()
                if lost_at is None or self._aggregates.keys > seen:
                    lost_at = now
                    self._standing.lost_at = now if self._standing.lost_at is None else self._standing.lost_at
                if now - lost_at > _patience_with(error, self._patience):
                    raise
                await self._return(lost_at)

    async def _work_through(self, cursor_ranges: list[CursorRange]) -> None:
        """Workers to the end of the ranges or of themselves; what they brought is counted whatever ended them."""
        workers = ScanWorkers(
            self._server.connection,
            cursor_ranges,
            self._control,
            command=self._command,
            columns=self._preparation.columns,
            keys=self._view_builder.total_keys,
            keep=None if self._options.pattern is None else matcher(self._options.pattern).kept,
        )
        try:
            await workers.work()
        finally:
            self._control.batch.hand_over()

    async def _return(self, lost_at: float) -> None:
        """Wait until the server answers again. Raises when it has restarted: its cursors then mean nothing."""
        while not self._control.stopped:
            await asyncio.sleep(RETRY_SECONDS)
            try:
                await self._preparation.prepare_until(lost_at + self._patience, self._clock, self._patience)
            except (ServerBusy, ServerUnreachable) as error:
                if isinstance(error, AnotherServer) or self._clock() - lost_at > _patience_with(error, self._patience):
                    raise
            else:
                return

    def _ended(self) -> ScanState:
        if self._standing.scanned_all:
            # Of a cluster only all nodes together tell: slots move.
            self._standing.error = self._preparation.missing if self._alone else None
            return ScanState.COMPLETE if self._standing.error is None else ScanState.FAILED
        return ScanState.SAMPLED if self._control.enough and not self._control.stopped else ScanState.STOPPED


async def _refine(refiner: TopKeyRefiner, address: Address) -> None:
    """Now and then, at the rows that are new among the largest; what breaks here the scan will meet as well."""
    while True:
        await asyncio.sleep(_CLOSER_EVERY_SECONDS)
        with contextlib.suppress(TriageError):
            try:
                with translated(address):
                    await refiner.refresh()
            except TriageError:
                await refiner.close()
                raise


def _patience_with(error: TriageError, patience: float) -> float:
    """Seconds that a server may stay away; one that says that it is busy has longer, if anybody has."""
    return max(patience, timeouts.BUSY) if isinstance(error, ServerBusy) else patience


def _glob(options: ScanOptions) -> bytes | None:
    """What SCAN itself can leave out: by the glob that was asked for, else by one that takes all of the pattern."""
    return glob(options.pattern) if options.match is None and options.pattern is not None else options.match
