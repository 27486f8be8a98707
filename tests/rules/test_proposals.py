"""What may go to reach a target: the least harmful first, and never what loses work."""

import pytest

from redis_oom_tui.formatting.plan import proposal_lines
from redis_oom_tui.models.application import KeyUse, Loss
from redis_oom_tui.models.errors import BadInput, CommandRefused
from redis_oom_tui.models.keys import KeyPattern
from redis_oom_tui.models.plan import Criteria, Proposal, ProposedJobs, ProposedPart, TtlFilter
from redis_oom_tui.models.scan import PatternRow, ScanState, ScanView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.applications import queue_named
from redis_oom_tui.rules.key_patterns import matcher
from redis_oom_tui.rules.proposals import needed_bytes, propose, why_in_vain
from tests.apps import samples
from tests.rules.snapshots import snapshot_of

DAY = 86400
MB = 1_000_000


def row(name: str, size: int, *, idle_days: float = 0, no_ttl: int = 100, kind: str = "string") -> PatternRow:
    parts = tuple(b"\0" if part.startswith("<") else part.encode() for part in name.split(":"))
    curve = (int(idle_days * DAY),) * 11
    return PatternRow(
        name.encode(),
        name.encode(),
        100,
        size,
        0.1,
        no_ttl,
        db=0,
        types=((kind, 100),),
        select=KeyPattern(parts),
        idle_curve=curve,
    )


def scan(*rows: PatternRow, state: ScanState = ScanState.COMPLETE) -> ScanView:
    return ScanView(state, scanned_keys=900, total_keys=900, patterns=rows)


FULL = snapshot_of(used=100 * MB, limit=100 * MB)
QUEUE = row("queue:<id>", 50 * MB, idle_days=90, kind="list")
OLD = row("report:<id>", 5 * MB, idle_days=40)
WEEK = row("page:<id>", 4 * MB, idle_days=8)
CACHE = row("app:cache:<id>", 6 * MB, no_ttl=50)
RESULT = row("celery-task-meta-<id>", 8 * MB, idle_days=2)


def test_under_lrm_nothing_is_called_unused() -> None:
    """Its idle times are times since the last change: what is only read has long ones too."""
    lrm = snapshot_of(used=100 * MB, limit=100 * MB, policy="allkeys-lrm")
    found = propose(scan(OLD, WEEK, CACHE, RESULT), lrm, 0.8)
    assert {part.what.partition(":")[0] for part in found.parts} == {"caches without a TTL", "caches with a TTL"}


def test_the_least_harmful_go_first_and_no_more_than_is_needed() -> None:
    found = propose(scan(QUEUE, OLD, WEEK, CACHE, RESULT), FULL, 0.8)
    assert found.needed_bytes == 20 * MB
    assert [part.what.partition(":")[0] for part in found.parts] == [
        "results of finished tasks of Celery, not used for an hour",
        "caches without a TTL",
        "keys that nobody used for 30 days",
        "caches with a TTL",
        "keys that nobody used for 7 days",
    ]
    assert [part.about_bytes for part in found.parts] == [8 * MB, 3 * MB, 5 * MB, 3 * MB, 4 * MB]
    assert [round(part.pressure_after, 2) for part in found.parts] == [0.92, 0.89, 0.84, 0.81, 0.77]
    assert found.enough
    assert found.parts[1].criteria.ttl is TtlFilter.WITHOUT
    assert found.parts[2].criteria.idle_over_seconds == 30 * DAY
    fewer = propose(scan(QUEUE, OLD, WEEK, CACHE, RESULT), FULL, 0.9)
    assert len(fewer.parts) == 2


def test_what_loses_work_is_never_proposed_and_that_is_said() -> None:
    found = propose(scan(QUEUE, row("session:<id>", 30 * MB, idle_days=90)), FULL, 0.8)
    assert found.parts == ()
    assert not found.enough
    text = "\n".join(proposal_lines(found, ()))
    assert "Nothing: no cache" in text
    assert all("results" not in sentence for sentence in found.kept)
    assert "whose loss loses work or breaks an application, such as queue:<id>, session:<id>." in text


