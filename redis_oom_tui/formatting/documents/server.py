"""The documents of `check`, `report`, `limits` and `config check`, with the parts that they share."""

from typing import Annotated, TypedDict

from redis_oom_tui.formatting.documents.keys import ApplicationFields
from redis_oom_tui.formatting.documents.terms import (
    Document,
    LevelName,
    PolicyName,
    Share,
    SizeKindName,
    SourceName,
    UnixSeconds,
    says,
)


class ServerFields(TypedDict):
    """Who answered. Only the address is known of a server that did not."""

    flavour: Annotated[str | None, says("`redis`, `valkey` or `other`")]
    product: Annotated[str | None, says("its name where it is not plain Redis or Valkey, such as Dragonfly or KeyDB")]
    version: Annotated[str | None, says("the version that it reports")]
    role: Annotated[str | None, says("`master` or `replica`")]
    mode: Annotated[str | None, says("`standalone`, `cluster` or `sentinel`")]
    run_id: Annotated[str | None, says("changes with each restart")]
    uptime_seconds: Annotated[int | None, says("since it was started")]
    address: Annotated[str, says("where it was asked: HOST:PORT or the path of a socket")]


class MemoryFields(TypedDict):
    """What the server says of its memory."""

    used_bytes: Annotated[int | None, says("used_memory")]
    counted_bytes: Annotated[int | None, says("what the server compares with maxmemory")]
    peak_bytes: Annotated[int | None, says("used_memory_peak")]
    rss_bytes: Annotated[int | None, says("used_memory_rss")]
    maxmemory_bytes: Annotated[int | None, says("the limit; null where there is none, or none is known")]
    pressure: Annotated[Share | None, says("counted_bytes divided by the limit; 1 and more means full")]
    fragmentation_ratio: Annotated[float | None, says("mem_fragmentation_ratio")]
    policy: Annotated[PolicyName | None, says("the eviction policy")]
    limit_source: Annotated[
        SourceName | None,
        says(
            "where the limit comes from: `server`, `operator` (--limit) or `not_reported`; with `server` and no limit"
            " above, none is set"
        ),
    ]
    not_counted_bytes: Annotated[int | None, says("used, but not compared with maxmemory: buffers of replicas, AOF")]
    host_bytes: Annotated[int | None, says("the memory of the server's machine")]


class MemoryPart(TypedDict):
    """One part of used_memory: all of them add up to it."""

    name: Annotated[str, says("what holds it, such as `data`, `clients`, `backlog`, `scripts` or `no key`")]
    bytes: Annotated[int, says("how much")]
    estimated: Annotated[bool, says("whether the server only tells how many items there are; then it is the least")]


class FindingFields(TypedDict):
    """One cause or saving. From `pane` on: what the screen would fill in to act on it."""

    id: Annotated[str, says("its name, which stays the same (docs/findings.md)")]
    severity: Annotated[LevelName, says("how bad it is")]
    title: Annotated[str, says("what it is, in a sentence")]
    advice: Annotated[str, says("what to do about it")]
    in_the_application: Annotated[str | None, says("what to change in the application")]
    evidence: Annotated[list[str], says("the figures that it rests on")]
    saves_bytes: Annotated[int | None, says("what it would free: the middle of the range below")]
    saves_low_bytes: Annotated[int | None, says("at least")]
    saves_high_bytes: Annotated[int | None, says("at most")]
    pane: Annotated[str | None, says("the pane that acts on it")]
    select: Annotated[str | None, says("the pattern that it is about, as `cleanup --pattern` takes it")]
    match: Annotated[str | None, says("a glob that takes all of that pattern's keys, and may take more")]
    db: Annotated[int | None, says("their database; null where it may be any")]
    ttl: Annotated[str | None, says("`without` or `with`, where only these of the keys are meant")]
    idle_over_seconds: Annotated[int | None, says("where only keys are meant that were not used for longer")]
    setting: Annotated[str | None, says("the setting to change")]
    value: Annotated[str | None, says("to what")]
    client_id: Annotated[int | None, says("the client that holds buffers")]


class DoubtFields(TypedDict):
    """A figure of INFO that is missing or cannot be true, and so counts as unknown."""

    field: Annotated[str, says("its name in INFO")]
    reason: Annotated[str, says("why it counts as unknown")]


