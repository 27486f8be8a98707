"""What a scan does before its keys are read: who the server is, and what can be asked of it and of each key."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct
from redis import exceptions

from redis_oom_tui.models.address import Connection
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.errors import CommandRefused, ServerUnreachable, TriageError
from redis_oom_tui.models.scan import ScanOptions
from redis_oom_tui.models.snapshot import Database, Server, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.flavours import FLAVOURS
from redis_oom_tui.rules.sizing import churn_between, missing_keys
from redis_oom_tui.server.call_throttle import Throttle
from redis_oom_tui.server.client import make_client
from redis_oom_tui.server.errors import translated
from redis_oom_tui.server.replies import page
from redis_oom_tui.server.replies import whole as integer
from redis_oom_tui.server.resp import KeyQuestion, ScanCommand
from redis_oom_tui.server.scan.aggregates import ScanAggregates
from redis_oom_tui.server.scan.connection import ScanConnection, ScanServer, ThrottledConnection
from redis_oom_tui.server.scan.cursor_ranges import CursorRange, counts_in_reversed_bits, divided, whole
from redis_oom_tui.server.scan.view import ScanProgress
from redis_oom_tui.server.scan.workers import ScanControl

_ASKED = (
    (Feature.MEMORY_USAGE, KeyQuestion.SIZE, "sizes"),
    (Feature.TYPE, KeyQuestion.TYPE, "types"),
    (Feature.TTL, KeyQuestion.TTL, "TTLs"),
)
# Since then, in cluster mode, SCAN goes slot by slot.
_BY_SLOT_SINCE = (7, 4)
_FIRST_PAGE = 50


class Choice(Struct, frozen=True):
    """The columns asked of each key, the evidence that this server keeps of a key's use, and what is left out."""

    columns: tuple[KeyQuestion, ...]
    evidence: KeyQuestion | None
    notes: tuple[str, ...]


def choose(known: Capabilities, options: ScanOptions, policy: str, role: str = "master") -> Choice:
    """What can be asked here; `notes` are sentences on what cannot."""
    columns = []
    notes = []
    for feature, column, what in _ASKED:
        why = known.why_not(feature)
        if why is None:
            columns.append(column)
        else:
            notes.append(f"{what} are unknown here: {why}")
    lfu = policy.endswith("lfu")
    evidence: KeyQuestion | None = KeyQuestion.FREQUENCY if lfu else KeyQuestion.IDLE
    why = known.why_not(Feature.OBJECT_FREQ if lfu else Feature.OBJECT_IDLETIME)
    if why is not None:
        evidence = None
        notes.append(f"{'frequencies' if lfu else 'idle times'} are unknown here: {why}")
    if options.idle and evidence is not None:
        columns.append(evidence)
    if role == "replica":
        notes.append("this is a replica: it hides expired keys without freeing them")
        if options.idle and evidence is not None:
            notes.append("a replica knows nothing of reads on its primary: a key that is idle here may be in use there")
    return Choice(tuple(columns), evidence, tuple(notes))


def fair(server: Server) -> bool:
    """Whether SCAN goes in the order of the hash, so that a part of it is a fair sample of all keys."""
    return server.mode != "cluster" or server.release < _BY_SLOT_SINCE


def divisible(server: Server) -> bool:
    """Whether the cursor space may be scanned in parts: on the servers it was tried on, and not in a cluster."""
    flavour = FLAVOURS.get(server.flavour)
    if flavour is None or server.mode != "standalone":
        return False
    first, unknown = flavour.reversed_cursor
    return first <= server.release < unknown


async def parted(connection: Connection, db: int, keys: int) -> list[CursorRange]:
    """The ranges for a database of `keys` (0: not to be divided). One page is read first, to see how the cursor counts.

    Raises redis-py's errors.
    """
    cursor_ranges = divided(db, keys)
    if len(cursor_ranges) == 1:
        return cursor_ranges
    scan_connection = ScanConnection(connection, db, ScanCommand())
    try:
        await scan_connection.open()
        answer = (await scan_connection.ask(ScanCommand().packed(0, _FIRST_PAGE), 1))[0]
    finally:
        await scan_connection.close()
    if isinstance(answer, Exception) or not counts_in_reversed_bits(page(answer)[0], _FIRST_PAGE, keys):
        return whole(db)
    return cursor_ranges


# As many as servers have unless told otherwise; further ones can be named.
_DATABASES = range(16)


async def keys_held(connection: Connection, databases: Iterable[int] | None) -> Mapping[int, int]:
    """Keys by database, of those that hold any; of `databases`, where they are named. Raises redis-py's errors."""
    held: dict[int, int] = {}
    for db in _DATABASES if databases is None else databases:
        client = make_client(connection, db=db)
        try:
            keys = integer(await client.execute_command("DBSIZE"))
        except exceptions.ConnectionError:
            # Databases are numbered without a gap: the first that is not there was the last to ask.
            if not held and db == 0:
                raise
            break
        except exceptions.ResponseError:
            if db == 0 or databases is not None:
                raise
            break
        finally:
            await client.aclose()
        if keys or databases is not None:
            held[db] = keys
    return held


