"""The documents of `hogs`, `cleanup` and `restore`."""

from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

from redis_oom_tui.formatting.documents.terms import (
    Document,
    Failed,
    Share,
    SizeKindName,
    UnixSeconds,
    says,
)
from redis_oom_tui.models.application import Confidence, KeyUse, Loss
from redis_oom_tui.models.plan import Operation, Outcome
from redis_oom_tui.models.scan import ScanState

_OutcomeName = Annotated[str, Meta(extra_json_schema={"enum": [outcome.value for outcome in Outcome]})]
_DeedName = Annotated[str, Meta(extra_json_schema={"enum": [operation.value for operation in Operation]})]
_ConfidenceName = Annotated[str, Meta(extra_json_schema={"enum": [one.value for one in Confidence]})]
_UseName = Annotated[str, Meta(extra_json_schema={"enum": [use.value for use in KeyUse]})]
_LossName = Annotated[str, Meta(extra_json_schema={"enum": [loss.value for loss in Loss]})]
_StateName = Annotated[str, Meta(extra_json_schema={"enum": [state.value for state in ScanState]})]


class IntervalFields(TypedDict):
    """An estimate with its 95% interval."""

    value: Annotated[int, says("the estimate")]
    low: Annotated[int, says("at least")]
    high: Annotated[int, says("at most")]


class KeyFields(TypedDict):
    """A key."""

    key: Annotated[str, says("its name, printable")]
    key_base64: Annotated[str | None, says("its exact bytes, where the printable form is not these")]
    db: Annotated[int, says("its database")]
    type: Annotated[str, says("its type")]
    bytes: Annotated[int | None, says("its size")]
    size_kind: Annotated[SizeKindName, says("how well that is known")]
    bytes_low: Annotated[int | None, says("at least")]
    bytes_high: Annotated[int | None, says("at most")]
    ttl_seconds: Annotated[float | None, says("when it expires; null: never, or not known")]
    idle_seconds: Annotated[int | None, says("since it was last used, where the server keeps that")]


class HogsKey(KeyFields):
    """A key of a scan."""

    measured: Annotated[bool | None, says("whether all of its elements were read")]
    suspect: Annotated[
        bool | None,
        says("whether the server answered more than it uses in all; `bytes` is then the most that the key can hold"),
    ]
    encoding: Annotated[str | None, says("how the server stores it")]
    elements: Annotated[int | None, says("how many elements it has")]
    frequency: Annotated[int | None, says("how often it is used, where the server keeps that instead of idle times")]
    node: Annotated[str | None, says("with -c: its node")]
    slot: Annotated[int | None, says("with -c: its slot")]


class KeyLabelFields(TypedDict):
    """What keys are to an application."""

    name: Annotated[str, says("the application")]
    confidence: Annotated[_ConfidenceName, says("how sure it is")]
    kind: Annotated[str, says("its kind of key, as the application's file calls it; of several, the largest")]
    use: Annotated[_UseName, says("what such a key is for")]
    loss: Annotated[_LossName, says("what becomes of the application when it is gone")]
    instance: Annotated[str | None, says("the queue, or whatever the application has several of")]


class HogsPattern(TypedDict):
    """A pattern of keys."""

    pattern: Annotated[str, says("the pattern, printable")]
    db: Annotated[int | None, says("its database; null where there are several")]
    level: Annotated[int, says("how deep it stands: 1 at the top")]
    parent: Annotated[str | None, says("the pattern that contains it")]
    select: Annotated[
        str | None,
        says("what `cleanup --pattern` takes for exactly these keys; null where too many names would be left out"),
    ]
    match: Annotated[str, says("a glob that takes all of them, and may take more; odd bytes as `\\xNN`")]
    match_keys: Annotated[int, says("how many of the scanned keys that glob takes at least: over `keys`, it is wider")]
    keys: Annotated[int, says("how many keys it has")]
    bytes: Annotated[int | None, says("what they hold")]
    size_kind: Annotated[SizeKindName, says("how well that is known")]
    average_bytes: Annotated[int | None, says("by key")]
    share: Annotated[Share | None, says("of all bytes scanned")]
    error: Annotated[Share, says("how much the merging of small patterns may have moved, as a share of all bytes")]
    types: Annotated[dict[str, int], says("keys by type")]
    application: Annotated[str | None, says("the application and its kind of key, in words; `?` where not sure")]
    applications: Annotated[list[KeyLabelFields], says("the same in detail; several where several could be meant")]
    no_ttl_keys: Annotated[int | None, says("how many of them never expire")]
    ttl_p10_seconds: Annotated[float | None, says("a tenth of those that expire has a shorter TTL")]
    ttl_p50_seconds: Annotated[float | None, says("half of them")]
    ttl_p90_seconds: Annotated[float | None, says("nine tenths of them")]
    idle_p10_seconds: Annotated[float | None, says("a tenth of the keys was idle for less, with --idle")]
    idle_p50_seconds: Annotated[float | None, says("half of them")]
    idle_p90_seconds: Annotated[float | None, says("nine tenths of them")]
    estimated_bytes: Annotated[IntervalFields | None, says("of a partial scan: what all keys would come to")]
    estimated_keys: Annotated[IntervalFields | None, says("of a partial scan: how many keys there would be")]


