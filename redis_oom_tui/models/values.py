"""What a small sample of a family's keys and values tells: read without a trace, bounded in keys and bytes."""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct, field


class SampledKey(Struct, frozen=True):
    """One key of a sample. `length` is STRLEN, or the number of a collection's parts; `head` its first bytes, or one
    member of a set.

    Both are None where they could not be read without resetting the key's idle time.
    """

    name: bytes
    size: int | None = None
    encoding: str | None = None
    length: int | None = None
    head: bytes | None = None


class FamilySample(Struct, frozen=True):
    """A few keys of one pattern. Lengths are means in bytes; None where nothing could be read.

    `key_bytes` is the mean MEMORY USAGE. `zlib_ratios` and `zstd_ratios` are the (lowest, mean, highest) share of
    their size that values keep when compressed; only values worth it count, and they hold `large_share` of the bytes.
    `integer_text_share` is of the sampled strings, or sets by one member: numbers but not stored as such. `elements`
    is the mean number of a collection's parts, `db` the database that they were read in.
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
