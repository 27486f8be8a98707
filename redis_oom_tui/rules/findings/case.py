"""What is known about a server when its findings are sought, and how a rule that makes findings is registered."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

from msgspec import Struct, field

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.server import cleanup_line
from redis_oom_tui.formatting.sizes import count, number_of_keys, percent, size
from redis_oom_tui.models.address import ClientBuffer, LargeCommand
from redis_oom_tui.models.application import KeyLabel, Recognition
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.keys import KeyId, PatternSample
from redis_oom_tui.models.scan import ROWS_MEANWHILE, PatternRow, ScanView
from redis_oom_tui.models.snapshot import Memory, NodeView, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Rates
from redis_oom_tui.models.verdict import Finding, Level, Remedy, Thresholds
from redis_oom_tui.rules.applications import recognize
from redis_oom_tui.rules.clients import on_shown_node
from redis_oom_tui.rules.report import nameless_clients, without_names
from redis_oom_tui.rules.verdict.causes import Cause, cause_of
from redis_oom_tui.rules.verdict.facts import Facts

MIB = 2**20

Judge = Callable[["Case"], Iterable[Finding]]


class FindingRule(Struct, frozen=True):
    """A rule: what findings it may make, by id, and how; `name` is its function's, in plain words."""

    name: str
    ids: tuple[str, ...]
    judge: Judge


RULES: list[FindingRule] = []
"""Every rule that always judges, in the order of the modules and of their functions."""
ON_DEMAND: list[FindingRule] = []
"""Those that judge only for callers who ask for them."""


def finding(*ids: str, on_demand: bool = False) -> Callable[[Judge], FindingRule]:
    """Register a function as the rule that makes the findings called `ids`; an id that ends in `-` begins one."""

    def register(judge: Judge) -> FindingRule:
        rule = FindingRule(judge.__name__.strip("_").replace("_", " "), ids, judge)
        (ON_DEMAND if on_demand else RULES).append(rule)
        return rule

    return register


_NAME_CELLS = 40


def remedy_for(row: PatternRow, pane: str = "hogs", **more: Any) -> Remedy:
    """Where the very keys of `row` are shown or cleaned up; `more` says which of them."""
    return Remedy(pane, match=row.match, db=row.db, pattern=row.select, **more)


