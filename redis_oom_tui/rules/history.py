"""What was seen of a server over time: rates between two snapshots, the samples of a trend, the skew of its clock."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from redis_oom_tui.formatting.sizes import duration
from redis_oom_tui.models.action import Action, AuditEntry
from redis_oom_tui.models.activity import Counters
from redis_oom_tui.models.alert import JudgedSample
from redis_oom_tui.models.snapshot import Server, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import LastRefused, Rates, TrendSample
from redis_oom_tui.rules.guarded import attempt

# From this share of all keys on, those of a moment ago are not those of now.
_MANY_KEYS = 0.1
# Less than this of their bytes says nothing.
_FEW_BYTES = 1024 * 1024


def between(before: Snapshot | None, now: Snapshot) -> Rates:
    """The gains from `before` to `now`; empty without a `before`, where no time has passed, or between two nodes."""
    return attempt(
        "what happened lately is", lambda: _between(before, now), lambda fault: Rates(not_judged=fault.words)
    )


def _between(before: Snapshot | None, now: Snapshot) -> Rates:
    if before is None or now.taken_monotonic <= before.taken_monotonic or before.server.node != now.server.node:
        return Rates()
    seconds = now.taken_monotonic - before.taken_monotonic
    if restarted(before.server, now.server):
        return Rates(seconds=seconds, restarted=True)
    old, new = before.counters, now.counters
    return Rates(
        seconds=seconds,
        refused_writes=_gain(old.refused_writes_total, new.refused_writes_total),
        refused_by_command=_gains(old.refused_by_command, new.refused_by_command),
        errors_by_kind=_gains(old.errors_by_kind, new.errors_by_kind),
        evicted_keys=_gain(old.evicted_keys_total, new.evicted_keys_total),
        expired_keys=_gain(old.expired_keys_total, new.expired_keys_total),
        commands=_gain(old.commands_total, new.commands_total),
        keyspace_hits=_gain(old.keyspace_hits_total, new.keyspace_hits_total),
        keyspace_misses=_gain(old.keyspace_misses_total, new.keyspace_misses_total),
        growth_bytes=_growth(before, now),
        reset=_was_reset(old, new),
    )


def _growth(before: Snapshot, now: Snapshot) -> int | None:
    old, new = before.memory.counted_bytes, now.memory.counted_bytes
    return None if old is None or new is None else new - old


def restarted(old: Server | JudgedSample, new: Server | JudgedSample) -> bool:
    """Whether another process answers: a run_id is its own; where none is told, an uptime that fell says the same."""
    if old.run_id is not None and new.run_id is not None:
        return old.run_id != new.run_id
    if old.uptime_seconds is None or new.uptime_seconds is None:
        return False
    return new.uptime_seconds < old.uptime_seconds


def _was_reset(old: Counters, new: Counters) -> bool:
    pairs = (
        (old.commands_total, new.commands_total),
        (old.evicted_keys_total, new.evicted_keys_total),
        (old.refused_writes_total, new.refused_writes_total),
    )
    return any(a is not None and b is not None and b < a for a, b in pairs)


def _gain(old: int | None, new: int | None) -> int | None:
    """A counter that fell was set to zero in between: all that it shows now came after that.

    >>> _gain(5, 8), _gain(5, 2), _gain(None, 2)
    (3, 2, None)
    """
    if old is None or new is None:
        return None
    return new - old if new >= old else new


def _gains(old: Mapping[str, int], new: Mapping[str, int]) -> Mapping[str, int]:
    gains = {name: _gain(old.get(name, 0), count) or 0 for name, count in new.items()}
    return MappingProxyType({name: gain for name, gain in gains.items() if gain})


_MAX_SAMPLES = 720
# At one poll a second, these stay as they came; what is older is thinned.
_KEPT_DENSE = 240
# A span of rates this long bridges the pauses in which clients wait before they try to write again.
RATE_SECONDS = 10.0
# Writes that are refused now and then, as large ones are: the span is twice the time between two of them. Until there
# is a second one, so long.
_LONGEST_SECONDS, SINGLE_SECONDS = 30.0, 15.0


def _last_refused(snapshots: Sequence[Snapshot]) -> LastRefused | None:
    """What consecutive snapshots tell of the newest refused write; None where they saw none, or do not tell.

    The pressure then is that of the one before the newest, and of all that saw some before it: values that are too
    large come and go, and are refused at the level at which the snapshots between them stand as well.
    """
    totals = [one.counters.refused_writes_total for one in snapshots]
    seen = [n for n in range(1, len(snapshots)) if _gain(totals[n - 1], totals[n])]
    if not seen:
        return None
    newest = seen[-1]
    pressures = [share for n in {newest - 1, *seen[:-1]} if (share := snapshots[n].memory.pressure) is not None]
    just_now = (_gain(totals[-2], totals[-1]) or 0) if newest == len(snapshots) - 1 else 0
    ago = snapshots[-1].taken_monotonic - snapshots[newest].taken_monotonic
    return LastRefused(just_now, ago, min(pressures, default=None))


def _rate_seconds(snapshots: Sequence[Snapshot]) -> float:
    """Over how long to take the rates: so long that refusals that come now and then do not fall out between two."""
    totals = [one.counters.refused_writes_total for one in snapshots]
    seen = [
        one.taken_monotonic for old, new, one in zip(totals, totals[1:], snapshots[1:], strict=False) if _gain(old, new)
    ]
    if len(seen) == 1:
        return SINGLE_SECONDS
    every = seen[-1] - seen[-2] if seen else 0.0
    return min(_LONGEST_SECONDS, max(RATE_SECONDS, 2 * every))


def _lately(snapshots: Sequence[Snapshot], seconds: float) -> Sequence[Snapshot]:
    """The last of them, from one at or beyond so many seconds before the newest, where there is one."""
    newest = snapshots[-1].taken_monotonic
    beyond = [n for n, one in enumerate(snapshots[:-1]) if newest - one.taken_monotonic >= seconds]
    return snapshots[beyond[-1] :] if beyond else snapshots


def keys_changed(then: Snapshot, now: Snapshot) -> bool:
    """Whether a tenth of the keys came or went meanwhile: by their number or bytes, or what was evicted and expired."""
    before, after = _by_node(then), _by_node(now)
    both = [(old, after[name]) for name, old in before.items() if name in after]
    keys = sum(old.keys for old, _ in both)
    gone = sum(
        (_gain(old.counters.evicted_keys_total, new.counters.evicted_keys_total) or 0)
        + (_gain(old.counters.expired_keys_total, new.counters.expired_keys_total) or 0)
        for old, new in both
    )
    return max(gone, abs(sum(new.keys for _, new in both) - keys)) > keys * _MANY_KEYS or _bytes_changed(both)


def _bytes_changed(both: Sequence[tuple[Snapshot, Snapshot]]) -> bool:
    """One key may hold nearly all: whether it went shows in what all of them hold."""
    held = [(old.memory.dataset_bytes, new.memory.dataset_bytes) for old, new in both]
    known = [(old, new) for old, new in held if old is not None and new is not None]
    before = sum(old for old, _ in known)
    return abs(sum(new for _, new in known) - before) > max(_FEW_BYTES, before * _MANY_KEYS)


def _by_node(snapshot: Snapshot) -> Mapping[str, Snapshot]:
    """That of each primary of a cluster, by its name, where it is known; else the snapshot itself."""
    if snapshot.cluster is None:
        return {"": snapshot}
    return {view.name: view.snapshot for view in snapshot.cluster.primaries if view.snapshot is not None}


class History:
    """What was seen of one server. Not safe to share between threads; everything that it hands out is frozen."""

    def __init__(self, max_samples: int = _MAX_SAMPLES) -> None:
        self._max = max(8, max_samples)
        self._samples: list[TrendSample] = []
        self._recent: list[Snapshot] = []

    def add(self, snapshot: Snapshot, *, ours: bool = False) -> Rates:
        """Take in the next snapshot; returns what happened since the one before. `ours`: an action of this tool ran
        meanwhile that takes or gives back memory.

        One from an earlier time, as when a recording is wound back, ends the past there.
        """
        return attempt(
            "what happened lately is", lambda: self._add(snapshot, ours), lambda fault: Rates(not_judged=fault.words)
        )

    def _add(self, snapshot: Snapshot, ours: bool) -> Rates:
        self._wind_back(snapshot.taken_monotonic)
        previous = self._recent[-1] if self._recent else None
        gained = between(previous, snapshot)
        if gained.restarted or gained.reset:
            self._recent.clear()
        self._recent.append(snapshot)
        self._forget_old_snapshots()
        sample = _sample(snapshot, gained, self._samples[-1] if self._samples else None, ours)
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
        """What happened over the last ten seconds or so: less after a restart or a reset of the counters, up to thirty
        where writes are refused now and then.
        """
        if len(self._recent) < 2:
            return Rates()
        lately = _lately(self._recent, _rate_seconds(self._recent))
        return replace(between(lately[0], lately[-1]), last_refused=_last_refused(lately))

    def _wind_back(self, to: float) -> None:
        while self._recent and self._recent[-1].taken_monotonic > to:
            self._recent.pop()
        while self._samples and self._samples[-1].monotonic > to:
            self._samples.pop()

    def _forget_old_snapshots(self) -> None:
        """Keep one snapshot at or beyond the longest span of the rates, and those within it."""
        self._recent = list(_lately(self._recent, _LONGEST_SECONDS))

    def _thin(self) -> None:
        """Drop the sample that is missed least: spacing grows in proportion to age, so no past goes dark."""
        samples, now = self._samples, self._samples[-1].monotonic
        dense = min(_KEPT_DENSE, self._max // 3)
        inner = [n for n in range(1, len(samples) - dense) if not (samples[n].restarted or samples[n].ours)]
        if inner:
            del samples[min(inner, key=lambda index: _missed(samples, index, now))]
        else:
            del samples[0]


def _missed(samples: Sequence[TrendSample], index: int, now: float) -> float:
    gap = samples[index + 1].monotonic - samples[index - 1].monotonic
    return gap / max(1.0, now - samples[index].monotonic)


def never_back(snapshot: Snapshot, before_at: float | None, before_monotonic: float) -> float:
    """When `snapshot` was taken, in Unix seconds; where the clock was set back since a moment before, what passed since
    is added to that one's: a chart, or how long something lasted, never runs backwards.
    """
    if before_at is None:
        return snapshot.taken_at
    return max(snapshot.taken_at, before_at + max(0.0, snapshot.taken_monotonic - before_monotonic))


def since_last_restart(samples: Sequence[TrendSample]) -> tuple[TrendSample, ...]:
    """The samples of the process that runs now: memory from before its start says nothing about its growth."""
    for index in range(len(samples) - 1, -1, -1):
        if samples[index].restarted:
            return tuple(samples[index:])
    return tuple(samples)


MOVES_MEMORY = frozenset(
    (Action.DELETE, Action.EXPIRE, Action.SHRINK, Action.FINISH, Action.RESTORE, Action.KILL_CLIENT, Action.REAP)
)
"""The actions that take or give back memory while they run."""
# One of which nothing was written for so long has ended, however it did. The scan of `reap` writes nothing meanwhile.
_QUIET_SECONDS, _REAP_SECONDS = 60.0, 600.0


def quiet_seconds(action: str) -> float:
    """For how long such an action may run without a line in the audit file."""
    return _REAP_SECONDS if action == Action.REAP else _QUIET_SECONDS


def ran_between(actions: Sequence[AuditEntry], began: float, ended: float) -> bool:
    """Whether one that moves memory ran at some time between those two, in Unix seconds."""
    return any(
        entry.action in MOVES_MEMORY
        and entry.at <= ended
        and (entry.at + quiet_seconds(entry.action) if entry.ended is None else entry.ended) >= began
        for entry in actions
    )


def undisturbed(samples: Sequence[TrendSample]) -> tuple[TrendSample, ...]:
    """The samples since an action of this tool last took or gave back memory: what did so before says nothing about the
    applications.
    """
    last = max((place for place, sample in enumerate(samples) if sample.ours), default=-1)
    return tuple(samples[last + 1 :])


def _sample(snapshot: Snapshot, gained: Rates, last: TrendSample | None, ours: bool) -> TrendSample | None:
    """None where used_memory is unknown: a trend has nothing to rest on there."""
    memory = snapshot.memory
    if memory.used_bytes is None or memory.counted_bytes is None:
        return None
    return TrendSample(
        monotonic=snapshot.taken_monotonic,
        at=never_back(snapshot, last.at if last else None, last.monotonic if last else 0.0),
        used_bytes=memory.used_bytes,
        counted_bytes=memory.counted_bytes,
        maxmemory_bytes=memory.maxmemory_bytes,
        rss_bytes=memory.rss_bytes,
        keys=snapshot.keys,
        refused_writes=(last.refused_writes if last else 0) + (gained.refused_writes or 0),
        evicted_keys=(last.evicted_keys if last else 0) + (gained.evicted_keys or 0),
        restarted=gained.restarted,
        # What was deleted is freed in the background, also behind the action.
        ours=ours or (last is not None and last.ours and bool(memory.lazyfree_pending_objects)),
    )


# Less may be from the way, and does no harm.
_NOTABLE_SECONDS = 5.0


def notable_skew(snapshot: Snapshot) -> float | None:
    """By how much the server's clock is ahead of this computer's, in seconds; None where that is next to nothing."""
    skew = snapshot.clock_skew_seconds
    if skew is None or abs(skew) <= _NOTABLE_SECONDS + (snapshot.took_seconds or 0.0):
        return None
    return skew


def skew_sentence(snapshot: Snapshot) -> str | None:
    """The difference in a sentence without its full stop; None where there is next to none.

    >>> from redis_oom_tui.models.address import Address
    >>> from redis_oom_tui.models.snapshot import Memory, Server
    >>> server = Server("redis", "8.2.3", "master", Address())
    >>> skew_sentence(Snapshot(0.0, 0.0, server, Memory(1), clock_skew_seconds=-7200.0))
    "The server's clock is 2h00m behind this computer's"
    >>> skew_sentence(Snapshot(0.0, 0.0, server, Memory(1), clock_skew_seconds=3.0))
    """
    skew = notable_skew(snapshot)
    if skew is None:
        return None
    return f"The server's clock is {duration(abs(skew))} {'ahead of' if skew > 0 else 'behind'} this computer's"
