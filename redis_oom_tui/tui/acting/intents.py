"""What panes ask to be done to the server. Each leads to a confirmation first; the app runs what follows."""

from pathlib import Path
from typing import ClassVar

from textual.message import Message

from redis_oom_tui.models.action import Action
from redis_oom_tui.models.plan import Criteria, Deed, Plan
from redis_oom_tui.models.snapshot import ClientBuffer


class Ask(Message):
    """Something for the operator. `action` is what must be allowed here for it to make sense, None for a look.

    What is `local` needs no server, and works where nothing can be changed.
    """

    action: ClassVar[Action | None] = None
    local: ClassVar[bool] = False

    @property
    def needs(self) -> Action | None:
        """The action that must be allowed."""
        return self.action


class ReadLimits(Ask):
    """Look at policies and settings as they stand."""


class ChangeSetting(Ask):
    """Change a setting; `value` is proposed by a finding, None where it is still to be asked for."""

    action = Action.SET

    def __init__(self, name: str, value: str | None = None) -> None:
        super().__init__()
        self.name = name
        self.value = value


class UndoSetting(Ask):
    """Put the setting changed last back."""

    action = Action.SET


class KeepSetting(Ask):
    """Call off the timed return of a setting."""


class BuildPlan(Ask):
    """Look for keys. `hidden` is how many of `criteria.keys` a filter hides."""

    def __init__(
        self, criteria: Criteria, *, deed: Deed = Deed.DELETE, expire_seconds: int | None = None, hidden: int = 0
    ) -> None:
        super().__init__()
        self.criteria = criteria
        self.deed = deed
        self.expire_seconds = expire_seconds
        self.hidden = hidden


class BuildEmergency(Ask):
    """Look for the keys of the plan that the configuration prepared."""

    action = Action.EMERGENCY


class RunPlan(Ask):
    """Confirm and run exactly this plan."""

    def __init__(self, plan: Plan, *, hidden: int = 0) -> None:
        super().__init__()
        self.plan = plan
        self.hidden = hidden

    @property
    def needs(self) -> Action:
        """The right to do what the plan does."""
        return Action.EXPIRE if self.plan.deed is Deed.EXPIRE else Action.DELETE


class StopWork(Ask):
    """End the planning, the run or the restoring that goes on, at the next edge."""


class NewPlan(Ask):
    """Put the finished plan or report away."""


class LeavePlan(Ask):
    """Back to the form; the plan is kept, for an Escape may be the torn-off head of an arrow key."""


class ShowPlan(Ask):
    """Show the plan again that was left."""


class RestoreBackup(Ask):
    """Put a backup back; None asks which."""

    action = Action.RESTORE

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        self.path = path


class KillClient(Ask):
    """Close the connection of a client, by what was shown of it."""

    action = Action.KILL_CLIENT

    def __init__(self, client: ClientBuffer) -> None:
        super().__init__()
        self.client = client


class PickClient(Ask):
    """Close the connection of one of the clients that hold most; asks which."""

    action = Action.KILL_CLIENT


class PurgeMemory(Ask):
    """MEMORY PURGE."""

    action = Action.PURGE


class ReapExpired(Ask):
    """Walk all keys, so that the server drops those that have expired."""

    action = Action.REAP


class ReadHistory(Ask):
    """Look at the audit file."""


class ExportReport(Ask):
    """Write the incident report to a new file; asks where."""

    local = True


class SaveScan(Ask):
    """Keep the scan on screen in a new file; asks where."""

    local = True


class OpenScan(Ask):
    """Go on with a saved scan, or compare with it; asks which."""

    local = True


class ScanAgain(Ask):
    """Scan from the start in place of the scan on screen."""

    local = True


class PickProfile(Ask):
    """Go to the server of another profile; asks which."""

    local = True


# What the command palette offers besides what panes have keys for.
COMMANDS: tuple[tuple[str, str, type[Ask]], ...] = (
    ("Emergency cleanup", "Look for the keys of the prepared plan; running it is another question", BuildEmergency),
    ("Restore a backup", "Put deleted keys back where nothing newer stands", RestoreBackup),
    ("Put the last setting back", "Undo the last change made here", UndoSetting),
    ("Remove expired keys", "Walk all keys, so that the server drops those that have expired", ReapExpired),
    ("Close a client", "Pick one of the clients that hold most memory; closing it is another question", PickClient),
    ("Write the incident report", "Verdicts, figures, findings and actions as Markdown or JSON", ExportReport),
    ("Purge free memory", "MEMORY PURGE: the allocator gives unused pages back", PurgeMemory),
)
