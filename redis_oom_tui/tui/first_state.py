"""What one look alone amounts to: a reading without a past."""

from redis_oom_tui.files.host_memory import with_room
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.verdict import Thresholds
from redis_oom_tui.rules.forecast import forecast
from redis_oom_tui.rules.history import History
from redis_oom_tui.rules.verdict import follow, judge
from redis_oom_tui.tui.server_state import Link, ServerState


def first_state(look: Snapshot, thresholds: Thresholds) -> ServerState:
    """The reading that the poller would make of its first answer, before it has asked for anything else."""
    snapshot, history = with_room(look), History()
    history.add(snapshot)
    rates, told = history.rates(), forecast(history.samples)
    verdict = judge(snapshot, thresholds=thresholds, rates=rates, forecast=told)
    return ServerState(
        address=snapshot.server.address,
        link=Link.LIVE,
        snapshot=snapshot,
        samples=history.samples,
        rates=rates,
        verdict=follow(verdict, None, snapshot.taken_at),
        forecast=told,
    )
