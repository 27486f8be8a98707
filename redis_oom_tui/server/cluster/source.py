"""A whole cluster as one source: every node asked at once, the worst primary in front."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct, field

from redis_oom_tui.models.address import Address, ClientBuffer, ClusterNode, Connection, LargeCommand, SlotStats
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.errors import BadInput, CommandRefused, KeyMoved, ServerUnreachable, TriageError
from redis_oom_tui.models.keys import HotKeys, KeyDetails, KeyId, PatternSample
from redis_oom_tui.models.scan import Pace, ScanOptions, ScanView
from redis_oom_tui.models.snapshot import ClusterView, NodeView, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.cluster import differences, shown, worst_first
from redis_oom_tui.rules.info_fields import with_write_settings
from redis_oom_tui.rules.verdict import judge, unknown
from redis_oom_tui.server.cluster.nodes import Nodes
from redis_oom_tui.server.cluster.scan import ClusterScan
from redis_oom_tui.server.cluster.scan_state import ClusterCheckpoint
from redis_oom_tui.server.cluster.topology import SlotMarks, Topology, moving_slots, slot_marks
from redis_oom_tui.server.errors import translated
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.replies import heaviest_slots, read_settings
from redis_oom_tui.server.server_logs import hot_keys_of
from redis_oom_tui.server.tasks import together
from redis_oom_tui.server.values import sample_patterns

# Questions under way at a time: enough for a wide cluster, few enough for the box that asks.
_AT_ONCE = 64
# A node that did not answer is left alone for a while, so that it does not hold up every round by its timeouts.
_LONGEST_REST = 15.0
_SETTINGS_EVERY = 60.0
# While slots are on their way, they may have arrived.
_MOVING_EVERY = 10.0
# Nodes that serve nothing (replicas) are asked less often: in a wide cluster they are half of the work.
_OTHERS_EVERY = 10.0
_NOTHING: Mapping[str, str] = MappingProxyType({})


class _Known(Struct):
    """What is remembered of a node from one round to the next."""

    last: Snapshot | None = None
    error: str | None = None
    failures: int = 0
    rest_until: float = 0.0
    settings: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    settings_due: float = 0.0
    slots: tuple[SlotStats, ...] | str = ""
    marks: SlotMarks = field(default_factory=SlotMarks)
    view: NodeView | None = None
    fresh_until: float = 0.0


class ClusterPoll:
    """Asks the nodes of a cluster, remembers what they said, and lets lost ones rest."""

    def __init__(self, server_of: Callable[[Address], LiveServer], monotonic: Callable[[], float] = time.monotonic):
        self._server_of = server_of
        self._monotonic = monotonic
        self._known: dict[str, _Known] = {}
        self._limit = asyncio.Semaphore(_AT_ONCE)

    async def ask(self, nodes: Iterable[ClusterNode]) -> tuple[NodeView, ...]:
        """A view of each of `nodes`, in their order; never raises for a node's fault."""
        return tuple(await together(self._view(node) for node in nodes))

    def marks(self) -> dict[str, SlotMarks]:
        """The slots that nodes mark as on their way, by the name of the node, as last asked."""
        return {name: known.marks for name, known in self._known.items() if known.marks != SlotMarks()}

    def retry_lost(self) -> None:
        """Ask lost nodes again in the next round, rested or not."""
        for known in self._known.values():
            known.rest_until = known.fresh_until = 0.0

    async def _view(self, node: ClusterNode) -> NodeView:
        known = self._known.setdefault(node.name, _Known())
        if not node.serves and known.view is not None and self._monotonic() < known.fresh_until:
            return replace(known.view, node=node)
        known.view, known.fresh_until = await self._polled(node, known), self._monotonic() + _OTHERS_EVERY
        return known.view

    async def _polled(self, node: ClusterNode, known: _Known) -> NodeView:
        if self._monotonic() < known.rest_until and known.error is not None:
            return NodeView(node, error=known.error, verdict=unknown(known.error))
        server = self._server_of(node.address)
        try:
            async with self._limit:
                snapshot = await server.snapshot()
                await self._settle(known, server)
        except TriageError as error:
            known.error, known.last = str(error), None
            known.failures += 1
            known.rest_until = self._monotonic() + min(_LONGEST_REST, 2.0 ** min(known.failures - 1, 5))
            return NodeView(node, error=known.error, verdict=unknown(known.error))
        snapshot = with_write_settings(snapshot, known.settings)
        verdict = judge(snapshot, known.last)
        known.last, known.error, known.failures = snapshot, None, 0
        return NodeView(node, snapshot, verdict, settings=known.settings, heaviest_slots=known.slots)

    async def _settle(self, known: _Known, server: LiveServer) -> None:
        if self._monotonic() < known.settings_due:
            return
        with translated(server.address, "CONFIG GET"):
            known.settings = await read_settings(server.client())
            known.slots = await heaviest_slots(server.client())
        known.marks = await slot_marks(server.client())
        known.settings_due = self._monotonic() + (_SETTINGS_EVERY if known.marks == SlotMarks() else _MOVING_EVERY)


