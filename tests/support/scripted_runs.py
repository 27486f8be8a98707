"""Plans, runs and restores that are scripted: a run goes on when the test steps it."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from redis_oom_tui.models.action import (
    BackupChoice,
    PlanningState,
    PlanningView,
    RestoreOutcome,
    RestoreReport,
)
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, KeyOutcome, Outcome, Plan, PlannedKey, RunView
from redis_oom_tui.models.structs import replace

_NO_PLAN = "No emergency cleanup is configured: name one under [emergency] in the configuration file"

HOSTILE = (
    b"[/x]",
    b"[red]k[/red]",
    b"\x1b]0;owned\x07\x1b[2J",
    b"\xff\xfe\x9b2J",
    b"",
    b"two  spaces ",
    "\u202ertl".encode(),
    b"n" * 100_000,
)


def some_keys(count: int = 40, *, hostile: bool = False) -> tuple[PlannedKey, ...]:
    """So many planned keys of falling size; the hostile ones first, where asked for."""
    names = [*(HOSTILE if hostile else ()), *(f"session:{n:06d}".encode() for n in range(count))]
    return tuple(
        PlannedKey(
            KeyId(0, name),
            "string" if n % 3 else "hash",
            (len(names) - n) * 4_096,
            ttl_ms=None if n % 4 else 3_600_000,
            idle_seconds=86_400 * (n % 50),
        )
        for n, name in enumerate(names)
    )


def a_plan(keys: Sequence[PlannedKey] | None = None, **changes: object) -> Plan:
    """A frozen plan over those keys."""
    keys = some_keys() if keys is None else tuple(keys)
    plan = Plan(
        keys=tuple(keys),
        criteria=Criteria(patterns=(b"session:*",)),
        made_at=1_760_000_000.0,
        server="127.0.0.1:6379",
        keyspace_keys=413_200,
        scanned_keys=413_200,
        matched_keys=len(keys),
        matched_bytes=sum(key.size or 0 for key in keys),
        hash="6b1f",
        role="master",
    )
    return replace(plan, **changes)  # type: ignore[arg-type]


@dataclass
class ScriptedPlanning:
    """Waits for `done`, unless the operator is in a hurry, and then has the plan."""

    plan: Plan
    error: str | None = None
    stopped: bool = False
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> PlanningView:
        """Until stopped or told that it is done."""
        await self.done.wait()
        return self.view()

    def view(self) -> PlanningView:
        """Half-way, or the end."""
        found = PlanningView(
            scanned_keys=200_000, total_keys=413_200, matched_keys=len(self.plan.keys), matched_bytes=self.plan.size
        )
        if not self.done.is_set():
            return found
        if self.error is not None:
            return replace(found, state=PlanningState.FAILED, error=self.error)
        state = PlanningState.STOPPED if self.stopped else PlanningState.COMPLETE
        return replace(found, state=state, plan=replace(self.plan, complete=self.plan.complete and not self.stopped))

    def stop(self) -> None:
        """End."""
        self.stopped = True
        self.done.set()


@dataclass
class ScriptedRun:
    """A run of which `step` is called by the test, or which is over at once."""

    plan: Plan
    backup: BackupChoice
    script: dict[Outcome, int] | None = None
    ended: str | None = None
    failed: bool = False
    words: str = "deleting"
    done_keys: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)
    crash: BaseException | None = None

    async def run(self) -> RunView:
        """Until told that it is done."""
        if self.crash is not None:
            raise self.crash
        await self.done.wait()
        return self.view()

    def step(self, keys: int) -> None:
        """So many more keys have been seen to."""
        self.done_keys = min(len(self.plan.keys), self.done_keys + keys)

    def finish(self, sentence: str = "All of the plan was done.") -> None:
        """Come to the end."""
        if not self.done.is_set():
            self.done_keys = len(self.plan.keys)
            self.ended = sentence
            self.done.set()

    def stop(self) -> None:
        """End where it is."""
        self.ended = "Stopped by you at the edge of a batch."
        self.done.set()

    def view(self) -> RunView:
        """Where it is."""
        total = len(self.plan.keys)
        counts = self.script or {
            Outcome.DELETED: max(0, self.done_keys - self.done_keys // 10),
            Outcome.CHANGED: self.done_keys // 10,
            Outcome.NOT_ATTEMPTED: total - self.done_keys,
        }
        return RunView(
            total_keys=total,
            counts=counts,
            freed_bytes=sum(key.size or 0 for key in self.plan.keys[: self.done_keys]),
            used_before_bytes=509 * 1024**2,
            used_now_bytes=480 * 1024**2,
            lazyfree_pending_objects=0,
            elapsed_seconds=1.5,
            keys_per_second=800.0,
            backup_path="/state/backups/one.oomb" if self.backup.wanted else None,
            phase=self.words,
            ended=self.ended,
            failed=self.failed,
        )

    def outcomes(self, only: frozenset[Outcome] | None = None) -> Iterator[KeyOutcome]:
        """Every tenth key has changed."""
        for n, key in enumerate(self.plan.keys[: self.done_keys]):
            outcome = Outcome.CHANGED if n % 10 == 9 else Outcome.DELETED
            if only is None or outcome in only:
                yield KeyOutcome(key.id, outcome, "its type changed" if n % 10 == 9 else "")


@dataclass
class ScriptedRestoring:
    """A putting-back that is over once `done` is set."""

    path: Path
    total: int = 40
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> RestoreReport:
        """Until told that it is done."""
        await self.done.wait()
        return self.view()

    def view(self) -> RestoreReport:
        """Nothing yet, or all."""
        over = self.done.is_set()
        counts = {RestoreOutcome.RESTORED: self.total - 2, RestoreOutcome.EXISTS: 2} if over else {}
        ended = "38 of 40 keys are back; 2 exist already." if over else None
        return RestoreReport(str(self.path), self.total, counts, ended=ended)

    def stop(self) -> None:
        """End."""
        self.done.set()
