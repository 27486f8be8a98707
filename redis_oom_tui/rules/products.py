"""Which server answered: Redis, Valkey, or another one that speaks their protocol."""

from collections.abc import Mapping

from msgspec import Struct

from redis_oom_tui.rules.info_values import InfoFields


class Identity(Struct, frozen=True):
    """Who answered: `flavour` as in `Server`, `product` the name of what is neither plain Redis nor plain Valkey."""

    flavour: str
    version: str
    product: str = ""


# Servers that tell their own version in a field of their own.
_BY_VERSION_FIELD = {
    "dragonfly_version": "Dragonfly",
    "kvrocks_version": "Kvrocks",
    "garnet_version": "Garnet",
    "pika_version": "Pika",
    "upstash_version": "Upstash",
    "redict_version": "Redict",
    "memurai_version": "Memurai",
    "dicedb_version": "DiceDB",
    "keydb_version": "KeyDB",
}
# Servers whose fields of their own begin so, whatever their version field is called.
_BY_PREFIX = (("kvrocks_", "Kvrocks"), ("garnet_", "Garnet"), ("dragonfly_", "Dragonfly"), ("pika_", "Pika"))
# Fields that only KeyDB has: it calls itself redis_version like any Redis.
_OF_KEYDB = ("thread_0_clients", "current_client_thread", "storage_provider", "mvcc_depth")
# Redis itself, run by somebody who sets other limits than INFO tells.
_MANAGED = (("rlec_version", "Redis Enterprise"),)


def identify(fields: InfoFields) -> Identity:
    """Who answers this INFO. Valkey also reports a redis_version, the one that it stays compatible with: 7.2.4."""
    info = fields.info
    if "valkey_version" in info or fields.text("server_name") == "valkey":
        return Identity("valkey", fields.text("valkey_version") or "unknown", _managed(fields))
    for name, product in _BY_VERSION_FIELD.items():
        if name in info:
            return Identity("other", fields.text(name) or "unknown", product)
    version = fields.text("redis_version")
    if _is_keydb(fields):
        return Identity("other", version or "unknown", "KeyDB")
    for prefix, product in _BY_PREFIX:
        if any(name.startswith(prefix) for name in info):
            return Identity("other", version or "unknown", product)
    own_name = fields.text("server_name")
    if own_name is not None and own_name.lower() != "redis":
        return Identity("other", version or "unknown", own_name)
    if version is None:
        return Identity("other", "unknown")
    return Identity("redis", version, _managed(fields))


def _is_keydb(fields: InfoFields) -> bool:
    paths = f"{fields.text('executable') or ''} {fields.text('config_file') or ''}".lower()
    return fields.text("role") == "active-replica" or "keydb" in paths or any(name in fields.info for name in _OF_KEYDB)


def _managed(fields: InfoFields) -> str:
    system = fields.text("os") or ""
    if "ElastiCache" in system or "MemoryDB" in system:
        return system
    info: Mapping[str, object] = fields.info
    return next((product for name, product in _MANAGED if name in info), "")