# Nodes whose keys are sampled for findings: of most patterns a few see as much as all.
_SAMPLED_NODES = 8


class ClusterSource:
    """All nodes of a cluster behind one of them. Implements `ports.ClusteredSource` and `ports.GoesOn`.

    Every node is a `LiveServer` of its own, so its connections are gated, polite and timed like any other. Its
    snapshots are those of the worst primary, with all others in `Snapshot.cluster`.
    """

    def __init__(self, connection: Connection, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.connection = connection
        self.members = Nodes(connection, monotonic)
        self._round = ClusterPoll(self.members.at, monotonic)
        self._view: ClusterView | None = None
        self._shown = ""
        self._pinned: str | None = None
        self._notes: list[str] = []

    @property
    def address(self) -> Address:
        """The node that was given."""
        return self.connection.address

    @property
    def shown(self) -> str:
        """The name of the primary whose figures the last snapshot showed; '' before the first."""
        return self._shown

    @property
    def topology(self) -> Topology:
        """Who serves what, as last asked."""
        return self.members.topology

    async def open(self) -> None:
        """Connect to the node that was given, and find the others. Raises one of `models.errors`."""
        await self.members.open()

    async def close(self) -> None:
        await self.members.close()

    def node(self, name: str) -> LiveServer:
        """The node called `name`, as a source of its own. Raises ServerUnreachable where there is none."""
        return self.members.node(name)

    async def cluster(self) -> ClusterView:
        """Every node asked at once; primaries that changed hands are followed. Raises where no node answers."""
        if self.members.due:
            await self.members.refresh()
        views = await self._round.ask(self.topology.nodes)
        strayed = any(view.node.serves and _strayed(view.snapshot, view.error) for view in views)
        if strayed and await self.members.refresh():
            self._round.retry_lost()
            views = await self._round.ask(self.topology.nodes)
        self.members.answered(view.node.address for view in views if view.snapshot is not None)
        ordered = worst_first(views)
        primaries = [view for view in ordered if view.node.serves]
        moving = await moving_slots(self.members, self._round.marks())
        self._view = ClusterView(ordered, differences(primaries), self.topology.open_slots, moving)
        return self._view

    async def snapshot(self) -> Snapshot:
        """The worst primary's INFO, with every node in `cluster`; it is no single process's and has no run_id."""
        cluster = await self.cluster()
        chosen = self._the_pinned(cluster) or shown(cluster, self._shown)
        if chosen is None or chosen.snapshot is None:
            raise ServerUnreachable(_nobody(cluster, self.address))
        self._shown = chosen.name
        notes, self._notes = (*self.members.new_notes(), *self._notes), []
        server = replace(chosen.snapshot.server, node=chosen.name, run_id=None, uptime_seconds=None)
        return replace(chosen.snapshot, server=server, cluster=cluster, notes=notes)

    def pin(self, name: str | None) -> None:
        self._pinned = name

    def _the_pinned(self, cluster: ClusterView) -> NodeView | None:
        if self._pinned is None:
            return None
        view = next((view for view in cluster.nodes if view.name == self._pinned), None)
        if view is not None and view.snapshot is not None:
            return view
        self._notes.append(f"{self._pinned} did not answer: the worst of the others is shown again")
        self._pinned = None
        return None

    async def capabilities(self) -> Capabilities:
        """What may be used on every primary: what one of them lacks counts as missing."""
        shared = Capabilities()
        for known in await together(_capabilities(server) for server in self.members.primaries()):
            for feature, reason in known.missing.items():
                shared = shared.without(feature, reason)
        return shared

    async def clients(self) -> tuple[ClientBuffer, ...]:
        """CLIENT LIST of every primary, the largest holders of memory first, each with its node.

        Raises CommandRefused where the one that is shown refuses it, or has no room for the reply.
        """
        servers = self.members.primaries()
        held = await together(_clients(server, shown=str(server.address) == self._shown) for server in servers)
        return tuple(sorted((line for lines in held for line in lines), key=lambda line: -line.total_bytes))

    async def large_commands(self) -> tuple[LargeCommand, ...]:
        """Who sent large values of late, by the logs of every primary, the largest first, each with its node."""
        found = await together(_large_commands(server) for server in self.members.primaries())
        return tuple(sorted((one for each in found for one in each), key=lambda one: -one.size))

    async def hot_keys(self) -> tuple[HotKeys, ...]:
        """What each primary tracks, or why it does not tell. Raises CommandRefused where all of them refuse it."""
        return await hot_keys_of({str(server.address): server for server in self.members.primaries()})

    async def details(self, key: KeyId, *, touch: bool = False) -> KeyDetails | None:
        """A closer look at one key, on the node that serves its slot now, or on the one that it sends us on to."""
        owner = self.topology.owners().of_key(key.key)
        if owner is None:
            raise ServerUnreachable("no node of the cluster serves this key's slot now")
        node, alone = owner, replace(key, node="")
        try:
            found = await self.members.at(owner.address).details(alone, touch=touch)
        except KeyMoved as moved:
            successor = self.topology.node_at(moved.asks or "", owner.address)
            if successor is None:
                raise
            node, found = successor, await self.members.importer(successor.name).details(alone, touch=touch)
        return found and replace(found, row=replace(found.row, id=replace(found.row.id, node=node.name)))

    async def settings(self) -> Mapping[str, str]:
        """The settings of the node that is shown; where nodes differ, `Snapshot.cluster` says so."""
        view = None if self._view is None else next((one for one in self._view.nodes if one.name == self._shown), None)
        return MappingProxyType({}) if view is None else view.settings

    async def samples(self, scan: ScanView, *, applications_only: bool = False) -> tuple[PatternSample, ...]:
        """A few keys of each of the largest patterns: on the node that is shown, and on others as well.

        Most patterns are spread over all nodes; one with a hash tag is on one alone, as is an index of an application.
        """
        nodes = sorted(self.members.primaries(), key=lambda server: str(server.address) != self._shown)
        asked = nodes if applications_only else nodes[:_SAMPLED_NODES]
        return await _sampled(asked, scan, applications_only=applications_only)

    def scan(self, options: ScanOptions) -> ClusterScan:
        return ClusterScan(self.members, options)

    def resumed(
        self, progress: Mapping[str, Any], *, pace: Pace | None = None, sample: int | None = None
    ) -> ClusterScan:
        """The scan that gave `progress`; raises BadInput where that is damaged, or for a `sample`."""
        if sample is not None:
            raise BadInput("A cluster's scan is resumed to its end: leave --sample out")
        begun = ClusterCheckpoint(progress, pace)
        return ClusterScan(self.members, begun.options, begun=begun)


def _merged(one: PatternSample, other: PatternSample) -> PatternSample:
    larger = other if other.sampled_keys > one.sampled_keys else one
    if one.named is None or other.named is None:
        return replace(larger, named=None)
    named = tuple(dict.fromkeys((*one.named, *other.named)))
    return replace(larger, sampled_keys=one.sampled_keys + other.sampled_keys, named=named)


def _strayed(snapshot: Snapshot | None, error: str | None) -> bool:
    """Whether a primary is lost, or says that it is a replica by now."""
    return error is not None or (snapshot is not None and snapshot.server.role == "replica")


def _nobody(cluster: ClusterView, address: Address) -> str:
    errors = [view.error for view in cluster.nodes if view.error is not None]
    if not errors:
        return f"no primary of the cluster behind {address} answers"
    if str(address) in {view.name for view in cluster.nodes}:
        return errors[0]
    return (
        f"{address} answers, and none of the {len(errors)} addresses by which it names the cluster's nodes does"
        f" ({errors[0]}): run the tool where they can be reached, or have the nodes announce others"
    )


async def _capabilities(server: LiveServer) -> Capabilities:
    try:
        return await server.capabilities()
    except ServerUnreachable:
        return Capabilities()


async def _sampled(
    servers: Iterable[LiveServer], scan: ScanView, *, applications_only: bool
) -> tuple[PatternSample, ...]:
    best: dict[bytes, PatternSample] = {}
    for samples in await together(_samples(server, scan, applications_only=applications_only) for server in servers):
        for sample in samples:
            known = best.get(sample.pattern)
            best[sample.pattern] = sample if known is None else _merged(known, sample)
    return tuple(best.values())


async def _samples(server: LiveServer, scan: ScanView, *, applications_only: bool) -> tuple[PatternSample, ...]:
    try:
        return await sample_patterns(server, scan, applications_only=applications_only)
    except ServerUnreachable:
        return ()


async def _clients(server: LiveServer, *, shown: bool) -> list[ClientBuffer]:
    try:
        return [replace(line, node=str(server.address)) for line in await server.clients()]
    except ServerUnreachable:
        return []
    except CommandRefused:
        if shown:
            raise
        return []


async def _large_commands(server: LiveServer) -> list[LargeCommand]:
    try:
        return [replace(one, node=str(server.address)) for one in await server.large_commands()]
    except (ServerUnreachable, CommandRefused):
        return []
