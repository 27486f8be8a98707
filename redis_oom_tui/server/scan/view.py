"""The view of a scan under way, made from what was counted and how far the ranges have come."""

from collections import deque
from collections.abc import Callable, Mapping

from msgspec import Struct, field

from redis_oom_tui.models.scan import (
    ROWS_MEANWHILE,
    Interval,
    Pace,
    PatternRow,
    ScanOptions,
    ScanState,
    ScanView,
    ThrottleState,
)
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.rules import sampling
from redis_oom_tui.rules.breakdown import estimated_bytes
from redis_oom_tui.rules.pattern_rows import Samples
from redis_oom_tui.rules.sizing import contradiction, corrected_total, expired_note, unsized_note
from redis_oom_tui.server.clocks import ActiveClock
from redis_oom_tui.server.scan.aggregates import ScanAggregates
from redis_oom_tui.server.scan.cursor_ranges import CursorRange, share_scanned

_EVERY_SECONDS = 0.5
# They may take this share of the time, whatever their number: the event loop has keys to paint.
_SHARE = 0.03
_ROWS_AT_THE_END = 1000


class PatternRows:
    """The pattern rows of `aggregates`, as few and as seldom as will do while it fills. `clock` tells seconds."""

    def __init__(self, aggregates: ScanAggregates, clock: Callable[[], float]) -> None:
        self._aggregates = aggregates
        self._clock = clock
        self._rows: tuple[PatternRow, ...] = ()
        self._made: tuple[float, int, ScanState] | None = None
        self._took = 0.0

    def rows(self, state: ScanState, samples: Samples) -> tuple[PatternRow, ...]:
        """As of now, or of a moment ago; with estimates for the databases of `samples`."""
        now, keys, last = self._clock(), self._aggregates.keys, self._made
        under_way = state in (ScanState.RUNNING, ScanState.PAUSED)
        fresh = last is not None and last[1:] == (keys, state)
        recent = last is not None and under_way and now - last[0] < max(_EVERY_SECONDS, self._took / _SHARE)
        if not (fresh or recent):
            limit = ROWS_MEANWHILE if under_way else _ROWS_AT_THE_END
            self._rows = self._aggregates.patterns(samples, exact=state is ScanState.COMPLETE, limit=limit)
            self._made = (now, keys, state)
            self._took = self._clock() - now
        return self._rows


# Of late as good as nothing of what it scanned before: it is held up, and nobody knows for how long.
_HELD_UP = 0.02
_RATE_SECONDS = 3.0


class ScanProgress(Struct):
    """Where a scan stands, apart from what it has counted: `run_id` is of the server that its cursors belong to, and
    `fair` says that SCAN's order is that of a fair sample. `held` are keys by database where INFO does not tell,
    `used` the least and the most of used_memory, `first` the snapshot that the run began with, `latest` the last,
    and `held_least` the least number of keys that the server counted since, `lost_at` when it was first lost,
    `closely` what a sample of collections really holds (see `TopKeyRefiner.measured_sample`)."""

    state: ScanState = ScanState.RUNNING
    error: str | None = None
    notes: tuple[str, ...] = ()
    cursor_ranges: dict[int, list[CursorRange]] = field(default_factory=dict)
    snapshot: Snapshot | None = None
    held: Mapping[int, int] = field(default_factory=dict)
    run_id: str | None = None
    fair: bool = True
    sized: bool = True
    timed: bool = True
    used: tuple[int, int] | None = None
    first: Snapshot | None = None
    latest: Snapshot | None = None
    held_least: int | None = None
    lost_at: float | None = None
    closely: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)

    @property
    def expired(self) -> int:
        """Keys that the server dropped as expired since the run began."""
        if self.first is None or self.latest is None:
            return 0
        before, now = self.first.counters.expired_keys_total, self.latest.counters.expired_keys_total
        return 0 if before is None or now is None else max(0, now - before)

    @property
    def scanned_all(self) -> bool:
        """Whether every range has come to its end."""
        return all(cursor_range.done for cursor_ranges in self.cursor_ranges.values() for cursor_range in cursor_ranges)

    @property
    def under_way(self) -> bool:
        """Whether it runs, or would go on."""
        return self.state in (ScanState.RUNNING, ScanState.PAUSED)


