"""INFO's fields read one by one: what is missing or cannot be true is unknown; and which server they tell of."""

import math
import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import size
from redis_oom_tui.models.snapshot import Doubt

# No server has, holds or counts more than this: 8 PiB, or 285 years of microseconds.
LARGEST = 2**53
# Ten times the largest machine that there is.
LARGEST_MACHINE = 2**48
FELL_BELOW_ZERO = "it fell below zero"
"""How the reason ends for an unsigned count from which more was taken than it held."""
_WRAPPED = 2**63
_LONGEST = 80
_NUMBER = re.compile(r"-?\d+(\.\d+)?%?")


class InfoFields:
    """Reads the fields of one INFO; `doubts` are those that were there and could not be believed, by name."""

    def __init__(self, info: Mapping[str, object]) -> None:
        self.info = info
        self._reasons: dict[str, str] = {}

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """What could not be believed, in the order in which it was found."""
        return tuple(Doubt(name, reason) for name, reason in self._reasons.items())

    def doubt(self, name: str, reason: str) -> None:
        """Note that `name` counts as unknown; the first reason stays."""
        self._reasons.setdefault(name, reason)

    def number(self, name: str, *, at_most: float = LARGEST) -> float | None:
        """A number from 0 to `at_most`; None where it is missing or is none."""
        if name not in self.info:
            return None
        value, reason = believed(self.info[name], at_most)
        if reason is not None:
            self.doubt(name, reason)
        return value

    def whole(self, *names: str, at_most: float = LARGEST) -> int | None:
        """The first of `names` that holds a believable whole number."""
        for name in names:
            value = self.number(name, at_most=at_most)
            if value is not None:
                return int(value)
        return None

    def positive(self, *names: str, why_not_zero: str = "") -> int | None:
        """As `whole`, where 0 cannot be; `why_not_zero` makes a doubt of a 0."""
        value = self.whole(*names)
        if value == 0 and why_not_zero:
            self.doubt(names[0], f"reads 0: {why_not_zero}")
        return value or None

    def memory(self, name: str, *, why_not_zero: str = "") -> int | None:
        """As `positive`, of memory that a machine really has."""
        value = self.number(name, at_most=LARGEST_MACHINE)
        if value == 0 and why_not_zero:
            self.doubt(name, f"reads 0: {why_not_zero}")
        return int(value) if value else None

    def read(self, kind: str, names: Sequence[str]) -> float | str | None:
        """What `models.snapshot.InfoField` describes."""
        match kind:
            case "whole":
                return self.whole(*names)
            case "positive":
                return self.positive(*names)
            case "memory":
                return self.memory(names[0])
            case "number":
                return self.number(names[0])
            case "flag":
                return self.flag(names[0])
            case _:
                return self.text(names[0])

    def flag(self, name: str) -> bool:
        """Whether it is there and not 0."""
        return bool(self.whole(name))

    def text(self, name: str) -> str | None:
        """A word of the server's, made harmless."""
        value = self.info.get(name)
        return safe_text(str(value), _LONGEST) if isinstance(value, str | int | float) and value != "" else None


def believed(value: object, at_most: float = LARGEST) -> tuple[float | None, str | None]:
    """The number that `value` holds, or None and why it is not believed.

    >>> believed("12"), believed("54.84%")
    ((12.0, None), (54.84, None))
    >>> believed(-3)
    (None, 'reads -3, and cannot be below 0')
    >>> believed(2**64 - 7 * 2**20)
    (None, 'reads 18446744073702211584 (2^64 - 7.0 MiB): it fell below zero')
    >>> believed("many")
    (None, "reads 'many', which is not a number")
    """
    number = _number(value)
    if isinstance(number, int) and abs(number) > 2**64:
        return None, f"reads a number of {number.bit_length() * 3 // 10 + 1} digits, which cannot be"
    if number is None or not math.isfinite(number):
        return None, f"reads '{safe_text(str(value), 24)}', which is not a number"
    if number < 0:
        return None, f"reads {safe_text(str(value), 24)}, and cannot be below 0"
    if number >= _WRAPPED and int(number) <= 2**64:
        return None, f"reads {int(number)} (2^64 - {size(2**64 - int(number))}): {FELL_BELOW_ZERO}"
    if number > at_most:
        return None, f"reads {safe_text(str(value), 24)}, which cannot be"
    return float(number), None


def _number(value: object) -> int | float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        if _NUMBER.fullmatch(value) is None or len(value) > _LONGEST:
            return None
        value = value.rstrip("%")
        return float(value) if "." in value else int(value)
    return value if isinstance(value, int | float) else None


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


_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
# A connection with NO-TOUCH that looks up a key while no command is being executed reads through a null pointer: a
# cluster node does so for each command on a slot that is being moved. First and first fixed versions:
# redis/redis#13512 and #14415, valkey-io/valkey#1499 and #2347.
_NO_TOUCH_CRASHES = {
    "redis": ((8, 0, 0), (8, 4, 0), "redis/redis#14415"),
    "valkey": ((8, 1, 0), (8, 1, 4), "valkey-io/valkey#2347"),
}


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
    bug = _NO_TOUCH_CRASHES.get(server)
    if bug is None:
        return None
    first, fixed, where = bug
    now = tuple(map(int, found.groups()))
    return f"{server.capitalize()} {found[0]} can crash on it ({where})" if first <= now < fixed else None
