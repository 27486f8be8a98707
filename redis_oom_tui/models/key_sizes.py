"""How large keys are by the server's own count (INFO keysizes), which costs no scan."""

from enum import StrEnum

from msgspec import Struct


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
