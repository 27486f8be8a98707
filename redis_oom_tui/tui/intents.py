"""What a pane asks the app to do. Panes post these; the app routes them and runs the work."""

from textual.message import Message

from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.models.scan import Pace, ScanOptions
from redis_oom_tui.models.verdict import Lever


class Intent(Message):
    """What a pane wants of the app."""


class ShowPane(Intent):
    """Go to the pane of that name: triage, hogs, limits, cleanup or log."""

    def __init__(self, pane: str) -> None:
        super().__init__()
        self.pane = pane


class PullLever(Intent):
    """Go where a finding is mended, with the plan or setting filled in."""

    def __init__(self, lever: Lever) -> None:
        super().__init__()
        self.lever = lever


class MakePlan(Intent):
    """Begin a cleanup plan that looks for this; `origin` says in a few words where it comes from.

    `hidden` is how many of the marked keys a filter keeps out of sight.
    """

    def __init__(self, criteria: Criteria, origin: str, *, hidden: int = 0) -> None:
        super().__init__()
        self.criteria = criteria
        self.origin = origin
        self.hidden = hidden


class StartScan(Intent):
    """Scan the keyspace, in place of the scan that may run."""

    def __init__(self, options: ScanOptions) -> None:
        super().__init__()
        self.options = options


class PauseScan(Intent):
    """Pause the running scan, or go on with the paused one."""


class StopScan(Intent):
    """End the scan and keep what it found."""


class SetPace(Intent):
    """Lean harder, or less hard, on the server."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self.pace = pace


class LookAtNode(Intent):
    """Show this node of the cluster, or the worst again where it is shown by choice already."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class ShowDetails(Intent):
    """Look at one key more closely."""

    def __init__(self, key: KeyId) -> None:
        super().__init__()
        self.key = key
