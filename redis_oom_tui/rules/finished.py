"""Which jobs of an application are done and may go with all that belongs to them, and what is to be said before."""

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from redis_oom_tui.applications import PREFIX, known_applications, shape
from redis_oom_tui.formatting.keys import slot_of
from redis_oom_tui.formatting.sanitize import escape_exact, escape_glob
from redis_oom_tui.formatting.server import role_text
from redis_oom_tui.formatting.sizes import count, duration, number_of, size
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.application import Application, FinishedWork, KeyKind, KeyUse, Loss, Orphans, TimeUnit
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.stepped import FinishedJob, FinishedPlan, FinishedRequest
from redis_oom_tui.models.structs import replace

MOST_JOBS = 500_000
# Of so many queues the names are given where the one that was asked for is not here.
MOST_QUEUES = 5
_WORD_ABOVE = 1000
_QUEUE = "queue"
_ID = "id"


def application_called(name: str, *, with_orphans: bool = False) -> Application:
    """The application, in any case of letters; `with_orphans` of those whose orphans are known. Raises BadInput."""
    for application in known_applications():
        if application.name.lower() == name.lower() and (application.orphans or not with_orphans):
            return application
    known = ", ".join(one.name for one in known_applications() if (one.orphans if with_orphans else one.finished))
    what = "whose orphans are known" if with_orphans else "that is known with finished work"
    raise BadInput(f"{name!r} is no application {what}: {known}")


def work_of(application: Application, state: str | None) -> FinishedWork:
    """The finished work of that state; without one, the first whose loss is harmless. Raises BadInput."""
    states = [work.state for work in application.finished]
    if not states:
        raise BadInput(f"Nothing is known of finished work of {application.name}")
    for work in application.finished:
        kind = application.kind(work.index or work.job)
        if work.state == state or (state is None and kind.loss is Loss.HARMLESS):
            return work
    raise BadInput(f"Say which finished work of {application.name} goes: --state {' or '.join(states)}")


def globs(kind: KeyKind) -> list[bytes]:
    """What SCAN takes for keys of a kind; it may take more.

    >>> from redis_oom_tui.models.application import KeyUse
    >>> globs(KeyKind(id="a", use=KeyUse.JOB, loss=Loss.HARMLESS, names=("<prefix>:<queue>:done", "x-<id>")))
    [b'*:*:done', b'*x-*']
    """
    found = []
    for text in kind.names:
        one = shape(text)
        own = b"" if PREFIX in one.placeholders else b"*"
        glob = own + b"".join(escape_glob(piece) if isinstance(piece, bytes) else b"*" for piece in one.pieces)
        found.append(glob)
    return found


def placed(kind: KeyKind, name: bytes) -> dict[str, bytes] | None:
    """What the placeholders stand for in a name of that kind; None for another name."""
    return next((found for text in kind.names if (found := shape(text).match(name)) is not None), None)


def names(kinds: Iterable[KeyKind], values: Mapping[str, bytes]) -> list[tuple[KeyKind, bytes]]:
    """Every name of these kinds that `values` say in full, with its kind."""
    found = []
    for kind in kinds:
        for text in kind.names:
            one = shape(text)
            if one.placeholders - {PREFIX} <= values.keys():
                found.append((kind, one.name(values)))
    return found


def job_of(
    application: Application, work: FinishedWork, index: bytes, index_type: str, member: bytes, score: bytes
) -> FinishedJob:
    """The job of a member, with the names of what belongs to it."""
    place = placed(application.kind(work.index), index) or {}
    values = {**place, _ID: member}
    belonging = [application.kind(kind) for kind in (work.job, *work.belongs)]
    guards = [kind for kind in application.keys if kind.use is KeyUse.LOCK and _has_id(kind)]
    return FinishedJob(
        index,
        index_type,
        member,
        score,
        tuple(name for _, name in names(belonging, values)),
        tuple(name for _, name in names(guards, values)),
    )


def _has_id(kind: KeyKind) -> bool:
    return all(_ID in shape(text).placeholders for text in kind.names)


def named_by(rule: Orphans, member: bytes, prefix: bytes) -> bytes | None:
    """The key that a member of an index names; None for a member of another form.

    >>> named_by(Orphans(keys="reply", index="binding", separator="|", part=1), b"a|b", b"my:")
    b'my:b'
    """
    parts = member.split(rule.separator.encode()) if rule.separator else [member]
    return prefix + parts[rule.part] if len(parts) > rule.part else None


def in_one_slot(job: FinishedJob) -> bool:
    """Whether one script of a cluster can take the job with all that belongs to it.

    >>> in_one_slot(FinishedJob(b"bull:{mail}:completed", "zset", b"7", b"", (b"bull:{mail}:7",)))
    True
    """
    return len({slot_of(name) for name in (job.index, *job.keys, *job.guards)}) == 1


