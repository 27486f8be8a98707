"""The scan of a live server: what it walks, and what happens when something breaks."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from redis_oom_tui.models import timeouts
from redis_oom_tui.models.address import Address, Connection
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.errors import CommandRefused, ServerBusy, ServerUnreachable, TriageError
from redis_oom_tui.models.scan import Brake, Pace, ScanOptions, ScanState, ScanView
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.key_patterns import glob, matcher
from redis_oom_tui.rules.sizing import churn_between, missing_keys
from redis_oom_tui.server.busy import not_busy
from redis_oom_tui.server.errors import translated
from redis_oom_tui.server.latency_monitor import LatencyMonitor
from redis_oom_tui.server.rate_controller import Hold
from redis_oom_tui.server.scan.aggregates import Columns, ScanAggregates
from redis_oom_tui.server.scan.checkpoint import Checkpoint, checkpoint_values
from redis_oom_tui.server.scan.choices import Choice, choose, divisible, fair, parted
from redis_oom_tui.server.scan.control import ScanControl
from redis_oom_tui.server.scan.cursor_ranges import CursorRange, whole
from redis_oom_tui.server.scan.packing import KeyQuestion, Walker
from redis_oom_tui.server.scan.tasks import monitored
from redis_oom_tui.server.scan.top_key_refiner import TopKeyRefiner
from redis_oom_tui.server.scan.view import ScanProgress, ScanViewBuilder
from redis_oom_tui.server.scan.without_info import keys_held, note
from redis_oom_tui.server.scan.workers import ScanWorkers

_CLOSER_EVERY_SECONDS = 0.5
_RETRY_SECONDS = 0.2


class _AnotherServer(ServerUnreachable):
    """What answers is not what the scan began on: the cursors mean nothing to it."""


class ScanServer(Protocol):
    """What the scan needs of a live server."""

    @property
    def address(self) -> Address:
        """Where it is, for people."""

    @property
    def connection(self) -> Connection:
        """How to reach it."""

    async def snapshot(self) -> Snapshot:
        """One INFO, parsed."""

    async def capabilities(self) -> Capabilities:
        """What may be read here."""


class KeyspaceScan:
    """A scan of `server`. Implements `ports.Scan`; `run` may be called again to go on after a stop or a failure.

    `tally` is given where several scans count into one, `begun` where an earlier one is gone on with.
    `patience_seconds` is how long a lost server may stay away before the scan gives up. `bulk=False` keeps to the
    public ways of redis-py.
    """

    def __init__(
        self,
        server: ScanServer,
        options: ScanOptions,
        *,
        tally: ScanAggregates | None = None,
        begun: Checkpoint | None = None,
        patience_seconds: float = timeouts.GIVE_UP,
        bulk: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._options = options
        self._patience = patience_seconds
        self._bulk = bulk
        self._clock = clock
        self._alone = tally is None
        fresh = Checkpoint(options, ScanProgress(), ScanAggregates(options) if tally is None else tally, 0.0)
        begun = fresh if begun is None else begun
        self._tally = begun.tally
        self._standing = begun.standing
        self._picture = ScanViewBuilder(options, self._tally, self._standing, clock, begun.elapsed)
        self._reins = ScanControl(options.pace, self._tally, options.sample, self.count)
        self._walker = Walker(_glob(options), None if options.type is None else options.type.encode("latin-1"))
        self._reins.given = self._tally.keys + self._tally.vanished + self._tally.refused if self._alone else 0
        self._columns: tuple[KeyQuestion, ...] = ()
        self._evidence: KeyQuestion | None = None
        self._chosen = False
        self.lost_at: float | None = None

    # What a screen calls.

    async def run(self) -> ScanView:
        """Walk to the end, a stop or a failure, and return the last view. Never raises for a server's fault."""
        standing, began = self._standing, self._clock()
        if standing.state is ScanState.COMPLETE:
            return self.view()
        self.lost_at = None
        standing.state, standing.error, standing.first, standing.held_least = ScanState.RUNNING, None, None, None
        self._reins.rate.start()
        self._picture.start()
        try:
            await self._prepare()
            await self._work()
            standing.state = self._ended()
        except TriageError as error:
            standing.state, standing.error = ScanState.FAILED, str(error)
            self._lost(began)
        finally:
            if standing.under_way:
                standing.state = ScanState.STOPPED
            self._picture.stop()
        return self.view()

    def view(self) -> ScanView:
        """The scan as it stands."""
        self._reins.gathering.hand_over()
        return self._picture.view(self.brake, self._reins.pace)

    def pause(self) -> None:
        """Send nothing more until `resume`."""
        if self._standing.state is ScanState.RUNNING:
            self._standing.state = ScanState.PAUSED
            self._reins.rate.hold(Hold.PAUSE)

    def resume(self) -> None:
        """Go on where it paused."""
        if self._standing.state is ScanState.PAUSED:
            self._standing.state = ScanState.RUNNING
        self._reins.rate.release(Hold.PAUSE)

    def stop(self) -> None:
        """End after the page in flight; the result so far is kept."""
        self._reins.stop()

    def set_pace(self, pace: Pace) -> None:
        """Change how hard it leans on the server from the next page on."""
        self._reins.set_pace(pace)

    def progress(self) -> dict[str, Any] | None:
        """Where it broke off, in plain values, for `begun_from` to go on with; None where there is nothing left."""
        self._reins.gathering.hand_over()
        return checkpoint_values(Checkpoint(self._options, self._standing, self._tally, self._picture.elapsed))

    @property
    def standing(self) -> ScanProgress:
        """Where it stands, apart from what it has counted."""
        return self._standing

    @property
    def brake(self) -> Brake:
        """What it costs: a small part of the view."""
        return self._reins.shown()

    def count(self, db: int, names: list[bytes], columns: Columns) -> None:
        """Take one page of replies."""
        self._tally.page(db, names, columns)

    # The run itself.

    async def _prepare(self) -> None:
        """See that the server is the one that the scan began on; the first time, choose what to ask and to walk."""
        standing = self._standing
        try:
            snapshot = await self._server.snapshot()
        except CommandRefused as refusal:
            if not self._alone or standing.walks:
                raise
            await self._prepare_blindly(refusal)
            return
        if standing.run_id is not None and snapshot.server.run_id != standing.run_id:
            raise _AnotherServer(
                f"{self._server.address} has restarted or failed over since the scan began, "
                "so it cannot go on: start a new one"
            )
        standing.snapshot, standing.run_id = snapshot, snapshot.server.run_id
        self._saw(snapshot)
        self._tally.limit = snapshot.memory.used_bytes or None
        self._tally.floor = snapshot.memory.startup_bytes or 0
        self._reins.rate.informed(snapshot, self._reins.sent)
        if not self._chosen:
            await self._choose(snapshot)
        if standing.walks:
            return
        held = {database.db: database.keys for database in snapshot.databases}
        wanted = self._options.databases
        with translated(self._server.address, "SCAN"):
            for db in held if wanted is None else wanted:
                keys = held.get(db, 0) if divisible(snapshot.server) else 0
                standing.walks[db] = await parted(self._server.connection, db, keys)

    async def _prepare_blindly(self, refusal: CommandRefused) -> None:
        """Without INFO: by DBSIZE, and without idle times, as nobody tells of which kind they are."""
        standing = self._standing
        try:
            with translated(self._server.address, "DBSIZE"):
                standing.held = await keys_held(self._server.connection, self._options.databases)
                self._saw_held(sum(standing.held.values()))
        except CommandRefused:
            raise refusal from None
        chosen = choose(await self._server.capabilities(), replace(self._options, idle=False), "")
        self._take(chosen)
        self._evidence, standing.fair = None, False
        standing.notes += (note(refusal),)
        standing.walks = {db: whole(db) for db in standing.held}

    async def _choose(self, snapshot: Snapshot) -> None:
        known = await self._server.capabilities()
        self._take(choose(known, self._options, snapshot.memory.policy, snapshot.server.role))
        self._standing.fair = fair(snapshot.server)

    def _take(self, chosen: Choice) -> None:
        standing = self._standing
        self._columns, self._evidence, self._chosen = chosen.columns, chosen.evidence, True
        standing.notes += chosen.notes
        standing.sized = KeyQuestion.SIZE in chosen.columns
        standing.timed = KeyQuestion.TTL in chosen.columns

    async def _work(self) -> None:
        """Walk with a watchman and a closer look at the largest keys beside it; then finish that look."""
        informed = None if self._standing.snapshot is None else self._server.snapshot
        watchman = LatencyMonitor(
            self._server,
            self._reins.rate,
            snapshot=informed,
            sent=lambda: self._reins.sent,
            rests=lambda: self._reins.pace is not Pace.FULL_SPEED,
        )
        closer = TopKeyRefiner(
            self._server.connection,
            self._tally,
            evidence=self._evidence,
            sized=self._standing.sized,
            reins=self._reins,
        )
        try:
            await self._patiently(watchman.measure_at_rest, "PING")
            async with monitored(watchman.watch(), self._reins.stop, "latency watch"):
                async with monitored(self._look_closer(closer), self._reins.stop, "closer look at the largest keys"):
                    for walks in self._standing.walks.values():
                        await self._walk(walks)
                if not self._reins.let_go:
                    await self._patiently(closer.finish, "MEMORY USAGE")
                await self._reckon()
                if not self._reins.let_go and self._walked_all and self._picture.contradiction() is not None:
                    await self._patiently(closer.finish_all, "MEMORY USAGE")
        finally:
            await closer.close()
            await watchman.close()

    async def _patiently(self, ask: Callable[[], Awaitable[None]], doing: str) -> None:
        """`ask`, and again from where it was while the server carries out nothing. Raises one of `models.errors`."""

        async def asked() -> None:
            with translated(self._server.address, doing):
                await ask()

        await not_busy(asked, lambda: self._reins.let_go)

    async def _reckon(self) -> None:
        """What the scan has cost to its end, as a short one is over before the watchman first asks; and how many keys
        the server counts now."""
        if self._standing.snapshot is None:
            with contextlib.suppress(TriageError), translated(self._server.address, "DBSIZE"):
                held = await keys_held(self._server.connection, self._options.databases)
                self._saw_held(sum(held.values()))
            return
        with contextlib.suppress(TriageError):
            snapshot = await self._server.snapshot()
            self._saw(snapshot)
            self._reins.rate.informed(snapshot, self._reins.sent)

    def _saw(self, snapshot: Snapshot) -> None:
        """Note used_memory and the number of keys: both may change while the keys are walked."""
        standing, wanted = self._standing, self._options.databases
        standing.first, standing.latest = standing.first or snapshot, snapshot
        self._saw_held(sum(each.keys for each in snapshot.databases if wanted is None or each.db in wanted))
        used = snapshot.memory.used_bytes
        if used:
            least, most = standing.used or (used, used)
            standing.used = (min(least, used), max(most, used))

    def _saw_held(self, keys: int) -> None:
        least = self._standing.held_least
        self._standing.held_least = keys if least is None else min(least, keys)

    @property
    def missing(self) -> str | None:
        """Why a walk to the end did not bring all keys; None where it may have."""
        standing = self._standing
        if standing.held_least is None or self._options.filtered:
            return None
        first, latest = standing.first, standing.latest
        churn = None
        if first is not None and latest is not None and latest is not first:
            churn = churn_between(first, latest, self._reins.sent)
        return missing_keys(self._reins.given, standing.held_least, churn)

    async def _look_closer(self, closer: TopKeyRefiner) -> None:
        """Now and then, at the rows that are new among the largest; what breaks here the walk will meet as well."""
        while True:
            await asyncio.sleep(_CLOSER_EVERY_SECONDS)
            with contextlib.suppress(TriageError):
                try:
                    with translated(self._server.address):
                        await closer.refresh()
                except TriageError:
                    await closer.close()
                    raise

    async def _walk(self, walks: list[CursorRange]) -> None:
        """Follow the walks of one database; a lost server is waited for, as long as it is the same one."""
        lost_at: float | None = None
        while not self._reins.stopping and not all(walk.done for walk in walks):
            seen = self._tally.keys
            try:
                await self._work_through(walks)
            except (ServerUnreachable, ServerBusy) as error:
                if self._standing.run_id is None:
                    raise  # nobody could tell whether it is the same server that comes back
                now = self._clock()
                if lost_at is None or self._tally.keys > seen:
                    lost_at = now
                    self._lost(now)
                if now - lost_at > self._patience_with(error):
                    raise
                await self._return(lost_at)

    def _lost(self, since: float) -> None:
        if self.lost_at is None:
            self.lost_at = since

    async def _work_through(self, walks: list[CursorRange]) -> None:
        """One crew, to the end of the walks or of itself; what it brought is counted whatever ended it."""
        crew = ScanWorkers(
            self._server.connection,
            walks,
            self._reins,
            walker=self._walker,
            columns=self._columns,
            keys=self._picture.total_keys,
            keep=None if self._options.pattern is None else matcher(self._options.pattern).kept,
            bulk=self._bulk,
        )
        try:
            await crew.work()
        finally:
            self._reins.gathering.hand_over()

    async def _return(self, lost_at: float) -> None:
        """Wait until the server answers again. Raises when it has restarted: its cursors then mean nothing."""
        while not self._reins.let_go:
            await asyncio.sleep(_RETRY_SECONDS)
            try:
                await self._prepare_until(lost_at + self._patience)
            except (ServerBusy, ServerUnreachable) as error:
                if isinstance(error, _AnotherServer) or self._clock() - lost_at > self._patience_with(error):
                    raise
            else:
                return

    async def _prepare_until(self, deadline: float) -> None:
        """As `_prepare`. Raises ServerUnreachable where there is no answer by then, however many were waited for."""
        try:
            async with asyncio.timeout(max(_RETRY_SECONDS, deadline - self._clock())):
                await self._prepare()
        except TimeoutError:
            raise ServerUnreachable(
                f"{self._server.address} did not answer for {self._patience:.0f} s", silent=True
            ) from None

    def _patience_with(self, error: TriageError) -> float:
        """Seconds that a server may stay away; one that says that it is busy has longer, if anybody has."""
        return max(self._patience, timeouts.BUSY) if isinstance(error, ServerBusy) else self._patience

    @property
    def _walked_all(self) -> bool:
        return all(walk.done for walks in self._standing.walks.values() for walk in walks)

    def _ended(self) -> ScanState:
        if self._walked_all:
            # Of a cluster only all nodes together tell: slots move.
            self._standing.error = self.missing if self._alone else None
            return ScanState.COMPLETE if self._standing.error is None else ScanState.FAILED
        return ScanState.SAMPLED if self._reins.enough and not self._reins.let_go else ScanState.STOPPED


def _glob(options: ScanOptions) -> bytes | None:
    """What SCAN itself can leave out: by the glob that was asked for, else by one that takes all of the pattern."""
    return glob(options.pattern) if options.match is None and options.pattern is not None else options.match
