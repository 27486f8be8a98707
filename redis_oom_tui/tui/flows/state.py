"""Where the operations stand: frozen values that the panes draw."""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from redis_oom_tui.models.action import AuditEntry, Limits, PlanningView, RestoreOutcome, RestoreReport
from redis_oom_tui.models.keys import PatternSample
from redis_oom_tui.models.plan import KeyOutcome, Outcome, Plan, RunView
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.settings import ChangeResult


class Stage(StrEnum):
    """Where a cleanup is."""

    FORM = "form"
    PLANNING = "planning"
    PREVIEW = "preview"
    RUNNING = "running"
    REPORT = "report"
    RESTORING = "restoring"
    RESTORED = "restored"


# After these the keys of a scan are no longer those of the server.
_OTHER_KEYS = (Outcome.DELETED, Outcome.EXPIRING, Outcome.IN_DOUBT, Outcome.GONE)


class CleanupState(Struct, frozen=True):
    """A cleanup, or a key that is shrunk. `outcomes` are the keys that were not done as planned, `more` how many
    of them are not listed. `things` are what is counted where it is not keys.
    """

    stage: Stage = Stage.FORM
    planning: PlanningView | None = None
    plan: Plan | None = None
    things: str = ""
    hidden: int = 0
    run: RunView | None = None
    outcomes: tuple[KeyOutcome, ...] = ()
    more: int = 0
    restoring: RestoreReport | None = None
    error: str = ""

    @property
    def working(self) -> bool:
        """Whether something goes on that can be stopped."""
        return self.stage in {Stage.PLANNING, Stage.RUNNING, Stage.RESTORING}

    @property
    def changed_keys(self) -> bool:
        """Whether keys were deleted, changed or restored by then, may have been, or were found gone."""
        run, restoring = self.run, self.restoring
        done = () if run is None else map(run.counts.get, _OTHER_KEYS)
        back = None if restoring is None else restoring.counts.get(RestoreOutcome.RESTORED)
        return any((*done, back))


class ShardScan(Struct, frozen=True):
    """All keys of the primary of a cluster called `name`, and samples of their values."""

    name: str
    view: ScanView
    values: tuple[PatternSample, ...] = ()


class LimitsState(Struct, frozen=True):
    """The settings as last read. `notice` tells what the last change came to; `reverts_at` is monotonic seconds."""

    limits: Limits | None = None
    error: str = ""
    notice: str = ""
    went_wrong: bool = False
    changes: tuple[ChangeResult, ...] = ()
    reverting: ChangeResult | None = None
    reverts_at: float | None = None
    held_now: Mapping[str, str | None] = {}
    """What the setting that is to revert was last read to be on each node of a cluster that took it."""

    def value(self, name: str) -> str | None:
        """What a setting was last read to be; None where that is not known."""
        return None if self.limits is None else self.limits.value(name)

    @property
    def changed_on(self) -> tuple[str, ...]:
        """The nodes of a cluster on which others have set what was to revert: there it does not."""
        held = self.reverting
        taken = () if held is None else [node for node in held.nodes if node.may_stand]
        known = [(node, self.held_now.get(node.node)) for node in taken]
        return tuple(node.node for node, value in known if None not in (value, node.now) and value != node.now)

    @property
    def changed_elsewhere(self) -> str | None:
        """What the setting that was to revert is now, where others have set it since: then it does not revert.

        In a cluster, where they have on every node that took it; '' where it is not the same on all of them.
        """
        held = self.reverting
        if held is not None and (held.nodes or held.change.node):
            values = {self.held_now[node] for node in self.changed_on}
            if not values or len(self.changed_on) < sum(node.may_stand for node in held.nodes):
                return None
            return (values.pop() if len(values) == 1 else None) or ""
        if held is None or held.now is None:
            return None
        value = self.value(held.change.name)
        return None if value == held.now else value

    def returning(self, now: float) -> tuple[str, float] | None:
        """The setting that reverts by itself, and in how many seconds from `now`, which is monotonic; None if none."""
        if self.reverting is None or self.reverts_at is None or self.changed_elsewhere is not None:
            return None
        return self.reverting.change.name, max(0.0, self.reverts_at - now)


class LogState(Struct, frozen=True):
    """The audit file as last read, how many of its lines could not be, and before what time actions were left out."""

    entries: tuple[AuditEntry, ...] = ()
    skipped: int = 0
    unread_before: float | None = None
    error: str = ""
