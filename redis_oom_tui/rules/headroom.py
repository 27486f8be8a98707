"""What a question may cost the server: replies bounded by the room below maxmemory, and pauses after slow answers.

A reply that its client has not read yet is evicted for, or has writes refused. Measured with a value of 8 MB that was
saved and compared before its deletion, as multiples of its size that had to be free for no other key to be evicted:
1.1 on Redis 6.2 and 7.0, 0.6 on Valkey 9.1, 2.1 on Redis 8.2, where what a script read counts as well.

While a giant is freed with libc's allocator the server waits for that at each turn, and an INFO takes it seconds:
asking it every second would then be most of what it does.
"""

import re
from collections.abc import Iterator, Mapping

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, size
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.plan import Operation, Plan, PlannedKey
from redis_oom_tui.models.snapshot import Memory, Snapshot
from redis_oom_tui.rules.policies import NOEVICTION, is_volatile

OWN_TYPES = frozenset({"string", "list", "set", "zset", "hash", "stream"})
"""The types that MEMORY USAGE itself can count; for any other it asks the module."""
# Types whose MEMORY USAGE with all elements is their size: the server's own, and modules that answer for theirs.
SIZED_TYPES = OWN_TYPES | frozenset(
    ("vectorset", "ReJSON-RL", "TSDB-TYPE", "MBbloom--", "MBbloomCF", "CMSk-TYPE", "TopK-TYPE", "TDIS-TYPE")
)
# Kvrocks has more of its own. A module's type has nine characters on every server, as `vectorset` has.
_KVROCKS_TYPES = frozenset({"bitmap", "hyperloglog", "sortedint", "timeseries"})
_MODULE_TYPE = re.compile(r"[A-Za-z0-9_-]{9}")
# A module that does not answer is booked as so many bytes at most, and its name: FalkorDB's graph of 40 MB as 32.
UNSIZED_MODULE_BYTES = 256
# A server writes so much of a reply before it turns to anybody else.
UNNOTICED = 16 * 1024
# Of what is free, the part that one exchange may take: the next is saved while the last is deleted, and scripts leave
# something behind that is cleared away a little later.
_SHARE = 4
# What a single copy needs, in halves of its size, and beside that.
_ABSURD = 2**62
# What a client takes in CLIENT LIST.
_CLIENT_BYTES = 500
_HALVES, _BESIDE = 5, 128 * 1024


def type_called(text: str) -> str:
    """The type of keys that `text` names, as TYPE answers it: one of a module that is not known here stays as it is.

    Raises BadInput for what can be no type. Servers differ there: some refuse such a SCAN, others find no key.

    >>> type_called("HASH"), type_called("rejson-rl"), type_called("my_module")
    ('hash', 'ReJSON-RL', 'my_module')
    """
    known = {kind.lower(): kind for kind in SIZED_TYPES | _KVROCKS_TYPES}
    if (kind := known.get(text.lower())) is not None:
        return kind
    if _MODULE_TYPE.fullmatch(text):
        return text
    raise BadInput(
        f"{safe_text(text, 40)!r} is not a type of keys: write string, hash, list, set, zset, stream, or a module's as"
        " TYPE answers it, such as ReJSON-RL"
    )


def headroom(snapshot: Snapshot) -> int | None:
    """Bytes that are free below maxmemory; None where a reply can cost nobody anything.

    That is so without a limit, on a replica, which leaves maxmemory to its master, and where writes are refused now,
    whatever is read. Where nobody knows what is used, nothing is free.
    """
    memory = snapshot.memory
    if snapshot.server.is_replica:
        return None
    return _free(memory.maxmemory_bytes, memory.counted_bytes, memory.policy, snapshot.expires)


def over_limit(snapshot: Snapshot) -> int:
    """Bytes that have to go until writes are accepted again, and replies need room; 0 where they need it now."""
    return 0 if headroom(snapshot) is not None else snapshot.memory.over() or 0


def headroom_in(fields: Mapping[str, object], stated_limit: int | None = None) -> int | None:
    """The same from the fields of INFO memory, keyspace and replication; of a server that takes writes without these.

    `stated_limit` is the operator's word for the limit of a server that tells none.

    >>> headroom_in({"used_memory": "80", "maxmemory": "100", "maxmemory_policy": "allkeys-lru"})
    20
    >>> headroom_in({"used_memory": "80"}, 90), headroom_in({"used_memory": "80", "maxmemory": "100"}, 90)
    (10, 20)
    """
    if fields.get("role") in {"slave", "replica"}:
        return None
    used, limit = _number(fields.get("used_memory")), _number(fields.get("maxmemory"))
    counted = None
    if 0 < used < _ABSURD:
        counted = max(0, used - _number(fields.get("mem_not_counted_for_evict")))
    databases = [value for name, value in fields.items() if name.startswith("db") and isinstance(value, Mapping)]
    expires = sum(_number(database.get("expires")) for database in databases)
    return _free(limit or stated_limit, counted, str(fields.get("maxmemory_policy", "")), expires)