async def counted(connection: Connection, snapshot: Snapshot, databases: Iterable[int] | None) -> Snapshot:
    """`snapshot` with its databases by DBSIZE, where INFO leaves them out, as Garnet's does; raises `models.errors`."""
    if snapshot.keyspace_known or snapshot.databases:
        return snapshot
    with translated(connection.address, "DBSIZE"):
        held = await keys_held(connection, databases)
    return replace(snapshot, databases=tuple(Database(db, keys, 0) for db, keys in held.items()))


# A scan with a filter tells about how many keys it passed: SCAN without one may end a little later.
_UNSURE_KEYS = 1000


async def missing_behind(
    server: ScanServer, db: int, passed: int, before: Snapshot, throttle: Throttle, *, filtered: bool
) -> str | None:
    """Why a scan of a database that ended after `passed` keys did not meet all; None where it may have.

    One that was `filtered` passed about so many, or skipped what the filter leaves out. So SCAN without a filter is
    asked whether it ends as early. Raises one of `models.errors`.
    """
    if missing_keys(passed, _held(before, db), None) is None:
        return None
    after = await server.snapshot()
    held, churn = min(_held(before, db), _held(after, db)), churn_between(before, after, 0)
    if not filtered:
        return missing_keys(passed, held, churn)
    if held <= 2 * passed + _UNSURE_KEYS:
        return None
    connection, seen = ThrottledConnection(server, db, throttle), 0
    try:
        await connection.open()
        async with contextlib.aclosing(connection.pages(lambda: throttle.per_page)) as pages:
            async for names in pages:
                seen += len(names)
                if seen > 2 * passed + _UNSURE_KEYS:
                    return None
    finally:
        await connection.close()
    return None if throttle.stopping else missing_keys(max(seen, passed), held, churn)


def _held(snapshot: Snapshot, db: int) -> int:
    return sum(each.keys for each in snapshot.databases if each.db == db)


def note(refusal: Exception) -> str:
    """What the figures of such a scan leave out."""
    return f"{refusal}: so shares of used memory, idle times and the load of the scan are unknown"


RETRY_SECONDS = 0.2
"""Between two questions whether a lost server is back."""


class AnotherServer(ServerUnreachable):
    """What answers is not what the scan began on: the cursors mean nothing to it."""


class ScanPreparation:
    """Learns for a scan what to ask of each key and which ranges to scan, and whether the server is still the same.

    `columns` are asked of every key, `evidence` is what the server keeps of a key's use. `alone` says that the scan
    counts for itself, and not for a cluster.
    """

    def __init__(
        self,
        server: ScanServer,
        options: ScanOptions,
        aggregates: ScanAggregates,
        standing: ScanProgress,
        control: ScanControl,
        *,
        alone: bool,
    ) -> None:
        self._server = server
        self._options = options
        self._aggregates = aggregates
        self._standing = standing
        self._control = control
        self._alone = alone
        self.columns: tuple[KeyQuestion, ...] = ()
        self.evidence: KeyQuestion | None = None
        self._chosen = False

    async def require_same(self) -> None:
        """Raise AnotherServer where it is not the server that the scan began on; without INFO nobody can tell."""
        if self._standing.run_id is not None:
            self._must_be_same(await self._server.snapshot())

    def _must_be_same(self, snapshot: Snapshot) -> None:
        if self._standing.run_id not in {None, snapshot.server.run_id}:
            raise AnotherServer(
                f"{self._server.address} has restarted or failed over since the scan began, "
                "so it cannot be resumed: start a new one"
            )

    async def prepare(self) -> None:
        """See that the server is the one that the scan began on; the first time, choose what to ask and to scan."""
        standing = self._standing
        try:
            snapshot = await self._server.snapshot()
        except CommandRefused as refusal:
            if not self._alone or standing.cursor_ranges:
                raise
            await self._prepare_blindly(refusal)
            return
        snapshot = await counted(self._server.connection, snapshot, self._options.databases)
        if not snapshot.keyspace_known:
            standing.held = {database.db: database.keys for database in snapshot.databases}
        self._must_be_same(snapshot)
        standing.snapshot, standing.run_id = snapshot, snapshot.server.run_id
        self._saw(snapshot)
        self._aggregates.limit = snapshot.memory.used_bytes or None
        self._aggregates.floor = snapshot.memory.startup_bytes or 0
        self._control.rate.informed(snapshot, self._control.sent)
        if not self._chosen:
            await self._choose(snapshot)
        if standing.cursor_ranges:
            return
        held = {database.db: database.keys for database in snapshot.databases}
        wanted = self._options.databases
        with translated(self._server.address, "SCAN"):
            for db in held if wanted is None else wanted:
                keys = held.get(db, 0) if divisible(snapshot.server) else 0
                standing.cursor_ranges[db] = await parted(self._server.connection, db, keys)

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
        standing.cursor_ranges = {db: whole(db) for db in standing.held}

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

    async def take_final_figures(self) -> None:
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
        """Note used_memory and the number of keys: both may change while the keys are scanned."""
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
        """Why a scan to the end did not bring all keys; None where it may have."""
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
            raise ServerUnreachable(f"{self._server.address} did not answer for {patience:.0f}s", silent=True) from None
