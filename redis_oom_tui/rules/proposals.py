"""What may go to reach a target, by the last scan: harmless data of known applications, caches, long idle keys."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.server import cleanup_line
from redis_oom_tui.formatting.sizes import known_bytes, number_of, number_of_keys, plain_number, size
from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.application import Application, KeyUse, Loss, Recognition
from redis_oom_tui.models.errors import BadInput, CommandRefused
from redis_oom_tui.models.keys import PatternSample
from redis_oom_tui.models.plan import Criteria, Order, Proposal, ProposedJobs, ProposedPart, TtlFilter
from redis_oom_tui.models.scan import CURVE_SHARES, PatternRow, ScanView
from redis_oom_tui.models.snapshot import ClusterView, NodeView, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.applications import finished_options, queue_named, recognize, unread_work
from redis_oom_tui.rules.applications.losses import loss_of
from redis_oom_tui.rules.policies import by_last_use
from redis_oom_tui.rules.savings import TAKEN_BYTES
from redis_oom_tui.rules.sizing import weight
from redis_oom_tui.rules.verdict.causes import cause_of
from redis_oom_tui.rules.verdict.facts import Facts

_DAY = 86400
_IDLE = (30 * _DAY, 7 * _DAY, _DAY)
# A result that was just written is waited for.
_RESULT_IDLE = 3600
_CACHE = re.compile(rb"(?<![a-z])(?:caches?|cached|tmp|thumb(?:nail)?s?)(?![a-z])")
# Whatever their name and however long nobody used them: a list or a set may be work that waits.
_HOLD_WORK = frozenset({"list", "set", "zset", "stream"})
_NAMED = 3
# So much more than must go is looked for: writers go on meanwhile, and a hair short of the target is short.
_MARGIN_SHARE = 50
_UNDO = "Each key is written to the backup first; restore needs room below maxmemory."


class _Candidate(Struct):
    """Some keys of one pattern."""

    row: PatternRow
    keys: int
    size: int


def needed_bytes(snapshot: Snapshot, target: float) -> int:
    """The bytes that must go until `target`, a share of maxmemory, is reached. Raises BadInput without a limit."""
    needed = snapshot.memory.over(target)
    if needed is None:
        raise BadInput("No limit is known here, so no share of it: plan a cleanup with a bound in bytes instead")
    return needed


def fullest_shard(cluster: ClusterView) -> NodeView:
    """The shard that is nearest to its limit, or over it the furthest. Raises BadInput where none has one."""
    limited = [(view.pressure, view.name, view) for view in cluster.primaries if view.pressure is not None]
    if not limited:
        raise BadInput("No limit of any shard is known here: plan a cleanup with a bound in bytes instead")
    return max(limited, key=lambda one: one[:2])[2]


def on_shard(proposal: Proposal, name: str, cluster: ClusterView) -> Proposal:
    """`proposal` as one on the node called `name` of `cluster` alone."""
    known = [view.pressure for view in cluster.primaries if view.pressure is not None]
    parts = tuple(replace(part, criteria=replace(part.criteria, node=name)) for part in proposal.parts)
    over = sum(pressure > proposal.target for pressure in known)
    return replace(proposal, parts=parts, shard=name, shards=len(known), shards_over=over)


def target_of(text: str) -> float:
    """A share of maxmemory to get down to, as people write it. Raises BadInput.

    >>> target_of("80%"), target_of("75")
    (0.8, 0.75)
    """
    number = plain_number(text.strip().removesuffix("%"))
    if number is None or not 1 <= number <= 99:
        raise BadInput(f"A target is a share of maxmemory from 1% to 99%, not {text!r}")
    return number / 100


def with_margin(needed: int) -> int:
    """The bytes to look for where `needed` must go."""
    return needed + needed // _MARGIN_SHARE


def must_go(needed: int) -> int:
    """The bytes of keys that must go for `needed` to be free when all is done.

    >>> must_go(0), must_go(1_000_000)
    (0, 1262144)
    """
    return needed + TAKEN_BYTES if needed else 0


def bound_for(part: ProposedPart, needed: int) -> int:
    """The bound in bytes of a plan of `part` that frees `needed`: for a key it counts more than the key holds."""
    each = max(1, part.about_bytes // max(1, part.keys))
    return with_margin(needed) * weight(each) // each


def why_in_vain(snapshot: Snapshot, clients: tuple[ClientBuffer, ...] = ()) -> str:
    """Why no deletion helps and what to do first, where what fills the server is in no key; '' where one does."""
    facts = Facts(snapshot, clients=clients)
    cause = cause_of(facts)
    if not cause.no_deletion_helps(facts):
        return ""
    return f"No deletion helps: {cause.clause(facts)}. First step: {cause.step(facts)}"


def propose(
    scan: ScanView,
    snapshot: Snapshot,
    target: float,
    samples: tuple[PatternSample, ...] = (),
    connection_args: Sequence[str] = (),
) -> Proposal:
    """What may go until `target` is reached, what harms least first; parts beyond that are left out.

    `connection_args` lead the commands in its sentences to the server.

    Raises BadInput without a limit, and where the scan did not see all keys; CommandRefused where nobody told sizes.
    """
    needed = needed_bytes(snapshot, target)
    if not scan.complete:
        raise BadInput("What may go is known after a complete scan only")
    if scan.patterns and not any(row.size for row in scan.patterns):
        raise CommandRefused(
            "The sizes of keys are not known here, nor what frees how much: choose keys by name or type"
        )
    memory = snapshot.memory
    scan = by_last_use(scan, memory.policy)
    counted, limit = memory.counted_bytes or 0, memory.maxmemory_bytes or 1
    recognition = recognize(scan, samples)
    parts: list[ProposedPart] = []
    gone = 0
    for part in _parts(scan, recognition):
        if gone >= must_go(needed):
            break
        gone += part.about_bytes
        parts.append(replace(part, pressure_after=max(0, counted - gone) / limit))
    kept = (*_kept(scan, recognition, enough=gone >= needed), *_finished_work(recognition, connection_args))
    return Proposal(target, needed, counted / limit, tuple(parts), kept, finished_jobs(recognition))


def finished_jobs(recognition: Recognition) -> tuple[ProposedJobs, ...]:
    """Jobs that are done and whose loss is harmless, those that hold most first."""
    found = [
        ProposedJobs(
            *(one.application.name, jobs.state, queue_named(jobs.instance), one.db, jobs.jobs, jobs.size, jobs.exact)
        )
        for one in recognition.found
        for jobs in one.finished
        if jobs.jobs and _is_harmless(one.application, jobs.state)
    ]
    return tuple(sorted(found, key=lambda one: -one.about_bytes))


def _is_harmless(application: Application, state: str) -> bool:
    """Whether such jobs go by the application's own list of them, and nobody misses them."""
    return any(
        work.state == state and work.index and work.job and application.kind(work.index).loss is Loss.HARMLESS
        for work in application.finished
    )