def test_what_is_not_proposed_is_counted_in_full_with_its_reason() -> None:
    fresh = row("celery-task-meta-<id>", 30 * MB)
    found = propose(scan(fresh, QUEUE, row("page:<id>", 4 * MB)), FULL, 0.8)
    assert found.parts == ()
    assert found.kept == (
        "Not proposed: 100 keys (47.7 MiB) whose loss loses work or breaks an application, such as queue:<id>.",
        "Not proposed: 100 keys (28.6 MiB) which are results used within the last hour, such as celery-task-meta-<id>.",
        "Not proposed: 100 keys (3.8 MiB) used within the last day, such as page:<id>.",
    )


def test_a_pattern_of_many_databases_is_named_once_and_an_unknown_size_is_none() -> None:
    rows = [replace(row("queue:<id>", 0), db=db) for db in range(4)] + [row("session:<id>", 0)]
    with pytest.raises(CommandRefused, match="sizes of keys are not known"):
        propose(scan(*rows), FULL, 0.8)
    (sentence, _) = propose(scan(*rows, row("page:<id>", MB)), FULL, 0.8).kept
    assert "Not proposed: 500 keys (?) whose" in sentence
    assert sentence.endswith(", such as queue:<id>, session:<id>.")


def test_finished_jobs_are_something_and_each_queue_is_named() -> None:
    jobs = tuple(ProposedJobs("BullMQ", "completed", queue, 0, 400, 20 * MB) for queue in (b"mail", b"sms"))
    text = "\n".join(proposal_lines(Proposal(0.8, 20 * MB, 1.0, jobs=jobs), ()))
    assert "Nothing" not in text
    assert "Besides" not in text
    assert "cleanup --finished bullmq:mail" in text
    assert "cleanup --finished bullmq:sms" in text
    elsewhere = Proposal(0.8, 20 * MB, 1.0, jobs=tuple(replace(each, db=3) for each in jobs))
    text = "\n".join(proposal_lines(elsewhere, ("-p", "7000")))
    assert "redis-oom-tui -p 7000 -n 3 cleanup --finished bullmq:mail" in text


def test_finished_jobs_that_stand_in_one_key_are_named_with_their_command() -> None:
    view, _ = samples.seen(samples.load("sidekiq").keys)
    found = propose(view, FULL, 0.8, connection_args=("-p", "7000"))
    assert found.kept[-1].startswith("The dead jobs of Sidekiq hold ")
    command = "redis-oom-tui -p 7000 cleanup --finished sidekiq --state dead --older-than 1d"
    assert found.kept[-1].endswith(
        f"those may go. To plan it for those older than a day (nothing is deleted): {command}"
    )


def test_a_part_of_one_key_is_told_as_one() -> None:
    part = ProposedPart("caches", Criteria(), 1, 20 * MB, "none", "It comes back.", 0.5)
    assert "about 19.1 MiB in 1 key, to 50.0%." in "\n".join(proposal_lines(Proposal(0.8, MB, 0.9, (part,)), ()))


def test_without_idle_times_nothing_is_called_unused() -> None:
    plain = [PatternRow(b"a:<id>", b"a:*", 5, MB, 0.1, 5, db=0, select=KeyPattern((b"a", b"\0")))]
    assert propose(scan(*plain), FULL, 0.8).parts == ()


def test_a_cache_is_a_word_of_its_own() -> None:
    assert propose(scan(row("cachet:<id>", MB), row("memcacheless:<id>", MB)), FULL, 0.8).parts == ()


def test_what_cannot_be_known_is_one_sentence() -> None:
    with pytest.raises(BadInput, match="No limit is known"):
        needed_bytes(snapshot_of(used=MB, limit=None), 0.8)
    with pytest.raises(BadInput, match="after a complete scan only"):
        propose(scan(OLD, state=ScanState.STOPPED), FULL, 0.8)
    assert needed_bytes(snapshot_of(used=MB, limit=100 * MB), 0.8) == 0


