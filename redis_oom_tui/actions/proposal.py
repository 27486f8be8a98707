"""A proposal made into one frozen plan: part after part, until enough is found."""

from collections.abc import Callable, Iterable, Mapping

from redis_oom_tui.models.action import PlanningState, PlanningView
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Plan, PlannedKey, Proposal
from redis_oom_tui.models.structs import replace
from redis_oom_tui.ports.operator import Planning
from redis_oom_tui.rules.plan_hash import frozen
from redis_oom_tui.rules.proposals import bound_for, must_go, with_margin


class ProposalPlanning:
    """The plan of `proposal` in the making. Implements `ports.Planning`.

    `make` makes that of one part, `nothing` is the plan where none is proposed.
    """

    def __init__(self, proposal: Proposal, make: Callable[[Criteria], Planning], nothing: Plan) -> None:
        self._proposal = proposal
        self._nothing = nothing
        self._make = make
        self._current: Planning | None = None
        self._plans: list[Plan] = []
        self._view = PlanningView()
        self._stop = False

    def stop(self) -> None:
        """End after the page in flight; what was found by then is the plan."""
        self._stop = True
        if self._current is not None:
            self._current.stop()

    def view(self) -> PlanningView:
        """How far the part under way is."""
        return self._view if self._current is None else self._current.view()

    async def run(self) -> PlanningView:
        """Look for the keys of each part until what must go is found.

        Raises BadInput where the node that a part is about is no primary of the cluster any more.
        """
        needed, found = must_go(self._proposal.needed_bytes), dict[KeyId, PlannedKey]()
        for part in self._proposal.parts:
            left = needed - sum(key.size or 0 for key in found.values())
            if self._stop or left <= 0:
                break
            self._current = self._make(replace(part.criteria, max_bytes=bound_for(part, left)))
            self._view = await self._current.run()
            if self._view.plan is None:
                break
            self._plans.append(self._view.plan)
            found |= _enough(self._view.plan.keys, found, with_margin(left))
        self._current = None
        if self._view.state is PlanningState.FAILED:
            return self._view
        plan = self._merged(tuple(found.values())) if self._plans else frozen(self._nothing)
        state = PlanningState.STOPPED if self._stop else PlanningState.COMPLETE
        self._view = replace(self._view, state=state, plan=plan, matched_keys=len(plan.keys))
        return self._view

    def _merged(self, keys: tuple[PlannedKey, ...]) -> Plan:
        first, plans = self._plans[0], self._plans
        idle = [plan.criteria.idle_over_seconds for plan in plans if plan.criteria.idle_over_seconds is not None]
        selects = tuple(dict.fromkeys(select for plan in plans for select in plan.criteria.key_patterns))
        return frozen(
            replace(
                first,
                keys=keys,
                criteria=Criteria(
                    key_patterns=selects, idle_over_seconds=min(idle, default=None), node=first.criteria.node
                ),
                complete=all(plan.complete for plan in plans),
                flags=(*dict.fromkeys(flag for plan in plans for flag in plan.flags), *self._short(keys)),
                scanned_keys=max(plan.scanned_keys for plan in plans),
                matched_keys=max(len(keys), *(plan.matched_keys for plan in plans)),
                matched_bytes=max(sum(key.size or 0 for key in keys), *(plan.matched_bytes for plan in plans)),
            )
        )

    def _short(self, keys: tuple[PlannedKey, ...]) -> tuple[str, ...]:
        if sum(key.size or 0 for key in keys) >= self._proposal.needed_bytes:
            return ()
        # How much is missing is said beside the plan, by what the server uses then.
        return ("What may go is not enough to reach the target: choose more by hand, or raise maxmemory.",)


def _enough(keys: Iterable[PlannedKey], found: Mapping[KeyId, PlannedKey], most: int) -> dict[KeyId, PlannedKey]:
    """The first of `keys` not `found` yet that hold no more than `most` bytes together."""
    more, left = dict[KeyId, PlannedKey](), most
    for key in keys:
        size = key.size or 0
        if key.id not in found and size <= left:
            more[key.id] = key
            left -= size
    return more