def _parts(scan: ScanView, recognition: Recognition) -> Iterator[ProposedPart]:
    """The parts by their harm, each of patterns that no earlier one took."""
    rows = _leaves(scan)
    harmless = [
        row for row in rows if loss_of(row, recognition) in (None, Loss.HARMLESS) and not _may_be_work(row, recognition)
    ]
    results = [row for row in harmless if _use(row, recognition) is KeyUse.RESULT]
    if results:
        yield from _some(
            [_idle(row, _RESULT_IDLE) for row in results],
            f"results of finished tasks of {_applications(results, recognition)}, not used for an hour",
            "harmless once nobody waits for them",
            Criteria(idle_over_seconds=_RESULT_IDLE, order=Order.OLDEST),
        )
    caches = [row for row in harmless if _use(row, recognition) is KeyUse.CACHE or _is_cache(row, recognition)]
    yield from _some(
        [_Candidate(row, row.no_ttl_keys, row.lasting_bytes) for row in caches],
        "caches without a TTL",
        "a cache by its name or application: it is filled again, and what stands behind it has more to do meanwhile",
        Criteria(ttl=TtlFilter.WITHOUT),
    )
    others = [row for row in harmless if row not in results and row not in caches and _use(row, recognition) is None]
    yield from _unused(others, None, _IDLE[0])
    yield from _some(
        [_Candidate(row, row.keys - row.no_ttl_keys, row.size - row.lasting_bytes) for row in caches],
        "caches with a TTL",
        "a cache by its name or application, which would expire by itself: it is filled again",
        Criteria(ttl=TtlFilter.WITH),
    )
    for longer, seconds in pairwise(_IDLE):
        yield from _unused(others, longer, seconds)


