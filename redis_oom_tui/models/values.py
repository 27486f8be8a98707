"""What a small sample of a family's keys and values tells: read without a trace, bounded in keys and bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class FamilySample:
    """A few keys of one pattern. Lengths are means in bytes; shares are of the sampled strings, None without any.

    `key_bytes` is the mean MEMORY USAGE. `zlib_ratio` and `zstd_ratio` are compressed over plain bytes, of values
    long enough to be worth it (`large_share` of the bytes); None where none was read. `integer_text_share` counts
    values that are whole numbers but not stored as such. `elements` is the mean number of a collection's parts.
    """

    pattern: bytes
    sampled_keys: int
    type: str = "string"
    key_bytes: float = 0.0
    name_bytes: float = 0.0
    value_bytes: float | None = None
    zlib_ratio: float | None = None
    zlib_ratio_high: float | None = None
    zstd_ratio: float | None = None
    large_share: float | None = None
    json_share: float | None = None
    integer_text_share: float | None = None
    elements: float | None = None
    encodings: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