class KindFields(TypedDict):
    """All keys of one kind of an application."""

    kind: Annotated[str, says("the kind, by the name that the application's file gives it")]
    use: Annotated[_UseName, says("what such a key is for")]
    loss: Annotated[_LossName, says("what becomes of the application when it is gone")]
    keys: Annotated[int, says("how many there are")]
    bytes: Annotated[int | None, says("what they hold")]


class BoundingSetting(TypedDict):
    """A setting of an application that bounds what its keys hold."""

    name: Annotated[str, says("its name, as the application spells it")]
    bounds: Annotated[list[str], says("the kinds of key that it bounds")]
    default: Annotated[str, says("what happens without it")]
    value: Annotated[str, says("a sensible value")]
    where: Annotated[str | None, says("where it is set")]
    link: Annotated[str, says("the application's own documentation")]


class FinishedFields(TypedDict):
    """Jobs that are done."""

    state: Annotated[str, says("what the application calls them")]
    instance: Annotated[str | None, says("their queue, or whatever the application has several of")]
    jobs: Annotated[int, says("how many there are")]
    of_jobs: Annotated[int, says("how many jobs there are in any state")]
    bytes: Annotated[int, says("about what they hold, with their logs and what else belongs to them")]
    bytes_low: Annotated[int, says("at least")]
    bytes_high: Annotated[int, says("at most")]


class ApplicationFields(TypedDict):
    """An application that was recognized by its keys."""

    name: Annotated[str, says("the application")]
    confidence: Annotated[_ConfidenceName, says("how sure it is")]
    db: Annotated[int, says("the database of its keys")]
    prefix: Annotated[str, says("what their names begin with, printable")]
    keys: Annotated[int, says("how many there are")]
    bytes: Annotated[int | None, says("what they hold")]
    policy: Annotated[str | None, says("the eviction policy that its documentation demands")]
    kinds: Annotated[list[KindFields], says("the same by kind, the largest first")]
    finished: Annotated[list[FinishedFields], says("its jobs that are done; empty where that was not read")]
    settings: Annotated[list[BoundingSetting], says("which of its settings bound them")]


class TypeFields(TypedDict):
    """All keys of a type."""

    type: Annotated[str, says("the type")]
    keys: Annotated[int, says("how many there are")]
    bytes: Annotated[int | None, says("what they hold")]
    size_kind: Annotated[SizeKindName, says("how well that is known")]


class PatternChangeFields(TypedDict):
    """The same names in two scans; null where a scan counted them together with others, or skipped such keys."""

    pattern: Annotated[str, says("the pattern, printable")]
    db: Annotated[int | None, says("its database")]
    keys_before: Annotated[int | None, says("its keys in the older scan")]
    keys_now: Annotated[int | None, says("its keys in this one")]
    keys_grown: Annotated[int | None, says("the difference")]
    bytes_before: Annotated[int | None, says("what they held")]
    bytes_now: Annotated[int | None, says("what they hold")]
    bytes_grown: Annotated[int | None, says("the difference")]
    certain: Annotated[bool, says("whether both scans counted all of them")]
    doubt: Annotated[str | None, says("why not")]
    select: Annotated[str | None, says("what `cleanup --pattern` takes for them")]
    within: Annotated[str | None, says("the pattern to compare by, where a scan counted these with others")]


class ComparisonFields(TypedDict):
    """What changed between two scans."""

    before_unix_seconds: Annotated[UnixSeconds, says("when the older one was made")]
    now_unix_seconds: Annotated[UnixSeconds, says("when this one was")]
    notes: Annotated[list[str], says("what makes them hard to compare")]
    all: Annotated[PatternChangeFields, says("all keys")]
    patterns: Annotated[list[PatternChangeFields], says("by pattern, what grew most first")]


