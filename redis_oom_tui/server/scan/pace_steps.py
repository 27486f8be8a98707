"""How hard a scan leans on the server: a ladder of steps, and what moves a scan up or down on it."""

from msgspec import Struct

from redis_oom_tui.models.scan import Pace
from redis_oom_tui.models.structs import replace


class PaceStep(Struct, frozen=True):
    """So many connections, so many keys a page, and on each connection a rest, in seconds, after so many pages."""

    lanes: int
    count: int
    rest: float = 0.0
    pages: int = 1


class PaceBudget(Struct, frozen=True):
    """What a pace may cost: a share of the server's one core, and seconds that others may wait longer."""

    share: float | None
    delay: float
    hold: float


class PaceReading(Struct, frozen=True):
    """What was measured: seconds by which a PING takes longer than at rest, its time at rest, the scan's share of the
    server's core, how busy that core is in all, and the commands a second of everybody else."""

    delay: float
    round_trip: float
    share: float | None = None
    busy: float | None = None
    others: float | None = None


# What hurts others is the batch that the server works off before it turns to them, not the rate. So beside others small
# pages go one after the other, and more lanes are only for where nobody else is at work. An event loop sleeps a
# millisecond at least: gentle are several small pages between two rests, not one large one.
LADDERS: dict[Pace, tuple[PaceStep, ...]] = {
    Pace.GENTLE: (
        PaceStep(1, 8, 0.02),
        PaceStep(1, 8, 0.005),
        PaceStep(1, 8, 0.001),
        PaceStep(1, 8, 0.001, pages=3),
        PaceStep(1, 12, 0.001, pages=8),
        PaceStep(2, 32, 0.001),
        PaceStep(8, 32),
    ),
    Pace.NORMAL: (
        PaceStep(1, 8, 0.005),
        PaceStep(1, 8, 0.001),
        PaceStep(1, 8, 0.001, pages=8),
        PaceStep(1, 12),
        PaceStep(1, 20),
        PaceStep(2, 32),
        PaceStep(2, 64),
        PaceStep(2, 128),
        PaceStep(4, 128),
        PaceStep(8, 64),
        PaceStep(16, 64),
    ),
    Pace.FULL_SPEED: (PaceStep(1, 250), PaceStep(2, 250), PaceStep(4, 250), PaceStep(8, 500), PaceStep(16, 1000)),
}
STARTS: dict[Pace, int] = {Pace.GENTLE: 3, Pace.NORMAL: 3, Pace.FULL_SPEED: 2}
BUDGETS: dict[Pace, PaceBudget] = {
    Pace.GENTLE: PaceBudget(0.2, 0.0003, 0.1),
    Pace.NORMAL: PaceBudget(0.5, 0.0006, 0.25),
    Pace.FULL_SPEED: PaceBudget(None, 0.05, 1.0),
}
# Above these steps a scan goes only where nobody else is at work, or the way is so long that pages wait on it.
_SHARED: dict[Pace, int] = {Pace.GENTLE: 4, Pace.NORMAL: 4, Pace.FULL_SPEED: 2}
_ALONE: dict[Pace, int] = {Pace.GENTLE: 5, Pace.NORMAL: 8, Pace.FULL_SPEED: 2}
_OTHERS_AT_WORK = 200.0
_LONG_WAY = 0.003
# Over a long way a page waits for its replies most of the time: it grows with the round trip, up to so many keys. Of a
# larger write the server reads 16 KB at a time, some hundred keys, and turns to others in between.
_LARGEST_PAGE: dict[Pace, int] = {Pace.GENTLE: 128, Pace.NORMAL: 500, Pace.FULL_SPEED: 1000}
# What a turn takes where the way is short: the rate at which a scan begins there is the rate anywhere.
_SHORT_TURN = 0.001


def grown(pace: Pace, step: PaceStep, round_trip: float) -> PaceStep:
    """`step` with pages for a way that takes so many seconds there and back.

    >>> grown(Pace.NORMAL, PaceStep(2, 64), 0.0005).count, grown(Pace.NORMAL, PaceStep(2, 64), 0.3).count
    (64, 500)
    """
    if round_trip <= _LONG_WAY:
        return step
    largest = max(step.count, _LARGEST_PAGE[pace])
    return replace(step, count=min(largest, int(step.count * round_trip / _LONG_WAY)))


def first_rung(pace: Pace, round_trip: float) -> int:
    """Where a scan begins: over a long way on the highest step that asks for no more keys a second than over a short
    one.

    >>> first_rung(Pace.NORMAL, 0.0005), first_rung(Pace.NORMAL, 0.3)
    (3, 8)
    """
    start = STARTS[pace]
    if round_trip <= _LONG_WAY:
        return start
    ladder = LADDERS[pace]
    most = _rate(ladder[start], _SHORT_TURN)
    fitting = [rung for rung, step in enumerate(ladder) if _rate(grown(pace, step, round_trip), round_trip) <= most]
    return max(start, *fitting) if fitting else start


def _rate(step: PaceStep, turn: float) -> float:
    """Keys a second, where a turn takes so many seconds."""
    return step.lanes * step.count / (turn + step.rest / step.pages)


def next_step(pace: Pace, rung: int, reading: PaceReading) -> int:
    """The next step on the ladder of `pace`: down when others wait or the budget is spent, up when there is room.

    >>> next_step(Pace.NORMAL, 3, PaceReading(delay=0.005, round_trip=0.0002))
    1
    >>> next_step(Pace.NORMAL, 3, PaceReading(delay=0.0, round_trip=0.0002, others=0.0))
    4
    """
    budget = BUDGETS[pace]
    # Where others keep the server busy, and still more where the way is long, the round trip itself trembles: that is
    # not the scan. On a long way its share of the server is what tells.
    allowed = max(budget.delay, (1.0 if reading.round_trip > _LONG_WAY else 0.5) * reading.round_trip)
    spent = budget.share is not None and reading.share is not None and reading.share > budget.share
    full = budget.share is not None and reading.busy is not None and reading.busy > 0.92
    if reading.delay > 4 * allowed:
        return max(0, rung - 2)
    if reading.delay > allowed or spent or full:
        return max(0, rung - 1)
    highest = _highest(pace, reading)
    if rung > highest:
        return rung - 1
    room = budget.share is None or reading.share is None or reading.share < 0.8 * budget.share
    return min(highest, rung + 1) if room and reading.delay < allowed / 2 else rung


def _highest(pace: Pace, reading: PaceReading) -> int:
    if reading.round_trip > _LONG_WAY:
        return len(LADDERS[pace]) - 1
    alone = reading.others is not None and reading.others < _OTHERS_AT_WORK
    return _ALONE[pace] if alone else _SHARED[pace]
