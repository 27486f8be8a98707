"""A plan carried out on a cluster: by slot, on every node at once, and again where slots have changed hands."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from redis_oom_tui.actions.cluster.key_placement import Place, PlacementNodes, place_of, said_by
from redis_oom_tui.actions.context import DEFECT
from redis_oom_tui.actions.outcomes import OutcomeTable
from redis_oom_tui.actions.run import PlanRunner
from redis_oom_tui.formatting.keys import slot_of, slots_by_number
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, number_of, number_of_keys
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.errors import BadInput, TriageError
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import KeyOutcome, Outcome, Plan, PlannedKey, RunView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.plan_hash import frozen
from redis_oom_tui.rules.report import report
from redis_oom_tui.rules.sizing import weight
from redis_oom_tui.server.active_clock import ActiveClock
from redis_oom_tui.server.mutations.pinned_connection import OtherServer
from redis_oom_tui.server.scan.tasks import run_all

_ROUNDS = 4
# How long a lost primary's replica may take to be promoted.
_PATIENCE_SECONDS = 20.0


class _Part(NamedTuple):
    """What is acted on in one place: where its keys stand in the plan, and the run over them."""

    place: Place
    positions: list[int]
    runner: PlanRunner


Runners = Callable[[Place, Plan, BackupChoice], PlanRunner]
"""Makes a run there."""


class ClusterRun:
    """A run of one plan on the nodes that serve its keys. Implements `ports.PlanRun`.

    A key whose slot moved was refused, not touched: it is tried again at its new node, behind ASKING where the slot is
    half moved. After a failover what was not attempted goes on at the promoted node; not where idle times chose the
    keys, as a replica never knew them.
    """

    def __init__(self, nodes: PlacementNodes, runners: Runners, plan: Plan, backup: BackupChoice) -> None:
        self._nodes = nodes
        self._runners = runners
        self._plan = plan
        self._backup = backup
        self._tally = OutcomeTable(plan.keys)
        self._parts: list[_Part] = []
        self._past: list[RunView] = []
        self._tried: dict[int, list[Place]] = defaultdict(list)
        self._failures: dict[str, None] = {}
        self._ended: str | None = None
        self._failed = False
        self._stop = False
        self._files = 0
        self._clock = ActiveClock()

    def stop(self) -> None:
        """End at the edge of the batches in flight."""
        self._stop = True
        for part in self._parts:
            part.runner.stop()

    def outcomes(self, only: frozenset[Outcome] | None = None) -> Iterator[KeyOutcome]:
        """What became of each key, in the plan's order."""
        return self._tally.each(only)

    def view(self) -> RunView:
        """The run as it stands, all nodes together."""
        live = [part.runner.view() for part in self._parts]
        views = [*self._past, *live]
        counts = dict(self._tally.counts())
        for view in live:
            for outcome, number in view.counts.items():
                counts[outcome] = counts.get(outcome, 0) + number
                counts[Outcome.NOT_ATTEMPTED] = counts.get(Outcome.NOT_ATTEMPTED, 0) - number
        elapsed = self._clock.elapsed
        done = sum(number for outcome, number in counts.items() if outcome is not Outcome.NOT_ATTEMPTED)
        paths = [view.backup_path for view in views if view.backup_path is not None]
        return RunView(
            total_keys=len(self._plan.keys),
            counts={outcome: number for outcome, number in counts.items() if number > 0},
            planned_bytes=self._plan.size,
            freed_bytes=self._tally.freed_bytes + sum(view.freed_bytes for view in live),
            used_before_bytes=_sum([view.used_before_bytes for view in views]),
            used_now_bytes=_sum([view.used_now_bytes for view in views]),
            lazyfree_pending_objects=_sum([view.lazyfree_pending_objects for view in live]),
            charged_bytes=sum(view.taken_bytes for view in views),
            elapsed_seconds=elapsed,
            keys_per_second=done / elapsed if elapsed > 0 else 0.0,
            backup_path=", ".join(paths) or None,
            backups=tuple(paths),
            phase="ended" if self._ended else _phase(live),
            ended=self._ended,
            failed=self._failed,
        )

    async def run(self) -> RunView:
        """Carry out the plan on every node, follow what moved meanwhile, and report."""
        self._clock.start()
        left = list(range(len(self._plan.keys)))
        failure: str | None = DEFECT
        try:
            await self._nodes.refresh()
            self._recognise()
            for number in range(_ROUNDS):
                shares = self._shares(left, first=not number)
                if not shares:
                    break
                await self._round(shares)
                left = self._again()
                if not left or self._stop or not await self._found_heirs(left):
                    break
            failure = None
        except TriageError as error:
            failure = str(error)
        except asyncio.CancelledError:
            failure = "The tool ended while this ran"
            raise
        finally:
            if failure is not None:
                self._failures.setdefault(failure)
            self._end()
        return self.view()

    def _recognise(self) -> None:
        """Raise OtherServer where no node of the plan is one of this cluster."""
        known = {node.name for node in self._nodes.topology.nodes}
        planned = {key.id.node for key in self._plan.keys} - {""} or {self._plan.server}
        if known.isdisjoint(planned):
            raise OtherServer(
                f"this is not the cluster of the plan (made on {self._plan.server}): none of its nodes is here"
            )

    def _place(self, at: int) -> Place | None:
        """Where to try the key next; None where there is nowhere that was not tried."""
        tried = self._tried[at]
        last = tried[-1] if tried else None
        place = place_of(self._nodes, self._plan.keys[at].id.key, last, self._tally.moved(at))
        return None if place in tried else place

    def _shares(self, left: Sequence[int], *, first: bool) -> dict[Place, list[int]]:
        shares: dict[Place, list[int]] = defaultdict(list)
        for at in left:
            place = self._place(at)
            if place is not None:
                shares[place].append(at)
            elif first:
                self._tally.put(at, Outcome.NOT_ATTEMPTED, "no node serves its slot")
        return shares

    async def _round(self, shares: Mapping[Place, list[int]]) -> None:
        self._parts = []
        bounds = self._bounds(shares)
        for place, positions in shares.items():
            keys = tuple(_alone(self._plan.keys[at]) for at in positions)
            for at in positions:
                self._tried[at].append(place)
                # Until this try has ended nothing has become of it: it must not count twice.
                self._tally.put(at, Outcome.NOT_ATTEMPTED)
            criteria = replace(self._plan.criteria, max_bytes=bounds[place])
            part = frozen(replace(self._plan, keys=keys, criteria=criteria, server=place.node, run_id=None))
            self._parts.append(_Part(place, positions, self._runners(place, part, self._choice())))
        try:
            await run_all([part.runner for part in self._parts])
        finally:
            ended, self._parts = self._parts, []
            for one in ended:
                self._settle(one)

    def _settle(self, part: _Part) -> None:
        """Take over what became of the keys of one node, whatever ended its run."""
        for at, each in zip(part.positions, list(part.runner.outcomes()), strict=True):
            self._tally.put(at, each.outcome, each.detail, moved=each.moved)
        view = part.runner.view()
        self._past.append(view)
        if view.failed:
            self._failures[said_by(part.place.node, str(view.ended))] = None

    def _bounds(self, shares: Mapping[Place, list[int]]) -> dict[Place, int | None]:
        """How many bytes may go in each place: what earlier rounds have left, by what the keys there hold at most."""
        most = self._plan.criteria.max_bytes
        if most is None:
            return dict.fromkeys(shares)
        left = max(0, most - sum(view.taken_bytes for view in self._past))
        keys = self._plan.keys
        held = {place: sum(weight(keys[at].most or 0) for at in positions) for place, positions in shares.items()}
        whole = sum(held.values())
        return {place: left * share // whole if whole else left for place, share in held.items()}

    def _choice(self) -> BackupChoice:
        """Each run writes a file of its own: beside the one that was named, with a number."""
        path = self._backup.path
        if path is None:
            return self._backup
        self._files += 1
        return replace(self._backup, path=path if self._files == 1 else _numbered(path, self._files))

    def _again(self) -> list[int]:
        """The keys that another node may take: moved ones, and what a lost node was never asked for."""
        by_idle = self._plan.criteria.idle_over_seconds is not None
        left = []
        for at in range(len(self._plan.keys)):
            untouched = self._tally.outcome(at) is Outcome.NOT_ATTEMPTED
            if self._tally.moved(at) is not None or (untouched and not by_idle):
                left.append(at)
        return left

    async def _found_heirs(self, left: Sequence[int]) -> bool:
        """Wait until every key that is left has a place that was not tried; after a while one such key is enough."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        some = False
        while not self._stop:
            await self._nodes.refresh()
            fresh = [self._place(at) is not None for at in left]
            some = any(fresh)
            if all(fresh) or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.2)
        return some

    def _left_on_their_way(self) -> list[str]:
        """What is to be said of keys that no node acted on, as each sent us to another."""
        failed = self._tally.each(frozenset({Outcome.FAILED}))
        slots = Counter(slot_of(told.id.key) for told in failed if told.moved is not None)
        if not slots:
            return []
        keys, verb = number_of_keys(sum(slots.values())), "is" if sum(slots.values()) == 1 else "are"
        where = f"{keys} of {slots_by_number(slots)} {verb} on the way from one node to another"
        return [f"{where} and untouched: plan again when the resharding has ended."]

    def _end(self) -> None:
        self._clock.stop()
        counts = self._tally.counts()
        before = _sum([view.used_before_bytes for view in self._past])
        now = _sum([view.used_now_bytes for view in self._past])
        fell = None if before is None or now is None else before - now
        earlier = self._tally.deleted_earlier()
        sentence = report(self._plan.deed, counts, len(self._plan.keys), fell, earlier=earlier)
        unsettled = (Outcome.NOT_ATTEMPTED, Outcome.FAILED, Outcome.IN_DOUBT)
        missed = sum(counts.get(outcome, 0) for outcome in unsettled)
        self._failed = bool(self._failures) and bool(missed)
        if self._stop and Outcome.NOT_ATTEMPTED in counts:
            sentence = f"Interrupted. {sentence}"
        nodes = {key.id.node for key in self._plan.keys}
        place = safe_text(next(iter(nodes)), 80) if len(nodes) == 1 else f"{count(len(nodes))} nodes"
        told = " ".join([*self._failures, *self._left_on_their_way()])
        self._ended = f"On {place}: {sentence}" + (f" {told}" if told else "")


def _alone(key: PlannedKey) -> PlannedKey:
    return replace(key, id=KeyId(key.id.db, key.id.key))


def _numbered(path: Path, number: int) -> Path:
    numbered = path.with_name(f"{path.stem}.{number}{path.suffix}")
    if numbered.exists():
        raise BadInput(f"{numbered} exists already: name a new file for the backup")
    return numbered


def _sum(figures: Sequence[int | None]) -> int | None:
    """The sum, unknown where one of them is."""
    known = [figure for figure in figures if figure is not None]
    return sum(known) if figures and len(known) == len(figures) else None


def _phase(views: Sequence[RunView]) -> str:
    busy = [view for view in views if view.ended is None]
    if not busy:
        return "looking who serves the rest"
    return f"{busy[0].phase} ({number_of(len(busy), 'node')})"
