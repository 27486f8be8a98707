"""What this server, and this user on it, can do: found by asking, remembered, never guessed from a version."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct, field

from redis_oom_tui.models.structs import replace


class Feature(StrEnum):
    """Something that may be missing on an old, managed or restricted server."""

    INFO = "INFO"
    SCAN = "SCAN"
    TYPE = "TYPE"
    TTL = "PTTL"
    MEMORY_USAGE = "MEMORY USAGE"
    MEMORY_STATS = "MEMORY STATS"
    MEMORY_PURGE = "MEMORY PURGE"
    OBJECT_IDLETIME = "OBJECT IDLETIME"
    OBJECT_FREQ = "OBJECT FREQ"
    OBJECT_ENCODING = "OBJECT ENCODING"
    CLIENT_LIST = "CLIENT LIST"
    CLIENT_KILL = "CLIENT KILL"
    NO_TOUCH = "CLIENT NO-TOUCH"
    NO_EVICT = "CLIENT NO-EVICT"
    CONFIG_GET = "CONFIG GET"
    CONFIG_SET = "CONFIG SET"
    CONFIG_REWRITE = "CONFIG REWRITE"
    SCRIPT = "EVAL"
    UNLINK = "UNLINK"
    EXPIRE = "PEXPIREAT"
    DUMP = "DUMP"
    RESTORE = "RESTORE"


class Capabilities(Struct, frozen=True):
    """What was refused, and in which words; what is not in `missing` is there, or was not asked yet.

    `policies` are the eviction policies that the server itself lists, in its order; empty where it did not say.
    """

    missing: Mapping[Feature, str] = field(default_factory=lambda: MappingProxyType({}))
    policies: tuple[str, ...] = ()

    def has(self, feature: Feature) -> bool:
        """Whether nothing is known against `feature`."""
        return feature not in self.missing

    def why_not(self, feature: Feature) -> str | None:
        """The reason, as one sentence, why `feature` cannot be used; None where it can."""
        return self.missing.get(feature)

    def without(self, feature: Feature, reason: str) -> "Capabilities":
        """The same, with a refusal met later remembered as well.

        >>> Capabilities().without(Feature.SCRIPT, "EVAL is renamed away").has(Feature.SCRIPT)
        False
        """
        return replace(self, missing=MappingProxyType({**self.missing, feature: reason}))