class ScanViewBuilder:
    """Makes views of one scan; remembers what is dear to make again, and how fast it went lately."""

    def __init__(
        self,
        options: ScanOptions,
        aggregates: ScanAggregates,
        standing: ScanProgress,
        clock: Callable[[], float],
        elapsed: float = 0.0,
    ) -> None:
        self._options = options
        self._aggregates = aggregates
        self._standing = standing
        self._clock = clock
        self._watch = ActiveClock(clock, elapsed)
        self._marks: deque[tuple[float, int]] = deque()
        self._gaps = 0
        self._patterns = PatternRows(aggregates, clock)

    def start(self) -> None:
        """The clock runs; a rate is of the time from now on."""
        self._watch.start()
        self._marks.clear()

    def stop(self) -> None:
        """The clock stands."""
        self._watch.stop()

    @property
    def elapsed(self) -> float:
        """Seconds that it ran."""
        return self._watch.elapsed

    @property
    def total_keys(self) -> int:
        """DBSIZE of the scanned databases."""
        return sum(self._held().values())

    def view(self, throttle: ThrottleState, pace: Pace) -> ScanView:
        """The scan as it stands."""
        aggregates, standing = self._aggregates, self._standing
        complete = standing.state is ScanState.COMPLETE
        scanned = self._scanned()
        rate = self._rate()
        samples = self._samples()
        whole = self._whole(samples)
        return ScanView(
            state=standing.state,
            scanned_keys=aggregates.keys,
            total_keys=self.total_keys,
            bytes_seen=aggregates.bytes,
            volatile_keys=aggregates.volatile_keys,
            volatile_bytes=aggregates.volatile_bytes,
            elapsed_seconds=self.elapsed,
            keys_per_second=rate,
            remaining_seconds=self._remaining(scanned, rate),
            top=tuple(top.row for top in aggregates.largest()),
            patterns=self._patterns.rows(standing.state, samples),
            types=aggregates.types(),
            vanished_keys=aggregates.vanished,
            refused_keys=aggregates.refused,
            estimated_bytes=whole,
            explained_share=self._explained() if complete else None,
            throttle=throttle,
            pace=pace,
            error=standing.error,
            scanned_share=scanned,
            notes=standing.notes
            + unsized_note(aggregates.unsized)
            + expired_note(standing.expired, aggregates.keys)
            + self._too_little(whole),
            ttls_known=standing.timed,
            unsized_keys=aggregates.unsized,
            contradiction=self.contradiction() if complete else None,
        )

    def _held(self) -> Mapping[int, int]:
        snapshot = self._standing.snapshot
        held = self._standing.held
        if snapshot is not None:
            held = {database.db: database.keys for database in snapshot.databases}
        wanted = self._options.databases
        return held if wanted is None else {db: held.get(db, 0) for db in wanted}

    def _scanned(self) -> float | None:
        """By the cursors, each database weighed by its keys; by the count of keys where the cursors do not tell, and
        once it has ended: a page reaches further in a small database than its part of the keys."""
        cursor_ranges, total = self._standing.cursor_ranges, self.total_keys
        if not cursor_ranges:
            return None
        by_keys = None if self._options.filtered or not total else min(1.0, self._aggregates.keys / total)
        if not self._standing.fair or (by_keys is not None and not self._standing.under_way):
            return by_keys
        held = self._held()
        weights = {db: held.get(db, 0) + 1 for db in cursor_ranges}
        return sum(weights[db] * share_scanned(cursor_ranges[db]) for db in cursor_ranges) / sum(weights.values())

    def _samples(self) -> Samples:
        """What the keys seen are samples of, for each database that was begun; none where the scan is complete, its
        order is not a fair one, or nobody has said how many keys there are."""
        standing = self._standing
        if standing.state is ScanState.COMPLETE or not standing.fair or standing.snapshot is None:
            return {}
        held = self._held()

        def total_of(db: int, share: float) -> Callable[[int], tuple[int, float]]:
            if share < 1.0 and not self._options.filtered:
                return lambda _seen: (held.get(db, 0), 0.0)
            # Keys that SCAN gave and that were not asked about any more belong to the share as well.
            waiting = sum(len(cursor_range.page) for cursor_range in standing.cursor_ranges[db])
            return lambda seen: (round((seen + waiting) / share), (seen + waiting) * (1 - share) / share**2)

        shares = {db: share_scanned(ranges) for db, ranges in standing.cursor_ranges.items()}
        return {db: self._aggregates.sample(db, total_of(db, share)) for db, share in shares.items() if share > 0}

    def _whole(self, samples: Samples) -> Interval | None:
        """All bytes: nothing seen of one database tells of another."""
        if self._standing.state is ScanState.COMPLETE:
            return sampling.counted(self._aggregates.bytes)
        known = all(db in samples for db, keys in self._held().items() if keys)
        return self._aggregates.estimated_bytes(samples) if known else None

    def _too_little(self, whole: Interval | None) -> tuple[str, ...]:
        """Why nothing is estimated from the part that was read."""
        standing, several = self._standing, len(self._standing.cursor_ranges) > 1
        if whole is not None or standing.under_way or not (several and standing.fair and self._aggregates.keys):
            return ()
        return ("too little was read of some database to estimate what all of them hold",)

    def unread(self) -> list[list[CursorRange]]:
        """The cursor ranges of each database that has not been read to its end, those of the fewest keys first."""
        held = self._held()
        order = sorted(self._standing.cursor_ranges.items(), key=lambda item: (held.get(item[0], 0), item[0]))
        return [ranges for _, ranges in order if not all(cursor_range.done for cursor_range in ranges)]

    def _rate(self) -> float:
        """Keys a second of late; over all of the run where it has ended."""
        elapsed, now, keys = self.elapsed, self._clock(), self._aggregates.keys
        if not self._standing.under_way or not self._watch.runs:
            return keys / elapsed if elapsed > 0 else 0.0
        marks = self._marks
        if self._watch.gaps != self._gaps:
            # Keys a second over the time for which the process was suspended would say nothing.
            self._gaps = self._watch.gaps
            marks.clear()
        marks.append((now, keys))
        while len(marks) > 2 and now - marks[1][0] > _RATE_SECONDS:
            marks.popleft()
        since, before = marks[0]
        if now - since < 0.2:
            return keys / elapsed if elapsed > 0 else 0.0
        return (keys - before) / (now - since)

    def _remaining(self, scanned: float | None, rate: float) -> float | None:
        if self._standing.state is not ScanState.RUNNING or not scanned or rate <= 0:
            return None
        if rate * self.elapsed < _HELD_UP * self._aggregates.keys:
            return None
        return self._aggregates.keys / scanned * (1 - scanned) / rate

    def contradiction(self) -> str | None:
        """Why the sum of all sizes cannot be true; None where it can."""
        standing, aggregates = self._standing, self._aggregates
        if standing.used is None or not standing.sized or self._options.filtered or self._options.databases is not None:
            return None
        overhead = 0
        if standing.snapshot is not None:
            keyless = sum(high for _, high in estimated_bytes(standing.snapshot.activity).values())
            overhead = (standing.snapshot.memory.overhead_bytes or aggregates.floor) + keyless
        found = contradiction(
            aggregates.bytes, standing.used, overhead, unsized=aggregates.unsized, refused=aggregates.refused
        )
        if found is None or not standing.closely:
            return found
        # What the first elements told: the largest keys were measured closer since.
        sums = {
            kind.decode("latin-1"): size - aggregates.corrected[kind] for kind, size in aggregates.type_bytes.items()
        }
        return " ".join(filter(None, (found, corrected_total(sums, standing.closely))))

    def _explained(self) -> float | None:
        used = self._aggregates.limit
        return self._aggregates.bytes / used if used and self._standing.sized and not self._options.filtered else None
