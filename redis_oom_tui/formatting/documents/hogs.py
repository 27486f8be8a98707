"""The document of `hogs`."""

from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

from redis_oom_tui.formatting.documents.check import Failed, Share, SizeKindName, UnixSeconds, says
from redis_oom_tui.models.application import Confidence, KeyUse, Loss
from redis_oom_tui.models.keys import Measure
from redis_oom_tui.models.scan import ScanState

_ConfidenceName = Annotated[str, Meta(extra_json_schema={"enum": [one.value for one in Confidence]})]
_UseName = Annotated[str, Meta(extra_json_schema={"enum": [use.value for use in KeyUse]})]
_LossName = Annotated[str, Meta(extra_json_schema={"enum": [loss.value for loss in Loss]})]
_MeasureName = Annotated[str, Meta(extra_json_schema={"enum": [one.value for one in Measure]})]
_StateName = Annotated[str, Meta(extra_json_schema={"enum": [state.value for state in ScanState]})]


class IntervalFields(TypedDict):
    """An estimate with its 95% interval."""

    value: Annotated[int, says("the estimate")]
    low: Annotated[int, says("at least")]
    high: Annotated[int, says("at most")]


class MeasuredKey(TypedDict):
    """A key and its size."""

    key: Annotated[str, says("its name, printable")]
    key_base64: Annotated[str | None, says("its exact bytes, where the printable form is not these")]
    db: Annotated[int, says("its database")]
    type: Annotated[str, says("its type")]
    bytes: Annotated[int | None, says("its size")]
    size_kind: Annotated[SizeKindName, says("how well that is known")]
    bytes_low: Annotated[int | None, says("at least")]
    bytes_high: Annotated[int | None, says("at most")]


class KeyFields(MeasuredKey):
    """A key."""

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
    exact: Annotated[bool, says("false where jobs is an estimate: lists were not read, or keys not seen")]
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


class SizeBucketFields(TypedDict):
    """Keys of about the same size."""

    low: Annotated[int, says("the least size of one")]
    high: Annotated[int, says("the most")]
    keys: Annotated[int, says("how many there are")]


class SizeHistogramFields(TypedDict):
    """The keys of one type in one database, by size."""

    db: Annotated[int, says("the database")]
    type: Annotated[str, says("the type")]
    measure: Annotated[
        _MeasureName,
        says("`value`: bytes of a string's value; `memory`: bytes that the key takes; `elements`: how many it has"),
    ]
    keys: Annotated[int, says("how many keys it counts")]
    buckets: Annotated[list[SizeBucketFields], says("the keys by size, the smallest first")]


class KeySizesDocument(Failed):
    """With --instant: the sizes of keys that the server itself keeps count of (INFO keysizes)."""

    total_keys: Annotated[int | None, says("how many keys there are; null where a node did not answer")]
    counted_keys: Annotated[int, says("how many of them are counted here: not streams, nor types of modules")]
    used_memory_bytes: Annotated[int | None, says("used_memory, of all primaries in a cluster")]
    bytes_low: Annotated[int | None, says("what is known in bytes, at least; null: nothing is")]
    bytes_high: Annotated[int | None, says("at most")]
    explained_share_low: Annotated[Share | None, says("how much of used_memory that explains, at least")]
    explained_share_high: Annotated[Share | None, says("at most")]
    elements_only: Annotated[list[str], says("the types of which only elements are known")]
    key_sizes: Annotated[list[SizeHistogramFields], says("by database, type and measure")]


class HotKeyFields(TypedDict):
    """A hot key."""

    key: Annotated[str, says("its name, printable")]
    key_base64: Annotated[str | None, says("its exact bytes, where the printable form is not these")]
    node: Annotated[str | None, says("the node of a cluster that serves it")]
    cpu_seconds: Annotated[float | None, says("how long commands on it took; null in the list by network")]
    network_bytes: Annotated[int | None, says("what was received and sent for it; null in the list by CPU")]
    share: Annotated[Share | None, says("its share of what all commands took, on its node")]


class HotNodeFields(TypedDict):
    """What a node of a cluster tracks."""

    node: Annotated[str, says("its address")]
    tracked: Annotated[bool | None, says("whether somebody has started a tracking there; null: not known")]
    active: Annotated[bool | None, says("whether it goes on")]
    began_unix_seconds: Annotated[UnixSeconds | None, says("since when")]
    tracked_seconds: Annotated[float | None, says("for how long")]
    sample_ratio: Annotated[int | None, says("one key of so many is tracked")]
    error: Annotated[str | None, says("why it does not tell")]


class HotKeysDocument(Failed):
    """With --hot: the hottest keys, where the server tracks them already (HOTKEYS GET)."""

    tracked: Annotated[bool, says("whether somebody has started a tracking; without one all else is null")]
    active: Annotated[bool | None, says("whether it goes on")]
    began_unix_seconds: Annotated[UnixSeconds | None, says("since when; of a cluster, see `nodes`")]
    tracked_seconds: Annotated[float | None, says("for how long; of a cluster, see `nodes`")]
    sample_ratio: Annotated[int | None, says("one key of so many is tracked; of a cluster, see `nodes`")]
    by_cpu: Annotated[list[HotKeyFields] | None, says("by CPU time, the hottest first; null: not tracked")]
    by_network: Annotated[list[HotKeyFields] | None, says("by bytes received and sent; null: not tracked")]
    nodes: Annotated[list[HotNodeFields] | None, says("what each primary tracks; null without a cluster")]


class HogsDocument(Failed):
    """What a scan of the keys found."""

    scanned_keys: Annotated[int, says("how many keys were seen")]
    total_keys: Annotated[int, says("how many there are")]
    complete: Annotated[bool, says("whether all of them were seen")]
    state: Annotated[_StateName, says("how the scan ended")]
    error: Annotated[str | None, says("why it failed")]
    notes: Annotated[list[str], says("what these figures leave out")]
    elapsed_seconds: Annotated[float, says("how long it took")]
    share_scanned: Annotated[
        Share, says("`scanned_keys` of `total_keys`; with a filter about how much was looked through")
    ]
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
