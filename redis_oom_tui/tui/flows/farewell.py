"""What is said at the prompt of an action that was ended by leaving the screen."""

from collections.abc import Iterator, Sequence

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.server import PROGRAM, command_line
from redis_oom_tui.models.action import RestoreReport
from redis_oom_tui.models.plan import RunView

_UNDER_WAY = "An action was still ending: the audit log shows how far it got."


def farewell(view: object, connection_args: Sequence[str]) -> Iterator[str]:
    """What became of an action, and the way back or on; nothing of what changes nothing, such as a search."""
    if not isinstance(view, RunView | RestoreReport):
        return
    yield safe_text(f"{PROGRAM}: {view.ended or _UNDER_WAY}")
    if isinstance(view, RestoreReport):
        yield f"Continue with: {command_line(connection_args, 'restore', view.path)}"
    elif view.undoable and view.backup_path is not None:
        yield f"Undo with: {command_line(connection_args, 'restore', view.backup_path)}"