class NodeFields(TypedDict):
    """A node of a cluster. All figures are null for one that did not answer."""

    verdict: Annotated[LevelName, says("its own verdict")]
    reason: Annotated[str | None, says("the verdict in a sentence, or why there is no answer")]
    node: Annotated[str, says("its address")]
    role: Annotated[str, says("`master` or `replica`")]
    replica_of: Annotated[str | None, says("the primary of a replica")]
    slots: Annotated[int, says("how many slots it serves")]
    failed: Annotated[bool, says("whether the cluster says that it has failed")]
    used_bytes: Annotated[int | None, says("used_memory")]
    counted_bytes: Annotated[int | None, says("what it compares with maxmemory")]
    maxmemory_bytes: Annotated[int | None, says("its limit")]
    limit_source: Annotated[SourceName | None, says("where the limit comes from")]
    pressure: Annotated[Share | None, says("counted_bytes divided by the limit")]
    policy: Annotated[PolicyName | None, says("its eviction policy")]
    keys_total: Annotated[int | None, says("its keys")]
    refused_writes_total: Annotated[int | None, says("writes refused for lack of memory")]
    evicted_keys_total: Annotated[int | None, says("keys evicted")]
    doubts: Annotated[list[DoubtFields], says("figures that count as unknown")]


class CheckDocument(Document):
    """The verdict on a server, with the figures and findings behind it."""

    verdict: Annotated[LevelName, says("how bad it is; `oom`: writes are refused")]
    reason: Annotated[str, says("the verdict in one sentence")]
    rule: Annotated[str, says("the name of the rule that gave the verdict")]
    evidence: Annotated[list[str], says("the figures that it rests on")]
    first_step: Annotated[str | None, says("what to do first")]
    confirm: Annotated[list[str], says("commands, with the fields to read, by which a person can check the verdict")]
    since_unix_seconds: Annotated[UnixSeconds | None, says("since when it is so, where that is known")]
    not_judged: Annotated[list[str], says("rules that failed on these figures; the verdict stands without them")]
    server: Annotated[ServerFields, says("who answered, and where")]
    memory: Annotated[MemoryFields, says("the server's memory")]
    memory_parts: Annotated[list[MemoryPart], says("where used_memory is, in parts that add up to it")]
    room_for_data_bytes: Annotated[
        int | None, says("what keys can have of the limit: less start-up, buffers, backlog, scripts and functions")
    ]
    keys_total: Annotated[int | None, says("keys in all databases")]
    keys_with_ttl_total: Annotated[int | None, says("those that expire")]
    refused_writes_total: Annotated[int | None, says("writes refused for lack of memory since the counters began")]
    refused_writes_is_lower_bound: Annotated[bool | None, says("whether there may have been more of them")]
    evicted_keys_total: Annotated[int | None, says("keys evicted since then")]
    clock_skew_seconds: Annotated[
        float | None, says("how far the server's clock is ahead of this computer's; negative: behind")
    ]
    findings: Annotated[list[FindingFields], says("what to do, the most useful first")]
    unreturned: Annotated[
        list[str] | None,
        says("a sentence for each setting that should have reverted (--revert-after) and did not, by the audit log"),
    ]
    notes: Annotated[list[str], says("what happened to the connection: a failover, a node that was lost")]
    doubts: Annotated[list[DoubtFields], says("figures that count as unknown")]
    nodes: Annotated[list[NodeFields] | None, says("with -c: every node of the cluster, worst first")]


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


class ReportKey(TypedDict):
    """One of the largest keys."""

    key: Annotated[str, says("its name, printable")]
    key_base64: Annotated[str | None, says("its exact bytes, where the printable form is not these")]
    db: Annotated[int, says("its database")]
    type: Annotated[str, says("its type")]
    bytes: Annotated[int | None, says("its size")]
    size_kind: Annotated[SizeKindName, says("how well that is known")]
    bytes_low: Annotated[int | None, says("at least")]
    bytes_high: Annotated[int | None, says("at most")]


class ReportScan(TypedDict):
    """What a scan of the keys found."""

    complete: Annotated[bool, says("whether all keys were seen")]
    scanned_keys: Annotated[int, says("how many were")]
    scanned_bytes: Annotated[int | None, says("what they hold")]
    patterns: Annotated[list[ReportPattern], says("the patterns that use most, at most 100")]
    applications: Annotated[list[ApplicationFields], says("the applications that were recognized, the largest first")]
    contradiction: Annotated[str | None, says("why the sizes cannot be true beside used_memory")]
    unsized_keys: Annotated[int, says("keys of modules that do not report their size")]
    keys: Annotated[list[ReportKey], says("the largest keys, at most 100")]


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


class MachineFields(TypedDict):
    """The memory that the server's machine has."""

    limit_bytes: Annotated[int | None, says("what the machine, or its container, allows")]
    free_bytes: Annotated[int | None, says("what of it is free")]
    words: Annotated[str, says("both in a sentence")]


