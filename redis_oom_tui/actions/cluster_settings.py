"""The settings of a cluster: asked, set and read back on each node, results node by node."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from redis_oom_tui.actions.deployment import prefixed
from redis_oom_tui.actions.limits import way_back
from redis_oom_tui.actions.node_settings import NodeSettings
from redis_oom_tui.formatting.settings import listed, shown_value, shown_values
from redis_oom_tui.formatting.sizes import count, number_of
from redis_oom_tui.models.action import Limits
from redis_oom_tui.models.address import ClusterNode
from redis_oom_tui.models.errors import BadInput, TriageError
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.settings import Change, ChangeResult, NodeResult
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.other_nodes import PER_NODE
from redis_oom_tui.rules.tuning import as_typed, limit_bytes
from redis_oom_tui.server.cluster.source import ClusterSource

_NAMED = 5
_Results = dict[str, ChangeResult | str]


class ClusterSettings:
    """Changes the settings of a cluster. Implements `ports.SettingChanges`; `make` makes those of one node by its
    name.
    """

    def __init__(self, source: ClusterSource, make: Callable[[str], NodeSettings], shown: Callable[[], str]) -> None:
        self._source = source
        self._make = make
        self._shown = shown
        self._made: dict[str, NodeSettings] = {}
        self._applied: dict[Change, dict[str, ChangeResult]] = {}

    @property
    def _nodes(self) -> tuple[ClusterNode, ...]:
        """Those that a setting is for: primaries, and replicas that the cluster does not count as failed."""
        primaries = self._source.topology.primaries
        return (*primaries, *(node for node in self._source.topology.nodes if not node.is_primary and not node.failed))

    def _at(self, name: str) -> NodeSettings:
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    async def _the_shown(self) -> str:
        """The node that is shown: once the source has looked, that is the worst primary."""
        if not self._source.shown:
            await self._source.snapshot()
        return self._shown()

    async def limits(self, scan: ScanView | None = None) -> Limits:
        node = await self._the_shown()
        return replace(await self._at(node).limits(None if scan is None else scan.on(node)), node=node)

    async def propose(self, name: str, new: str, scan: ScanView | None = None, after: Sequence[Change] = ()) -> Change:
        """What it means on the node that is shown, and where it is another on other nodes."""
        shown = await self._the_shown()
        change = await self._at(shown).propose(name, new, None if scan is None else scan.on(shown), after)
        others = {node.name: self._at(node.name) for node in self._nodes if node.name != shown}
        change = await _widened(change, shown, others, after)
        return replace(change, warnings=(*change.warnings, *self._left_out()))

    def _left_out(self) -> list[str]:
        """Those that nobody can set: when they come back, they copy another, and may take its place later."""
        there = {node.name for node in self._nodes}
        lost = [node.name for node in self._source.topology.nodes if node.failed and node.name not in there]
        return (
            [f"Not on {listed(lost)}, which the cluster counts as failed: set it there once it is back"] if lost else []
        )

    async def propose_on(
        self, node: str, name: str, new: str, scan: ScanView | None = None, after: Sequence[Change] = ()
    ) -> Change:
        """What it means on `node`, when the others keep theirs."""
        change = await self._at(node).propose(name, new, None if scan is None else scan.on(node), after)
        others = count(len(self._nodes) - 1)
        # That it is for this node alone is the first thing said.
        own = (warning for warning in change.warnings if warning != PER_NODE)
        return replace(
            change,
            consequence=f"On {node} alone; the other {others} nodes keep theirs. {change.consequence}".strip(),
            warnings=(*own, *self._left_behind(node)),
            node=node,
            olds=((node, change.old),),
        )

    def _left_behind(self, name: str) -> list[str]:
        node = self._source.topology.by_name(name)
        if node is not None and not node.is_primary:
            return [f"It is a replica of {node.primary}, which keeps its own value: after a failover this one applies"]
        copies = [each.name for each in self._nodes if each.primary == name != each.name]
        return [f"Its replica {listed(copies)} keeps its own value, which applies after a failover"] if copies else []

    async def apply(self, change: Change, *, persist: bool = False, revert_after: float | None = None) -> ChangeResult:
        """Set it on every node that it is for, read it back on each, and say where it did not take."""
        results: _Results = {}
        wanted: dict[str, Change] = {}
        for name in [change.node] if change.node else [node.name for node in self._nodes]:
            try:
                wanted[name] = await self._on(name, change)
            except TriageError as error:
                results[name] = str(error)
        for name in in_order(wanted, self._nodes):
            try:
                results[name] = await self._at(name).apply(wanted[name], persist=persist, revert_after=revert_after)
            except TriageError as error:
                results[name] = str(error)
        self._applied[change] = {name: result for name, result in results.items() if isinstance(result, ChangeResult)}
        return together(change, results)

    async def _on(self, name: str, change: Change) -> Change:
        """`change` on the node called `name`, from the value that was shown of it; from its present one else."""
        olds = dict(change.olds)
        if name in olds:
            return Change(change.name, olds[name], change.new)
        return await self._at(name).propose(change.name, as_typed(change.name, change.new))

    def keep(self, result: ChangeResult) -> bool:
        """Call off the timed return of the old values; False where it is too late for that on a node."""
        kept = [self._at(name).keep(each) for name, each in self._own(result).items()]
        return all(kept)

    async def returned(self, result: ChangeResult) -> ChangeResult:
        """How the timed return of the old values ended, once it has on each node that took the new one."""
        own = self._own(result)
        ended = await asyncio.gather(*(self._at(name).returned(each) for name, each in own.items()))
        return together(_back(result.change), dict(zip(own, ended, strict=True)))

    async def values_by_node(self, result: ChangeResult) -> dict[str, str | None]:
        """What it reads now on each node that took it; of one that is not there now, nothing."""
        return dict(await asyncio.gather(*(self._value(name, result.change.name) for name in self._own(result))))

    async def _value(self, node: str, name: str) -> tuple[str, str | None]:
        try:
            return node, await self._at(node).value(name)
        except TriageError:
            return node, None

    def _own(self, result: ChangeResult) -> dict[str, ChangeResult]:
        """By node, the changes that took or may have: as this run made them, else as the audit file names them."""
        applied = self._applied.get(result.change)
        if applied is None:
            applied = {node.node: _on_its_node(result.change, node) for node in result.nodes}
        return {name: each for name, each in applied.items() if each.may_stand}

    def _must_be_own(self, result: ChangeResult) -> dict[str, ChangeResult]:
        own = self._own(result)
        if not own:
            raise BadInput(f"On which nodes {result.change.name} was set is not recorded: set it on each node")
        return own

    async def propose_back(self, result: ChangeResult, scan: ScanView | None = None) -> Change:
        """What `undo` would mean on each node that took it; raises BadInput where this run did not change it."""
        own = self._must_be_own(result)
        nodes = {node.name: own[node.name] for node in self._nodes if node.name in own}
        return await _going_back(result, {**nodes, **own}, self._at, scan)

    async def undo(self, result: ChangeResult) -> ChangeResult:
        """Set the old value again on each node that took it; raises BadInput where this run did not change it."""
        results: _Results = {}
        own = self._must_be_own(result)
        for name in in_order({name: way_back(each) for name, each in own.items()}, self._nodes):
            try:
                results[name] = await self._at(name).undo(own[name])
            except TriageError as error:
                results[name] = str(error)
        return together(_back(result.change), results)

    async def close(self) -> None:
        """Settle what still waits on any node."""
        for settings in self._made.values():
            await settings.close()


def _back(change: Change) -> Change:
    return Change(change.name, change.new, change.old or "", "Back to each node's old value.", node=change.node)


def _on_its_node(change: Change, node: NodeResult) -> ChangeResult:
    return ChangeResult(Change(change.name, node.old, change.new), took=node.took, now=node.now, unread=node.unread)


def in_order(changes: Mapping[str, Change], nodes: Sequence[ClusterNode]) -> list[str]:
    """Which nodes first, by what each node's limit does: those that rise before those that fall; of those that rise,
    replicas first, of the others, primaries: none is ever made too small for what it copies."""
    primaries = {node.name for node in nodes if node.is_primary}

    def rank(name: str) -> tuple[int, bool]:
        way = _way(changes[name])
        return -way, (name in primaries) is (way > 0)

    return sorted(changes, key=rank)


def _way(change: Change) -> int:
    """1 for a limit that rises, -1 for one that falls, 0 where that is not known, or it is none."""
    if not change.new.isdigit() or not (change.old or "").isdigit():
        return 0
    old, new = limit_bytes(change.old), limit_bytes(change.new)
    return (new > old) - (new < old)


def together(change: Change, outcomes: Mapping[str, ChangeResult | str]) -> ChangeResult:
    """One result for all: it took where it took everywhere; else who took it, and why the others did not."""
    nodes = tuple(_on_node(name, result) for name, result in outcomes.items())
    results = [result for result in outcomes.values() if isinstance(result, ChangeResult)]
    values = dict.fromkeys(result.now for result in results)
    refused = [node for node in nodes if not node.may_stand]
    unread = [node for node in nodes if node.unread]
    detail = nodes[0].detail if len(nodes) == 1 else ""
    if (refused or unread) and not detail:
        known = count(sum(node.took for node in nodes))
        detail = f"{known} of {number_of(len(nodes), 'node')} took it."
        detail += _reasons("Not on", refused) + _reasons("Not known of", unread)
    return ChangeResult(
        change,
        took=not refused and not unread,
        now=next(iter(values)) if len(values) == 1 else None,
        detail=detail,
        persisted=_persisted(outcomes),
        reverts_in_seconds=next((result.reverts_in_seconds for result in results if result.may_stand), None),
        nodes=nodes,
        unread=bool(unread) and not refused,
    )


def _reasons(where: str, nodes: Sequence[NodeResult]) -> str:
    """Behind `where`, the first of `nodes` with what each has to say; nothing without any."""
    named = "; ".join(prefixed(node.node, node.detail) for node in nodes[:_NAMED])
    more = len(nodes) - _NAMED
    return f" {where}: {named}{f'; and {count(more)} more' if more > 0 else ''}" if nodes else ""


def _on_node(name: str, result: ChangeResult | str) -> NodeResult:
    if isinstance(result, str):
        return NodeResult(name, took=False, detail=result)
    detail = result.detail or ("" if result.took else f"it is still {result.now}")
    return NodeResult(name, result.took, result.change.old, result.now, detail, result.unread)


def _persisted(results: Mapping[str, ChangeResult | str]) -> str | None:
    """What CONFIG REWRITE answered, with the nodes where answers differ; None where nobody was asked."""
    answers: dict[str, list[str]] = {}
    for name, result in results.items():
        if isinstance(result, ChangeResult) and result.persisted is not None:
            answers.setdefault(result.persisted, []).append(name)
    if len(answers) < 2:
        return next(iter(answers), None)
    return "; ".join(f"{answer} on {listed(names)}" for answer, names in sorted(answers.items()))


class _NodeSentences:
    """Sentences, each with the nodes that it is said of: a cluster may have hundreds."""

    def __init__(self) -> None:
        self._by_sentence: dict[str, list[str]] = {}

    def say(self, node: str, *sentences: str) -> None:
        for sentence in sentences:
            if sentence != PER_NODE:
                self._by_sentence.setdefault(sentence, []).append(node)

    def sentences(self, of: int) -> tuple[str, ...]:
        """Each with its nodes before it, unless it is said of all `of` them."""
        sentences = self._by_sentence.items()
        return tuple(f"{listed(nodes)}: {sentence}" if len(nodes) < of else sentence for sentence, nodes in sentences)


async def _widened(change: Change, shown: str, others: Mapping[str, NodeSettings], after: Sequence[Change]) -> Change:
    """`change`, seen on the node `shown`, as one of all nodes: with what it would mean on each, and what is another
    there."""
    seen, there, back = {shown: change}, _NodeSentences(), _NodeSentences()
    there.say(shown, *change.warnings)
    back.say(shown, *change.returns)
    for name, operator in others.items():
        try:
            seen[name] = await operator.propose(change.name, as_typed(change.name, change.new), after=after)
        except TriageError as error:
            there.say(name, str(error))
            continue
        there.say(name, *seen[name].warnings)
        back.say(name, *seen[name].returns)
    nodes = len(others) + 1
    where = "On its only node" if nodes == 1 else f"On all {count(nodes)} nodes, replicas too"
    olds: dict[str, list[str]] = {}
    for name, each in seen.items():
        if each.old != change.old:
            olds.setdefault(shown_value(change.name, each.old), []).append(name)
    there_too = tuple(f"It is {old} on {listed(names)}" for old, names in olds.items())
    meant = f"{shown}: {change.consequence}" if change.name == "maxmemory" else change.consequence
    return replace(
        change,
        consequence=f"{where}. {meant}".strip(),
        warnings=(*there.sentences(nodes), *there_too),
        # Each node has a file of its own.
        freezes=(),
        returns=back.sentences(nodes),
        olds=tuple((name, each.old) for name, each in seen.items()),
        evicts=any(each.evicts for each in seen.values()),
        untold=len(seen) < nodes,
    )


async def _going_back(
    result: ChangeResult,
    own: Mapping[str, ChangeResult],
    settings_of: Callable[[str], NodeSettings],
    scan: ScanView | None,
) -> Change:
    """What it would mean to give each node its old value again; `own` is what each of them took.

    `new` of the change is '' where the nodes had different values.
    """
    there = _NodeSentences()
    seen: dict[str, Change] = {}
    for name, each in own.items():
        try:
            seen[name] = await settings_of(name).propose_back(each, None if scan is None else scan.on(name))
        except TriageError as error:
            there.say(name, str(error))
        else:
            there.say(name, *seen[name].warnings)
    name, now = result.change.name, result.now or result.change.new
    olds = {node: each.change.old for node, each in own.items()}
    evicts = any(each.evicts for each in seen.values())
    if len(own) == 1:
        ((node, old),) = olds.items()
        if node in seen:
            meant, warnings = seen[node].consequence, seen[node].warnings
        else:
            meant, warnings = "", there.sentences(len(own))
        return Change(name, now, old or "", f"On {node} alone. {meant}".strip(), warnings, node=node, evicts=evicts)
    note = f"Each of the {number_of(len(own), 'node')} that took it gets its own old value back"
    one = len(set(olds.values())) == 1
    words = f"{note}." if one else f"{note}: {shown_values(name, olds)}."
    new = (next(iter(olds.values())) or "") if one else ""
    return Change(name, now, new, words, there.sentences(len(own)), evicts=evicts)
