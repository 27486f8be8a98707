"""What a scan does before its keys are walked: the server is asked who it is, and what can be read; and afterwards."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

from redis_oom_tui.models.address import Address, Connection
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.errors import CommandRefused, ServerUnreachable, TriageError
from redis_oom_tui.models.scan import ScanOptions
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.sizing import churn_between, missing_keys
from redis_oom_tui.server.errors import translated
from redis_oom_tui.server.scan.aggregates import ScanAggregates
from redis_oom_tui.server.scan.choices import Choice, choose, divisible, fair, keys_held, note, parted
from redis_oom_tui.server.scan.control import ScanControl
from redis_oom_tui.server.scan.cursor_ranges import whole
from redis_oom_tui.server.scan.packing import KeyQuestion
from redis_oom_tui.server.scan.view import ScanProgress

RETRY_SECONDS = 0.2
"""Between two questions whether a lost server is back."""


class AnotherServer(ServerUnreachable):
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


class ScanPreparation:
    """Learns for a scan what to ask of each key and what to walk, and whether the server is still the same.

    `columns` are asked of every key, `evidence` is what the server keeps of a key's use. `alone` says that the scan
    counts for itself, and not for a cluster.
    """

    def __init__(
        self,
        server: ScanServer,
        options: ScanOptions,
        tally: ScanAggregates,
        standing: ScanProgress,
        control: ScanControl,
        *,
        alone: bool,
    ) -> None:
        self._server = server
        self._options = options
        self._tally = tally
        self._standing = standing
        self._control = control
        self._alone = alone
        self.columns: tuple[KeyQuestion, ...] = ()
        self.evidence: KeyQuestion | None = None
        self._chosen = False

    async def prepare(self) -> None:
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
            raise AnotherServer(
                f"{self._server.address} has restarted or failed over since the scan began, "
                "so it cannot go on: start a new one"
            )
        standing.snapshot, standing.run_id = snapshot, snapshot.server.run_id
        self._saw(snapshot)
        self._tally.limit = snapshot.memory.used_bytes or None
        self._tally.floor = snapshot.memory.startup_bytes or 0
        self._control.rate.informed(snapshot, self._control.sent)
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
        self.evidence, standing.fair = None, False
        standing.notes += (note(refusal),)
        standing.walks = {db: whole(db) for db in standing.held}

    async def _choose(self, snapshot: Snapshot) -> None:
        known = await self._server.capabilities()
        self._take(choose(known, self._options, snapshot.memory.policy, snapshot.server.role))
        self._standing.fair = fair(snapshot.server)

    def _take(self, chosen: Choice) -> None:
        standing = self._standing
        self.columns, self.evidence, self._chosen = chosen.columns, chosen.evidence, True
        standing.notes += chosen.notes
        standing.sized = KeyQuestion.SIZE in chosen.columns
        standing.timed = KeyQuestion.TTL in chosen.columns

    async def reckon(self) -> None:
        """What the scan has cost to its end, as a short one is over before the monitor first asks; and how many keys
        the server counts now."""
        if self._standing.snapshot is None:
            with contextlib.suppress(TriageError), translated(self._server.address, "DBSIZE"):
                held = await keys_held(self._server.connection, self._options.databases)
                self._saw_held(sum(held.values()))
            return
        with contextlib.suppress(TriageError):
            snapshot = await self._server.snapshot()
            self._saw(snapshot)
            self._control.rate.informed(snapshot, self._control.sent)

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
            churn = churn_between(first, latest, self._control.sent)
        return missing_keys(self._control.given, standing.held_least, churn)

    async def prepare_until(self, deadline: float, clock: Callable[[], float], patience: float) -> None:
        """As `prepare`. Raises ServerUnreachable where there is no answer by then, however many were waited for."""
        try:
            async with asyncio.timeout(max(RETRY_SECONDS, deadline - clock())):
                await self.prepare()
        except TimeoutError:
            raise ServerUnreachable(
                f"{self._server.address} did not answer for {patience:.0f} s", silent=True
            ) from None
