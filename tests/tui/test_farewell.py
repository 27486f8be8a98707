"""What is said at the prompt of an action that was ended by leaving the screen."""

from types import MappingProxyType

import pytest

from redis_oom_tui.models.action import PlanningView, RestoreOutcome, RestoreReport
from redis_oom_tui.models.plan import Outcome, RunView
from redis_oom_tui.tui.flows.farewell import farewell

RUN = RunView(9, MappingProxyType({Outcome.DELETED: 4}), backup_path="/b/my backup", ended="Interrupted.")


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (RUN, ["redis-oom-tui: Interrupted.", "Undo with: redis-oom-tui -p 7000 restore '/b/my backup'"]),
        (
            RunView(9, MappingProxyType({Outcome.NOT_ATTEMPTED: 9}), backup_path="/b/1"),
            ["redis-oom-tui: An action was still ending: the audit log shows how far it got."],
        ),
        (
            RestoreReport("/b/2", 9, MappingProxyType({RestoreOutcome.RESTORED: 4}), ended="Interrupted."),
            ["redis-oom-tui: Interrupted.", "Continue with: redis-oom-tui -p 7000 restore /b/2"],
        ),
        (PlanningView(), []),
    ],
)
def test_what_is_said(view: object, said: list[str]) -> None:
    assert list(farewell(view, ("-p", "7000"))) == said
