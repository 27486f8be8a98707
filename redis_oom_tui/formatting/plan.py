"""What `cleanup` and `restore` print of keys, and their JSON documents: a promise, in which the unknown is null."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from redis_oom_tui.formatting import SCHEMA
from redis_oom_tui.formatting.columns import ShareBase, exact_name, key_columns, row_document, text_table
from redis_oom_tui.formatting.sanitize import escape_exact, key_fields, safe_text
from redis_oom_tui.formatting.server import cleanup_line, with_commands
from redis_oom_tui.formatting.sizes import about_number, count, known_bytes, number_of_keys, percent, size
from redis_oom_tui.models.action import Budget, RestoreReport
from redis_oom_tui.models.plan import KeyOutcome, Outcome, OutcomeNote, Plan, PlannedKey, Proposal, RunView
from redis_oom_tui.models.stepped import FinishedPlan, ShrinkPlan

if TYPE_CHECKING:
    from redis_oom_tui.formatting.documents.cleanup import (
        BudgetFields,
        CleanupDocument,
        PlanHead,
        PlannedKeyFields,
        ProposalFields,
        RestoreDocument,
        RunFields,
    )

_KEYS = key_columns()
_SHOWN = 20
_KEY_FIELDS = (
    *("key", "key_base64", "db", "type", "bytes", "ttl_seconds", "idle_seconds"),
    *("size_kind", "bytes_low", "bytes_high"),
)


def plan_head(plan: Plan | ShrinkPlan | FinishedPlan) -> "PlanHead":
    """What the document of every frozen plan begins with."""
    return {
        "hash": plan.hash,
        "server": plan.server,
        "role": plan.role or None,
        "run_id": plan.run_id,
        "made_at_unix_seconds": plan.made_at,
    }


def plan_document(
    plan: Plan, budget: Budget, consent: Iterable[str], run: RunView | None, outcomes: Iterable[KeyOutcome]
) -> "CleanupDocument":
    """What `cleanup --json` prints: the plan, and the report where it ran."""
    came_to = {outcome.id: outcome for outcome in outcomes}
    return {
        "schema": SCHEMA,
        "plan": {
            **plan_head(plan),
            "deed": plan.operation.value,
            "expire_seconds": plan.expire_seconds,
            "complete": plan.complete,
            "keys_total": len(plan.keys),
            "bytes": known_bytes(plan.size, len(plan.keys)),
            "bytes_low": known_bytes(plan.size_range[0], len(plan.keys)),
            "bytes_high": known_bytes(plan.size_range[1], len(plan.keys)),
            "unsized_keys_total": plan.unmeasured,
            "matched_keys_total": plan.matched_keys,
            "matched_bytes": known_bytes(plan.matched_bytes, plan.matched_keys),
            "keyspace_keys_total": plan.keyspace_keys,
            "flags": list(plan.flags),
            "consent": list(consent),
        },
        "budget": _budget_fields(budget),
        "keys": [planned_fields(key, came_to.get(key.id)) for key in plan.keys],
        "report": None if run is None else run_fields(run),
    }


NOTHING = (
    "Nothing: no cache, no result of an application that nobody used for an hour and no other key that nobody used for"
    " a day was found."
)


def proposal_lines(proposal: Proposal, connection_args: Sequence[str]) -> list[str]:
    """The proposal for people, a few lines a part."""
    first = f"It is at {percent(proposal.pressure, 1)} of maxmemory"
    if proposal.shard:
        verb = "is" if proposal.shards_over == 1 else "are"
        over = f"{proposal.shards_over} of {proposal.shards} shards {verb} over {percent(proposal.target)}"
        first = f"{over}. The fullest, {proposal.shard}, is at {percent(proposal.pressure, 1)} of maxmemory"
    if not proposal.needed_bytes:
        return [f"{first}: it is under {percent(proposal.target)} already."]
    first = f"{first}; to reach {percent(proposal.target)}, {size(proposal.needed_bytes)} must go."
    if proposal.cause:
        return [first, with_commands(proposal.cause, connection_args)]
    lines = [f"{first} What may go, the least harmful first:"]
    for number, part in enumerate(proposal.parts, 1):
        about = f"about {size(part.about_bytes)} in {number_of_keys(part.keys)}"
        lines.append(f"{number}. {part.what}: {about}, to {percent(part.pressure_after, 1)}.")
        lines.append(f"   Risk: {part.risk}. {part.undo}")
    for jobs in proposal.jobs:
        name = f"{jobs.application.lower()}{'' if jobs.queue is None else f':{escape_exact(jobs.queue)}'}"
        place = "Besides" if proposal.parts else "Finished work"
        options = ("--finished", name, "--state", jobs.state, "--older-than", "1d")
        command = cleanup_line(connection_args, jobs.db, *options)
        lines.append(
            f"{place}: {about_number(jobs.jobs, f'{jobs.state} job', exact=jobs.exact)} of {jobs.application},"
            f" about {size(jobs.about_bytes)}."
            f" To plan the deletion: {command}"
        )
    if not proposal.parts and not proposal.jobs:
        lines.append(NOTHING)
    elif proposal.parts and not proposal.enough:
        lines.append("All of it is not enough.")
    if proposal.shards_over > 1:
        lines.append("Each shard has a limit of its own: when this one is done, run the same again for the next.")
    return [*lines, *proposal.kept]


def proposal_fields(proposal: Proposal) -> dict[str, "ProposalFields"]:
    """What stands beside the plan where it was proposed."""
    return {
        "proposal": {
            "target": proposal.target,
            "needed_bytes": proposal.needed_bytes,
            "enough": proposal.enough,
            "parts": [
                {
                    "what": safe_text(part.what),
                    "keys_total": part.keys,
                    "bytes_estimate": part.about_bytes,
                    "risk": part.risk,
                    "undo": part.undo,
                    "pressure_after": round(part.pressure_after, 4),
                }
                for part in proposal.parts
            ],
            "jobs": [
                {
                    "application": jobs.application,
                    "state": jobs.state,
                    "queue": None if jobs.queue is None else escape_exact(jobs.queue),
                    "db": jobs.db,
                    "jobs_total": jobs.jobs,
                    "exact": jobs.exact,
                    "bytes_estimate": jobs.about_bytes,
                }
                for jobs in proposal.jobs
            ],
            "kept": [safe_text(sentence) for sentence in proposal.kept],
            "cause": safe_text(proposal.cause) or None,
            "shard": proposal.shard or None,
            "shards_over_total": proposal.shards_over if proposal.shard else None,
        }
    }


def _budget_fields(budget: Budget) -> "BudgetFields":
    return {
        "target": budget.target,
        "needed_bytes": budget.needed_bytes,
        "plan_bytes": budget.plan_bytes,
        "low_bytes": budget.low_bytes,
        "high_bytes": budget.high_bytes,
        "pressure": _share(budget.pressure_now),
        "pressure_after": _share(budget.pressure_after),
        "enough": budget.enough,
        "words": budget.words,
    }


def planned_fields(key: PlannedKey, outcome: KeyOutcome | None = None) -> "PlannedKeyFields":
    """A key of a plan, with what became of it where the plan ran."""
    fields: PlannedKeyFields = row_document(key, _KEYS, _KEY_FIELDS)
    if outcome is not None:
        fields["outcome"] = outcome.outcome.value
        fields["detail"] = safe_text(outcome.detail) or None
    return fields


def run_fields(run: RunView) -> "RunFields":
    """The report of a run."""
    return {
        "ok": run.complete,
        "sentence": run.ended,
        "counts": _counts(run.counts),
        "freed_bytes": known_bytes(run.freed_bytes, run.counts.get(Outcome.DELETED, 0)),
        "used_before_bytes": run.used_before_bytes,
        "used_after_bytes": run.used_now_bytes,
        "taken_bytes": run.taken_bytes,
        "elapsed_seconds": round(run.elapsed_seconds, 3),
        "backup": run.backup_path,
    }


def restore_document(report: RestoreReport) -> "RestoreDocument":
    """What `restore --json` prints."""
    return {
        "schema": SCHEMA,
        "ok": report.complete,
        "sentence": report.ended,
        "path": report.path,
        "keys_total": report.total_keys,
        "counts": _counts(report.counts),
        "left_out_keys_total": report.left_out_keys,
        "left_out": list(report.left_out),
        "resumable": report.resumable,
        "unsure": report.unsure,
        "file_damaged": report.file_damaged,
        "file_note": report.file_note or None,
        "elapsed_seconds": round(report.elapsed_seconds, 3),
    }


def _counts(counts: Mapping[Any, int]) -> dict[str, int]:
    return {str(outcome.value).replace(" ", "_"): number for outcome, number in counts.items()}


def _share(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def plan_lines(plan: Plan, *, show_all: bool) -> list[str]:
    """The keys of a plan, names as --key takes them; the first of them unless all are wanted."""
    shown = plan.keys if show_all else plan.keys[:_SHOWN]
    nodes = any(key.id.node for key in shown)
    columns = key_columns(ShareBase(lambda: plan.size, "plan"), databases=not nodes, nodes=nodes, exact_names=True)
    more = len(plan.keys) - len(shown)
    return text_table(shown, columns) + ([f"... and {count(more)} more (--all prints them)"] if more else [])


def outcome_lines(outcomes: Sequence[KeyOutcome]) -> list[str]:
    """The keys that did not come to what was planned, each with its node and the reason; at most twenty."""
    notable = [each for each in outcomes if each.outcome in (Outcome.CHANGED, Outcome.FAILED, Outcome.IN_DOUBT)]
    lines = []
    for each in notable[:_SHOWN]:
        where = f" on {safe_text(each.id.node, 80)}" if each.id.node else ""
        word, detail = each.outcome.value, safe_text(each.detail)
        if each.note is OutcomeNote.UNSAVED:
            word, detail = "kept", detail.removeprefix("kept: ")
        lines.append(f"{word}: {exact_name(each.id.key)}{where}: {detail or '-'}")
    if len(notable) > _SHOWN:
        lines.append(f"... and {count(len(notable) - _SHOWN)} more (--json lists each)")
    return lines


if TYPE_CHECKING:
    from redis_oom_tui.formatting.documents.cleanup import FinishedDocument, ShrinkDocument


def shrink_document(plan: ShrinkPlan, consent: tuple[str, ...], run: RunView | None) -> "ShrinkDocument":
    """The plan, and the report where it ran; elements are text, with `\\xNN` for odd bytes."""
    request = plan.request
    name, exact = key_fields(plan.key.key)
    return {
        "schema": SCHEMA,
        "shrink": {
            **plan_head(plan),
            "key": name,
            "key_base64": exact,
            "db": plan.key.db,
            "type": plan.type,
            "keep_last": request.keep_last,
            "older_than_seconds": request.older_than_seconds,
            "fields": None if request.matching is None else escape_exact(request.matching),
            "oldest_end": None if request.oldest_end is None else request.oldest_end.value,
            "score_unit": None if request.score_unit is None else request.score_unit.value,
            "elements_total": plan.elements,
            "removed_elements_total": plan.going,
            "bytes": plan.size,
            "removed_bytes_estimate": plan.about_bytes,
            "oldest": [escape_exact(part) for part in plan.oldest],
            "newest": [escape_exact(part) for part in plan.newest],
            "flags": list(plan.flags),
            "consent": list(consent),
        },
        "report": None if run is None else run_fields(run),
    }


def finished_document(plan: FinishedPlan, consent: tuple[str, ...], run: RunView | None) -> "FinishedDocument":
    """The plan of finished jobs, and the report where it ran."""
    request = plan.request
    return {
        "schema": SCHEMA,
        "finished": {
            **plan_head(plan),
            "application": request.application,
            "state": plan.state,
            "queue": None if request.queue is None else escape_exact(request.queue),
            "db": request.db,
            "older_than_seconds": request.older_than_seconds,
            "listed_jobs_total": plan.total,
            "jobs_total": plan.going,
            "bytes_estimate": plan.about_bytes,
            "jobs": [{"list": escape_exact(job.index), "job": escape_exact(job.member)} for job in plan.jobs],
            "flags": list(plan.flags),
            "consent": list(consent),
        },
        "report": None if run is None else run_fields(run),
    }
