"""What a change would mean on every node of a cluster, put together: what is true of many nodes is said once."""

from collections.abc import Callable, Mapping

from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.formatting.settings import listed, shown_value, shown_values
from redis_oom_tui.formatting.sizes import count, number_of
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.settings import Change, ChangeResult
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.limit_change import PER_NODE
from redis_oom_tui.rules.tuning import as_typed


class _Said:
    """Sentences, each with the nodes that it is said of: a cluster may have hundreds."""

    def __init__(self) -> None:
        self._by_sentence: dict[str, list[str]] = {}

    def say(self, node: str, *sentences: str) -> None:
        for sentence in sentences:
            if sentence != PER_NODE:
                self._by_sentence.setdefault(sentence, []).append(node)

    def sentences(self, of: int) -> tuple[str, ...]:
        """Each with its nodes before it, unless it is said of all `of` them."""
        said = self._by_sentence.items()
        return tuple(f"{listed(nodes)}: {told}" if len(nodes) < of else told for told, nodes in said)


async def widened(change: Change, shown: str, others: Mapping[str, LiveOperator]) -> Change:
    """`change`, seen on the node `shown`, as one of all nodes: with what it would mean on each, and what is another
    there."""
    seen, there, back = {shown: change}, _Said(), _Said()
    there.say(shown, *change.warnings)
    back.say(shown, *change.returns)
    for name, operator in others.items():
        try:
            seen[name] = await operator.propose(change.name, as_typed(change.name, change.new))
        except TriageError as error:
            there.say(name, str(error))
            continue
        there.say(name, *seen[name].warnings)
        back.say(name, *seen[name].returns)
    nodes = len(others) + 1
    olds: dict[str, list[str]] = {}
    for name, each in seen.items():
        if each.old != change.old:
            olds.setdefault(shown_value(change.name, each.old), []).append(name)
    there_too = tuple(f"It is {old} on {listed(names)}" for old, names in olds.items())
    meant = f"{shown}: {change.consequence}" if change.name == "maxmemory" else change.consequence
    return replace(
        change,
        consequence=f"On all {count(nodes)} nodes, replicas too. {meant}".strip(),
        warnings=(*there.sentences(nodes), *there_too),
        # Each node has a file of its own.
        freezes=(),
        returns=back.sentences(nodes),
        olds=tuple((name, each.old) for name, each in seen.items()),
        evicts=any(each.evicts for each in seen.values()),
    )


async def going_back(
    result: ChangeResult, own: Mapping[str, ChangeResult], at: Callable[[str], LiveOperator], scan: ScanView | None
) -> Change:
    """What it would mean to give each node its old value again; `own` is what each of them took.

    `new` of the change is '' where the nodes had different values.
    """
    there = _Said()
    seen: dict[str, Change] = {}
    for name, each in own.items():
        try:
            seen[name] = await at(name).propose_back(each, None if scan is None else scan.on(name))
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
            meant, told = seen[node].consequence, seen[node].warnings
        else:
            meant, told = "", there.sentences(len(own))
        return Change(name, now, old or "", f"On {node} alone. {meant}".strip(), told, node=node, evicts=evicts)
    said = f"Each of the {number_of(len(own), 'node')} that took it gets its own old value again"
    one = len(set(olds.values())) == 1
    words = f"{said}." if one else f"{said}: {shown_values(name, olds)}."
    new = (next(iter(olds.values())) or "") if one else ""
    return Change(name, now, new, words, there.sentences(len(own)), evicts=evicts)