def _unused(rows: Sequence[PatternRow], longer: int | None, seconds: int) -> Iterator[ProposedPart]:
    """Keys that were not used for `seconds`; those not used for `longer` are in an earlier part."""
    found = []
    for row in rows:
        one = _idle(row, seconds)
        if longer is not None:
            before = _idle(row, longer)
            one = _Candidate(row, one.keys - before.keys, one.size - before.size)
        found.append(one)
    yield from _some(
        found,
        f"keys that nobody used for {number_of(seconds // _DAY, 'day')}",
        "nothing tells whether somebody needs them all the same",
        Criteria(idle_over_seconds=seconds, order=Order.OLDEST),
    )


def _some(candidates: Iterable[_Candidate], what: str, risk: str, criteria: Criteria) -> Iterator[ProposedPart]:
    """A part of `candidates`, the largest first; none where they hold nothing."""
    found = sorted((one for one in candidates if one.keys > 0 and one.size > 0), key=lambda one: -one.size)
    if not found:
        return
    names, patterns = _names(found)
    more = f" and {number_of(patterns - _NAMED, 'pattern')} more" if patterns > _NAMED else ""
    selects = tuple(one.row.select for one in found if one.row.select is not None)
    databases = {one.row.db for one in found if one.row.db is not None}
    keys, freed = sum(one.keys for one in found), sum(one.size for one in found)

    chosen = replace(criteria, key_patterns=selects, databases=tuple(sorted(databases)) or None)
    yield ProposedPart(f"{what}: {names}{more}", chosen, keys, freed, risk, _UNDO, 0.0)


def _leaves(scan: ScanView) -> list[PatternRow]:
    """The patterns that no other divides, and whose keys can be chosen exactly."""
    parents = {(row.db, row.parent) for row in scan.patterns}
    return [row for row in scan.patterns if row.select is not None and (row.db, row.pattern) not in parents]


def _use(row: PatternRow, recognition: Recognition) -> KeyUse | None:
    """What the application uses them for; None where none is recognized, or several differ."""
    uses = {label.kind.use for label in recognition.of(row)}
    return uses.pop() if len(uses) == 1 else None


def _is_cache(row: PatternRow, recognition: Recognition) -> bool:
    return not recognition.of(row) and _CACHE.search(row.pattern.lower()) is not None


def _may_be_work(row: PatternRow, recognition: Recognition) -> bool:
    """Whether some of its keys are of no known application, and hold elements, or their types are unknown."""
    return not recognition.of(row) and (not row.types or any(name in _HOLD_WORK for name, _ in row.types))


def _idle(row: PatternRow, seconds: int) -> _Candidate:
    """How much of a pattern was not used for so long, by its curve; nothing where no idle times were read.

    >>> row = PatternRow(b"a:*", b"a:*", 100, 1000, 1.0, 0, idle_curve=(0, 0, 0, 0, 0, 90, 90, 90, 90, 90, 90))
    >>> _idle(row, 60).keys, _idle(row, 60).size, _idle(row, 90).keys
    (50, 500, 0)
    """
    if not row.idle_curve:
        return _Candidate(row, 0, 0)
    place = bisect_right(row.idle_curve, seconds)
    # At this share of the keys the idle time is longer already: fewer than that many keys are left out.
    share = 1.0 - (CURVE_SHARES[place] if place < len(CURVE_SHARES) else 1.0)
    return _Candidate(row, round(row.keys * share), round(row.size * share))


