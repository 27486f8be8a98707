"""Whose the keys are: finished jobs that are kept, what an application lets grow, and the setting that bounds it."""

from collections.abc import Iterator, Sequence

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, duration, number_of_keys, size
from redis_oom_tui.models.application import (
    Application,
    Confidence,
    FinishedJobs,
    FinishedWork,
    KeyKind,
    KeyLabel,
    KeyUse,
    Loss,
    Recognized,
)
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import ProposedJobs
from redis_oom_tui.models.scan import CURVE_SHARES, PatternRow
from redis_oom_tui.models.verdict import Finding, Level, Remedy
from redis_oom_tui.rules.applications import (
    OrphanedKeys,
    application_options,
    finished_options,
    orphaned_keys,
    queue_named,
    unread_work,
)
from redis_oom_tui.rules.findings.case import Case, finding, of_all, remedy_for
from redis_oom_tui.rules.key_patterns import one_name
from redis_oom_tui.rules.savings import freed

_SHARE = 0.05
_LARGE_SHARE = 0.25
_SHOWN = 5
# A wider range says nothing: it is left out.
_WIDEST = 1.9
_INSTANCES_SHOWN = 3
# Of what is harmless to lose, a part may still be asked for, and is written again.
_HARMLESS_SAVES = 0.7
# A result that was just written is waited for.
_UNUSED_SECONDS = 86400
_LOSS = {
    Loss.HARMLESS: "They may go.",
    Loss.LOSES_WORK: "Do not delete them unseen: they may hold work that is not done, or sessions in use.",
    Loss.BREAKS: "Do not delete them: the application relies on them.",
}
_ORPHANED = "Those that no list of the application names any more may go; the others are in use."
_NOT_READ = (
    "Which of them are finished was not read here: a dry run of cleanup --finished counts those, and they may go."
)
_DOUBT = {Confidence.HIGH: "", Confidence.LIKELY: "Probably ", Confidence.POSSIBLE: "Possibly "}


@finding("finished-work", "application-data", "orphaned-keys")
def of_applications(case: Case) -> Iterator[Finding]:
    """What holds most of each application: jobs that are done, and kinds of keys with the setting that bounds them."""
    found = [
        (held, entry)
        for one in case.recognition.found
        if _labels(case, one)[0].application is one.application
        for held, entry in (*_finished(case, one), *_orphans(case, one), *_kinds(case, one))
        if case.matters(held, _SHARE)
    ]
    for _, entry in sorted(found, key=lambda item: -item[0])[:_SHOWN]:
        yield entry


def _finished(case: Case, one: Recognized) -> Iterator[tuple[int, Finding]]:
    """One finding a state, the jobs of all instances together, with their bytes."""
    for work in one.application.finished:
        several = [jobs for jobs in one.finished if jobs.state == work.state]
        if not several:
            continue
        low, held, high = (sum(amounts) for amounts in zip(*((j.low, j.size, j.high) for j in several), strict=True))
        jobs, every = sum(j.jobs for j in several), sum(row.keys for row in one.rows[work.job])
        exact = all(j.exact for j in several)
        about, lengths = ("", "length of") if exact else ("about ", "lengths of some of")
        them = f"These {count(jobs)}" if exact else "They"
        what = f"{about}{count(jobs)} {work.state} jobs{_instances(one, [j.instance for j in several])}"
        options = finished_options(one, work.state, [jobs.instance for jobs in several])
        worth = f"{'' if low == high else 'about '}{size(held)}{of_all(case, held)}"
        yield (
            held,
            Finding(
                id="finished-work",
                level=_level(case, held),
                title=f"{_name(case, one)}: {what} hold {worth}",
                advice=f"{_default(one.application, work.index)}{_may_go(one.application, work, them)}"
                f" To plan it: {case.cleanup_line(one.db, *options)}.",
                evidence=(
                    f"{about}{count(jobs)} of {count(every)} jobs: the {lengths} {_index(one.rows[work.index])}",
                    *([] if low == high else [f"{size(low)} to {size(high)}, with what belongs to them"]),
                ),
                saves_bytes=freed(low, high, jobs) if high <= _WIDEST * low else None,
                remedy=_plan_of(one, work, several),
                in_the_application=_setting(one.application, work.index),
            ),
        )


def _plan_of(one: Recognized, work: FinishedWork, several: Sequence[FinishedJobs]) -> Remedy:
    """The plan of these jobs: of their queue where it is one, else of all."""
    queues = {jobs.instance for jobs in several}
    queue = queue_named(queues.pop()) if len(queues) == 1 else None
    jobs, held = sum(jobs.jobs for jobs in several), sum(jobs.size for jobs in several)
    exact = all(jobs.exact for jobs in several)
    proposed = ProposedJobs(one.application.name, work.state, queue, one.db, jobs, held, exact)
    return remedy_for(_largest(one.rows[work.job]), "cleanup", jobs=proposed)


