"""A key, a pattern of keys, what a small sample of them tells, and how large the server says that keys are."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

from msgspec import Struct, field


class SizeKind(StrEnum):
    """How well the size of a key is known."""

    EXACT = "exact"
    ESTIMATED = "estimated"
    UNKNOWN = "not measurable"


# Hundreds of thousands are held at a time, and none can be part of a circle: the collector need not look at them.
class KeyId(Struct, frozen=True, order=True, gc=False):
    """The identity of a key: its database, its exact bytes, and its node (empty outside a cluster)."""

    db: int
    key: bytes
    node: str = ""


class KeyPattern(Struct, frozen=True):
    """Which names a pattern holds: those whose parts, with NUL for what varies, are `parts`, or begin so if `below`.

    `others` is empty or has one entry a part: None, or, for a part that holds all names without a row of their own,
    the parts that do have one.
    """

    parts: tuple[bytes, ...]
    below: bool = False
    delimiters: bytes = b":"
    others: tuple[tuple[bytes, ...] | None, ...] = ()


class Sized:
    """What has the size of a key, which may be a range."""

    __slots__ = ()
    type: str
    size: int | None
    size_low: int | None
    size_high: int | None

    @property
    def size_kind(self) -> SizeKind:
        """How well its size is known."""
        return kind_of(self.type, self.size, self.size_low, self.size_high)


class KeyRow(Sized, Struct, frozen=True, gc=False):
    """What a scan read of one key.

    `size` is MEMORY USAGE, in bytes; None where it cannot be measured (refused, or a module that does not count). The
    real size is from `size_low` to `size_high`; both are `size` where it is exact, and None where no range is known.
    `ttl_ms` is PTTL: None for a key that never expires. `idle_seconds` or `frequency` is there, whichever the eviction
    policy lets the server know. `measured` says that the size was read from all elements; `suspect` that the server
    answered more than it uses in all, so that `size` is only the most that the key can hold.
    """

    id: KeyId
    type: str
    size: int | None
    ttl_ms: int | None = None
    idle_seconds: int | None = None
    frequency: int | None = None
    encoding: str | None = None
    elements: int | None = None
    measured: bool = False
    suspect: bool = False
    size_low: int | None = None
    size_high: int | None = None


def kind_of(kind: str, size: int | None, low: int | None, high: int | None) -> SizeKind:
    """How well a `size` between `low` and `high` is known; without a range, that of a string is exact.

    >>> kind_of("hash", 90, 90, 90), kind_of("hash", 90, None, None), kind_of("graphdata", None, None, None)
    (<SizeKind.EXACT: 'exact'>, <SizeKind.ESTIMATED: 'estimated'>, <SizeKind.UNKNOWN: 'not measurable'>)
    """
    if size is None:
        return SizeKind.UNKNOWN
    if low is None or high is None:
        return SizeKind.EXACT if kind == "string" else SizeKind.ESTIMATED
    return SizeKind.EXACT if low == high else SizeKind.ESTIMATED


Measured = TypeVar("Measured", bound=Sized)


def inexact(keys: Sequence[Measured]) -> list[Measured]:
    """Those of `keys` whose `size_kind` is not EXACT, in a fraction of the time: there may be hundreds of thousands.

    >>> [row.type for row in inexact([KeyRow(KeyId(0, b"a"), "string", 9), KeyRow(KeyId(0, b"b"), "hash", 9)])]
    ['hash']
    """
    # As `kind_of` says, without a call for each.
    return [
        key
        for key in keys
        if key.size is None
        or (key.type != "string" if (low := key.size_low) is None or (high := key.size_high) is None else low != high)
    ]


class ConsumerHealth(Struct, frozen=True):
    """A consumer of a group: what was delivered to it and not acknowledged, and when it last asked for anything."""

    name: bytes
    pending: int
    idle_seconds: int


class GroupHealth(Struct, frozen=True):
    """A consumer group of a stream. `lag` is how many entries it has not read, None where nobody tells.

    `known` are its consumers, empty where they are too many to be asked for.
    """

    name: bytes
    consumers: int
    pending: int
    lag: int | None = None
    known: tuple[ConsumerHealth, ...] = ()


class KeyDetails(Struct, frozen=True):
    """A closer look at one key: its row, read again, and a small first look at its value.

    `preview` holds a few elements or the first bytes, as bytes; `preview_withheld` says in a sentence why it is empty.
    Where `ttl_known` is False, the row's TTL means nothing. `groups` are those of a stream. With `touchable` the value
    was not read because that would count as a use of the key, and may be read at that price.
    """

    row: KeyRow
    preview: tuple[bytes, ...] = ()
    preview_withheld: str | None = None
    ttl_known: bool = True
    groups: tuple[GroupHealth, ...] = ()
    touchable: bool = False


class SampledKey(Struct, frozen=True):
    """One key of a sample. `length` is STRLEN, or the number of a collection's parts; `head` its first bytes, or one
    member of a set.

    Both are None where they could not be read without resetting the key's idle time. `fields` are those of a hash, of
    the ones that were asked about.
    """

    name: bytes
    size: int | None = None
    encoding: str | None = None
    length: int | None = None
    head: bytes | None = None
    fields: frozenset[str] = frozenset()


class PatternSample(Struct, frozen=True):
    """A few keys of one pattern. Lengths are means in bytes; None where nothing could be read.

    `key_bytes` is the mean MEMORY USAGE. `zlib_ratios` and `zstd_ratios` are the (lowest, mean, highest) share of
    their size that values keep when compressed; only values worth it count, and they hold `large_share` of the bytes.
    `integer_text_share` is of the sampled strings, or sets by one member: numbers but not stored as such. `elements`
    is the mean number of a collection's parts, `db` the database that they were read in. `fields` are the names that
    all sampled hashes have, or the objects in JSON strings; a format, as `<json>`, stands among them. `job_bytes` are
    the sizes of some jobs that an index of an application lists, `named` all members of the sampled sets that name
    keys of one (None where not all were read), `groups` those of a single stream, whose name stands for a pattern.
    """

    pattern: bytes
    type: str
    sampled_keys: int
    key_bytes: float = 0.0
    name_bytes: float = 0.0
    value_bytes: float | None = None
    longest_value: int | None = None
    zlib_ratios: tuple[float, float, float] | None = None
    zstd_ratios: tuple[float, float, float] | None = None
    large_share: float | None = None
    json_share: float | None = None
    integer_text_share: float | None = None
    elements: float | None = None
    encodings: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    db: int = 0
    fields: frozenset[str] = frozenset()
    job_bytes: tuple[int, ...] = ()
    named: tuple[bytes, ...] | None = None
    groups: tuple[GroupHealth, ...] = ()


class HotKeys(Struct, frozen=True):
    """What a server has tracked of its hottest keys, since somebody started that; `active` while it goes on.

    `by_cpu` are keys with their microseconds, `by_net` with their bytes, each None where that is not tracked, beside
    those of all commands (`cpu_us`, `net_bytes`). One key of `sample_ratio` is tracked. `began_at` is Unix seconds.
    Where nobody has started that, it is not `tracked`; `error` is why a `node` of a cluster did not tell.
    """

    active: bool = False
    sample_ratio: int = 1
    began_at: float | None = None
    seconds: float | None = None
    cpu_us: int | None = None
    net_bytes: int | None = None
    by_cpu: tuple[tuple[bytes, int], ...] | None = None
    by_net: tuple[tuple[bytes, int], ...] | None = None
    tracked: bool = True
    node: str = ""
    error: str | None = None


class Measure(StrEnum):
    """What a key's size is counted in. `value` is the bytes of a string's text, less than the memory that it takes."""

    VALUE = "value"
    MEMORY = "memory"
    ELEMENTS = "elements"


class SizeBucket(Struct, frozen=True):
    """So many keys with a size from `low` to `high`, both included."""

    low: int
    high: int
    keys: int


class SizeHistogram(Struct, frozen=True):
    """The keys of one type in one database by size, the smallest first; buckets without keys are left out."""

    db: int
    type: str
    measure: Measure
    buckets: tuple[SizeBucket, ...]

    @property
    def keys(self) -> int:
        """How many keys it counts."""
        return sum(bucket.keys for bucket in self.buckets)

    @property
    def in_bytes(self) -> bool:
        """Whether it tells bytes, not elements."""
        return self.measure is not Measure.ELEMENTS


class KeySizes(Struct, frozen=True):
    """What the histograms say of a server or a cluster.

    `total_keys` are all keys, None where a node did not answer; `counted_keys` those that a histogram counts: streams
    and types of modules are in none. `low_bytes` and `high_bytes` are what is told in bytes, None where nothing is.
    `elements_only` are the types of which only the elements are told.
    """

    histograms: tuple[SizeHistogram, ...]
    total_keys: int | None
    counted_keys: int
    used_bytes: int | None
    low_bytes: int | None
    high_bytes: int | None
    elements_only: tuple[str, ...]

    @property
    def uncounted_keys(self) -> int | None:
        """Keys in no histogram; None where the number of all is not known."""
        return None if self.total_keys is None else max(0, self.total_keys - self.counted_keys)