def _applications(rows: Sequence[PatternRow], recognition: Recognition) -> str:
    names = dict.fromkeys(label.application.name for row in rows for label in recognition.of(row))
    return " or ".join(names)


def _kept(scan: ScanView, recognition: Recognition, *, enough: bool) -> tuple[str, ...]:
    """What is not proposed, with the reason; where the parts are not enough, all of it."""
    whole, parents = [], {(row.db, row.parent) for row in scan.patterns}
    lost, results, used, owned, mixed, work = ([] for _ in range(6))
    for row in (row for row in scan.patterns if (row.db, row.pattern) not in parents):
        whole.append(_Candidate(row, row.keys, row.size))
        use = _use(row, recognition)
        if loss_of(row, recognition) in (Loss.LOSES_WORK, Loss.BREAKS):
            lost.append(whole[-1])
        elif _may_be_work(row, recognition):
            work.append(whole[-1])
        elif row.select is None:
            mixed.append(whole[-1])
        elif use is KeyUse.RESULT:
            results.append(_in_use(row, _RESULT_IDLE))
        elif use is None and not _is_cache(row, recognition):
            used.append(_in_use(row, _DAY))
        elif use not in (KeyUse.CACHE, None):
            owned.append(whole[-1])
    sentences = [_left_out(lost, "whose loss loses work or breaks an application")]
    if not enough:
        since = "used within the last {}" if any(one.row.idle_curve for one in whole) else "of unknown idle time"
        sentences += [
            _left_out(results, f"which are results {since.format('hour')}"),
            _left_out(used, since.format("day")),
            _left_out(owned, "which an application keeps beside its work"),
            _left_out(work, "with lists or sets of no known application, which may be work that waits"),
            _left_out(mixed, "of many patterns, which no pattern selects"),
        ]
    return tuple(filter(None, sentences))


def _finished_work(recognition: Recognition, connection_args: Sequence[str]) -> Iterator[str]:
    """Finished jobs that may be among what is not proposed: those in one key, and those that nobody counted here."""
    for one in recognition.found:
        for work in one.application.finished:
            rows = one.rows.get(work.index, ())
            if rows and not work.job and one.application.kind(work.index).loss is Loss.HARMLESS:
                command = cleanup_line(connection_args, one.db, *finished_options(one, work.state, ()))
                yield (
                    f"The {work.state} jobs of {one.application.name} hold {size(sum(row.size for row in rows))}; those"
                    f" may go. To plan it for those older than a day (nothing is deleted): {command}"
                )
        for work in unread_work(one):
            if _is_harmless(one.application, work.state):
                labels = [label for row in one.rows[work.index] for label in recognition.of(row)]
                names = [label.instance for label in labels if label.application is one.application]
                command = cleanup_line(connection_args, one.db, *finished_options(one, work.state, names))
                yield (
                    f"How many jobs of {one.application.name} are {work.state} was not read here; those may go."
                    f" To count them (nothing is deleted): {command}"
                )


def _in_use(row: PatternRow, seconds: int) -> _Candidate:
    """The rest of a pattern: what was used within so long."""
    idle = _idle(row, seconds)
    return _Candidate(row, row.keys - idle.keys, row.size - idle.size)


def _left_out(several: Sequence[_Candidate], why: str) -> str:
    """One sentence on keys that are not proposed; '' where there are none."""
    found = sorted((one for one in several if one.keys > 0), key=lambda one: -one.size)
    if not found:
        return ""
    keys = sum(one.keys for one in found)
    held = f"{number_of_keys(keys)} ({size(known_bytes(sum(one.size for one in found), keys))})"
    return f"Not proposed: {held} {why}, such as {_names(found)[0]}."


def _names(several: Sequence[_Candidate]) -> tuple[str, int]:
    """The first names of patterns, each once though it may be in many databases, and how many names there are."""
    names = dict.fromkeys(one.row.pattern for one in several)
    return ", ".join(safe_text(name, 40) for name in [*names][:_NAMED]), len(names)
