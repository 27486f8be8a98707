"""The releases that the tests run on, and what a user has of each: docs/servers.md shows it, a live test holds it."""

from collections.abc import Mapping

from msgspec import Struct

ABILITIES: Mapping[str, str] = {
    "scan": "SCAN",
    "sizes of keys": "MEMORY USAGE",
    "key sizes without a scan (`hogs --instant`)": "INFO keysizes",
    "idle times": "OBJECT IDLETIME",
    "reading leaves idle times alone": "CLIENT NO-TOUCH",
    "clients with their buffers": "CLIENT LIST",
    "who sends large values, measured": "COMMANDLOG",
    "heaviest slots of a cluster": "CLUSTER SLOT-STATS",
    "hottest keys, where somebody tracks them (`hogs --hot`)": "HOTKEYS",
    "keys that are never evicted, counted out of what a policy evicts": "INFO blessed_keys",
    "settings shown": "CONFIG GET",
    "settings changed": "CONFIG SET",
    "cleanup": "UNLINK",
    "cleanup checks each key in one step": "EVAL",
    "expiry": "PEXPIREAT",
    "backup": "DUMP",
    "undo": "RESTORE",
}
"""What a user has of a server, and the command or section of INFO that it takes."""


class Release(Struct, frozen=True):
    """A release that the tests run on under the name `tests`, and which of `ABILITIES` it `lacks`."""

    name: str
    tests: str
    lacks: frozenset[str]


RELEASES = (
    Release(
        "Redis 6.2",
        "redis6",
        frozenset(
            {"INFO keysizes", "CLIENT NO-TOUCH", "COMMANDLOG", "CLUSTER SLOT-STATS", "INFO blessed_keys", "HOTKEYS"}
        ),
    ),
    Release(
        "Redis 7.0",
        "redis7",
        frozenset(
            {"INFO keysizes", "CLIENT NO-TOUCH", "COMMANDLOG", "CLUSTER SLOT-STATS", "INFO blessed_keys", "HOTKEYS"}
        ),
    ),
    # It has CLIENT NO-TOUCH, which may crash it.
    Release("Redis 8.2", "redis8", frozenset({"CLIENT NO-TOUCH", "COMMANDLOG", "INFO blessed_keys", "HOTKEYS"})),
    Release("Valkey 9.1", "valkey", frozenset({"INFO keysizes", "INFO blessed_keys", "HOTKEYS"})),
)
