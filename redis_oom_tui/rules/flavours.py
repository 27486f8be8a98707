"""The servers that answer INFO: one record for each, with how it is known and what is different there.

What a server can do is asked of the server itself (`server.probing`); here stands only what cannot be asked.
"""

import re
from collections.abc import Mapping

from msgspec import Struct

from redis_oom_tui.rules.info_fields import InfoFields

Version = tuple[int, ...]


class Flavour(Struct, frozen=True):
    """Redis or Valkey, as far as they differ; ranges of bytes are the least and the most that was measured.

    `key_overhead` is what a small string key takes beyond its name and value, `integer_saving` what a number stored as
    one saves, `channel` what a pub/sub channel takes with a name of 8 to 110 bytes. `reversed_cursor` are the first
    version whose SCAN cursor is known to count in reversed bits and the first no longer known; `no_touch_crash` the
    first and the first fixed version that CLIENT NO-TOUCH may crash, with the report; `lua_counted_from` the first that
    counts the Lua VM in used_memory.
    """

    key_overhead: tuple[int, int]
    integer_saving: tuple[int, int]
    channel: tuple[int, int]
    reversed_cursor: tuple[Version, Version]
    no_touch_crash: tuple[Version, Version, str]
    lua_counted_from: Version | None = None


FLAVOURS: Mapping[str, Flavour] = {
    # A connection with NO-TOUCH that looks up a key while no command is being executed reads through a null pointer: a
    # cluster node does so for each command on a slot that is being moved (also redis#13512, valkey#1499).
    "redis": Flavour(
        key_overhead=(40, 64),
        integer_saving=(12, 38),
        channel=(194, 485),
        reversed_cursor=((6, 0), (9, 0)),
        no_touch_crash=((8, 0, 0), (8, 4, 0), "redis/redis#14415"),
        lua_counted_from=(7, 4),
    ),
    "valkey": Flavour(
        key_overhead=(18, 34),
        integer_saving=(0, 22),
        channel=(224, 560),
        reversed_cursor=((7, 2), (10, 0)),
        no_touch_crash=((8, 1, 0), (8, 1, 4), "valkey-io/valkey#2347"),
    ),
}
ANY_KEY_OVERHEAD, ANY_INTEGER_SAVING, ANY_CHANNEL = (18, 64), (0, 38), (194, 485)
"""What holds for a server of another flavour."""


class Product(Struct, frozen=True):
    """Another server that speaks Redis's protocol: known by its version field, or by how its own fields begin.

    `refusal` is how it refuses a write for want of room, '' where that is not known; `differs` says in a sentence what
    is different there; `counts_rss`: it compares RSS, too, with its limit.
    """

    name: str
    version_field: str
    prefix: str = ""
    refusal: str = ""
    differs: str = ""
    counts_rss: bool = False


REFUSAL = "OOM command not allowed when used memory > 'maxmemory'."
"""How Redis, Valkey and what is made from them refuse a write."""


PRODUCTS = (
    Product(
        "Dragonfly",
        "dragonfly_version",
        "dragonfly_",
        "ERR Out of memory",
        "It compares RSS with its limit, too, and has the policy `eviction` in cache mode.",
        counts_rss=True,
    ),
    Product(
        "Kvrocks",
        "kvrocks_version",
        "kvrocks_",
        "ERR write command not allowed when reached max-db-size.",
        "It keeps data on disk, within max-db-size, and reports no used_memory.",
    ),
    Product(
        "Garnet",
        "garnet_version",
        "garnet_",
        differs="It reports no used_memory, only figures of its own (`store_*`, `gc_*`).",
    ),
    Product("Pika", "pika_version", "pika_"),
    Product(
        "Upstash",
        "upstash_version",
        refusal="ERR DB capacity quota exceeded",
        differs="The limit is the data size of the plan, and eviction is on or off.",
    ),
    Product("Redict", "redict_version"),
    Product("Memurai", "memurai_version"),
    Product("DiceDB", "dicedb_version"),
    Product("KeyDB", "keydb_version", refusal=REFUSAL, differs="An active replica ignores its limit."),
)
# Fields that only KeyDB has: it calls itself redis_version like any Redis.
_OF_KEYDB = ("thread_0_clients", "current_client_thread", "storage_provider", "mvcc_depth")
# Redis itself, run by somebody who sets other limits than INFO tells.
MANAGED = (
    Product(
        "Redis Enterprise",
        "rlec_version",
        refusal="OOM command not allowed under OOM prevention.",
        differs="The limit counts replicas and is not in INFO: state it with `--limit`.",
    ),
    Product(
        "Azure Cache for Redis",
        "maxmemory_desired_reservation",
        refusal=REFUSAL,
        differs="RSS counts too, and part of the limit is reserved (`maxmemory_reservation`): it may evict below 100%.",
        counts_rss=True,
    ),
)
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


