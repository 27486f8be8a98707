"""The time line of a recording: which of its moments is shown, and what was last known by then."""

import time
from bisect import bisect_left
from collections.abc import Callable

from redis_oom_tui.files.record import Moment, Recording
from redis_oom_tui.models.errors import BadInput

_KINDS = ("capabilities", "clients", "settings", "scan", "samples", "replicas")


class RecordedTime:
    """A recording played back. Implements `ports.Timeline`.

    A poll is a moment with a snapshot, or one in which the server was lost. The clocks are those of the recording.
    """

    def __init__(self, recording: Recording, clock: Callable[[], float] = time.monotonic) -> None:
        self._recording = recording
        self._clock = clock
        self._polls = recording.moments.where("snapshot", "lost")
        self._places = {kind: recording.moments.where(kind) for kind in _KINDS}
        self._decoded: dict[str, tuple[int, Moment]] = {}
        self._at = 0
        self._since = clock()
        self._shown = False
        self._held = False

    @property
    def position(self) -> tuple[int, int]:
        """Which poll is shown, from 1, and how many there are."""
        return self._at + 1, len(self._polls)

    @property
    def held(self) -> bool:
        """Whether it stays at the moment shown."""
        return self._held

    def hold(self, held: bool) -> None:
        """Stay at the moment shown, or run on from it."""
        self._held = held
        self._since = self._clock()

    def monotonic(self) -> float:
        """The recorder's clock: that of the moment shown, running on until the next one is."""
        return self._moment.monotonic + self._passed

    def wall(self) -> float:
        """The time of day then (Unix seconds)."""
        return self._moment.at + self._passed

    def move(self, polls: int) -> None:
        """Go forward or back by so many polls; the next answer is from there."""
        self._go(max(0, min(len(self._polls) - 1, self._at + polls)))
        self._shown = False

    def next_poll(self) -> Moment:
        """The moment shown, or the one after it where it was already told and the time line runs on."""
        if self._shown and not self._held and self._at + 1 < len(self._polls):
            self._go(self._at + 1)
        self._shown = True
        return self._moment

    def last(self, kind: str) -> Moment | None:
        """The last moment of a kind up to the one shown; what was asked right after a poll belongs to it."""
        polls, places = self._polls, self._places[kind]
        end = polls[self._at + 1] if self._at + 1 < len(polls) else len(self._recording.moments)
        before = bisect_left(places, end)
        return self._decode(kind, places[before - 1]) if before else None

    @property
    def _moment(self) -> Moment:
        return self._decode("poll", self._polls[self._at])

    @property
    def _passed(self) -> float:
        at_the_end = self._at + 1 == len(self._polls)
        return 0.0 if self._held or at_the_end else self._clock() - self._since

    def _go(self, at: int) -> None:
        self._at = at
        self._since = self._clock()

    def _decode(self, kind: str, place: int) -> Moment:
        known = self._decoded.get(kind)
        if known is None or known[0] != place:
            known = self._decoded[kind] = (place, self._read(place))
        return known[1]

    def _read(self, place: int) -> Moment:
        """The moment there; of one that cannot be read, its times are known, and it reads as a server that was lost."""
        try:
            return self._recording.moments[place]
        except BadInput as error:
            about = self._recording.moments.place(place)
            return Moment(about.monotonic, about.at, lost=str(error))
