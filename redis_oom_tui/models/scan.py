"""A scan: what was asked, and what it shows at any moment."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from redis_oom_tui.models.keys import KeyPattern, KeyRow
from redis_oom_tui.models.structs import replace

ROWS_MEANWHILE = 200
"""How many patterns a view has at most while its scan runs."""


class Pace(StrEnum):
    """How hard a scan may lean on the server."""

    GENTLE = "gentle"
    NORMAL = "normal"
    FULL_SPEED = "full-speed"


class ScanState(StrEnum):
    """Where a scan is. Each state but RUNNING and PAUSED is final, and each keeps the result so far."""

    RUNNING = "running"
    PAUSED = "paused"
    COMPLETE = "complete"
    STOPPED = "stopped"
    SAMPLED = "sampled"
    FAILED = "failed"


class ScanOptions(Struct, frozen=True):
    """What to scan. `databases` None means all that hold keys; `sample` ends the scan early after so many keys.

    `replicas` spares the primaries of a cluster: each is scanned at a replica where it has one.
    """

    databases: tuple[int, ...] | None = None
    match: bytes | None = None
    type: str | None = None
    pace: Pace = Pace.NORMAL
    top: int = 1000
    sample: int | None = None
    idle: bool = False
    delimiters: bytes = b":"
    max_patterns: int = 5000
    replicas: bool = False
    pattern: KeyPattern | None = None

    @property
    def filtered(self) -> bool:
        """Whether only some of the keys are asked for, by name or type."""
        return self.match is not None or self.type is not None or self.pattern is not None


class Interval(Struct, frozen=True):
    """An estimate with its 95% interval; low == value == high where it was counted."""

    value: float
    low: float
    high: float


CURVE_SHARES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
"""At which shares of its keys a curve of a pattern tells the value."""


class PatternRow(Struct, frozen=True):
    """One pattern of keys, as `user:*:cart`. `error` bounds what merging small patterns may have moved, as a share.

    `select` holds exactly the names that were counted, None in a file of before it was written. `match` is a glob for
    SCAN MATCH that takes them all, and may take more. `level` counts the parts of the name, 1 at the top of the tree.
    `share` is of all bytes scanned. `types` and `idle_quantiles` (p10, p50, p90, seconds) may be empty where they were
    not asked for. `idle_curve`, `ttl_curve` (seconds, of the keys with a TTL) and `frequency_curve` are the values at
    `CURVE_SHARES` of the keys; empty where they were not told. `sizes_exact` says that each of its keys is known to be
    measured exactly, so that `size` is no estimate. `no_ttl_bytes` is None in a file of before it was counted.
    """

    pattern: bytes
    match: bytes
    keys: int
    size: int
    share: float
    no_ttl_keys: int
    db: int | None = None
    level: int = 1
    parent: bytes | None = None
    error: float = 0.0
    types: tuple[tuple[str, int], ...] = ()
    idle_quantiles: tuple[int, int, int] | None = None
    estimated_bytes: Interval | None = None
    estimated_keys: Interval | None = None
    select: KeyPattern | None = None
    idle_curve: tuple[int, ...] = ()
    ttl_curve: tuple[int, ...] = ()
    frequency_curve: tuple[int, ...] = ()
    sizes_exact: bool = False
    no_ttl_bytes: int | None = None

    @property
    def lasting_bytes(self) -> int:
        """What its keys without a TTL hold; in a file that does not tell it, their part by their number."""
        about = self.size * self.no_ttl_keys // max(1, self.keys)
        return about if self.no_ttl_bytes is None else self.no_ttl_bytes


class TypeRow(Struct, frozen=True):
    """The keys and bytes of one type."""

    type: str
    keys: int
    size: int


class ThrottleState(Struct, frozen=True):
    """What the scan costs, and whether it is throttled: `share` of the server's one core, the probe's p99 in ms."""

    share: float | None = None
    probe_ms: float | None = None
    baseline_ms: float | None = None
    throttled: bool = field(name="braking", default=False)
    words: str = ""


class ScanView(Struct, frozen=True):
    """A scan at one moment: frozen, bounded in size, cheap to draw.

    `total_keys` is DBSIZE of the scanned databases when last asked; `top` is sorted by bytes, largest first.
    `volatile_keys` and `volatile_bytes` are the scanned keys with a TTL; they and what rows say of TTLs mean nothing
    where `ttls_known` is False. `explained_share` is bytes_seen over used_memory once complete. Keys that went away, or
    that this user may not read, are counted; `unsized_keys` are of modules that do not tell what a key holds, which is
    then in no sum. `contradiction` is why the sum of the sizes cannot be true, in a sentence. `scanned_share` is how
    far SCAN's cursor has come, None where it does not tell; `notes` are sentences on what these figures leave out.
    `nodes` are the shares of a cluster's nodes.
    """

    state: ScanState
    scanned_keys: int = 0
    total_keys: int = 0
    bytes_seen: int = 0
    volatile_keys: int = 0
    volatile_bytes: int = 0
    elapsed_seconds: float = 0.0
    keys_per_second: float = 0.0
    remaining_seconds: float | None = None
    top: tuple[KeyRow, ...] = ()
    patterns: tuple[PatternRow, ...] = ()
    types: tuple[TypeRow, ...] = ()
    vanished_keys: int = 0
    refused_keys: int = 0
    estimated_bytes: Interval | None = None
    explained_share: float | None = None
    throttle: ThrottleState = field(name="brake", default_factory=ThrottleState)
    pace: Pace = Pace.NORMAL
    error: str | None = None
    scanned_share: float | None = field(name="walked_share", default=None)
    notes: tuple[str, ...] = ()
    ttls_known: bool = field(name="ttls_told", default=True)
    nodes: tuple["NodeShare", ...] = ()
    unsized_keys: int = 0
    contradiction: str | None = None

    def on(self, node: str) -> "ScanView | None":
        """The sums of the node called so alone, the patterns still those of all; None where its share is not known."""
        share = next((share for share in self.nodes if share.node == node), None)
        if share is None:
            return None
        return replace(
            self,
            scanned_keys=share.keys,
            total_keys=share.keys,
            bytes_seen=share.bytes,
            volatile_keys=share.volatile_keys,
            volatile_bytes=share.volatile_bytes,
            estimated_bytes=None,
            explained_share=share.bytes / share.used_bytes if self.explained_share and share.used_bytes else None,
            contradiction=None,
            nodes=(share,),
        )

    @property
    def complete(self) -> bool:
        """Whether every key that was there all the while has been seen."""
        return self.state is ScanState.COMPLETE

    @property
    def databases(self) -> frozenset[int]:
        """Those of which keys or patterns are shown."""
        return frozenset({row.id.db for row in self.top} | {row.db for row in self.patterns if row.db is not None})

    @property
    def share_scanned(self) -> float:
        """From 0.0 to 1.0: by SCAN's cursor, or by key count where that does not tell."""
        if self.complete:
            return 1.0
        if self.scanned_share is not None:
            return self.scanned_share
        return min(1.0, self.scanned_keys / self.total_keys) if self.total_keys else 0.0


