"""What a pane asks for: each request is posted, and leads to its flow or to the part of the app that it concerns."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual.message import Message

from redis_oom_tui.models.action import Action
from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Operation, Plan, ProposedJobs
from redis_oom_tui.models.scan import Pace, ScanOptions
from redis_oom_tui.models.verdict import Remedy


class Request(Message):
    """`action` is what must be allowed here for it to make sense, None for a look. What is `local` needs no operator,
    and works where nothing can be changed. `asked_for`: by the user, not by the screen itself.
    """

    action: ClassVar[Action | None] = None
    local: ClassVar[bool] = False
    asked_for = True

    @property
    def needs(self) -> Action | None:
        """The action that must be allowed."""
        return self.action


# What is shown.


@dataclass(eq=False, repr=False)
class ShowPane(Request):
    """Go to the pane of that name: triage, hogs, limits, cleanup or log."""

    pane: str


@dataclass(eq=False, repr=False)
class ApplyRemedy(Request):
    """Go where a finding is fixed, with the plan or setting filled in."""

    remedy: Remedy


@dataclass(eq=False, repr=False)
class MakePlan(Request):
    """Begin a cleanup plan that looks for this; `origin` says in a few words where it comes from.

    `hidden` is how many of the marked keys a filter keeps out of sight.
    """

    criteria: Criteria
    origin: str
    hidden: int = 0


@dataclass(eq=False, repr=False)
class LookAtNode(Request):
    """Show this node of the cluster; with `or_worst` the worst again where it is shown by choice already."""

    name: str
    or_worst: bool = True


@dataclass(eq=False, repr=False)
class ShowDetails(Request):
    """Look at one key more closely."""

    key: KeyId


# Scans.


@dataclass(eq=False, repr=False)
class StartScan(Request):
    """Scan the keyspace, in place of the scan that may run."""

    options: ScanOptions
    asked_for: bool = True


class PauseScan(Request):
    """Pause the running scan, or resume the paused one."""


class StopScan(Request):
    """End the scan and keep what it found."""


@dataclass(eq=False, repr=False)
class SetPace(Request):
    """Lean harder, or less hard, on the server."""

    pace: Pace


@dataclass(eq=False, repr=False)
class ScanAgain(Request):
    """Scan from the start in place of the scan on screen; only names that `match`, where that is given."""

    match: bytes | None = None
    local = True


class SaveScan(Request):
    """Keep the scan on screen in a new file; asks where."""

    local = True


class OpenScan(Request):
    """Resume a saved scan, or compare with it; asks which."""

    local = True


# Settings.


class ReadLimits(Request):
    """Look at policies and settings as they stand."""

    asked_for = False


@dataclass(eq=False, repr=False)
class ChangeSetting(Request):
    """Change a setting; `value` is proposed by a finding, None where it is still to be asked for."""

    name: str
    value: str | None = None
    action = Action.SET


class UndoSetting(Request):
    """Undo the setting changed last."""

    action = Action.SET


class ShowUndoList(Request):
    """List what can be undone here, settings and backups; asks which, and again before anything is undone."""


class KeepSetting(Request):
    """Call off the timed return of a setting."""


# Cleanups.


@dataclass(eq=False, repr=False)
class BuildPlan(Request):
    """Look for keys. `hidden` is how many of `criteria.keys` a filter hides."""

    criteria: Criteria
    operation: Operation = Operation.DELETE
    expire_seconds: int | None = None
    hidden: int = 0


class BuildEmergency(Request):
    """Look for the keys of the plan that the configuration prepared."""

    action = Action.EMERGENCY


@dataclass(eq=False, repr=False)
class RunPlan(Request):
    """Confirm and run exactly this plan."""

    plan: Plan
    hidden: int = 0

    @property
    def needs(self) -> Action:
        """The right to do what the plan does."""
        return Action.EXPIRE if self.plan.operation is Operation.EXPIRE else Action.DELETE


class ProposeCleanup(Request):
    """Propose what may go to reach the target; asks what of it, and again before anything goes."""

    action = Action.DELETE


@dataclass(eq=False, repr=False)
class ShrinkKey(Request):
    """Remove elements of a key that stays, of type `kind`; asks which, and again before anything goes."""

    key: KeyId
    kind: str
    action = Action.SHRINK


@dataclass(eq=False, repr=False)
class DeleteFinished(Request):
    """Delete finished jobs; asks from which age on, and again before anything goes."""

    jobs: ProposedJobs
    action = Action.FINISH


@dataclass(eq=False, repr=False)
class PlanOrphans(Request):
    """Preview the keys of an application that its own lists name no more."""

    application: str
    db: int
    action = Action.DELETE


class StopWork(Request):
    """End the planning, the run or the restore that goes on, after its batch."""


class NewPlan(Request):
    """Put the finished plan or report away."""


class LeavePlan(Request):
    """Back to the form; the plan is kept, for an Escape may be the torn-off head of an arrow key."""


class ShowPlan(Request):
    """Show the plan again that was left."""


@dataclass(eq=False, repr=False)
class RestoreBackup(Request):
    """Restore a backup; None asks which."""

    path: Path | None = None
    action = Action.RESTORE


# Clients, memory, and what was done.


@dataclass(eq=False, repr=False)
class KillClient(Request):
    """Close the connection of a client, by what was shown of it."""

    client: ClientBuffer
    action = Action.KILL_CLIENT


class PickClient(Request):
    """Close the connection of one of the clients that hold most; asks which."""

    action = Action.KILL_CLIENT


class PurgeMemory(Request):
    """MEMORY PURGE."""

    action = Action.PURGE


class ReapExpired(Request):
    """Scan all keys, so that the server drops those that have expired."""

    action = Action.REAP


class ReadHistory(Request):
    """Read the audit log."""

    asked_for = False


class ExportReport(Request):
    """Write the incident report to a new file; asks where."""

    local = True


@dataclass(eq=False, repr=False)
class CopyForChat(Request):
    """Copy the verdict and findings; asks in which form. `texts` is what was on the screen, by the form's name."""

    texts: Mapping[str, str]
    local = True


