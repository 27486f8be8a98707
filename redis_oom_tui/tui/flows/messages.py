"""What panes ask to be done to the server. Each leads to a confirmation first; the app runs what follows."""

from pathlib import Path
from typing import ClassVar

from textual.message import Message

from redis_oom_tui.models.action import Action
from redis_oom_tui.models.plan import Criteria, Operation, Plan
from redis_oom_tui.models.snapshot import ClientBuffer


class ActionRequest(Message):
    """Something for the operator. `action` is what must be allowed here for it to make sense, None for a look.

    What is `local` needs no server, and works where nothing can be changed.
    """

    action: ClassVar[Action | None] = None
    local: ClassVar[bool] = False

    @property
    def needs(self) -> Action | None:
        """The action that must be allowed."""
        return self.action


class ReadLimits(ActionRequest):
    """Look at policies and settings as they stand."""


class ChangeSetting(ActionRequest):
    """Change a setting; `value` is proposed by a finding, None where it is still to be asked for."""

    action = Action.SET

    def __init__(self, name: str, value: str | None = None) -> None:
        super().__init__()
        self.name = name
        self.value = value


class UndoSetting(ActionRequest):
    """Put the setting changed last back."""

    action = Action.SET


class KeepSetting(ActionRequest):
    """Call off the timed return of a setting."""


class BuildPlan(ActionRequest):
    """Look for keys. `hidden` is how many of `criteria.keys` a filter hides."""

    def __init__(
        self,
        criteria: Criteria,
        *,
        deed: Operation = Operation.DELETE,
        expire_seconds: int | None = None,
        hidden: int = 0,
    ) -> None:
        super().__init__()
        self.criteria = criteria
        self.deed = deed
        self.expire_seconds = expire_seconds
        self.hidden = hidden


class BuildEmergency(ActionRequest):
    """Look for the keys of the plan that the configuration prepared."""

    action = Action.EMERGENCY


class RunPlan(ActionRequest):
    """Confirm and run exactly this plan."""

    def __init__(self, plan: Plan, *, hidden: int = 0) -> None:
        super().__init__()
        self.plan = plan
        self.hidden = hidden

    @property
    def needs(self) -> Action:
        """The right to do what the plan does."""
        return Action.EXPIRE if self.plan.deed is Operation.EXPIRE else Action.DELETE


class StopWork(ActionRequest):
    """End the planning, the run or the restoring that goes on, at the next edge."""


class NewPlan(ActionRequest):
    """Put the finished plan or report away."""


class LeavePlan(ActionRequest):
    """Back to the form; the plan is kept, for an Escape may be the torn-off head of an arrow key."""


class ShowPlan(ActionRequest):
    """Show the plan again that was left."""


class RestoreBackup(ActionRequest):
    """Put a backup back; None asks which."""

    action = Action.RESTORE

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        self.path = path


class KillClient(ActionRequest):
    """Close the connection of a client, by what was shown of it."""

    action = Action.KILL_CLIENT

    def __init__(self, client: ClientBuffer) -> None:
        super().__init__()
        self.client = client


class PickClient(ActionRequest):
    """Close the connection of one of the clients that hold most; asks which."""

    action = Action.KILL_CLIENT


class PurgeMemory(ActionRequest):
    """MEMORY PURGE."""

    action = Action.PURGE


class ReapExpired(ActionRequest):
    """Walk all keys, so that the server drops those that have expired."""

    action = Action.REAP


class ReadHistory(ActionRequest):
    """Look at the audit file."""


class ExportReport(ActionRequest):
    """Write the incident report to a new file; asks where."""

    local = True


class SaveScan(ActionRequest):
    """Keep the scan on screen in a new file; asks where."""

    local = True


class OpenScan(ActionRequest):
    """Go on with a saved scan, or compare with it; asks which."""

    local = True


class ScanAgain(ActionRequest):
    """Scan from the start in place of the scan on screen."""

    local = True


class PickProfile(ActionRequest):
    """Go to the server of another profile; asks which."""

    local = True


# What the command palette offers besides what panes have keys for.
COMMANDS: tuple[tuple[str, str, type[ActionRequest]], ...] = (
    ("Emergency cleanup", "Look for the keys of the prepared plan; running it is another question", BuildEmergency),
    ("Restore a backup", "Put deleted keys back where nothing newer stands", RestoreBackup),
    ("Put the last setting back", "Undo the last change made here", UndoSetting),
    ("Remove expired keys", "Walk all keys, so that the server drops those that have expired", ReapExpired),
    ("Close a client", "Pick one of the clients that hold most memory; closing it is another question", PickClient),
    ("Write the incident report", "Verdicts, figures, findings and actions as Markdown or JSON", ExportReport),
    ("Purge free memory", "MEMORY PURGE: the allocator gives unused pages back", PurgeMemory),
)