class NodeShare(Struct, frozen=True):
    """What a scan of a cluster counted on the node called so; `used_bytes` is its used_memory when its scan began."""

    node: str
    keys: int = 0
    bytes: int = 0
    volatile_keys: int = 0
    volatile_bytes: int = 0
    used_bytes: int | None = None


class SavedScan(Struct, frozen=True):
    """A scan that was kept: its last view, when it ended (Unix seconds), and of which server (`run_id` its own).

    `progress` is what the store needs to go on with a scan that broke off: plain values that nobody else reads.
    """

    view: ScanView
    taken_at: float
    server: str
    run_id: str | None = None
    match: bytes | None = None
    type: str | None = None
    progress: Mapping[str, Any] | None = None
    pattern: KeyPattern | None = None
    databases: tuple[int, ...] | None = None

    @property
    def of_cluster(self) -> bool:
        """Whether it broke off on several nodes, each with a place of its own."""
        return self.progress is not None and "nodes" in self.progress


class PatternChange(Struct, frozen=True):
    """What became of one pattern between two scans; a side is None where that scan could not tell.

    `certain` is False where a scan was partial or could not tell, and `doubt` then says why. `within` is the pattern
    around it that both scans tell, where one of them does not tell this one.
    """

    pattern: bytes
    db: int | None
    keys_before: int | None
    keys_now: int | None
    bytes_before: int | None
    bytes_now: int | None
    certain: bool = True
    select: KeyPattern | None = None
    within: bytes | None = None
    doubt: str = ""

    @property
    def bytes_grown(self) -> int | None:
        """Bytes now less bytes before."""
        if self.bytes_before is None or self.bytes_now is None:
            return None
        return self.bytes_now - self.bytes_before

    @property
    def keys_grown(self) -> int | None:
        """Keys now less keys before."""
        if self.keys_before is None or self.keys_now is None:
            return None
        return self.keys_now - self.keys_before


class Comparison(Struct, frozen=True):
    """Two scans of one server: the patterns whose bytes changed most first; `notes` are sentences on what misleads."""

    before_at: float
    now_at: float
    whole: PatternChange
    patterns: tuple[PatternChange, ...]
    notes: tuple[str, ...] = ()
