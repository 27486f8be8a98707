"""What a plan comes to on a cluster: for the node that is shown, and how many keys each node gives up."""

from collections import Counter

from redis_oom_tui.formatting.sizes import count
from redis_oom_tui.models.action import BackupChoice, Budget
from redis_oom_tui.models.plan import Plan
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import budget
from redis_oom_tui.server.cluster.nodes import Nodes


class ClusterBudget:
    """Reckons for the cluster of `members`."""

    def __init__(self, members: Nodes) -> None:
        self._members = members
        # The part of a plan on the node that is shown is asked for at every tick, and takes a while to pick out.
        self._share_of = ("", "")
        self._there: Plan | None = None

    def budget(self, plan: Plan, snapshot: Snapshot, before: Budget | None) -> Budget:
        """How far `plan` brings down the pressure of the node that `snapshot` shows."""
        node = snapshot.server.node
        if not node:
            return budget.budget(plan, snapshot, before=before)
        if self._share_of != (plan.hash, node):
            self._share_of = (plan.hash, node)
            there = zip(plan.keys, self._nodes_of(plan), strict=True)
            self._there = replace(plan, keys=tuple(key for key, has_it in there if has_it == node))
            before = None
        found = budget.budget(self._there or plan, snapshot, before=before)
        keys = count(len((self._there or plan).keys))
        return replace(found, words=f"On {node}, {keys} of the keys. {found.words}")

    def consent(self, plan: Plan, backup: BackupChoice) -> tuple[str, ...]:
        """Sentences for the confirmation, the count on each node among them."""
        first, *others = budget.consent(plan, backup)
        if not plan.keys:
            return (first, *others)
        on = Counter(self._nodes_of(plan))
        each = ", ".join(f"{node} {count(number)}" for node, number in on.most_common())
        return (first, f"By node: {each}.", *others)

    def _nodes_of(self, plan: Plan) -> list[str]:
        """The node that has each key now: another than when it was planned, where that one is no primary any more."""
        serving = {node.name for node in self._members.topology.primaries}
        named = [(key.id.node, key.id.key) for key in plan.keys]
        return [name if name in serving else self._members.owner(key) or name or "?" for name, key in named]
