"""INFO's fields read one by one, and held against each other: what is missing or cannot be true is unknown."""

import math
import re
from collections.abc import Mapping, Sequence

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import duration, size
from redis_oom_tui.models.snapshot import NOT_REPORTED, Database, Doubt, LimitSource, Memory, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.policies import UNKNOWN, not_judged

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
        """What `models.structs.InfoField` describes."""
        match kind:
            case "whole":
                return self.whole(*names)
            case "positive":
                return self.positive(*names)
            case "memory":
                return self.memory(names[0])
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


# used_memory is read a moment before or after its parts.
_SLACK = 2**20
# An empty server was seen at 8; beyond this, and this many times RSS over used_memory, a ratio is not theirs.
_HIGHEST_RATIO = 1000
_OFF_BY = 10
_LEAST_HOST = 16 * 2**20
# With more swap than this many times its memory no host is run.
_SWAP_TIMES = 8
_TEN_YEARS_MS = 10 * 365 * 86_400_000
_PARTS = {
    "startup_bytes": "used_memory_startup",
    "dataset_bytes": "used_memory_dataset",
    "clients_replicas_bytes": "mem_clients_slaves",
    "replication_backlog_bytes": "mem_replication_backlog",
    "replication_buffers_bytes": "mem_total_replication_buffers",
    "aof_buffer_bytes": "mem_aof_buffer",
    "cluster_links_bytes": "mem_cluster_links",
    "scripts_bytes": "used_memory_scripts",
    "functions_bytes": "used_memory_functions",
}


def check_memory(memory: Memory, fields: InfoFields) -> Memory:
    """`memory` without what contradicts the rest of it; each contradiction is noted in `fields`."""
    memory = _against_host(_of_another_order(memory, fields), fields)
    if memory.used_bytes is None:
        return replace(memory, fragmentation_ratio=None)
    used = memory.used_bytes
    memory = _overhead(_parts(memory, used, fields), used, fields)
    return _ratio(_peak(memory, used, fields), used, fields)


def check_times(snapshot: Snapshot, fields: InfoFields) -> Snapshot:
    """`snapshot` without an uptime that is shorter than what happened in it."""
    over, uptime = snapshot.counters.eviction_exceeded_ms, snapshot.server.uptime_seconds
    if over is not None and over > _TEN_YEARS_MS:
        fields.doubt("current_eviction_exceeded_time", f"reads {over} ms, which cannot be")
        return replace(snapshot, counters=replace(snapshot.counters, eviction_exceeded_ms=None))
    if over is not None and uptime is not None and over > (uptime + 60) * 1000:
        longer = f"it has been over its limit for {duration(over / 1000)}"
        fields.doubt("uptime_in_seconds", f"reads {uptime}, and {longer}")
        return replace(snapshot, server=replace(snapshot.server, uptime_seconds=None))
    return snapshot


def _of_another_order(memory: Memory, fields: InfoFields) -> Memory:
    """Where used_memory is many times what the host has, the one that RSS speaks against is unknown."""
    host, used, rss = memory.host_bytes, memory.used_bytes, memory.rss_bytes
    if host is not None and host < _LEAST_HOST:
        fields.doubt("total_system_memory", f"is {size(host)}, less than any host has")
        return replace(memory, host_bytes=None)
    if host is None or used is None or used <= _SWAP_TIMES * host:
        return memory
    if rss is not None and rss <= host:
        fields.doubt("used_memory", f"reads {used} ({size(used)}), and the host has only {size(host)}")
        return replace(memory, used_bytes=None)
    fields.doubt("total_system_memory", f"is {size(host)}, and used_memory is {size(used)}")
    return replace(memory, host_bytes=None)


def _against_host(memory: Memory, fields: InfoFields) -> Memory:
    host, used, rss = memory.host_bytes, memory.used_bytes, memory.rss_bytes
    if host is None:
        return memory
    if used is not None and used > host:
        fields.doubt("used_memory", f"is {size(used)}, more than the {size(host)} that the host has")
    if rss is not None and rss > host:
        fields.doubt("used_memory_rss", f"is {size(rss)}, more than the {size(host)} that the host has")
        return replace(memory, rss_bytes=None)
    return memory


def _parts(memory: Memory, used: int, fields: InfoFields) -> Memory:
    unknown: dict[str, None] = {}
    for attribute, name in _PARTS.items():
        part: int | None = getattr(memory, attribute)
        if part is not None and part > used + _SLACK:
            fields.doubt(name, f"is {size(part)}, more than used_memory, which is {size(used)}")
            unknown[attribute] = None
    if memory.not_counted_bytes > used + _SLACK:
        text = f"is {size(memory.not_counted_bytes)}, more than used_memory, which is {size(used)}"
        fields.doubt("mem_not_counted_for_evict", f"{text}: all of that is counted")
        memory = replace(memory, not_counted_bytes=0)
    return replace(memory, **unknown) if unknown else memory  # type: ignore[arg-type]


