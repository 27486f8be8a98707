"""Where used_memory went, in parts that add up to it."""

from enum import StrEnum

from msgspec import Struct


class Share(StrEnum):
    """A part of used_memory, in the order in which the bar shows them."""

    DATA = "data"
    TABLES = "key overhead"
    REHASHING = "rehashing"
    CLIENTS = "clients"
    BACKLOG = "backlog"
    REPLICAS = "replicas"
    LINKS = "cluster links"
    MIGRATION = "slot migration"
    AOF = "AOF"
    SCRIPTS = "scripts"
    FUNCTIONS = "functions"
    TRACKING = "tracking"
    CHANNELS = "pub/sub"
    WATCHED = "watched keys"
    STARTUP = "baseline"
    KEYLESS = "no key"
    REST = "other"


class Part(Struct, frozen=True):
    """One part and its bytes; `estimated` where the server tells only a number of items, and books them as data."""

    share: Share
    size: int
    estimated: bool = False


class Breakdown(Struct, frozen=True):
    """The parts, which sum to used_memory.

    `clients_unbelievable` is what the server books for clients where that is more than there is room for: Valkey 9
    counts replies that refer to a value as copies (seen: 160 MB of buffers in 2.6 MB of used_memory).
    `not_judged` says why there are no parts, where the rule failed on these figures.
    `data_room_bytes` is what keys can have of maxmemory beside the other parts; None without a limit.
    """

    parts: tuple[Part, ...]
    clients_unbelievable: int | None = None
    data_room_bytes: int | None = None
    not_judged: str = ""

    def size(self, *shares: Share) -> int:
        """The bytes of these parts; 0 where nothing of them is known."""
        return sum(part.size for part in self.parts if part.share in shares)