def _free(limit: int | None, counted: int | None, policy: str, expires: int) -> int | None:
    if limit is None:
        return None
    if counted is None:
        return 0
    evicts_nothing = policy == NOEVICTION or (is_volatile(policy) and not expires)
    if evicts_nothing and counted >= limit:
        return None
    return max(0, limit - counted)


def _number(value: object) -> int:
    text = str(value).strip()
    return int(text) if text.isdigit() else 0


# What a raised limit may be of the host's memory, and of what is free there at this moment.
_OF_HOST, _OF_FREE = 0.7, 0.8
_LEAST_LIMIT = 64 * 2**20


def higher_limit(memory: Memory) -> int | None:
    """What maxmemory could be raised to for relief; None where the host has no room for it, as far as anybody says.

    The host's memory and cgroup bound it, less what other Redis servers there take; so does what is free there now.

    >>> higher_limit(Memory(used_bytes=99, maxmemory_bytes=100, host_bytes=1000))
    150
    >>> higher_limit(Memory(used_bytes=99, maxmemory_bytes=100, host_bytes=1000, host_free_bytes=20)) is None
    True
    >>> higher_limit(Memory(used_bytes=950_000, maxmemory_bytes=100, host_bytes=2**30, startup_bytes=900_000))
    67108864
    """
    limit, counted, host = memory.maxmemory_bytes, memory.counted_bytes, memory.host_bytes
    if limit is None or counted is None or not host:
        return None
    wanted = max(limit + limit // 2, counted + counted // 4)
    if limit < 2 * (memory.startup_bytes or 0):
        # Mistyped: the empty server alone would nearly fill half as much again.
        wanted = max(wanted, _LEAST_LIMIT)
    if wanted > _OF_HOST * (host - memory.neighbours[1]):
        return None
    free = memory.host_free_bytes
    return wanted if free is None or wanted - counted <= _OF_FREE * free else None


def at_once(free: int | None, most: int) -> int:
    """Bytes that may be on their way at once with `free` left: at most `most`, and what nobody notices in any case.

    >>> at_once(None, 4096), at_once(100 * 1024 * 1024, 4_000_000), at_once(0, 4_000_000)
    (4096, 4000000, 16384)
    """
    return most if free is None else max(UNNOTICED, min(most, free // _SHARE))


# What one reply may bring of a key that is read piece by piece.
_PIECE_BYTES, _PIECE_ELEMENTS = 1 << 20, 500


def elements_at_once(held: int | None, elements: int, free: int | None) -> int:
    """How many elements of a key that holds `held` bytes one reply may bring with `free` bytes below maxmemory, by
    their mean. Raises BadInput where not even one has room.

    >>> elements_at_once(100_000, 1000, 0), elements_at_once(6_000_000, 2, None), elements_at_once(None, 9, None)
    (163, 1, 500)
    >>> elements_at_once(6_000_000, 2, 1_000_000)
    Traceback (most recent call last):
    redis_oom_tui.models.errors.BadInput: Its elements take about 2.9 MiB each: reading one needs 7.3 MiB free below \
maxmemory, and 976.6 KiB are free
    """
    if held is None and free is not None:
        raise BadInput(f"How large its elements are is not known ({SIZE_UNKNOWN})")
    mean = max(1, (held or 1) // max(1, elements))
    if free is not None and mean > largest(free, mean):
        raise BadInput(
            f"Its elements take about {size(mean)} each: reading one needs {size(needed(mean))} free below maxmemory,"
            f" and {size(free)} are free"
        )
    return max(1, min(_PIECE_ELEMENTS, at_once(free, _PIECE_BYTES) // mean))


def list_of_clients(clients: int | None, free: int | None) -> str | None:
    """Why CLIENT LIST of so many clients is not asked for; None where it may be.

    >>> list_of_clients(20, 0), list_of_clients(9000, None)
    (None, None)
    >>> list_of_clients(9000, 2_000_000)
    'CLIENT LIST was not asked for: 9,000 clients are about 4.3 MiB of reply, and 1.9 MiB are free below maxmemory'
    """
    if free is None or clients is None:
        return None
    reply = clients * _CLIENT_BYTES
    if has_room(reply, free):
        return None
    return (
        f"CLIENT LIST was not asked for: {count(clients)} clients are about {size(reply)} of reply, and {size(free)}"
        " are free below maxmemory"
    )


def needed(bytes_: int) -> int:
    """Bytes that must be free for a key of so many bytes to be copied: none for a small one."""
    return 0 if bytes_ <= UNNOTICED else bytes_ * _HALVES // 2 + _BESIDE


def has_room(bytes_: int, free: int | None) -> bool:
    """Whether a key of so many bytes can be copied with `free` bytes free."""
    return free is None or needed(bytes_) <= free


def size_is_reported(kind: str, bytes_: int | None, name_bytes: int) -> bool:
    """Whether `bytes_` is the size of a key of type `kind`, and not what a module says for want of anything better.

    >>> size_is_reported("hash", 90, 3), size_is_reported("graphdata", 90, 3)
    (True, False)
    """
    return bytes_ is not None and (kind in SIZED_TYPES or bytes_ > UNSIZED_MODULE_BYTES + name_bytes)


def largest(free: int | None, most: int) -> int:
    """The largest key that can be copied with `free` bytes free, at most `most` bytes.

    >>> largest(None, 10), largest(0, 10_000_000), largest(5 * 1024 * 1024, 10_000_000)
    (10, 16384, 2044723)
    """
    if free is None:
        return most
    return min(most, max(UNNOTICED, (free - _BESIDE) * 2 // _HALVES))


def why_uncopied(key: PlannedKey, choice: BackupChoice) -> str | None:
    """Why `key` will not be in the backup; None where it will, as far as the plan tells.

    >>> from redis_oom_tui.models.keys import KeyId
    >>> why_uncopied(PlannedKey(KeyId(0, b"k"), "hash", 99_000_000), BackupChoice())
    '94.4 MiB is too large to save, with at most 16.0 MiB a key'
    >>> why_uncopied(PlannedKey(KeyId(0, b"k"), "graphdata", 60), BackupChoice(room_bytes=2**30))
    'its size is not known, so a copy of it might not fit below maxmemory'
    >>> why_uncopied(PlannedKey(KeyId(0, b"k"), "hash", 60), BackupChoice(room_bytes=0))
    >>> why_uncopied(PlannedKey(KeyId(0, b"k"), "string", None), BackupChoice(room_bytes=0))
    """
    if key.type == "string" and key.size is None:
        # Its length is asked when it is saved, which says then whether there is room.
        return None
    if key.size is not None and key.size > choice.max_key_bytes:
        return too_large(key.size, choice)
    if choice.room_bytes is None:
        return None
    if not size_is_reported(key.type, key.size, len(key.id.key)):
        return SIZE_UNKNOWN
    return None if has_room(key.size or 0, choice.room_bytes) else no_room(key.size or 0, choice.room_bytes)


def too_large(bytes_: int, choice: BackupChoice) -> str:
    """That a key of so many bytes is over the cap of one key."""
    return f"{size(bytes_)} is too large to save, with at most {size(choice.max_key_bytes)} a key"


SIZE_UNKNOWN = "its size is not known, so a copy of it might not fit below maxmemory"


def no_room(bytes_: int, free: int) -> str:
    """That a key of so many bytes cannot be read without harm to others."""
    return (
        f"{size(bytes_)} is too large to save now: reading it needs {size(needed(bytes_))} free below maxmemory, and"
        f" {size(free)} are free"
    )


def uncopied_keys(plan: Plan, choice: BackupChoice) -> Iterator[tuple[PlannedKey, str]]:
    """The keys of `plan` that cannot be copied, each with the reason; none where no copy is wanted or needed."""
    if not choice.wanted or plan.operation is Operation.EXPIRE:
        return
    for key in plan.keys:
        # Nearly every key is small, and there may be hundreds of thousands.
        if (reason := why_uncopied(key, choice)) is not None:
            yield key, reason


def kept_later(plan: Plan, choice: BackupChoice) -> list[PlannedKey]:
    """The keys of `plan` that are too large to be copied once others are gone and writes are accepted again.

    A run takes the large keys behind the small ones, and those that it kept again, the smallest first.
    """
    if not choice.wanted or plan.operation is Operation.EXPIRE or not choice.over_bytes:
        return []
    large = [key for key in plan.keys if needed(key.size or 0) and why_uncopied(key, choice) is None]
    freed = plan.size - sum(key.size or 0 for key in large)
    kept: list[PlannedKey] = []
    for key in large:
        if freed <= choice.over_bytes or has_room(key.size or 0, freed - choice.over_bytes):
            freed += key.size or 0
        else:
            kept.append(key)
    kept.sort(key=lambda key: key.size or 0)
    for at, key in enumerate(kept):
        if not has_room(key.size or 0, freed - choice.over_bytes):
            return kept[at:]
        freed += key.size or 0
    return []


_TIMES = 9.0
"""A slow answer is followed by so many times its length without a question: a tenth of the server's time at most."""
_LONGEST_SECONDS = 30.0
# What is no slower than this above the usual is a hiccup, or the link.
_HICCUP_SECONDS = 0.25
# An answer may take so long by the link alone: INFO over 10 KB/s.
_LINK_SECONDS = 0.5


def pause_after(elapsed: float, usual: float = 0.0) -> float:
    """Seconds for which not to ask again after an answer that took `elapsed`; `usual` is the quickest answer so far.

    >>> pause_after(0.2), pause_after(3.0), pause_after(1.0, usual=0.9), pause_after(60.0)
    (0.0, 27.0, 4.5, 30.0)
    """
    beyond = elapsed - min(usual, _LINK_SECONDS)
    return min(_LONGEST_SECONDS, _TIMES * beyond) if beyond >= _HICCUP_SECONDS else 0.0
