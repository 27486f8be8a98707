"""The samples that a trend rests on: bounded in number, dense where recent, thinned where old."""

from collections.abc import Sequence

from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Rates, TrendSample
from redis_oom_tui.rules.guarded import attempt
from redis_oom_tui.rules.rates import between

_MAX_SAMPLES = 720
# At one poll a second, these stay as they came; what is older is thinned.
_KEPT_DENSE = 240
# A span of rates this long bridges the pauses in which clients wait before they try to write again.
RATE_SECONDS = 10.0


class History:
    """What was seen of one server. Not safe to share between threads; everything that it hands out is frozen."""

    def __init__(self, max_samples: int = _MAX_SAMPLES) -> None:
        self._max = max(8, max_samples)
        self._samples: list[TrendSample] = []
        self._recent: list[Snapshot] = []

    def add(self, snapshot: Snapshot) -> Rates:
        """Take in the next snapshot; returns what happened since the one before.

        One from an earlier time, as when a recording is wound back, ends the past there.
        """
        return attempt(
            "what happened lately is", lambda: self._add(snapshot), lambda fault: Rates(not_judged=fault.words)
        )

    def _add(self, snapshot: Snapshot) -> Rates:
        self._wind_back(snapshot.taken_monotonic)
        previous = self._recent[-1] if self._recent else None
        gained = between(previous, snapshot)
        if gained.restarted or gained.reset:
            self._recent.clear()
        self._recent.append(snapshot)
        self._forget_old_snapshots()
        sample = _sample(snapshot, gained, self._samples[-1] if self._samples else None)
        if sample is not None:
            self._samples.append(sample)
        if len(self._samples) > self._max:
            self._thin()
        return gained

    @property
    def samples(self) -> tuple[TrendSample, ...]:
        """All that is kept, the oldest first."""
        return tuple(self._samples)

    @property
    def latest(self) -> Snapshot | None:
        """The last snapshot; None before the first."""
        return self._recent[-1] if self._recent else None

    def rates(self) -> Rates:
        """What happened over the last ten seconds or so (less after a restart or a reset of the counters)."""
        if len(self._recent) < 2:
            return Rates()
        just_now = between(self._recent[-2], self._recent[-1]).refused_writes
        return replace(between(self._recent[0], self._recent[-1]), refused_just_now=just_now)

    def _wind_back(self, to: float) -> None:
        while self._recent and self._recent[-1].taken_monotonic > to:
            self._recent.pop()
        while self._samples and self._samples[-1].monotonic > to:
            self._samples.pop()

    def _forget_old_snapshots(self) -> None:
        """Keep one snapshot at or beyond the span of the rates, and those within it."""
        newest = self._recent[-1].taken_monotonic
        while len(self._recent) > 2 and newest - self._recent[1].taken_monotonic >= RATE_SECONDS:
            self._recent.pop(0)

    def _thin(self) -> None:
        """Drop the sample that is missed least: spacing grows in proportion to age, so no past goes dark."""
        samples, now = self._samples, self._samples[-1].monotonic
        dense = min(_KEPT_DENSE, self._max // 3)
        inner = [index for index in range(1, len(samples) - dense) if not samples[index].restarted]
        if inner:
            del samples[min(inner, key=lambda index: _missed(samples, index, now))]
        else:
            del samples[0]


def _missed(samples: Sequence[TrendSample], index: int, now: float) -> float:
    gap = samples[index + 1].monotonic - samples[index - 1].monotonic
    return gap / max(1.0, now - samples[index].monotonic)


def since_last_restart(samples: Sequence[TrendSample]) -> tuple[TrendSample, ...]:
    """The samples of the process that runs now: memory from before its start says nothing about its growth."""
    for index in range(len(samples) - 1, -1, -1):
        if samples[index].restarted:
            return tuple(samples[index:])
    return tuple(samples)


def _sample(snapshot: Snapshot, gained: Rates, last: TrendSample | None) -> TrendSample | None:
    """None where used_memory is unknown: a trend has nothing to rest on there."""
    memory = snapshot.memory
    if memory.used_bytes is None or memory.counted_bytes is None:
        return None
    return TrendSample(
        monotonic=snapshot.taken_monotonic,
        at=snapshot.taken_at,
        used_bytes=memory.used_bytes,
        counted_bytes=memory.counted_bytes,
        maxmemory_bytes=memory.maxmemory_bytes,
        rss_bytes=memory.rss_bytes,
        keys=snapshot.keys,
        clients_bytes=memory.clients_normal_bytes,
        refused_writes=(last.refused_writes if last else 0) + (gained.refused_writes or 0),
        evicted_keys=(last.evicted_keys if last else 0) + (gained.evicted_keys or 0),
        restarted=gained.restarted,
    )