JOBS = {KeyUse.JOB, KeyUse.WAITING_JOBS, KeyUse.ACTIVE_JOBS, KeyUse.FAILED_JOBS, KeyUse.QUEUE, KeyUse.SCHEDULE}


def test_no_proposal_takes_the_work_of_any_application() -> None:
    """All keys are long idle and every byte has to go: still no key is taken that is a job, or whose loss does harm."""
    with_jobs: set[str] = set()
    for sample in map(samples.load, samples.names()):
        view, recognition = samples.seen(sample.keys)
        parents = {row.parent for row in view.patterns}
        needed = []
        for row in (row for row in view.patterns if row.pattern not in parents):
            kinds = [(label.application.name, label.kind) for label in recognition.of(row)]
            with_jobs |= {name for name, kind in kinds if kind.use in JOBS}
            if any(kind.loss is not Loss.HARMLESS or kind.use in JOBS for _, kind in kinds):
                needed += [row.select] if row.select is not None else []
        idle = tuple(replace(row, idle_curve=(90 * DAY,) * 11) for row in view.patterns)
        full = snapshot_of(used=1000 * MB, limit=1000 * MB)
        found = propose(replace(view, patterns=idle), full, 0.01, samples.looks(view, sample.keys))
        taken = [select for part in found.parts for select in part.criteria.key_patterns]
        names = list(sample.keys)
        kept = {name for one in needed for name, held in zip(names, matcher(one).held(names), strict=True) if held}
        gone = {name for one in taken for name, held in zip(names, matcher(one).held(names), strict=True) if held}
        assert not kept & gone, sample.name
    assert len(with_jobs) >= 20, with_jobs


def test_a_queue_whose_name_varies_is_not_named_and_the_command_is_quoted() -> None:
    assert queue_named(b"{t\0}mail") is None
    jobs = (ProposedJobs("BullMQ", "completed", b"{eu 1}mail", 0, 400, 20 * MB),)
    text = "\n".join(proposal_lines(Proposal(0.8, 20 * MB, 1.0, jobs=jobs), ()))
    assert "cleanup --finished 'bullmq:{eu 1}mail' --state completed --older-than 1d" in text


@pytest.mark.parametrize("kind", ["list", "set", "zset", "stream"])
@pytest.mark.parametrize("name", ["cache_tasks", "cache:delayed", "tmp:<id>", "old:<id>"])
def test_what_holds_elements_of_no_known_application_may_be_work(name: str, kind: str) -> None:
    rows = scan(row(name, 30 * MB, idle_days=90, kind=kind))
    found = propose(rows, FULL, 0.1)
    assert found.parts == ()
    assert any("work" in line for line in found.kept)
    assert propose(scan(replace(row(name, 30 * MB, idle_days=90), types=())), FULL, 0.1).parts == ()
    strings = scan(row(name, 30 * MB, idle_days=90))
    assert len(propose(strings, FULL, 0.1).parts) == 1


def test_a_first_step_names_the_command_in_place_of_the_pane() -> None:
    proposal = Proposal(0.8, 5, 1.2, cause="No deletion helps: x. First step: Raise maxmemory in Limits: y.")
    (_, cause) = proposal_lines(proposal, ("-p", "7000"))
    assert "Raise maxmemory with `redis-oom-tui -p 7000 limits`: y." in cause


def test_a_backlog_on_top_of_data_is_no_reason_not_to_delete() -> None:
    for held, in_vain in ((16 * MB, False), (90 * MB, True)):
        booked = {"replication_backlog_bytes": held, "overhead_bytes": held + MB}
        reason = why_in_vain(snapshot_of(used=97 * MB, limit=100 * MB, memory=booked))
        assert reason.startswith("No deletion helps: the replication backlog holds") == in_vain == bool(reason)
