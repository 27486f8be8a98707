"""The families of a scan under way, made anew only now and then: they cost the most of a view."""

from collections.abc import Callable

from redis_oom_tui.models.scan import PatternRow, ScanState
from redis_oom_tui.rules import sampling
from redis_oom_tui.server.scan.aggregates import ScanAggregates

_EVERY_SECONDS = 0.5
# They may take this share of the time, whatever their number: the event loop has keys to paint.
_SHARE = 0.03
_ROWS_MEANWHILE = 200
_ROWS_AT_THE_END = 1000


class PatternRows:
    """The pattern rows of `tally`, as few and as seldom as will do while it fills. `clock` tells seconds."""

    def __init__(self, tally: ScanAggregates, clock: Callable[[], float]) -> None:
        self._tally = tally
        self._clock = clock
        self._rows: tuple[PatternRow, ...] = ()
        self._made: tuple[float, int, ScanState] | None = None
        self._took = 0.0

    def rows(self, state: ScanState, sample: sampling.SampledShare | None) -> tuple[PatternRow, ...]:
        """As of now, or of a moment ago; with estimates where what was counted is a `sample`."""
        now, keys, last = self._clock(), self._tally.keys, self._made
        under_way = state in (ScanState.RUNNING, ScanState.PAUSED)
        fresh = last is not None and last[1:] == (keys, state)
        recent = last is not None and under_way and now - last[0] < max(_EVERY_SECONDS, self._took / _SHARE)
        if not (fresh or recent):
            limit = _ROWS_MEANWHILE if under_way else _ROWS_AT_THE_END
            self._rows = self._tally.patterns(sample, exact=state is ScanState.COMPLETE, limit=limit)
            self._made = (now, keys, state)
            self._took = self._clock() - now
        return self._rows
