"""Who acts on a server in this run: its audit file, and the emergency plan of its configuration."""

from typing import TYPE_CHECKING

from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.models.config import Emergency, NamedPlan
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.live import LiveServer

if TYPE_CHECKING:
    from redis_oom_tui.actions.cluster.operator import ClusterOperator
    from redis_oom_tui.server.cluster.source import ClusterSource


def make_operator(invocation: Invocation, server: "LiveServer | ClusterSource") -> "LiveOperator | ClusterOperator":
    """The operator of one server, or of a cluster."""
    emergency = emergency_plan(invocation)
    if isinstance(server, LiveServer):
        return LiveOperator(server, audit_path=invocation.audit_path, emergency=emergency)
    from redis_oom_tui.actions.cluster.operator import ClusterOperator

    return ClusterOperator(server, audit_path=invocation.audit_path, emergency=emergency)


def emergency_plan(invocation: Invocation) -> NamedPlan | None:
    """The plan that the configuration names for emergencies, held to the caps it sets; None where it names none."""
    emergency = invocation.profile.emergency
    named = invocation.configuration.settings.plans.get(emergency.plan or "")
    if named is None:  # or it names a saved plan by its path, which only `watch` runs
        return None
    return replace(named, criteria=_capped(named, emergency))


def _capped(named: NamedPlan, emergency: Emergency) -> Criteria:
    criteria = named.criteria
    return replace(
        criteria,
        max_keys=min(criteria.max_keys or emergency.max_keys, emergency.max_keys),
        max_bytes=min(criteria.max_bytes or emergency.max_bytes, emergency.max_bytes),
    )
