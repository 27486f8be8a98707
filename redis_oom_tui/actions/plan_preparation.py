"""What is asked and said before the keys of a plan are looked for."""

from redis_oom_tui.actions.context import ActionContext
from redis_oom_tui.actions.rights import Rights
from redis_oom_tui.models.action import Action
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.rules import plan_warnings
from redis_oom_tui.rules.policies import is_lfu
from redis_oom_tui.server.mutations.rights import deletion_refused

_REFUSE_ALL = ("MISCONF", "NOREPLICAS", "READONLY", "CLUSTERDOWN")


async def prepared(
    desk: ActionContext, rights: Rights, criteria: Criteria, action: Action, snapshot: Snapshot
) -> tuple[bool, tuple[str, ...]]:
    """Whether an LFU policy is known to have been on since the server started, and what else to say of a plan.

    Raises BadInput for criteria that need what the server does not tell.
    """
    plan_warnings.refuse_unknown(criteria, await rights.learn())
    weaknesses = rights.weaknesses(action)
    if rights.why_not(action) is None and _suspicious(snapshot):
        refused = await deletion_refused(desk.server)
        if refused is not None:
            weaknesses = (
                f"The server refuses deletions just now, so this plan would do nothing: {refused}.",
                *weaknesses,
            )
    return _lfu_before(desk, snapshot), weaknesses


def _suspicious(snapshot: Snapshot) -> bool:
    """Whether anything hints at a server that refuses every write, deletions too."""
    errors = snapshot.counters.errors_by_kind
    activity = snapshot.activity
    return (
        activity.last_save_failed or activity.good_replicas is not None or any(errors.get(kind) for kind in _REFUSE_ALL)
    )


def _lfu_before(desk: ActionContext, snapshot: Snapshot) -> bool:
    """As far as the audit file tells: the policies that were set from here."""
    uptime = snapshot.server.uptime_seconds
    since = 0.0 if uptime is None else desk.wall() - uptime
    return any(
        entry.change is not None
        and entry.change.change.name == "maxmemory-policy"
        and entry.server == str(desk.server.address)
        and entry.at >= since
        and (is_lfu(entry.change.change.old or "") or is_lfu(entry.change.change.new))
        for entry in desk.audit.history()
    )
