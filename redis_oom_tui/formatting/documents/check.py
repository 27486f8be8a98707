"""The document of `check`, with the terms and parts that the other documents share."""

from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

from redis_oom_tui.formatting import SCHEMA
from redis_oom_tui.models.keys import SizeKind
from redis_oom_tui.models.snapshot import LimitSource
from redis_oom_tui.models.verdict import Level

LevelName = Annotated[str, Meta(extra_json_schema={"enum": [level.value for level in Level]})]
SourceName = Annotated[str, Meta(extra_json_schema={"enum": [source.value for source in LimitSource]})]
SizeKindName = Annotated[str, Meta(extra_json_schema={"enum": [kind.value for kind in SizeKind]})]
# Servers may know policies that this tool does not.
PolicyName = Annotated[str, Meta(examples=["noeviction", "allkeys-lru", "volatile-ttl"])]
UnixSeconds = float
Share = float


def says(meaning: str) -> Meta:
    """What a field means, for its schema and docs/json.md."""
    return Meta(description=meaning)


class Document(TypedDict):
    """What every document has."""

    schema: Annotated[
        int,
        says("the number of the schema: it rises where a field changes its meaning or is removed"),
        Meta(extra_json_schema={"const": SCHEMA}),
    ]


class FailureDocument(Document):
    """What stands instead of a document where a command ends before it."""

    verdict: Annotated[str, says("there is none"), Meta(extra_json_schema={"const": Level.UNKNOWN.value})]
    reason: Annotated[str, says("why there is no document, in a sentence")]
    error: Annotated[str, says("the same")]


class Failed(Document):
    """A document that may stand for a failure too."""

    verdict: NotRequired[Annotated[LevelName, says("`unknown`, only where the command failed")]]
    reason: NotRequired[Annotated[str, says("why, only where the command failed")]]


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
    notes: Annotated[
        list[str],
        says("what happened to the connection (a failover, a node that was lost), and why clients were not listed"),
    ]
    doubts: Annotated[list[DoubtFields], says("figures that count as unknown")]
    nodes: Annotated[list[NodeFields] | None, says("with -c: every node of the cluster, worst first")]


class ProfileCheck(TypedDict):
    """A profile of the configuration file, and its server."""

    profile: Annotated[str, says("its name")]
    same_server_as: Annotated[
        list[str],
        says("other profiles that lead to the same server, by its run_id; or to the cluster that it is a node of"),
    ]
    check: Annotated[CheckDocument, says("what `check --json` prints of it; `unknown` where it did not answer")]


class CheckAllDocument(Document):
    """The verdicts of several profiles (`--all`, or a glob as --profile)."""

    verdict: Annotated[LevelName, says("the worst")]
    profiles: Annotated[list[ProfileCheck], says("each of them, the worst first")]
