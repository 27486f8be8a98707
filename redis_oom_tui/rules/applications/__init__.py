"""Which applications keys are of, read when first asked, and finished work in words: what a start may load of them."""

from collections import deque
from collections.abc import Iterable, Iterator

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import escape_exact
from redis_oom_tui.models.application import FinishedWork, Orphans, Recognition, Recognized
from redis_oom_tui.models.keys import PatternSample
from redis_oom_tui.models.scan import PatternRow, ScanView

# Screen, findings and policies ask about the same view, which is large to compare and the same object for all of them.
_LATEST: deque[tuple[ScanView, tuple[PatternSample, ...], Recognition]] = deque(maxlen=4)


def recognize(scan: ScanView, samples: tuple[PatternSample, ...] = ()) -> Recognition:
    """The applications in `scan`; `samples` of its patterns add the names of fields, where they were read."""
    for view, of, known in tuple(_LATEST):
        if view is scan and of is samples:
            return known
    from redis_oom_tui.rules.applications.recognizing import recognized  # noqa: PLC0415 - a start must not pay for it

    found = recognized(scan, samples)
    _LATEST.append((scan, samples, found))
    return found


def queue_named(instance: bytes | None) -> bytes | None:
    """The queue that `cleanup --finished` may be told; None where part of its name varies from key to key."""
    return None if instance is None or bytes(1) in instance else instance


def finished_options(one: Recognized, state: str, instances: Iterable[bytes | None]) -> tuple[str, ...]:
    """The options by which `cleanup` takes such jobs: of one queue where all are of it, else of all."""
    names = set(instances)
    name = queue_named(names.pop()) if len(names) == 1 else None
    queue = "" if name is None else f":{escape_exact(name)}"
    return ("--finished", f"{one.application.name.lower()}{queue}", "--state", state, "--older-than", "1d")


def application_options(row: PatternRow, recognition: Recognition) -> tuple[str, ...]:
    """The options by which `cleanup` takes what may go of an application's keys by its own lists; () where none do."""
    for one in recognition.found:
        for kind_id in (kind for kind, rows in one.rows.items() if row in rows):
            labels = [label for label in recognition.of(row) if label.application is one.application]
            for work in one.application.finished:
                if kind_id in (work.job, work.index, *work.belongs):
                    return finished_options(one, work.state, [label.instance for label in labels])
            if any(orphans.keys == kind_id for orphans in one.application.orphans):
                return ("--orphans", one.application.name.lower())
    return ()


def unread_work(one: Recognized) -> tuple[FinishedWork, ...]:
    """Work that is listed as done, where it was not read how much that is (CLIENT NO-TOUCH is missing)."""
    read = {jobs.state for jobs in one.finished}
    return tuple(
        work
        for work in one.application.finished
        if work.state not in read and work.job in one.rows and work.index in one.rows
    )


def naming_rows(found: Iterable[Recognized]) -> tuple[PatternRow, ...]:
    """The patterns of the sets whose members name other keys of their application."""
    return tuple(row for one in found for rule in one.application.orphans for row in one.rows.get(rule.index, ()))


class OrphanedKeys(Struct, frozen=True):
    """Keys of one kind that no list of their application names: so many of `compared`, `of_keys` there are in all.

    `size` is what they hold.
    """

    rule: Orphans
    keys: int
    compared: int
    of_keys: int
    size: int


def orphaned_keys(one: Recognized, scan: ScanView, samples: Iterable[PatternSample]) -> Iterator[OrphanedKeys]:
    """What no list names of the largest keys of `scan`, where all members of the lists were read."""
    from redis_oom_tui.rules.finished import named_by, placed  # noqa: PLC0415 - a start meets no application

    read = {(sample.db, sample.pattern): sample for sample in samples}
    for rule in one.application.orphans:
        lists = [(row, read.get((row.db or 0, row.pattern))) for row in one.rows.get(rule.index, ())]
        known = [
            sample.named
            for row, sample in lists
            if sample is not None and sample.named is not None and sample.sampled_keys >= row.keys
        ]
        rows = one.rows.get(rule.keys, ())
        if not rows or not known or len(known) < len(lists):
            continue
        named = {named_by(rule, member, one.prefix) for members in known for member in members}
        kind = one.application.kind(rule.keys)
        compared = [
            key
            for key in scan.top
            if key.id.db == one.db
            and (not kind.types or key.type in kind.types)
            and (place := placed(kind, key.id.key))
            and place.get("prefix", b"") == one.prefix
        ]
        lost = [key for key in compared if key.id.key not in named]
        if lost:
            of_keys = max(len(compared), sum(row.keys for row in rows))
            yield OrphanedKeys(rule, len(lost), len(compared), of_keys, sum(key.size or 0 for key in lost))
