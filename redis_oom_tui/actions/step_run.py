"""What runs share that take parts out of keys or whole jobs: one record, one backup, steps, a report by outcome."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from redis_oom_tui.actions.context import DEFECT, ActionContext, ActionRecord, PacedWork, snapshot_until_lost
from redis_oom_tui.actions.deployment import Deployment
from redis_oom_tui.actions.node_worker import known_sum
from redis_oom_tui.actions.outcomes import after
from redis_oom_tui.files.backup import BackupWriter, new_path
from redis_oom_tui.formatting.sizes import count, percent
from redis_oom_tui.models.action import Action, BackupChoice
from redis_oom_tui.models.errors import OtherServer, TriageError
from redis_oom_tui.models.plan import Outcome, RunView
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.stepped import FinishedPlan, ShrinkPlan
from redis_oom_tui.rules.report import memory_words
from redis_oom_tui.server.clocks import ActiveClock
from redis_oom_tui.server.live import LiveServer

_FREEING_LONGEST_SECONDS, _FREEING_PAUSE_SECONDS = 5.0, 0.05


class StepRun(PacedWork, ABC):
    """A run in steps. Its views count elements or jobs in place of keys; `verb` is what was done to them."""

    verb = "Removed"

    def __init__(
        self, context: ActionContext, deployment: Deployment, plan: ShrinkPlan | FinishedPlan, backup: BackupChoice
    ) -> None:
        super().__init__()
        self._context = context
        self._deployment = deployment
        self._choice = backup
        self._goal = plan
        self._record = ActionRecord(context)
        self._counts: Counter[Outcome] = Counter()
        self._clock = ActiveClock()
        self._writer: BackupWriter | None = None
        self._used: tuple[int | None, int | None] = (None, None)
        self._pressure: float | None = None
        self._settled = 0
        self._ended: str | None = None
        self._failed = False

    def view(self) -> RunView:
        """How far it is."""
        going, elapsed = self._goal.going, self._clock.elapsed
        counts = {outcome: number for outcome, number in self._counts.items() if number}
        done = sum(counts.values())
        if done < going:
            counts[Outcome.NOT_ATTEMPTED] = going - done
        doing = "starting" if self._throttle is None else self._throttle.words("removing")
        return RunView(
            total_keys=going,
            counts=MappingProxyType(counts),
            freed_bytes=self._freed() if self._ended is not None else 0,
            used_before_bytes=self._used[0],
            used_now_bytes=self._used[1],
            elapsed_seconds=elapsed,
            keys_per_second=done / elapsed if elapsed > 0 else 0.0,
            backup_path=str(self._writer.path) if self._writer is not None and self._writer.keys else None,
            phase="ended" if self._ended else doing,
            throttled=self._throttle is not None and self._throttle.throttled and not self._ended,
            ended=self._ended,
            failed=self._failed,
        )

    async def run(self) -> RunView:
        """Step by step, read what is there again, and report. Never raises but for a defect or where cancelled."""
        self._clock.start()
        failure: str | None = DEFECT
        try:
            await self._carry_out()
            failure = None
        except TriageError as error:
            failure = str(error)
        except asyncio.CancelledError:
            failure = "The tool ended while this ran"
            raise
        finally:
            self._end(failure)
        return self.view()

    @abstractmethod
    async def _carry_out(self) -> None: ...

    def _begin(
        self,
        action: Action,
        what: str,
        snapshot: Snapshot,
        skews: Mapping[str, float | None] = MappingProxyType({}),
        **facts: Any,
    ) -> None:
        """Write down what is about to happen, and make the backup; `skews` are the clocks' of a cluster's nodes."""
        plan, context, choice = self._goal, self._context, self._choice
        path = (choice.path or new_path(context.backups, plan, context.wall())) if choice.wanted else None
        self._record.begin(
            action.value,
            server=plan.server,
            what=what,
            run_id=snapshot.server.run_id,
            plan=plan.hash,
            **facts,
            bytes=plan.about_bytes,
            backup=None if path is None else str(path),
            used_memory=self._used[0],
        )
        if path is not None:
            skew = snapshot.clock_skew_seconds
            self._writer = BackupWriter(path, plan, snapshot.server, context.wall(), skew, node_skews=skews)

    @abstractmethod
    def _freed(self) -> int:
        """Bytes that are free now, as far as sizes tell."""

    @abstractmethod
    def _number(self, number: int) -> str:
        """So many of what it counts."""

    def _left_words(self) -> str:
        return ""

    def _must_be_the_same(self, server: LiveServer, snapshot: Snapshot) -> None:
        then, now = self._goal.run_id, snapshot.server.run_id
        if then is not None and now is not None and then != now:
            raise OtherServer.at(server.address)

    async def _measure(self, *servers: LiveServer) -> None:
        """What used_memory is now, once nothing waits to be freed in the background any more, or that takes long.

        Until then it is not known: a run that ends before has not read it.
        """
        deadline = time.monotonic() + _FREEING_LONGEST_SECONDS
        while True:
            memories = [(await snapshot_until_lost(server, lambda: self._stop)).memory for server in servers]
            self._used = (self._used[0], known_sum([memory.used_bytes for memory in memories]))
            self._pressure = memories[0].pressure if len(memories) == 1 else None
            if (
                not any(memory.lazyfree_pending_objects for memory in memories)
                or time.monotonic() >= deadline
                or self._stop
            ):
                return
            await asyncio.sleep(_FREEING_PAUSE_SECONDS)

    def _memory_words(self) -> str:
        before, now = self._used
        if before is None or not self._counts[Outcome.DELETED]:
            return ""
        if now is None:
            return "; what used memory fell by is not known"
        full = "" if self._pressure is None else f", to {percent(self._pressure, 1)} of maxmemory"
        return f"; {memory_words(before - now)}{full}"

    def _put(self, outcome: Outcome, number: int = 1) -> None:
        self._counts[outcome] += number
        self._settled += number

    def _end(self, failure: str | None) -> None:
        self._clock.stop()
        writer, backup = self._writer, None
        if writer is not None:
            writer.close()
            if writer.keys:
                backup = str(writer.path)
            else:
                writer.discard()
        self._failed = failure is not None
        counts = self.view().counts
        interrupted = self._stop and Outcome.NOT_ATTEMPTED in counts
        self._ended = self._record.end(
            ok=not (self._failed or interrupted),
            result=self._sentence(failure, interrupted=interrupted),
            counts={outcome.value: number for outcome, number in counts.items()},
            freed_bytes=None,
            used_memory=self._used[1],
            backup=backup,
            stopped=self._stop,
        )

    def _sentence(self, failure: str | None, *, interrupted: bool) -> str:
        parts = [f"{self.verb} {count(self._counts[Outcome.DELETED])} of {self._number(self._goal.going)}"]
        for outcome, *words in _LEFT:
            if number := self._counts[outcome]:
                parts.append(f"{count(number)} {words[number > 1]}")
        rest = self._goal.going - sum(self._counts.values())
        if rest > 0 and (failure is not None or interrupted):
            parts.append(f"{count(rest)} {'was' if rest == 1 else 'were'} not attempted")
        sentence = f"{'; '.join(parts)}{self._memory_words()}.{self._left_words()}"
        if failure is not None:
            return after(failure, sentence)
        return f"Interrupted. {sentence}" if interrupted else sentence


_LEFT = (
    (Outcome.GONE, "was gone already", "were gone already"),
    (Outcome.CHANGED, "changed since the preview and was kept", "changed since the preview and were kept"),
    (Outcome.FAILED, "was kept, as no copy could be saved", "were kept, as no copy could be saved"),
    (Outcome.IN_DOUBT, "is in doubt, as the reply was lost", "are in doubt, as the reply was lost"),
)