def _index(rows: Sequence[PatternRow]) -> str:
    more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
    return f"{safe_text(_largest(rows).pattern, 60)}{more}"


def _may_go(application: Application, work: FinishedWork, jobs: str) -> str:
    if application.kind(work.index).loss is Loss.HARMLESS:
        return f"{jobs} may go."
    return f"{jobs} can be deleted once they are not to be retried."


def _orphaned(case: Case, one: Recognized) -> tuple[OrphanedKeys, ...]:
    return () if case.scan is None else tuple(orphaned_keys(one, case.scan, case.values))


def _orphans(case: Case, one: Recognized) -> Iterator[tuple[int, Finding]]:
    """Keys that the application's own lists name no more, by what was read of these."""
    for lost in _orphaned(case, one):
        kind, rows = one.application.kind(lost.rule.keys), one.rows[lost.rule.keys]
        index = one.application.kind(lost.rule.index)
        of = f"of {count(lost.of_keys)}" if lost.compared == lost.of_keys else f"of the {count(lost.compared)} largest"
        yield (
            lost.size,
            Finding(
                id="orphaned-keys",
                level=_level(case, lost.size),
                title=f"{_name(case, one)}: {count(lost.keys)} {of} {kind.use.plural} are named by no {index.id} and"
                f" hold {size(lost.size)}{of_all(case, lost.size)}",
                advice=f"Nobody reads these: they may go. To plan it: {_plan_command(case, one, rows)}.",
                evidence=(
                    f"{number_of_keys(sum(row.keys for row in rows))}: {case.named(_largest(rows))}",
                    f"compared with {case.named(_largest(one.rows[index.id]))}, which the plan reads again",
                ),
                saves_bytes=freed(lost.size, lost.size, lost.keys, exact=False),
                remedy=_remedy_of(one, lost.rule.keys, rows),
                in_the_application=_setting(one.application, lost.rule.keys),
            ),
        )


def _kinds(case: Case, one: Recognized) -> Iterator[tuple[int, Finding]]:
    """One finding a kind of key, with its bytes; jobs only as far as they are not known to be done."""
    counted = {lost.rule.keys for lost in _orphaned(case, one)}
    for kind_id, rows in one.rows.items():
        kind, held = one.application.kind(kind_id), one.size_of(kind_id)
        done = one.finished and any(kind_id == work.job for work in one.application.finished)
        if done or kind_id in counted:
            continue
        largest, harmless = _largest(rows), kind.loss is Loss.HARMLESS
        low, (_, most) = int(held * _HARMLESS_SAVES), freed(held, held, sum(row.keys for row in rows))
        orphaned = any(orphans.keys == kind_id for orphans in one.application.orphans)
        unread = [work for work in unread_work(one) if work.job == kind_id]
        lifetime, stay = _lifetime(case, rows), _stay(case, kind, rows)
        yield (
            held,
            Finding(
                id="application-data",
                level=_level(case, held),
                title=f"{_name(case, one)}: {kind.use.plural}{_instances(one, _instances_of(case, one, rows))} hold"
                f" {size(held)}{of_all(case, held)}",
                advice=f"{_default(one.application, kind_id)}{stay}"
                f"{_NOT_READ if unread else _ORPHANED if orphaned else _LOSS[kind.loss]}",
                evidence=(
                    f"{number_of_keys(sum(row.keys for row in rows))}, most of them {case.named(largest)}"
                    if len(rows) > 1
                    else f"{number_of_keys(largest.keys)}: {case.named(largest)}",
                    *(() if stay else lifetime),
                    *_ask(case, one, unread),
                    *([f"To plan it: {_plan_command(case, one, rows)}"] if orphaned else []),
                    *([kind.note] if kind.note else []),
                ),
                saves_bytes=(low, most) if harmless and not orphaned else None,
                remedy=_remedy_of(one, kind_id, rows),
                in_the_application=_setting(one.application, kind_id),
            ),
        )


def _plan_command(case: Case, one: Recognized, rows: Sequence[PatternRow]) -> str:
    """The command that plans what may go of a kind of key by the application's own lists."""
    return case.cleanup_line(one.db, *application_options(_largest(rows), case.recognition))