class HogsDocument(Failed):
    """What a scan of the keys found."""

    scanned_keys: Annotated[int, says("how many keys were seen")]
    total_keys: Annotated[int, says("how many there are")]
    complete: Annotated[bool, says("whether all of them were seen")]
    state: Annotated[_StateName, says("how the scan ended")]
    error: Annotated[str | None, says("why it failed")]
    notes: Annotated[list[str], says("what these figures leave out")]
    elapsed_seconds: Annotated[float, says("how long it took")]
    share_scanned: Annotated[Share, says("how much of the keyspace was seen")]
    bytes: Annotated[int | None, says("what the keys that were seen hold")]
    size_kind: Annotated[SizeKindName, says("how well that is known")]
    estimated_bytes: Annotated[IntervalFields | None, says("of a partial scan: what all keys would come to")]
    explained_share: Annotated[Share | None, says("how much of used_memory is in these keys")]
    contradiction: Annotated[str | None, says("why the sizes cannot be true beside used_memory")]
    unsized_keys: Annotated[int, says("keys of modules that do not report their size: they are in no sum")]
    volatile_keys: Annotated[int | None, says("keys that expire")]
    volatile_bytes: Annotated[int | None, says("what they hold")]
    vanished_keys: Annotated[int, says("keys that were gone before they were measured")]
    refused_keys: Annotated[int, says("keys that this user may not read")]
    server_share: Annotated[Share | None, says("how much of the server's time the scan took")]
    keys: Annotated[list[HogsKey], says("the largest keys, or those first by --sort")]
    patterns: Annotated[list[HogsPattern], says("the patterns, the largest first")]
    types: Annotated[list[TypeFields], says("the same by type")]
    applications: Annotated[list[ApplicationFields], says("the applications that were recognized, the largest first")]
    comparison: NotRequired[Annotated[ComparisonFields, says("with --compare: what changed")]]


class PlanFields(TypedDict):
    """The frozen plan."""

    hash: Annotated[str, says("what --hash compares")]
    server: Annotated[str, says("the server that it is for")]
    role: Annotated[str | None, says("that server's role")]
    run_id: Annotated[str | None, says("that server's process")]
    deed: Annotated[_DeedName, says("what it does to its keys")]
    expire_seconds: Annotated[int | None, says("over which time they expire")]
    made_at_unix_seconds: Annotated[UnixSeconds, says("when it was made")]
    complete: Annotated[bool, says("whether all keys were read")]
    keys_total: Annotated[int, says("how many keys it has")]
    bytes: Annotated[int | None, says("what they hold")]
    bytes_low: Annotated[int | None, says("at least")]
    bytes_high: Annotated[int | None, says("at most")]
    unsized_keys_total: Annotated[int, says("how many of its keys have no known size")]
    matched_keys_total: Annotated[int, says("how many keys met the criteria")]
    matched_bytes: Annotated[int | None, says("what these hold")]
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


class ProposalFields(TypedDict):
    """What may go to reach a target."""

    target: Annotated[Share, says("the share of maxmemory to get down to")]
    needed_bytes: Annotated[int, says("what has to go for that")]
    enough: Annotated[bool, says("whether all parts together reach it")]
    parts: Annotated[list[ProposedPartFields], says("the parts, the least harmful first")]
    kept: Annotated[list[str], says("what was not proposed, and why")]


class CleanupDocument(Document):
    """A plan, and the report where it ran."""

    proposal: NotRequired[Annotated[ProposalFields, says("with --free-to: what the plan is made of")]]

    plan: Annotated[PlanFields, says("the frozen plan")]
    budget: Annotated[BudgetFields, says("what it does for the memory")]
    keys: Annotated[list[PlannedKeyFields], says("its keys")]
    report: Annotated[RunFields | None, says("what came of it; null unless it ran")]


class ShrinkFields(TypedDict):
    """A key that is to become smaller; elements as lists of their parts, with odd bytes as `\\xNN`."""

    hash: Annotated[str, says("what --hash compares")]
    server: Annotated[str, says("the server that it is for")]
    role: Annotated[str | None, says("that server's role")]
    run_id: Annotated[str | None, says("that server's process")]
    made_at_unix_seconds: Annotated[UnixSeconds, says("when it was made")]
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


class FinishedPlanFields(TypedDict):
    """Jobs that are done."""

    hash: Annotated[str, says("what --hash compares")]
    server: Annotated[str, says("the server that it is for")]
    role: Annotated[str | None, says("that server's role")]
    run_id: Annotated[str | None, says("that server's process")]
    made_at_unix_seconds: Annotated[UnixSeconds, says("when it was made")]
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
    file_damaged: Annotated[bool, says("whether the file is damaged")]
    file_note: Annotated[str | None, says("what is wrong with it")]
    elapsed_seconds: Annotated[float, says("how long it took")]
