"""A plan over all primaries: made on each at the same time, then one selection over what they found."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from redis_oom_tui.actions.planning import PlanMaker, flags_of_keys
from redis_oom_tui.models.action import PlanningState, PlanningView
from redis_oom_tui.models.plan import Criteria, Plan, PlannedKey
from redis_oom_tui.rules import selection
from redis_oom_tui.rules.freezing import frozen
from redis_oom_tui.words.hostile import safe_text

Makers = Callable[[], Mapping[str, PlanMaker]]


class FleetPlanMaker:
    """A plan in the making on every primary. Implements `ports.Planning`; `makers` gives one by the node's name."""

    def __init__(self, where: str, criteria: Criteria, makers: Makers, wall: Callable[[], float] = time.time) -> None:
        self._where = where
        self._criteria = criteria
        self._make = makers
        self._makers: Mapping[str, PlanMaker] = {}
        self._wall = wall
        self._ended: PlanningView | None = None
        self._started = time.monotonic()
        self._stop = False

    def stop(self) -> None:
        """End after the pages in flight."""
        self._stop = True
        for maker in self._makers.values():
            maker.stop()

    def view(self) -> PlanningView:
        """How far it is."""
        if self._ended is not None:
            return self._ended
        return self._together([maker.view() for maker in self._makers.values()])

    async def run(self) -> PlanningView:
        """Look on every node, and freeze what fits best of all that was found."""
        self._started = time.monotonic()
        self._makers = self._make()
        if self._stop:
            self.stop()
        views = await asyncio.gather(*(maker.run() for maker in self._makers.values()))
        told = dict(zip(self._makers, views, strict=True))
        together = self._together(views)
        plans = {name: view.plan for name, view in told.items() if view.plan is not None}
        if not plans:
            errors = [view.error for view in views if view.error is not None]
            error = errors[0] if errors else "the cluster has no primary that could be looked at"
            self._ended = replace(together, state=PlanningState.FAILED, error=error)
            return self._ended
        state = PlanningState.STOPPED if self._stop else PlanningState.COMPLETE
        # As on one node: the screen must answer while a hundred thousand keys are looked through and hashed.
        self._ended = replace(together, state=state, plan=await asyncio.to_thread(self._joined, plans, told))
        return self._ended

    def _together(self, views: Sequence[PlanningView]) -> PlanningView:
        return PlanningView(
            scanned_keys=sum(view.scanned_keys for view in views),
            total_keys=sum(view.total_keys for view in views),
            matched_keys=sum(view.matched_keys for view in views),
            matched_bytes=sum(view.matched_bytes for view in views),
            elapsed_seconds=time.monotonic() - self._started,
            phase=max((view.phase for view in views), key=lambda phase: "braking" in phase, default=""),
        )

    def _joined(self, plans: Mapping[str, Plan], told: Mapping[str, PlanningView]) -> Plan:
        chosen = selection.Chosen(self._criteria)
        seen: set[tuple[int, bytes]] = set()
        twice = []
        for name, plan in plans.items():
            for key in plan.keys:
                # A slot that moved meanwhile was read on both of its nodes; the run asks whoever serves it then.
                if (identity := (key.id.db, key.id.key)) in seen:
                    twice.append(key)
                    continue
                seen.add(identity)
                chosen.add(_on(key, name))
        keys = chosen.taken()
        # What follows from the keys of one node is said once, of all.
        counted = {flag for plan in plans.values() for flag in flags_of_keys(plan.keys, plan.deed)}
        flags = dict.fromkeys(flag for plan in plans.values() for flag in plan.flags if flag not in counted)
        lost = [f"{view.error}: its keys are not in the plan." for view in told.values() if view.plan is None]
        first = next(iter(plans.values()))
        return frozen(
            replace(
                first,
                keys=keys,
                criteria=self._criteria,
                made_at=self._wall(),
                server=f"the cluster behind {self._where}",
                run_id=None,
                keyspace_keys=sum(plan.keyspace_keys for plan in plans.values()),
                scanned_keys=sum(plan.scanned_keys for plan in plans.values()),
                complete=not lost and all(plan.complete for plan in plans.values()),
                flags=(*flags, *flags_of_keys(keys, first.deed), *map(safe_text, lost)),
                matched_keys=sum(plan.matched_keys for plan in plans.values()) - len(twice),
                matched_bytes=sum(plan.matched_bytes for plan in plans.values()) - sum(key.size or 0 for key in twice),
                role=f"{len(plans)} primaries",
            )
        )


def _on(key: PlannedKey, node: str) -> PlannedKey:
    return replace(key, id=replace(key.id, node=node))