class Identity(Struct, frozen=True):
    """Who answered: `flavour` as in `Server`, `product` the name of what is neither plain Redis nor plain Valkey."""

    flavour: str
    version: str
    product: str = ""


def identify(fields: InfoFields) -> Identity:
    """Who answers this INFO. Valkey also reports a redis_version, the one that it stays compatible with: 7.2.4."""
    info = fields.info
    if "valkey_version" in info or fields.text("server_name") == "valkey":
        return Identity("valkey", fields.text("valkey_version") or "unknown", _managed(fields))
    for product in PRODUCTS:
        if product.version_field in info:
            return Identity("other", fields.text(product.version_field) or "unknown", product.name)
    version = fields.text("redis_version")
    if _is_keydb(fields):
        return Identity("other", version or "unknown", "KeyDB")
    for product in PRODUCTS:
        if product.prefix and any(name.startswith(product.prefix) for name in info):
            return Identity("other", version or "unknown", product.name)
    own_name = fields.text("server_name")
    if own_name is not None and own_name.lower() != "redis":
        return Identity("other", version or "unknown", own_name)
    return Identity("other", "unknown") if version is None else Identity("redis", version, _managed(fields))


def _is_keydb(fields: InfoFields) -> bool:
    paths = f"{fields.text('executable') or ''} {fields.text('config_file') or ''}".lower()
    return fields.text("role") == "active-replica" or "keydb" in paths or any(name in fields.info for name in _OF_KEYDB)


def _managed(fields: InfoFields) -> str:
    system = fields.text("os") or ""
    if "ElastiCache" in system or "MemoryDB" in system:
        return system
    info: Mapping[str, object] = fields.info
    return next((product.name for product in MANAGED if product.version_field in info), "")


def differs(product: str) -> str:
    """What is different on the product of that name, in a sentence; '' where nothing is known of it.

    >>> differs("KeyDB"), differs("Something")
    ('An active replica ignores its limit.', '')
    """
    found = _known(product)
    return "" if found is None else found.differs


def counts_rss(product: str) -> bool:
    """Whether the product of that name compares RSS with its limit, so that fragmentation can fill it.

    >>> counts_rss("Azure Cache for Redis"), counts_rss("")
    (True, False)
    """
    found = _known(product)
    return found is not None and found.counts_rss


def _known(product: str) -> Product | None:
    return next((known for known in (*PRODUCTS, *MANAGED) if known.name == product), None)


def no_touch_crash(server: str, version: str) -> str | None:
    """Why CLIENT NO-TOUCH must not be sent to this server, by the name and version that HELLO gives; None if it may.

    >>> no_touch_crash("redis", "8.2.3")
    'Redis 8.2.3 can crash on it (redis/redis#14415)'
    >>> no_touch_crash("redis", "8.4.0"), no_touch_crash("redis", "7.4.1"), no_touch_crash("valkey", "9.1.2")
    (None, None, None)
    >>> no_touch_crash("valkey", "8.1.3")
    'Valkey 8.1.3 can crash on it (valkey-io/valkey#2347)'
    >>> no_touch_crash("redis", "?")
    'the server does not tell its version, and some versions can crash on it'
    """
    found = _VERSION.match(version)
    if found is None:
        return "the server does not tell its version, and some versions can crash on it"
    flavour = FLAVOURS.get(server)
    if flavour is None:
        return None
    first, fixed, report = flavour.no_touch_crash
    now = tuple(map(int, found.groups()))
    return f"{server.capitalize()} {found[0]} can crash on it ({report})" if first <= now < fixed else None
