"""How many jobs of an application are done, and how much they hold: by the lengths of its indexes."""

from collections.abc import Callable, Iterable, Mapping

from redis_oom_tui.models.application import FinishedWork
from redis_oom_tui.models.keys import KeyRow, PatternSample
from redis_oom_tui.models.recognition import FinishedJobs, KeyLabel, Recognized
from redis_oom_tui.models.scan import PatternRow, ScanView
from redis_oom_tui.rules.key_patterns import matcher

Elements = Callable[[PatternRow], float | None]
Labels = Mapping[tuple[int, bytes], tuple[KeyLabel, ...]]
# Jobs of one queue differ: those that are done hold their results, those that wait do not.
_SPREAD = (0.6, 1.4)


def elements_of(scan: ScanView, samples: Iterable[PatternSample]) -> Elements:
    """How many elements the keys of a pattern have together: by samples, else by the largest keys."""
    sampled = {(sample.db, sample.pattern): sample.elements for sample in samples if sample.elements is not None}

    def elements(row: PatternRow) -> float | None:
        mean = sampled.get((row.db or 0, row.pattern))
        if mean is not None:
            return mean * row.keys
        found = [top.elements for top in _held(row, scan.top) if top.elements is not None]
        return sum(found) if len(found) == row.keys else None

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


def finished_jobs(one: Recognized, labels: Labels, elements: Elements) -> tuple[FinishedJobs, ...]:
    """What is done in each instance of one application, the largest first."""
    found = []
    for work in one.application.finished:
        for index in one.rows.get(work.index, ()) if work.job else ():
            jobs = _jobs(one, work, index, labels, elements)
            if jobs is not None:
                found.append(jobs)
    return tuple(sorted(found, key=lambda jobs: -jobs.size))


def _jobs(
    one: Recognized, work: FinishedWork, index: PatternRow, labels: Labels, elements: Elements
) -> FinishedJobs | None:
    number = elements(index)
    instance = _instance(one, index, labels)
    held = [row for row in one.rows.get(work.job, ()) if _instance(one, row, labels) == instance]
    every = sum(row.keys for row in held)
    if number is None or not every or number < 1:
        return None
    beside = [row for kind in work.belongs for row in one.rows.get(kind, ()) if _instance(one, row, labels) == instance]
    done = min(round(number), every)
    size, rest = sum(row.size for row in (*held, *beside)), every - done
    share = done / every
    low, high = (size * share * spread for spread in _SPREAD)
    if not rest:
        low = high = size
    return FinishedJobs(
        state=work.state,
        kind=work.index,
        instance=instance,
        jobs=done,
        of_jobs=every,
        low=round(low) + index.size,
        size=round(size * share) + index.size,
        high=round(min(high, size)) + index.size,
    )


def _instance(one: Recognized, row: PatternRow, labels: Labels) -> bytes | None:
    told = labels.get((row.db or 0, row.pattern), ())
    return next((label.instance for label in told if label.application is one.application), None)