class PickProfile(Request):
    """Go to the server of another profile; asks which."""

    local = True


class ShowOverview(Request):
    """Go to the overview of the servers of all profiles."""

    local = True


class LeaveOverview(Request):
    """Give up what is being opened from the overview; from one that was opened over a server, go back to that."""

    local = True


@dataclass(eq=False, repr=False)
class OpenProfile(Request):
    """Go from the overview to the server of this profile; in a cluster with the figures of `node`, if one is given."""

    name: str
    node: str = ""
    local = True


class ShowHotKeys(Request):
    """Show the hottest keys, where the server tracks them already."""

    local = True


# What the command palette offers besides what panes have keys for.
COMMANDS: tuple[tuple[str, str, type[Request]], ...] = (
    ("Emergency cleanup", "Preview the emergency cleanup plan (confirms before running)", BuildEmergency),
    ("Free memory", "Propose what may go to reach 80% of maxmemory, or another share", ProposeCleanup),
    ("Restore a backup", "Restore deleted keys; existing keys are never overwritten", RestoreBackup),
    ("Undo the last setting change", "Undo the last change made here", UndoSetting),
    ("Remove expired keys", "Scan all keys, so that the server removes those that have expired", ReapExpired),
    ("Kill a client", "Choose one of the clients that use most memory; asks first", PickClient),
    ("Hot keys", "The hottest keys, where the server tracks them already (HOTKEYS, Redis 8.6)", ShowHotKeys),
    ("Write the incident report", "Verdicts, figures, findings and actions as Markdown, HTML or JSON", ExportReport),
    ("Purge free memory", "MEMORY PURGE: the allocator gives unused pages back", PurgeMemory),
)
