"""The documents of `cleanup` and `restore`."""

from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

from redis_oom_tui.formatting.documents.check import Document, Share, UnixSeconds, says
from redis_oom_tui.formatting.documents.hogs import KeyFields
from redis_oom_tui.models.plan import Operation, Outcome

_OutcomeName = Annotated[str, Meta(extra_json_schema={"enum": [outcome.value for outcome in Outcome]})]
_DeedName = Annotated[str, Meta(extra_json_schema={"enum": [operation.value for operation in Operation]})]


class PlanHead(TypedDict):
    """What every frozen plan begins with."""

    hash: Annotated[str, says("what --hash compares")]
    server: Annotated[str, says("the server that it is for")]
    role: Annotated[str | None, says("that server's role")]
    run_id: Annotated[str | None, says("that server's process")]
    made_at_unix_seconds: Annotated[UnixSeconds, says("when it was made")]


class PlanFields(PlanHead):
    """The frozen plan."""

    deed: Annotated[_DeedName, says("what it does to its keys")]
    expire_seconds: Annotated[int | None, says("over which time they expire")]
    complete: Annotated[bool, says("whether all keys were read")]
    keys_total: Annotated[int, says("how many keys it has")]
    bytes: Annotated[int | None, says("what they hold")]
    bytes_low: Annotated[int | None, says("at least")]
    bytes_high: Annotated[int | None, says("at most")]
    unsized_keys_total: Annotated[int, says("how many of its keys have no known size")]
    matched_keys_total: Annotated[int, says("how many keys met the criteria")]
    matched_bytes: Annotated[int | None, says("what these hold; null where that is only estimated")]
    keyspace_keys_total: Annotated[int | None, says("how many keys there are in all")]
    flags: Annotated[list[str], says("sentences to read before it runs")]
    consent: Annotated[list[str], says("what --yes agrees to beside the deletion")]


class BudgetFields(TypedDict):
    """What the plan does for the memory."""

    target: Annotated[Share, says("the share of maxmemory to get down to")]
    needed_bytes: Annotated[int | None, says("what has to go for that")]
    plan_bytes: Annotated[int | None, says("what the plan frees by its own figures")]
    low_bytes: Annotated[int | None, says("at least")]
    high_bytes: Annotated[int | None, says("at most")]
    pressure: Annotated[Share | None, says("the share of maxmemory in use now")]
    pressure_after: Annotated[Share | None, says("the share in use after it")]
    enough: Annotated[bool | None, says("whether that is enough; null without a limit")]
    words: Annotated[str, says("all of this in a sentence")]


class PlannedKeyFields(KeyFields):
    """A key of the plan."""

    outcome: NotRequired[Annotated[_OutcomeName, says("what became of it, where the plan ran")]]
    detail: NotRequired[Annotated[str | None, says("what had changed, or the server's refusal")]]


class RunFields(TypedDict):
    """The report of a run."""

    ok: Annotated[bool, says("whether it ended without a fault")]
    sentence: Annotated[str | None, says("how it ended")]
    counts: Annotated[dict[str, int], says("keys by outcome")]
    freed_bytes: Annotated[int | None, says("what the deleted keys held by the plan's figures")]
    used_before_bytes: Annotated[int | None, says("used_memory before")]
    used_after_bytes: Annotated[int | None, says("used_memory after")]
    taken_bytes: Annotated[
        int, says("what counts against a bound: the larger of the plan's figures and of what used_memory fell by")
    ]
    elapsed_seconds: Annotated[float, says("how long it took")]
    backup: Annotated[str | None, says("the backup file")]


class ProposedPartFields(TypedDict):
    """Keys that may go."""

    what: Annotated[str, says("what they are")]
    keys_total: Annotated[int, says("how many keys these are by the scan")]
    bytes_estimate: Annotated[int, says("about what they hold")]
    risk: Annotated[str, says("what their loss means")]
    undo: Annotated[str, says("how they come back")]
    pressure_after: Annotated[Share, says("the share of maxmemory in use when this part and those before it are gone")]


class ProposedJobsFields(TypedDict):
    """Finished jobs, which go by a plan of their own."""

    application: Annotated[str, says("whose jobs they are")]
    state: Annotated[str, says("what it calls them")]
    queue: Annotated[str | None, says("their queue, where it has queues")]
    db: Annotated[int, says("the database")]
    jobs_total: Annotated[int, says("how many they are")]
    exact: Annotated[bool, says("false where jobs_total is an estimate: not every list of them was read")]
    bytes_estimate: Annotated[int, says("about what they hold with all that belongs to them")]