class PolicyFields(TypedDict):
    """An eviction policy, with what it would do here and now."""

    name: Annotated[str, says("the policy")]
    current: Annotated[bool, says("whether it is the one in force")]
    evicts: Annotated[str, says("what it evicts, in a sentence")]
    evictable_keys_total: Annotated[int | None, says("how many keys it could evict")]
    evictable_bytes: Annotated[int | None, says("what they hold; only with --scan or --saved-scan")]
    equals_noeviction: Annotated[bool, says("whether it can evict nothing here")]
    enough: Annotated[bool | None, says("whether that would bring the memory below the limit")]
    first_to_go: Annotated[
        list[str] | None, says("the patterns that lose keys first; empty where chance decides, null where not known")
    ]
    first_to_go_by: Annotated[str | None, says("by what: the shortest TTLs, the longest idle times, …")]
    first_to_go_unknown: Annotated[str | None, says("why it is not known")]
    warnings: Annotated[list[str], says("what else to know before it is set")]


class SettingFields(TypedDict):
    """A setting that matters when memory is short."""

    name: Annotated[str, says("the setting")]
    value: Annotated[str | None, says("its value")]
    why: Annotated[str | None, says("why the value is not known")]
    about: Annotated[str, says("what it does, in a sentence")]


class StepFields(TypedDict):
    """A step on the way of a write through a full server."""

    question: Annotated[str, says("what the server asks")]
    answer: Annotated[str, says("the answer here")]
    lit: Annotated[bool, says("whether a write gets to this step now")]


class NodeChange(TypedDict):
    """A change on one node."""

    node: Annotated[str, says("the node")]
    took: Annotated[bool, says("whether it took")]
    old: Annotated[str | None, says("the value before")]
    now: Annotated[str | None, says("the value as read back")]
    detail: Annotated[str | None, says("why it did not take")]


class SettingChangeFields(TypedDict):
    """A change of a setting that was tried."""

    name: Annotated[str, says("the setting")]
    old: Annotated[str | None, says("its value before")]
    new: Annotated[str, says("the value that was asked for")]
    consequence: Annotated[str, says("what the change means")]
    warnings: Annotated[list[str], says("what else to know")]
    took: Annotated[bool, says("whether it took")]
    now: Annotated[str | None, says("its value as read back")]
    detail: Annotated[str | None, says("why it did not take")]
    persisted: Annotated[str | None, says("the answer of CONFIG REWRITE, with --persist")]
    nodes: Annotated[list[NodeChange] | None, says("with -c: the same by node")]


class ScanUsed(TypedDict):
    """The scan that bytes and patterns come from."""

    taken_at_unix_seconds: Annotated[UnixSeconds, says("when it was made")]
    age_seconds: Annotated[float, says("how long ago that is")]
    complete: Annotated[bool, says("whether it saw all keys")]
    scanned_keys: Annotated[int, says("how many it saw")]
    total_keys: Annotated[int, says("how many there were")]
    notes: Annotated[list[str], says("why it may not be what this server holds")]


class LimitsDocument(Document):
    """How the server reacts when it is full, and what was changed."""

    node: Annotated[str | None, says("with -c: the node that this is of, the one named, else the worst primary")]
    maxmemory_bytes: Annotated[int | None, says("the limit")]
    limit_source: Annotated[SourceName, says("where the limit comes from")]
    policy: Annotated[PolicyName | None, says("the eviction policy")]
    over_bytes: Annotated[int | None, says("how far the memory is over the limit")]
    room_for_data_bytes: Annotated[
        int | None, says("what keys can have of the limit: less start-up, buffers, backlog, scripts and functions")
    ]
    machine: Annotated[MachineFields, says("the memory of the server's machine")]
    policies: Annotated[list[PolicyFields], says("every policy that this server accepts")]
    settings: Annotated[list[SettingFields], says("the settings that matter when memory is short")]
    path: Annotated[list[StepFields], says("what happens to a write")]
    refused: Annotated[str | None, says("why settings cannot be read or changed here")]
    unreturned: Annotated[
        list[str], says("a sentence for each setting that should have reverted (--revert-after) and did not")
    ]
    changes: Annotated[list[SettingChangeFields], says("what was changed")]
    scan: Annotated[ScanUsed | None, says("the scan that bytes and patterns come from")]


class ConfigDocument(Document):
    """Whether a configuration file is good."""

    path: Annotated[str | None, says("the file; null where there is none and the defaults hold")]
    problems: Annotated[list[str], says("what is wrong with it, each with its line")]
    notes: Annotated[list[str], says("what is no fault, but may not be as it was meant")]
    profiles: Annotated[list[str], says("the names of its profiles")]
