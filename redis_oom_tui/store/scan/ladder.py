"""How hard a scan leans on the server: a ladder of steps, and what moves a scan up or down on it."""

from dataclasses import dataclass

from redis_oom_tui.models.scan import Pace


@dataclass(frozen=True, slots=True)
class Step:
    """So many connections, so many keys a page, and a rest after each page as a multiple of the page's own time."""

    lanes: int
    count: int
    rest: float = 0.0


# What hurts others is the batch that one connection has in the server's queue, not the rate: so first more lanes.
LADDERS: dict[Pace, tuple[Step, ...]] = {
    Pace.GENTLE: (Step(1, 8, 8.0), Step(1, 16, 4.0), Step(1, 16, 2.0), Step(1, 16, 1.0), Step(1, 32, 1.0)),
    Pace.NORMAL: (
        Step(1, 16, 2.0),
        Step(1, 32, 1.0),
        Step(1, 32),
        Step(2, 32),
        Step(2, 64),
        Step(4, 64),
        Step(8, 64),
        Step(16, 64),
    ),
    Pace.FULL_SPEED: (Step(2, 250), Step(4, 500), Step(4, 1000), Step(8, 1000)),
}
STARTS: dict[Pace, int] = {Pace.GENTLE: 2, Pace.NORMAL: 3, Pace.FULL_SPEED: 2}
