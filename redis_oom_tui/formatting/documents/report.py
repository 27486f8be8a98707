"""The document of `report`."""

from typing import Annotated, TypedDict

from redis_oom_tui.formatting.documents.check import (
    Document,
    FindingFields,
    LevelName,
    MemoryFields,
    MemoryPart,
    NodeFields,
    ServerFields,
    UnixSeconds,
    says,
)
from redis_oom_tui.formatting.documents.hogs import ApplicationFields, MeasuredKey


class ReportVerdict(TypedDict):
    """The verdict at the end of what was seen."""

    level: Annotated[LevelName, says("how bad it is")]
    rule: Annotated[str, says("the name of the rule that gave it")]
    reason: Annotated[str, says("the verdict in one sentence")]
    evidence: Annotated[list[str], says("the figures that it rests on")]
    first_step: Annotated[str | None, says("what to do first")]


class StateFields(TypedDict):
    """The figures at one end of what was seen."""

    at_unix_seconds: Annotated[UnixSeconds, says("when")]
    memory: Annotated[MemoryFields, says("the server's memory")]
    keys_total: Annotated[int, says("keys in all databases")]
    keys_with_ttl_total: Annotated[int, says("those that expire")]
    refused_writes_total: Annotated[int | None, says("writes refused since the counters began")]
    evicted_keys_total: Annotated[int | None, says("keys evicted since then")]


class EpisodeFields(TypedDict):
    """A stretch of time with one verdict."""

    began_unix_seconds: Annotated[UnixSeconds, says("its beginning")]
    ended_unix_seconds: Annotated[UnixSeconds, says("its end")]
    level: Annotated[LevelName, says("how bad it was")]
    rule: Annotated[str, says("the name of the rule")]
    reason: Annotated[str, says("the verdict in one sentence")]
    peak_pressure: Annotated[float | None, says("the highest pressure")]
    refused_writes: Annotated[int | None, says("how many writes were seen being refused")]


class ReportPattern(TypedDict):
    """A pattern of keys."""

    pattern: Annotated[str, says("the pattern, printable")]
    db: Annotated[int | None, says("its database; null where there are several")]
    select: Annotated[str | None, says("what `cleanup --pattern` takes for exactly these keys")]
    match: Annotated[str | None, says("a glob that takes all of them, and may take more; null with --no-names")]
    match_keys: Annotated[int, says("how many of the scanned keys that glob takes at least")]
    keys: Annotated[int, says("how many keys it has")]
    bytes: Annotated[int | None, says("what they hold")]
    no_ttl_keys: Annotated[int | None, says("how many of them never expire")]
    application: Annotated[str | None, says("the application and its kind of key, in words; `?` where not sure")]


class ReportScan(TypedDict):
    """What a scan of the keys found."""

    complete: Annotated[bool, says("whether all keys were seen")]
    scanned_keys: Annotated[int, says("how many were")]
    scanned_bytes: Annotated[int | None, says("what they hold")]
    patterns: Annotated[list[ReportPattern], says("the patterns that use most, at most 100")]
    applications: Annotated[list[ApplicationFields], says("the applications that were recognized, the largest first")]
    contradiction: Annotated[str | None, says("why the sizes cannot be true beside used_memory")]
    unsized_keys: Annotated[int, says("keys of modules that do not report their size")]
    keys: Annotated[list[MeasuredKey], says("the largest keys, at most 100")]


class ActionFields(TypedDict):
    """What the tool did, from the audit log."""

    at_unix_seconds: Annotated[UnixSeconds, says("when it began")]
    ended_unix_seconds: Annotated[UnixSeconds | None, says("when it ended; null: no end recorded")]
    action: Annotated[str, says("what kind it was, such as `delete` or `set`")]
    who: Annotated[str, says("the user, and from where")]
    server: Annotated[str, says("the server that it changed")]
    what: Annotated[str | None, says("what it was about; null with --no-names")]
    result: Annotated[str | None, says("what came of it; null with --no-names")]
    ok: Annotated[bool | None, says("whether it was done without a fault")]
    counts: Annotated[dict[str, int], says("keys by outcome")]
    overdue: Annotated[bool, says("whether a value should have reverted by now, and nothing shows that it did")]


class ReportDocument(Document):
    """An incident report."""

    made_at_unix_seconds: Annotated[UnixSeconds, says("when it was made")]
    server: Annotated[ServerFields, says("who answered, and where")]
    verdict: Annotated[ReportVerdict, says("the verdict at the end")]
    notes: Annotated[list[str], says("what must be said of all figures, such as that they are of a dump file")]
    nodes: Annotated[list[NodeFields] | None, says("with -c: every node of the cluster, worst first")]
    before: Annotated[StateFields, says("the figures at the beginning")]
    after: Annotated[StateFields, says("the figures at the end")]
    memory_parts: Annotated[list[MemoryPart], says("where used_memory is at the end, in parts that add up to it")]
    episodes: Annotated[list[EpisodeFields], says("the verdicts over time")]
    findings: Annotated[list[FindingFields], says("what to do, the most useful first")]
    values_read: Annotated[
        bool | None, says("whether values could be read without a trace; null where none was sampled")
    ]
    scan: Annotated[ReportScan | None, says("what uses the memory; null where no key was scanned")]
    actions: Annotated[list[ActionFields], says("what the tool did to this server or this cluster")]
    actions_skipped: Annotated[int, says("lines of the audit log that could not be read")]
    actions_unread_before_unix_seconds: Annotated[
        UnixSeconds | None, says("actions before this time are not listed; null where none was left out")
    ]
