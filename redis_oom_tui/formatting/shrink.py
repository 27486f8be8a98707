"""The JSON documents of `cleanup --shrink` and `cleanup --finished`, in which the unknown is null."""

from typing import TYPE_CHECKING

from redis_oom_tui.formatting import SCHEMA
from redis_oom_tui.formatting.plan import plan_head, run_fields
from redis_oom_tui.formatting.sanitize import escape_exact, key_fields
from redis_oom_tui.models.finished import FinishedPlan
from redis_oom_tui.models.plan import RunView
from redis_oom_tui.models.shrink import ShrinkPlan

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