def _overhead(memory: Memory, used: int, fields: InfoFields) -> Memory:
    """Valkey 9 books replies by reference as if copied, in the clients and in the overhead: the breakdown knows."""
    overhead, clients = memory.overhead_bytes, memory.clients_normal_bytes
    if clients is not None and clients > used + _SLACK:
        text = f"is {size(clients)}, more than used_memory, which is {size(used)}"
        fields.doubt("mem_clients_normal", f"{text}: how much clients hold is not known")
    if overhead is None or overhead - (memory.clients_normal_bytes or 0) <= used + _SLACK:
        return memory
    text = f"is {size(overhead)}, more than used_memory, which is {size(used)}"
    fields.doubt("used_memory_overhead", f"{text}: how much is data is not known")
    return replace(memory, overhead_bytes=None, dataset_bytes=None)


def _peak(memory: Memory, used: int, fields: InfoFields) -> Memory:
    if memory.peak_bytes is None or memory.peak_bytes >= 0.9 * used - _SLACK:
        return memory
    fields.doubt("used_memory_peak", f"is {size(memory.peak_bytes)}, less than used_memory, which is {size(used)}")
    return replace(memory, peak_bytes=None)


def _ratio(memory: Memory, used: int, fields: InfoFields) -> Memory:
    ratio, rss = memory.fragmentation_ratio, memory.rss_bytes
    if ratio is None:
        return memory
    if rss is None:
        return replace(memory, fragmentation_ratio=None)
    # Both are read now and then, so one may be older than the other: only what can never be is left out.
    if ratio <= _HIGHEST_RATIO or ratio <= _OFF_BY * rss / used:
        return memory
    fields.doubt("mem_fragmentation_ratio", f"reads {ratio:g}, and RSS over used_memory is {rss / used:.2f}")
    return replace(memory, fragmentation_ratio=None)


# Python itself refuses to read a number of thousands of digits.
_DIGITS = 20
_ELSEWHERE = f"{NOT_REPORTED} by INFO: CONFIG GET's answer stands for it"


def with_settings(snapshot: Snapshot, settings: Mapping[str, str]) -> Snapshot:
    """`snapshot` with a limit and a policy that only CONFIG GET reports.

    A 0 is not taken for "no limit": services that hide their limit answer so.
    """
    snapshot = with_write_settings(snapshot, settings)
    memory = snapshot.memory
    limit, policy = settings.get("maxmemory", ""), settings.get("maxmemory-policy", "")
    filled = {}
    if memory.limit_source is not LimitSource.SERVER and 0 < _whole(limit) < 2**53:
        memory = replace(memory, maxmemory_bytes=_whole(limit), limit_source=LimitSource.SERVER)
        filled["maxmemory"] = _ELSEWHERE
    if memory.policy == UNKNOWN and policy:
        memory = replace(memory, policy=safe_text(policy, 40))
        unjudged = not_judged(memory.policy)
        unknown = f", {memory.policy}, which this tool does not know: {unjudged}" if unjudged else ""
        filled["maxmemory_policy"] = _ELSEWHERE + unknown
    if not filled:
        return snapshot
    doubts = tuple(Doubt(doubt.field, filled.get(doubt.field, doubt.reason)) for doubt in snapshot.doubts)
    return replace(snapshot, memory=memory, doubts=doubts)


def with_write_settings(snapshot: Snapshot, settings: Mapping[str, str]) -> Snapshot:
    """`snapshot` with what CONFIG GET tells of when the server refuses writes."""
    activity = snapshot.activity
    wanted, stops = settings.get("min-replicas-to-write", ""), settings.get("stop-writes-on-bgsave-error")
    if wanted.isdecimal():
        activity = replace(activity, wanted_replicas=_whole(wanted))
    if stops is not None and "save" in settings:
        activity = replace(activity, save_needed=stops == "yes" and bool(settings["save"].strip()))
    if ignores := settings.get("replica-ignore-maxmemory"):
        activity = replace(activity, minds_limit=ignores == "no")
    return snapshot if activity is snapshot.activity else replace(snapshot, activity=activity)


# Of one page of SCAN, what tells something: the server's own count would be as near for fewer.
_FEWEST_EXPIRED = 20


def with_expired(snapshot: Snapshot, expired: int, living: int) -> Snapshot:
    """`snapshot` with the share of its keys with a TTL that have expired and are still held, by a sample of its keys.

    The server's own figure is a moving mean of what its cycle meets, and stays 0 where that cycle is switched off.
    The sample is of one database: of the others none is taken for expired.
    """
    database = most_expiring(snapshot)
    if expired < _FEWEST_EXPIRED or database is None:
        return snapshot
    examined = expired + living
    percent = 100 * min(database.expires, expired / examined * database.keys) / snapshot.expires
    if percent <= (snapshot.counters.expired_stale_percent or 0.0):
        return snapshot
    counters = replace(snapshot.counters, expired_stale_percent=percent, expired_in_sample=(expired, examined))
    return replace(snapshot, counters=counters)


def most_expiring(snapshot: Snapshot) -> Database | None:
    """The database with most keys that have a TTL; None where no key has one."""
    return max((each for each in snapshot.databases if each.expires), key=lambda each: each.expires, default=None)


def _whole(text: str) -> int:
    """A whole number of a length that a server can mean; 0 for all else.

    >>> _whole("12"), _whole("many"), _whole("9" * 5000)
    (12, 0, 0)
    """
    return int(text) if text.isdecimal() and len(text) <= _DIGITS else 0