def split_jobs(indexes: Mapping[bytes, int]) -> tuple[str, ...]:
    """Why jobs of a cluster are kept whose keys are in several slots; by their index, how many these are."""
    apart = {index: number for index, number in indexes.items() if number}
    if not apart:
        return ()
    names = ", ".join(escape_exact(index[:80]) for index in list(apart)[:3])
    more = f" and {count(len(apart) - 3)} more" if len(apart) > 3 else ""
    jobs = number_of(sum(apart.values()), "job")
    why = "one job's keys are in several slots, as their names share no hash tag, and no script can delete it whole"
    return (f"{jobs} of {names}{more} must stay: {why}.",)


def seconds_of(value: bytes | None, unit: TimeUnit | None) -> float | None:
    """A time as the application writes it, in Unix seconds; None where it is none.

    >>> seconds_of(b"1700000000000", TimeUnit.MILLISECONDS), seconds_of(b"x", TimeUnit.SECONDS)
    (1700000000.0, None)
    >>> seconds_of(b"2023-11-14T22:13:20Z", TimeUnit.ISO)
    1700000000.0
    """
    if value is None:
        return None
    text = value.decode("ascii", "replace").strip()
    try:
        if unit is TimeUnit.ISO:
            time = dt.datetime.fromisoformat(text)
            return (time if time.tzinfo else time.replace(tzinfo=dt.UTC)).timestamp()
        return float(text) / (1000 if unit is TimeUnit.MILLISECONDS else 1)
    except ValueError:
        return None


def queue_of(application: Application, work: FinishedWork, index: bytes) -> bytes | None:
    """The queue, or what the application has in its place, that an index is of."""
    return (placed(application.kind(work.index), index) or {}).get(_QUEUE)


def no_list(request: FinishedRequest, state: str, others: Iterable[bytes]) -> str:
    """Why nothing can be planned: no list of jobs in this state, or none of this queue; `others` have one.

    >>> no_list(FinishedRequest("RQ", 60), "finished", ())
    'No list of finished jobs of RQ is here'
    >>> no_list(FinishedRequest("RQ", 60, b"mial"), "finished", {b"mail", b"image"})
    'No list of finished jobs of RQ is here for queue mial; there is one for image, mail'
    """
    words = f"No list of {state} jobs of {request.application} is here"
    if request.queue is not None:
        words += f" for queue {escape_exact(request.queue)}"
    names = ", ".join(escape_exact(name) for name in sorted(others))
    return f"{words}; there is one for {names}" if names else words


def frozen(plan: FinishedPlan) -> FinishedPlan:
    """`plan` with its hash: over every job and what belongs to it."""
    digest = hashlib.sha256(msgspec.json.encode([plan.request, plan.state]))
    for job in plan.jobs:
        digest.update(msgspec.json.encode([job.index, job.member, job.score, job.keys]))
    return replace(plan, hash=digest.hexdigest())


def consent(plan: FinishedPlan, backup: BackupChoice) -> tuple[str, ...]:
    """What a person has to read before saying yes."""
    role = f" ({role_text(plan.role)})" if plan.role else ""
    about = "" if plan.about_bytes is None else f", about {size(plan.about_bytes)}"
    indexes = list(dict.fromkeys(job.index for job in plan.jobs))
    where = ", ".join(escape_exact(index[:80]) for index in indexes[:3])
    more = f" and {count(len(indexes) - 3)} more" if len(indexes) > 3 else ""
    first = (
        f"Delete {count(plan.going)} of {number_of(plan.total, 'job')} that {plan.request.application} lists as"
        f" {plan.state} ({where}{more}), older than {duration(plan.request.older_than_seconds)}{about}, in database"
        f" {plan.request.db} of {plan.server}{role}."
    )
    back = (
        "Each job is written to the backup first, and restore brings it back as a whole."
        if backup.wanted
        else "No backup: this cannot be undone."
    )
    return (first, "Waiting and active jobs are not touched.", back, *plan.flags)


def nothing_goes(plan: FinishedPlan) -> str:
    """That a plan deletes nothing, in a clause."""
    if plan.total < 2:
        return f"The only {plan.state} job is not that old" if plan.total else f"No {plan.state} job is listed"
    return f"None of the {count(plan.total)} {plan.state} jobs is that old"


def confirm_word(plan: FinishedPlan, backup: BackupChoice) -> str | None:
    """The word to type where nothing comes back, or much goes; else None."""
    return "delete" if not backup.wanted or plan.going > _WORD_ABOVE else None


def loss_warnings(application: Application, work: FinishedWork) -> tuple[str, ...]:
    """What the loss of these jobs means, where it is not harmless."""
    kind = application.kind(work.index or work.job)
    if kind.loss is Loss.HARMLESS:
        return ()
    return (f"{application.name}: {kind.note or 'these jobs cannot be retried once they are gone.'}",)


def samples(jobs: Sequence[FinishedJob], number: int) -> list[FinishedJob]:
    """So many of the jobs, evenly spread."""
    step = max(1, len(jobs) // number)
    return list(jobs[::step])[:number]
