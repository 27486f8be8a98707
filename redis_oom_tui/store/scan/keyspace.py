"""The scan of a live server: what it walks, what it shows meanwhile, and what happens when something breaks."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from redis_oom_tui.models.address import Address, Connection
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.errors import ServerBusy, ServerUnreachable, TriageError
from redis_oom_tui.models.scan import Brake, Pace, PatternRow, ScanOptions, ScanState, ScanView
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.store.scan.crew import Crew
from redis_oom_tui.store.scan.ladder import LADDERS, STARTS, Step
from redis_oom_tui.store.scan.tally import Columns, Tally
from redis_oom_tui.store.scan.walks import Walk, share_walked, whole
from redis_oom_tui.store.scan.wire import Column, Walker

_PATTERNS_EVERY_SECONDS = 0.5


class Server(Protocol):
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

    `patience_seconds` is how long a lost server may stay away before the scan gives up.
    """

    def __init__(
        self,
        server: Server,
        options: ScanOptions,
        *,
        patience_seconds: float = 10.0,
        bulk: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._options = options
        self._patience = patience_seconds
        self._bulk = bulk
        self._clock = clock
        self._tally = Tally(options)
        self._walker = Walker(options.match, None if options.type is None else options.type.encode("latin-1"))
        self._state = ScanState.RUNNING
        self._pace = options.pace
        self._rung = STARTS[options.pace]
        self._going = asyncio.Event()
        self._going.set()
        self._stop_asked = False
        self._error: str | None = None
        self._notes: tuple[str, ...] = ()
        self._snapshot: Snapshot | None = None
        self._columns: tuple[Column, ...] = ()
        self._walks: dict[int, list[Walk]] = {}
        self._started: float | None = None
        self._elapsed = 0.0
        self._patterns: tuple[PatternRow, ...] = ()
        self._patterns_at: tuple[float, int] = (-1.0, -1)

    # What a screen calls.

    async def run(self) -> ScanView:
        """Walk to the end, a stop or a failure, and return the last view. Never raises for a server's fault."""
        if self._state is ScanState.COMPLETE:
            return self.view()
        self._state, self._error, self._stop_asked = ScanState.RUNNING, None, False
        self._going.set()
        self._started = self._clock()
        try:
            await self._prepare()
            for walks in self._walks.values():
                await self._walk(walks)
            self._state = self._ended()
        except TriageError as error:
            self._state, self._error = ScanState.FAILED, str(error)
        finally:
            if self._state in (ScanState.RUNNING, ScanState.PAUSED):
                self._state = ScanState.STOPPED
            self._elapsed += self._clock() - self._started
            self._started = None
        return self.view()

    def view(self) -> ScanView:
        """The scan as it stands."""
        tally = self._tally
        elapsed = self._elapsed + (0.0 if self._started is None else self._clock() - self._started)
        complete = self._state is ScanState.COMPLETE
        total = self._total_keys()
        sample = None if complete else tally.sample(total)
        walked = self._walked()
        rate = tally.keys / elapsed if elapsed > 0 else 0.0
        return ScanView(
            state=self._state,
            scanned_keys=tally.keys,
            total_keys=total,
            bytes_seen=tally.bytes,
            volatile_keys=tally.volatile_keys,
            volatile_bytes=tally.volatile_bytes,
            elapsed_seconds=elapsed,
            keys_per_second=rate,
            remaining_seconds=None if complete or not walked else elapsed * (1 - walked) / walked,
            top=tuple(top.row for top in tally.largest()),
            patterns=self._families(),
            types=tally.types(),
            vanished_keys=tally.vanished,
            refused_keys=tally.refused,
            estimated_bytes=None if sample is None else tally.estimated_bytes(sample),
            explained_share=self._explained() if complete else None,
            brake=Brake(),
            pace=self._pace,
            error=self._error,
            walked_share=walked,
            notes=self._notes,
        )

    def pause(self) -> None:
        """Send nothing more until `resume`."""
        if self._state is ScanState.RUNNING:
            self._state = ScanState.PAUSED
            self._going.clear()

    def resume(self) -> None:
        """Go on where it paused."""
        if self._state is ScanState.PAUSED:
            self._state = ScanState.RUNNING
        self._going.set()

    def stop(self) -> None:
        """End after the page in flight; the result so far is kept."""
        self._stop_asked = True
        self._going.set()

    def set_pace(self, pace: Pace) -> None:
        """Change how hard it leans on the server from the next page on."""
        self._pace = pace
        self._rung = STARTS[pace]

    # What the lanes ask.

    @property
    def step(self) -> Step:
        """How many lanes, and how large a page, right now."""
        return LADDERS[self._pace][self._rung]

    @property
    def stopping(self) -> bool:
        """Whether to end after the page in flight."""
        return self._stop_asked or self._sampled()

    async def ready(self) -> None:
        """Return when the next page may be sent."""
        await self._going.wait()

    def count(self, db: int, names: list[bytes], columns: Columns) -> None:
        """Take one page of replies."""
        self._tally.page(db, names, columns)

    # The run itself.

    async def _prepare(self) -> None:
        snapshot = await self._server.snapshot()
        if self._snapshot is not None and self._restarted(snapshot):
            raise ServerUnreachable(
                f"{self._server.address} has restarted since the scan began, so it cannot go on: start a new one"
            )
        self._snapshot = snapshot
        self._tally.limit = snapshot.memory.used_bytes or None
        if not self._walks:
            known = await self._server.capabilities()
            self._columns, self._notes = _choose(known, self._options, snapshot.memory.policy)
            wanted = self._options.databases
            held = {database.db: database.keys for database in snapshot.databases}
            for db in held if wanted is None else wanted:
                self._walks[db] = whole(db)

    async def _walk(self, walks: list[Walk]) -> None:
        """Follow the walks of one database; a lost server is waited for, as long as it is the same one."""
        lost_at: float | None = None
        while not self.stopping and not all(walk.done for walk in walks):
            seen = self._tally.keys
            try:
                crew = Crew(
                    self._server.connection,
                    walks,
                    self,
                    walker=self._walker,
                    columns=self._columns,
                    bulk=self._bulk,
                )
                await crew.work()
            except (ServerUnreachable, ServerBusy):
                now = self._clock()
                if lost_at is None or self._tally.keys > seen:
                    lost_at = now
                if now - lost_at > self._patience:
                    raise
                await asyncio.sleep(0.2)
                await self._return(lost_at)

    async def _return(self, lost_at: float) -> None:
        """Wait until the server answers again. Raises when it has restarted: its cursors then mean nothing."""
        while not self._stop_asked:
            try:
                await self._prepare()
            except (ServerBusy, ServerUnreachable) as error:
                if "restarted" in str(error) or self._clock() - lost_at > self._patience:
                    raise
                await asyncio.sleep(0.3)
            else:
                return

    def _restarted(self, snapshot: Snapshot) -> bool:
        before = None if self._snapshot is None else self._snapshot.server.run_id
        return before is not None and snapshot.server.run_id != before

    def _ended(self) -> ScanState:
        if all(walk.done for walks in self._walks.values() for walk in walks):
            return ScanState.COMPLETE
        return ScanState.SAMPLED if self._sampled() and not self._stop_asked else ScanState.STOPPED

    def _sampled(self) -> bool:
        return self._options.sample is not None and self._tally.keys >= self._options.sample

    # Figures for the view.

    def _total_keys(self) -> int:
        if self._snapshot is None:
            return 0
        return sum(
            database.keys
            for database in self._snapshot.databases
            if self._options.databases is None or database.db in self._options.databases
        )

    def _walked(self) -> float | None:
        if not self._walks:
            return None
        held = {} if self._snapshot is None else {item.db: item.keys for item in self._snapshot.databases}
        weights = {db: held.get(db, 0) + 1 for db in self._walks}
        whole_weight = sum(weights.values())
        return sum(weights[db] * share_walked(walks) for db, walks in self._walks.items()) / whole_weight

    def _explained(self) -> float | None:
        used = self._tally.limit
        filtered = self._options.match is not None or self._options.type is not None
        return None if not used or filtered or Column.SIZE not in self._columns else self._tally.bytes / used

    def _families(self) -> tuple[PatternRow, ...]:
        """The patterns, made anew at most twice a second while it runs: they cost the most of a view."""
        now, keys = self._clock(), self._tally.keys
        made_at, made_keys = self._patterns_at
        final = self._state not in (ScanState.RUNNING, ScanState.PAUSED)
        if (keys != made_keys or final) and (final or now - made_at >= _PATTERNS_EVERY_SECONDS):
            complete = self._state is ScanState.COMPLETE
            sample = None if complete else self._tally.sample(self._total_keys())
            self._patterns = self._tally.patterns(sample)
            self._patterns_at = (now, keys)
        return self._patterns


def _choose(known: Capabilities, options: ScanOptions, policy: str) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    """What can be asked of each key on this server, and what has to be left out, in sentences."""
    columns = []
    notes = []
    for feature, column, what in (
        (Feature.MEMORY_USAGE, Column.SIZE, "sizes"),
        (Feature.TYPE, Column.TYPE, "types"),
        (Feature.TTL, Column.TTL, "TTLs"),
    ):
        why = known.why_not(feature)
        if why is None:
            columns.append(column)
        else:
            notes.append(f"{what} are unknown here: {why}")
    if options.idle:
        lfu = "lfu" in policy
        why = known.why_not(Feature.OBJECT_FREQ if lfu else Feature.OBJECT_IDLETIME)
        if why is None:
            columns.append(Column.FREQUENCY if lfu else Column.IDLE)
        else:
            notes.append(f"idle times are unknown here: {why}")
    return tuple(columns), tuple(notes)
