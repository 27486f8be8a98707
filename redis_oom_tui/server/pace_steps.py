"""How hard a scan or an action leans on the server: the steps of each pace, and what moves it from one to another."""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from redis_oom_tui.models.scan import Pace
from redis_oom_tui.models.structs import replace

OTHERS_AT_WORK = 200.0
"""Commands a second of everybody else, from which on a server counts as in use by others."""
LONG_WAY = 0.003
"""A round trip of so many seconds is a long way: then pages wait for their replies most of the time."""


class PaceStep(Struct, frozen=True):
    """For a scan so many connections, so many keys a page, and on each connection a rest, in seconds, after so many
    pages; for calls the share of the server's one core."""

    connections: int = 1
    count: int = 0
    rest: float = 0.0
    pages: int = 1
    share: float = 1.0


class PaceProfile(Struct, frozen=True):
    """The steps of a pace, from gently to hard, and what it may cost.

    Up to the step `shared` it goes where others are at work, up to `alone` where nobody is; `leaps` says that it goes
    there at once. `share` is of the server's one core; `delay` how many seconds others may wait longer, `delay_alone`
    where only this process may be late to hear of it; after `hold` seconds without an answer nothing more is sent.
    Pages grow with the round trip, up to `largest_page` keys; None: they do not.
    """

    steps: tuple[PaceStep, ...]
    start: int
    shared: int
    alone: int
    share: float | None
    delay: float
    delay_alone: float
    hold: float
    largest_page: int | None = None
    leaps: bool = False


class PaceReading(Struct, frozen=True):
    """What was measured: seconds by which a PING takes longer than at rest, its time at rest, the scan's share of the
    server's core, how busy that core is in all, the commands a second of everybody else, and whether the server became
    slower by itself."""

    delay: float
    round_trip: float
    share: float | None = None
    busy: float | None = None
    others: float | None = None
    slower: bool = False

    @property
    def alone(self) -> bool:
        """Whether nobody else is at work, as far as is known."""
        return nobody_at_work(self.others)


def nobody_at_work(others: float | None) -> bool:
    """Whether so many commands a second of everybody else, None where that is unknown, are next to nothing."""
    return others is not None and others < OTHERS_AT_WORK


# What hurts others is the batch that the server works off before it turns to them, not the rate. So beside others small
# pages go one after the other, and more connections are only for where nobody else is at work. An event loop sleeps a
# millisecond at least: gentle are several small pages between two rests, not one large one. Of a large write the server
# reads 16 KB at a time, some hundred keys, and turns to others in between.
PROFILES: Mapping[Pace, PaceProfile] = MappingProxyType(
    {
        Pace.GENTLE: PaceProfile(
            steps=(
                PaceStep(1, 8, 0.02),
                PaceStep(1, 8, 0.005),
                PaceStep(1, 8, 0.001),
                PaceStep(1, 8, 0.001, pages=3),
                PaceStep(1, 12, 0.001, pages=8),
                PaceStep(2, 32, 0.001),
                PaceStep(8, 32),
            ),
            start=3,
            shared=4,
            alone=5,
            share=0.2,
            delay=0.0003,
            delay_alone=0.0003,
            hold=0.1,
            largest_page=128,
        ),
        Pace.NORMAL: PaceProfile(
            steps=(
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
            start=3,
            shared=4,
            alone=8,
            share=0.5,
            delay=0.0006,
            delay_alone=0.0006,
            hold=0.25,
            largest_page=500,
        ),
        Pace.FULL_SPEED: PaceProfile(
            steps=(PaceStep(1, 250), PaceStep(2, 250), PaceStep(4, 250), PaceStep(8, 500), PaceStep(16, 1000)),
            start=2,
            shared=2,
            alone=2,
            share=None,
            delay=0.05,
            delay_alone=0.05,
            hold=1.0,
            largest_page=1000,
        ),
    }
)
CALLS = PaceProfile(
    steps=tuple(PaceStep(share=share) for share in (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0)),
    start=4,
    shared=6,
    alone=7,
    share=None,
    delay=0.0006,
    delay_alone=0.025,
    hold=0.25,
    leaps=True,
)
"""Actions: what one call holds fits itself to how long calls take, and their rate is a share of the server's time."""

# What a turn takes where the way is short: the rate at which a scan begins there is the rate anywhere.
_SHORT_TURN = 0.001
_FULL = 0.92


def grown(profile: PaceProfile, step: PaceStep, round_trip: float) -> PaceStep:
    """`step` with pages for a way that takes so many seconds there and back.

    >>> normal = PROFILES[Pace.NORMAL]
    >>> grown(normal, PaceStep(2, 64), 0.0005).count, grown(normal, PaceStep(2, 64), 0.3).count
    (64, 500)
    """
    if round_trip <= LONG_WAY or profile.largest_page is None:
        return step
    largest = max(step.count, profile.largest_page)
    return replace(step, count=min(largest, int(step.count * round_trip / LONG_WAY)))


def first_level(profile: PaceProfile, round_trip: float) -> int:
    """Where a scan begins: over a long way on the highest step that asks for no more keys a second than over a short
    one.

    >>> first_level(PROFILES[Pace.NORMAL], 0.0005), first_level(PROFILES[Pace.NORMAL], 0.3)
    (3, 8)
    """
    start, steps = profile.start, profile.steps
    if round_trip <= LONG_WAY or profile.largest_page is None:
        return start
    most = _rate(steps[start], _SHORT_TURN)
    fitting = [level for level, step in enumerate(steps) if _rate(grown(profile, step, round_trip), round_trip) <= most]
    return max(start, *fitting) if fitting else start


def _rate(step: PaceStep, turn: float) -> float:
    return step.connections * step.count / (turn + step.rest / step.pages)


def next_step(profile: PaceProfile, level: int, measured: PaceReading) -> int:
    """The next step of `profile`: down when others wait or the budget is spent, up when there is room.

    >>> next_step(PROFILES[Pace.NORMAL], 3, PaceReading(delay=0.005, round_trip=0.0002))
    1
    >>> next_step(PROFILES[Pace.NORMAL], 3, PaceReading(delay=0.0, round_trip=0.0002, others=0.0))
    4
    """
    allowed = _allowed_delay(profile, measured)
    spent = profile.share is not None and measured.share is not None and measured.share > profile.share
    full = profile.share is not None and measured.busy is not None and measured.busy > _FULL
    if measured.delay > 4 * allowed or measured.slower:
        return max(0, level - 2)
    if measured.delay > allowed or spent or full:
        return max(0, level - 1)
    highest = highest_level(profile, measured)
    if level > highest:
        return highest
    below_share = profile.share is None or measured.share is None or measured.share < 0.8 * profile.share
    return min(highest, level + 1) if below_share and measured.delay < allowed / 2 else level


def highest_level(profile: PaceProfile, measured: PaceReading) -> int:
    """Above this step it goes only where nobody else is at work; a scan also where the way is so long that pages wait
    on it."""
    if measured.round_trip > LONG_WAY and profile.largest_page is not None:
        return len(profile.steps) - 1
    return profile.alone if measured.alone else profile.shared


def _allowed_delay(profile: PaceProfile, measured: PaceReading) -> float:
    """Where others keep the server busy, and still more where the way is long, the round trip itself trembles: that is
    not the scan. On a long way its share of the server is what tells."""
    if measured.alone and profile.delay_alone > profile.delay:
        return max(profile.delay_alone, 2 * measured.round_trip)
    return max(profile.delay, (1.0 if measured.round_trip > LONG_WAY else 0.5) * measured.round_trip)