def _remedy_of(one: Recognized, kind_id: str, rows: Sequence[PatternRow]) -> Remedy:
    """The plan of what may go of a kind of key; Hogs where nothing tells that any of it may."""
    largest, application = _largest(rows), one.application
    if any(orphans.keys == kind_id for orphans in application.orphans):
        return remedy_for(largest, "cleanup", orphans_of=application.name)
    listed = [work for work in application.finished if kind_id == work.index]
    if listed:
        name, kind = one_name(largest.select), largest.types[0][0] if largest.types else ""
        if listed[0].job or len(rows) != 1 or name is None:
            return remedy_for(largest)
        return remedy_for(largest, "cleanup", key=KeyId(one.db, name), kind=kind)
    if application.kind(kind_id).loss is not Loss.HARMLESS or len(rows) != 1:
        return remedy_for(largest)
    alone = any(work.job == kind_id and not work.index for work in application.finished)
    return remedy_for(largest, "cleanup", idle_over_seconds=_UNUSED_SECONDS if alone else None)


_LENGTHS = {"zset": "ZCARD", "set": "SCARD", "list": "LLEN", "hash": "HLEN"}


def _ask(case: Case, one: Recognized, unread: Sequence[FinishedWork]) -> Iterator[str]:
    """What tells how many jobs are done, where that was not read."""
    for work in unread:
        rows = one.rows[work.index]
        if length := _LENGTHS.get(rows[0].types[0][0] if rows[0].types else ""):
            yield f"{length} {safe_text(_largest(rows).pattern, 60)} tells how many are {work.state}"
        options = finished_options(one, work.state, _instances_of(case, one, rows))
        command = case.cleanup_line(one.db, *options)
        yield f"To count those that are {work.state} and older than a day (nothing is deleted): {command}"


def _lifetime(case: Case, rows: Sequence[PatternRow]) -> tuple[str, ...]:
    """Whether they expire, and when: a setting that is not in force shows here."""
    keys, lasting, largest = sum(row.keys for row in rows), sum(row.no_ttl_keys for row in rows), _largest(rows)
    if not case.ttls_known:
        return ()
    if lasting:
        return ("none of them expires" if lasting == keys else f"{count(lasting)} of {count(keys)} never expire",)
    if not largest.ttl_curve:
        return ()
    middle = largest.ttl_curve[CURVE_SHARES.index(0.5)]
    return (f"half of them expire in {duration(middle)} or less",)


def _stay(case: Case, kind: KeyKind, rows: Sequence[PatternRow]) -> str:
    """That results of finished work do not go by themselves; '' where they do, or for anything else."""
    if kind.use is not KeyUse.RESULT or not any(row.no_ttl_keys for row in rows):
        return ""
    known = "".join(_lifetime(case, rows))
    return f"{known[:1].upper()}{known[1:]}: only a deletion or an eviction removes these. " if known else ""


def _instances_of(case: Case, one: Recognized, rows: Sequence[PatternRow]) -> list[bytes | None]:
    labels = [label for row in rows for label in case.recognition.of(row)]
    return [label.instance for label in labels if label.application is one.application]


def _labels(case: Case, one: Recognized) -> tuple[KeyLabel, ...]:
    """Those of its largest pattern: where other applications could be meant, the first speaks for all of them."""
    return case.recognition.of(_largest([row for rows in one.rows.values() for row in rows]))


def _name(case: Case, one: Recognized) -> str:
    return f"{_DOUBT[one.confidence]}{' or '.join(label.application.name for label in _labels(case, one))}"


def _instances(one: Recognized, several: Sequence[bytes | None]) -> str:
    """` of queue mail`, ` of 12 queues`; '' where there are none."""
    names = list(dict.fromkeys(name for name in several if name is not None))
    what = one.application.instance
    if not names:
        return ""
    if len(names) == 1:
        return f" of {what} {safe_text(names[0].replace(bytes(1), b'*'), 40)}"
    shown = ", ".join(safe_text(name.replace(bytes(1), b"*"), 24) for name in names[:_INSTANCES_SHOWN])
    return f" of {len(names)} {what}s ({shown}{', …' if len(names) > _INSTANCES_SHOWN else ''})"


def _level(case: Case, held: int) -> Level:
    return case.at_least_warning if case.matters(held, _LARGE_SHARE) else Level.OK


def _largest(rows: Sequence[PatternRow]) -> PatternRow:
    return max(rows, key=lambda row: row.size)


def _default(application: Application, kind: str) -> str:
    """What happens unless the application is told otherwise."""
    setting = application.bounding(kind)
    return "" if setting is None else f"{setting.name} by default: {setting.default}. "


def _setting(application: Application, kind: str) -> str:
    setting = application.bounding(kind)
    if setting is None:
        return ""
    where = f" ({setting.where})" if setting.where else ""
    return f"Set {setting.name} to {setting.value}{where}: {setting.link or application.link}"
