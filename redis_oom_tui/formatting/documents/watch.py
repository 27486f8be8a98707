"""The lines of `watch --json`; an event is also what a hook is given."""

from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

from redis_oom_tui.formatting.documents.check import (
    Document,
    LevelName,
    MemoryFields,
    PolicyName,
    ServerFields,
    Share,
    SourceName,
    says,
)
from redis_oom_tui.models.alert import EventKind

_EventName = Annotated[str, Meta(extra_json_schema={"enum": [kind.value for kind in EventKind]})]


class WatchLine(Document):
    """What every line of `watch` has."""

    at: Annotated[str, says("when, in UTC (ISO 8601)")]
    profile: NotRequired[Annotated[str, says("the profile's name, where several are watched")]]


class SinceLast(TypedDict):
    """What happened since the poll before."""

    seconds: Annotated[float, says("how long ago that was")]
    refused_writes: Annotated[int | None, says("writes refused")]
    refused_by_command: Annotated[dict[str, int], says("the same by command")]
    evicted_keys: Annotated[int | None, says("keys evicted")]
    growth_bytes: Annotated[int | None, says("what used_memory grew by")]
    restarted: Annotated[bool, says("whether the server was restarted")]


class TickLine(WatchLine):
    """A poll. One without an answer has the verdict `unknown` and `silent_seconds`, but no counts."""

    type: Annotated[str, says("a poll"), Meta(extra_json_schema={"const": "tick"})]
    verdict: Annotated[LevelName, says("the verdict of this poll")]
    rule: Annotated[str, says("the name of the rule that gave it")]
    reason: Annotated[str, says("the verdict in one sentence")]
    alert: Annotated[LevelName, says("the level that stands, held and with hysteresis")]
    server: Annotated[ServerFields, says("who answered, and where")]
    memory: Annotated[MemoryFields, says("the server's memory")]
    keys_total: NotRequired[Annotated[int, says("keys in all databases")]]
    keys_with_ttl_total: NotRequired[Annotated[int, says("those that expire")]]
    refused_writes_total: NotRequired[Annotated[int | None, says("writes refused since the counters began")]]
    evicted_keys_total: NotRequired[Annotated[int | None, says("keys evicted since then")]]
    since_last: NotRequired[Annotated[SinceLast, says("what happened since the poll before")]]
    trend: NotRequired[Annotated[str | None, says("where the memory goes, such as `growing`")]]
    full_in_low_seconds: NotRequired[Annotated[float | None, says("full in this time at the earliest")]]
    full_in_high_seconds: NotRequired[Annotated[float | None, says("full in this time at the latest")]]
    silent_seconds: NotRequired[Annotated[float, says("the time since the last answer")]]


class EventLine(WatchLine):
    """Something that is reported once; what a hook is given."""

    type: Annotated[str, says("an event"), Meta(extra_json_schema={"const": "event"})]
    number: Annotated[int, says("its number in this watch")]
    event: Annotated[_EventName, says("its kind")]
    server: Annotated[str, says("the server, the profile's name, or `master NAME` where Sentinels are asked")]
    level: Annotated[LevelName, says("the level now")]
    before: Annotated[LevelName, says("the level before")]
    rule: Annotated[str, says("the name of the rule")]
    reason: Annotated[str, says("what happened, in a sentence")]
    lasted_seconds: Annotated[float | None, says("how long what it ends had lasted")]
    used_bytes: Annotated[int | None, says("used_memory")]
    maxmemory_bytes: Annotated[int | None, says("the limit")]
    limit_source: Annotated[SourceName, says("where the limit comes from")]
    pressure: Annotated[Share | None, says("what counts, divided by the limit")]
    policy: Annotated[PolicyName | None, says("the eviction policy")]
    refused_writes_total: Annotated[int | None, says("writes refused since the counters began")]
    evicted_keys_total: Annotated[int | None, says("keys evicted since then")]


class EventText(WatchLine):
    """What the lines below have, too."""

    level: Annotated[LevelName, says("how bad it is")]
    text: Annotated[str, says("what happened, in a sentence")]


class HookLine(EventText):
    """A delivery of an event to a hook."""

    type: Annotated[str, says("a delivery"), Meta(extra_json_schema={"const": "hook"})]
    hook: Annotated[str, says("the hook")]
    number: Annotated[int, says("the number of the event")]
    event: Annotated[_EventName, says("its kind")]
    ok: Annotated[bool, says("whether it was delivered")]


class EmergencyLine(EventText):
    """What an armed cleanup does."""

    type: Annotated[str, says("a cleanup"), Meta(extra_json_schema={"const": "cleanup"})]
    plan: Annotated[str, says("the plan's name")]
    dry_run: Annotated[bool, says("whether it only says what it would do")]
    keys: NotRequired[Annotated[int, says("how many keys the plan has, once it is made")]]
    bytes: NotRequired[Annotated[int | None, says("what they hold")]]
    hash: NotRequired[Annotated[str, says("the hash of the plan")]]


class LargestPattern(TypedDict):
    """A pattern that uses most."""

    pattern: Annotated[str, says("the pattern, printable")]
    keys: Annotated[int, says("how many keys it has")]
    bytes: Annotated[int | None, says("what they hold")]
    share: Annotated[Share, says("of all bytes scanned")]


class ScanLine(EventText):
    """A scan beside the watch; one that failed has no figures."""

    type: Annotated[str, says("a scan"), Meta(extra_json_schema={"const": "scan"})]
    scanned_keys: NotRequired[Annotated[int, says("how many keys were seen")]]
    bytes: NotRequired[Annotated[int | None, says("what they hold")]]
    with_ttl_bytes: NotRequired[Annotated[int | None, says("what those hold that expire")]]
    elapsed_seconds: NotRequired[Annotated[float, says("how long it took")]]
    patterns: NotRequired[Annotated[list[LargestPattern], says("the patterns that use most")]]


class NoteLine(EventText):
    """Anything else: a change of the cluster, a Prometheus file that cannot be written, a part that failed."""

    type: Annotated[str, says("what it is about"), Meta(extra_json_schema={"enum": ["server", "metrics", "failed"]})]


class EndLine(EventText):
    """The last line."""

    type: Annotated[str, says("the end"), Meta(extra_json_schema={"const": "end"})]
    looks: Annotated[int, says("how often the server was polled")]
    events: Annotated[int, says("how many events were reported")]
    alert: Annotated[LevelName, says("the level that stands at the end")]


class MissingLine(Document):
    """Stands for lines that were dropped because nobody read them in time."""

    type: Annotated[str, says("lost lines"), Meta(extra_json_schema={"const": "missing"})]
    lines: Annotated[int, says("how many")]