class ProposalFields(TypedDict):
    """What may go to reach a target."""

    target: Annotated[Share, says("the share of maxmemory to get down to")]
    needed_bytes: Annotated[int, says("what has to go for that")]
    enough: Annotated[bool, says("whether all parts together reach it")]
    parts: Annotated[list[ProposedPartFields], says("the parts, the least harmful first")]
    jobs: Annotated[list[ProposedJobsFields], says("finished jobs, for `cleanup --finished`")]
    kept: Annotated[list[str], says("what was not proposed, and why")]
    cause: Annotated[str | None, says("where no deletion helps: why that is so, and what to do first")]
    shard: Annotated[str | None, says("in a cluster: the fullest shard, which all of this is about")]
    shards_over_total: Annotated[int | None, says("in a cluster: how many shards are over the target")]


class CleanupDocument(Document):
    """A plan, and the report where it ran."""

    proposal: NotRequired[Annotated[ProposalFields, says("with --free-to: what the plan is made of")]]

    plan: Annotated[PlanFields, says("the frozen plan")]
    budget: Annotated[BudgetFields, says("what it does for the memory")]
    keys: Annotated[list[PlannedKeyFields], says("its keys")]
    report: Annotated[RunFields | None, says("what came of it; null unless it ran")]


class ShrinkFields(PlanHead):
    """A key that is to become smaller; elements as lists of their parts, with odd bytes as `\\xNN`."""

    key: Annotated[str, says("the key's name, printable")]
    key_base64: Annotated[str | None, says("its exact bytes, where the printable form is not these")]
    db: Annotated[int, says("its database")]
    type: Annotated[str, says("its type")]
    keep_last: Annotated[int | None, says("how many of the newest elements stay")]
    older_than_seconds: Annotated[int | None, says("the age from which elements go")]
    fields: Annotated[str | None, says("the glob whose fields or members go")]
    oldest_end: Annotated[str | None, says("where the list has its oldest elements: `left` or `right`")]
    score_unit: Annotated[str | None, says("how the scores were read as times: `s` or `ms`")]
    elements_total: Annotated[int, says("how many elements the key has")]
    removed_elements_total: Annotated[int, says("how many of them go")]
    bytes: Annotated[int | None, says("MEMORY USAGE of the key")]
    removed_bytes_estimate: Annotated[int | None, says("about how much of that goes")]
    oldest: Annotated[list[str], says("the first element that goes, by its parts")]
    newest: Annotated[list[str], says("the last that goes")]
    flags: Annotated[list[str], says("sentences to read before it runs")]
    consent: Annotated[list[str], says("what --yes agrees to, these among it")]


class ShrinkDocument(Document):
    """With --shrink: which elements of one key go, and the report where it ran."""

    shrink: Annotated[ShrinkFields, says("the frozen choice")]
    report: Annotated[RunFields | None, says("what came of it, elements instead of keys; null unless it ran")]


class FinishedJobFields(TypedDict):
    """A finished job."""

    list: Annotated[str, says("the key that lists it as finished")]
    job: Annotated[str, says("what it is called there")]


class FinishedPlanFields(PlanHead):
    """Jobs that are done."""

    application: Annotated[str, says("whose jobs they are")]
    state: Annotated[str, says("what the application calls them")]
    queue: Annotated[str | None, says("the queue that was asked for; null for all")]
    db: Annotated[int, says("the database")]
    older_than_seconds: Annotated[int, says("the age from which jobs go")]
    listed_jobs_total: Annotated[int, says("how many jobs are listed as finished")]
    jobs_total: Annotated[int, says("how many of them go")]
    bytes_estimate: Annotated[int | None, says("about what these hold")]
    jobs: Annotated[list[FinishedJobFields], says("each of them")]
    flags: Annotated[list[str], says("sentences to read before it runs")]
    consent: Annotated[list[str], says("what --yes agrees to, these among it")]


class FinishedDocument(Document):
    """With --finished: which jobs go, and the report where it ran."""

    finished: Annotated[FinishedPlanFields, says("the frozen choice")]
    report: Annotated[RunFields | None, says("what came of it, jobs instead of keys; null unless it ran")]


class RestoreDocument(Document):
    """What came of a restore."""

    ok: Annotated[bool, says("whether it ended without a fault")]
    sentence: Annotated[str | None, says("how it ended")]
    path: Annotated[str, says("the backup file")]
    keys_total: Annotated[int, says("how many keys it holds")]
    counts: Annotated[dict[str, int], says("keys by outcome")]
    left_out_keys_total: Annotated[int, says("keys that were deleted without a copy")]
    left_out: Annotated[list[str], says("their names, at most a thousand")]
    resumable: Annotated[bool, says("whether the same command continues it")]
    unsure: Annotated[bool, says("whether a server was lost or restarted after it had restored keys: they may be gone")]
    file_damaged: Annotated[bool, says("whether the file is damaged")]
    file_note: Annotated[str | None, says("what is wrong with it")]
    elapsed_seconds: Annotated[float, says("how long it took")]
