"""How many jobs of an application are done, and how much they hold: by the lengths of its indexes."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from statistics import fmean, stdev

from msgspec import Struct

from redis_oom_tui.models.application import FinishedJobs, FinishedWork, KeyKind, KeyLabel, Recognition, Recognized
from redis_oom_tui.models.keys import KeyRow, PatternSample
from redis_oom_tui.models.scan import PatternRow, ScanView
from redis_oom_tui.rules.finished import names, placed
from redis_oom_tui.rules.key_patterns import matcher

Elements = Callable[[PatternRow], tuple[float, bool] | None]
"""How many elements the keys of a pattern have together, and whether that is exact; None where it is not known."""
Labels = Mapping[tuple[int, bytes], tuple[KeyLabel, ...]]
# By how much a mean of sampled sizes may be off at the least: MEMORY USAGE rounds, and the sample is one of a moment.
_LEAST_SPREAD = 0.05


JobNames = Callable[[bytes, bytes], tuple[bytes, ...]]
"""The keys of one job, and of all that belongs to it, by the name of an index and one of its members."""


def job_namer(row: PatternRow, recognition: Recognition) -> JobNames | None:
    """What names the keys of the jobs that an index of `row` lists; None for other patterns."""
    for label in recognition.of(row):
        for work in label.application.finished:
            if work.index == label.kind.id and work.job:
                kinds = [label.application.kind(kind) for kind in (work.job, *work.belongs)]
                return partial(_job_names, label.kind, kinds)
    return None


def _job_names(index_kind: KeyKind, kinds: Sequence[KeyKind], index: bytes, member: bytes) -> tuple[bytes, ...]:
    values = placed(index_kind, index)
    return () if values is None else tuple(name for _, name in names(kinds, {**values, "id": member}))


class IndexSizes(Struct, frozen=True):
    """What was read of the indexes of jobs, by pattern: how many elements they have, and what some of the jobs hold."""

    elements: Elements
    job_bytes: Mapping[tuple[int, bytes], tuple[int, ...]]


def index_sizes(scan: ScanView, samples: Iterable[PatternSample]) -> IndexSizes:
    """What samples tell of the indexes of jobs; their lengths may be known of the largest keys as well."""
    listed = tuple(samples)
    jobs = {(sample.db, sample.pattern): sample.job_bytes for sample in listed}
    return IndexSizes(_elements_of(scan, listed), jobs)


def _elements_of(scan: ScanView, samples: Iterable[PatternSample]) -> Elements:
    """How many elements the keys of a pattern have together: by samples, else by the largest keys."""
    sampled = {
        (sample.db, sample.pattern): (sample.elements, sample.sampled_keys)
        for sample in samples
        if sample.elements is not None
    }

    def elements(row: PatternRow) -> tuple[float, bool] | None:
        mean, keys = sampled.get((row.db or 0, row.pattern), (None, 0))
        if mean is not None:
            # Of several indexes that are alike, only some were read; a scan that goes on may find more of them.
            return mean * row.keys, scan.complete and keys >= row.keys
        found = [top.elements for top in _held(row, scan.top) if top.elements is not None]
        return (sum(found), scan.complete) if len(found) == row.keys else None

    return elements


def _held(row: PatternRow, top: tuple[KeyRow, ...]) -> list[KeyRow]:
    if row.select is None or row.keys > len(top):
        return []
    here = [key for key in top if key.id.db == (row.db or 0) and row.types and key.type == row.types[0][0]]
    held = matcher(row.select).held([key.id.key for key in here])
    return [key for key, inside in zip(here, held, strict=True) if inside]


def index_rows(found: Iterable[Recognized]) -> Iterable[PatternRow]:
    """The patterns of the indexes that tell which jobs are done."""
    for one in found:
        for work in one.application.finished:
            if work.index and work.job:
                yield from one.rows.get(work.index, ())


def finished_jobs(one: Recognized, labels: Labels, read: IndexSizes) -> tuple[FinishedJobs, ...]:
    """What is done in each instance of one application, the largest first."""
    found = []
    for work in one.application.finished:
        for index in one.rows.get(work.index, ()) if work.job else ():
            jobs = _jobs(one, work, index, labels, read)
            if jobs is not None:
                found.append(jobs)
    return tuple(sorted(found, key=lambda jobs: -jobs.size))


def _jobs(
    one: Recognized, work: FinishedWork, index: PatternRow, labels: Labels, read: IndexSizes
) -> FinishedJobs | None:
    (number, exact), instance = read.elements(index) or (0, False), _instance(one, index, labels)
    # Where names of jobs do not tell their queue, they are of any.
    owners = (instance, None)
    held = [row for row in one.rows.get(work.job, ()) if _instance(one, row, labels) in owners]
    every = sum(row.keys for row in held)
    if not every or number < 1:
        return None
    done = min(round(number), every)
    held += [row for kind in work.belongs for row in one.rows.get(kind, ()) if _instance(one, row, labels) in owners]
    low, size, high = _bytes(
        done, every, sum(row.size for row in held), read.job_bytes.get(_place(index), ()), exact=exact
    )
    return FinishedJobs(
        state=work.state,
        kind=work.index,
        instance=instance,
        jobs=done,
        of_jobs=every,
        low=round(low) + index.size,
        size=round(size) + index.size,
        high=round(high) + index.size,
        exact=exact,
    )


def _bytes(done: int, every: int, held: int, sampled: Sequence[int], *, exact: bool) -> tuple[float, float, float]:
    """What `done` of `every` jobs hold, of `held` bytes with all that belongs to them: at least, about, at most.

    Those that are done hold results that others do not: without a sample of them nothing but the whole bounds them, and
    so it is where their number is not `exact`.
    """
    if done == every and exact:
        return held, held, held
    if not sampled or not exact:
        return 0.0, min(float(held), fmean(sampled) * done) if sampled else held * done / every, held
    mean = fmean(sampled)
    error = 2 * stdev(sampled) / math.sqrt(len(sampled)) if 1 < len(sampled) < done else 0.0
    off = max(_LEAST_SPREAD * mean, error)
    low, about, high = (min(float(held), max(0.0, each) * done) for each in (mean - off, mean, mean + off))
    return low, about, high


def _place(row: PatternRow) -> tuple[int, bytes]:
    return row.db or 0, row.pattern


def _instance(one: Recognized, row: PatternRow, labels: Labels) -> bytes | None:
    own_labels = labels.get(_place(row), ())
    return next((label.instance for label in own_labels if label.application is one.application), None)