class Case(Struct, frozen=True, dict=True):
    """The evidence. `settings` is what CONFIG GET told, by name; `before` an earlier scan of the same server;
    `replicas` are those of a master without a cluster; `rates` are what the verdict is judged by, as both name a cause.
    `connection_args` are the words of a command that leads to this server.
    """

    now: Snapshot
    scan: ScanView | None = None
    before: ScanView | None = None
    clients: tuple[ClientBuffer, ...] = ()
    capabilities: Capabilities = field(default_factory=Capabilities)
    settings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    values: tuple[PatternSample, ...] = ()
    replicas: tuple[NodeView, ...] = ()
    thresholds: Thresholds = field(default_factory=Thresholds)
    large: tuple[LargeCommand, ...] = ()
    rates: Rates = field(default_factory=Rates)
    connection_args: tuple[str, ...] = ()

    @property
    def memory(self) -> Memory:
        """INFO memory."""
        return self.now.memory

    @property
    def used_bytes(self) -> int | None:
        """used_memory of all that was scanned: of a whole cluster, where the figures are those of one node, or of that
        node where only its keys were scanned, as `check` does.
        """
        cluster = self.now.cluster
        if cluster is None or (self.scan is not None and not self.scan.nodes):
            return self.now.memory.used_bytes
        return cluster.used_bytes

    @property
    def near(self) -> Level:
        """Where the pressure stands between the thresholds."""
        return self.thresholds.level_of(self.now.memory.pressure)

    @property
    def at_least_warning(self) -> Level:
        """As `near`, and a warning below the thresholds."""
        return Level.WARNING if self.near is Level.OK else self.near

    @cached_property
    def facts(self) -> Facts:
        """What the rules of the verdict look at."""
        clients = on_shown_node(self.clients, self.now)
        return Facts(self.now, self.thresholds, self.rates, clients=clients, scan=self.scan)

    @cached_property
    def cause(self) -> Cause:
        """Why the server is as full as it is."""
        return cause_of(self.facts)

    def cleanup_line(self, db: int, *options: str) -> str:
        """A command to copy that plans a cleanup in database `db` of this server, marked off from its sentence."""
        return f"`{cleanup_line(self.connection_args, db, *options)}`"

    def matters(self, size: float, share: float = 0.01) -> bool:
        """Whether `size` bytes are worth a line: a share of what is used, and not next to nothing."""
        return size >= max(share * (self.now.memory.used_bytes or 0), 64 * 1024)

    @cached_property
    def patterns(self) -> tuple[PatternRow, ...]:
        """The patterns of the scan, the largest first."""
        return () if self.scan is None else tuple(sorted(self.scan.patterns, key=lambda row: -row.size))

    @cached_property
    def leaves(self) -> tuple[PatternRow, ...]:
        """The patterns that no smaller one divides, the largest first: their bytes count once."""
        parents = {(row.db, row.parent) for row in self.patterns}
        return tuple(row for row in self.patterns if (row.db, row.pattern) not in parents)

    @cached_property
    def recognition(self) -> Recognition:
        """The applications of the scanned keys."""
        return Recognition() if self.scan is None else recognize(self.scan, self.values)

    def labels_of(self, key: KeyId) -> tuple[KeyLabel, ...]:
        """What one of the scanned keys is to an application; empty where that is not known."""
        from redis_oom_tui.rules.applications.recognizing import labels_of_key  # noqa: PLC0415 - slow to import

        return () if self.scan is None else labels_of_key(key, self.scan, self.recognition)

    def named(self, row: PatternRow) -> str:
        """A pattern's name for a sentence, with its database where the scan has several."""
        name = safe_text(row.pattern, _NAME_CELLS)
        return f"{name} (db {row.db})" if self._databases > 1 else name

    @cached_property
    def _databases(self) -> int:
        return len({row.db for row in self.patterns})

    @property
    def ttls_known(self) -> bool:
        """Whether it is known of the scanned keys which of them expire."""
        return self.scan is not None and self.scan.ttls_known

    def sample_of(self, row: PatternRow) -> PatternSample | None:
        """The sample of a pattern, where one was read in its own database."""
        return self._samples.get((row.db or 0, row.pattern))

    @cached_property
    def _samples(self) -> Mapping[tuple[int, bytes], PatternSample]:
        return {(sample.db, sample.pattern): sample for sample in self.values}

    @property
    def scale(self) -> float:
        """By how much figures of an unfinished scan fall short of the whole; 1.0 for a complete one."""
        scan = self.scan
        if scan is None or scan.complete or not scan.scanned_keys:
            return 1.0
        # While a scan runs, its patterns are of a moment before: where all of them are there, they tell how far it was.
        counted = sum(row.keys for row in scan.patterns if row.level == 1)
        seen = counted if counted and len(scan.patterns) < ROWS_MEANWHILE else scan.scanned_keys
        total = scan.total_keys
        # With a filter, keys that do not match are in the total and not among those seen. Where the two differ less,
        # the count of keys is the surer one: the cursor is a page ahead.
        by_cursor = scan.scanned_keys / scan.scanned_share if scan.scanned_share else total
        return max(1.0, (by_cursor if 2 * by_cursor < total else total) / seen)

    def keys_text(self, seen: int) -> str:
        """How many keys there are like the `seen` ones: counted, or about so many where the scan has not ended."""
        if self.scale == 1.0:
            return count(seen)
        about = round(seen * self.scale)
        return f"~{count(round(about, 2 - len(str(about))))}"

    def seen_text(self, row: PatternRow) -> str:
        """What the scan saw of a pattern, and among how many of the keys where it has not ended."""
        among = "" if self.scale == 1.0 else f" among the {percent(1 / self.scale, 1)} of all keys that were read"
        return f"{number_of_keys(row.keys)}, {size(row.size)}{among}"


def nameless(case: Case) -> Case:
    """`case` without the name of any key or client."""
    scan = case.scan and without_names(case.scan)
    return replace(case, scan=scan, before=None, clients=nameless_clients(case.clients), values=(), large=())


def of_all(case: Case, held: int) -> str:
    """What share of all that is used `held` bytes of the scan are, as the end of a sentence; '' where unknown."""
    used = case.used_bytes
    if not used:
        return ""
    if held > used:
        return ", more than all that is used now"
    return f", {percent(held / used)} of all that is used"
