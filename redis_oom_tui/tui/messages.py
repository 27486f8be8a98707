"""What a pane asks the app to do. Panes post these; the app routes them and runs the work."""

from textual.message import Message

from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.models.scan import Pace, ScanOptions
from redis_oom_tui.models.verdict import Remedy


class PaneRequest(Message):
    """What a pane wants of the app."""


class ShowPane(PaneRequest):
    """Go to the pane of that name: triage, hogs, limits, cleanup or log."""

    def __init__(self, pane: str) -> None:
        super().__init__()
        self.pane = pane


class ApplyRemedy(PaneRequest):
    """Go where a finding is mended, with the plan or setting filled in."""

    def __init__(self, lever: Remedy) -> None:
        super().__init__()
        self.lever = lever


class MakePlan(PaneRequest):
    """Begin a cleanup plan that looks for this; `origin` says in a few words where it comes from.

    `hidden` is how many of the marked keys a filter keeps out of sight.
    """

    def __init__(self, criteria: Criteria, origin: str, *, hidden: int = 0) -> None:
        super().__init__()
        self.criteria = criteria
        self.origin = origin
        self.hidden = hidden


class StartScan(PaneRequest):
    """Scan the keyspace, in place of the scan that may run."""

    def __init__(self, options: ScanOptions) -> None:
        super().__init__()
        self.options = options


class PauseScan(PaneRequest):
    """Pause the running scan, or go on with the paused one."""


class StopScan(PaneRequest):
    """End the scan and keep what it found."""


class SetPace(PaneRequest):
    """Lean harder, or less hard, on the server."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self.pace = pace


class LookAtNode(PaneRequest):
    """Show this node of the cluster, or the worst again where it is shown by choice already."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class ShowDetails(PaneRequest):
    """Look at one key more closely."""

    def __init__(self, key: KeyId) -> None:
        super().__init__()
        self.key = key
