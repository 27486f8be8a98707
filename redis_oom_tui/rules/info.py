"""INFO's own words made into a Snapshot: any field may be missing, and nonsense reads as unknown, never as 0."""

import functools
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, get_type_hints

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import size
from redis_oom_tui.models.activity import Activity, Counters
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.errors import CommandRefused, NotRedis
from redis_oom_tui.models.snapshot import NOT_REPORTED, Database, LimitSource, Memory, Server, Snapshot
from redis_oom_tui.models.structs import InfoField, replace
from redis_oom_tui.rules.breakdown import size_histograms
from redis_oom_tui.rules.flavours import FLAVOURS, identify
from redis_oom_tui.rules.info_fields import InfoFields, believed, check_memory, check_times
from redis_oom_tui.rules.policies import not_judged

_LONGEST = 80
_RELEASE = re.compile(r"(\d{1,3})\.(\d{1,3})")
_DATABASE = re.compile(r"db(\d+)")
# Servers count errors of at most this many kinds apart (server.c, ERROR_STATS_NUMBER); more would be junk names.
_MAX_KINDS = 128
# With more kinds than that, newer servers book nothing apart any more: no OOM there does not mean that none happened.
_OVERFLOWED = frozenset({"ERRORSTATS_DISABLED", "ERRORSTATS_OVERFLOW"})
# One of these is in every INFO that tells of a server with data; where none is, something else has answered.
_OF_A_SERVER = ("used_memory_rss", "used_memory_human", "maxmemory", "total_commands_processed", "connected_clients")


def snapshot_from_info(
    info: Mapping[str, object],
    *,
    address: Address,
    monotonic: float,
    wall: float,
    took: float | None = None,
    stated_limit: int | None = None,
) -> Snapshot:
    """What one INFO ALL says; `info` is redis-py's parsed reply, the times are in seconds.

    `stated_limit` is the operator's word for a limit that the server does not report. Raises NotRedis for a Sentinel,
    whose INFO has no memory, and CommandRefused where INFO holds next to nothing.
    """
    fields = InfoFields(info)
    memory = check_memory(_memory(fields, address, stated_limit), fields)
    databases, known = _databases(fields)
    snapshot = Snapshot(
        taken_monotonic=monotonic,
        taken_at=wall,
        server=_server(fields, address),
        memory=memory,
        databases=databases,
        counters=_counters(fields),
        activity=_activity(fields),
        took_seconds=took,
        keyspace_known=known,
        clock_skew_seconds=_skew(fields, wall - (took or 0.0) / 2),
        size_histograms=size_histograms(info),
    )
    snapshot = check_times(snapshot, fields)
    return replace(snapshot, doubts=fields.doubts)


@functools.cache
def _sources(kind: type) -> Mapping[str, InfoField]:
    """Where the fields of `kind` stand in INFO, for those that are read as they stand."""
    hints = get_type_hints(kind, include_extras=True)
    found = {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}
    return {name: more[0] for name, more in found.items() if more and isinstance(more[0], InfoField)}


def _figures(kind: type, fields: InfoFields) -> dict[str, Any]:
    """The figures of `kind` that are read as they stand (`InfoField` in its declaration)."""
    return {name: fields.read(source.kind, source.names) for name, source in _sources(kind).items()}


def _skew(fields: InfoFields, asked_at: float) -> float | None:
    """By how much the server's clock is ahead of the one that `asked_at` is of, in seconds."""
    server_usec = fields.number("server_time_usec")
    return None if not server_usec else round(server_usec / 1e6 - asked_at, 3)


def _server(fields: InfoFields, address: Address) -> Server:
    identity = identify(fields)
    role = fields.text("role") or "unknown"
    return Server(
        **_figures(Server, fields),
        flavour=identity.flavour,
        version=identity.version,
        role="replica" if role == "slave" else role,
        address=address,
        mode=_mode(fields),
        product=identity.product,
        primary=_primary(fields),
    )


def _primary(fields: InfoFields) -> str:
    """Whom a replica copies; Redis calls that one its master in every version."""
    host, port = fields.text("master_host"), fields.whole("master_port")
    return str(Address(host, port)) if host and port else ""


def _mode(fields: InfoFields) -> str:
    """Valkey 9 has server_mode and no redis_mode."""
    return fields.text("server_mode") or fields.text("redis_mode") or "standalone"


def _memory(fields: InfoFields, address: Address, stated_limit: int | None) -> Memory:
    _must_be_a_server(fields, address)
    used = fields.memory("used_memory", why_not_zero="every server uses some memory")
    if "used_memory" not in fields.info:
        fields.doubt("used_memory", NOT_REPORTED)
    limit, source = _limit(fields, stated_limit)
    policy = fields.text("maxmemory_policy")
    if policy is None:
        fields.doubt("maxmemory_policy", NOT_REPORTED)
    elif unjudged := not_judged(policy):
        fields.doubt("maxmemory_policy", f"is {policy}, which this tool does not know: {unjudged}")
    return Memory(
        **_figures(Memory, fields),
        used_bytes=used,
        maxmemory_bytes=limit,
        limit_source=source,
        policy=policy or "unknown",
        rss_bytes=fields.memory("used_memory_rss", why_not_zero="the server cannot read it on this system"),
        fragmentation_ratio=fields.number("mem_fragmentation_ratio") or None,
        not_counted_bytes=fields.whole("mem_not_counted_for_evict") or 0,
        scripts_bytes=_with_vm(fields, "used_memory_vm_eval", "used_memory_scripts_eval", "used_memory_scripts"),
        functions_bytes=_with_vm(fields, "used_memory_vm_functions", "used_memory_functions"),
        migration_bytes=_sum(fields, _MIGRATION),
    )


def _with_vm(fields: InfoFields, vm: str, *names: str) -> int | None:
    """Scripts or functions; from Redis 7.4 on with the Lua VM that holds them compiled, which is then in used_memory.

    Measured on 8.2.3: SCRIPT FLUSH gave back both.
    """
    held = fields.whole(*names)
    identity = identify(fields)
    release = _RELEASE.match(identity.version)
    flavour = FLAVOURS.get(identity.flavour)
    if held is None or flavour is None or flavour.lua_counted_from is None or release is None:
        return held
    counted = (int(release[1]), int(release[2])) >= flavour.lua_counted_from
    return held + (fields.whole(vm) or 0) if counted else held


# Of slots on their way to or from another node: Valkey's names, and Redis's.
_MIGRATION = (
    "mem_cluster_slot_import",
    "mem_cluster_slot_export",
    "mem_cluster_slot_migration_input_buffer",
    "mem_cluster_slot_migration_output_buffer",
)


def _sum(fields: InfoFields, names: tuple[str, ...]) -> int | None:
    """What these add up to; None where none of them is told."""
    known = [value for value in map(fields.whole, names) if value is not None]
    return sum(known) if known else None


def _limit(fields: InfoFields, stated: int | None) -> tuple[int | None, LimitSource]:
    """The limit and who gave it. What the server enforces is its own: a statement fills in only where it has none."""
    own = fields.whole("maxmemory")
    if own:
        if stated is not None and stated != own:
            fields.doubt(
                "limit", f"--limit says {size(stated)}, and the server reports {size(own)}: the reported one is used"
            )
        return own, LimitSource.SERVER
    if stated is not None:
        return stated, LimitSource.OPERATOR
    if own is None:
        fields.doubt("maxmemory", NOT_REPORTED)
    return None, LimitSource.SERVER if own == 0 else LimitSource.NOT_REPORTED


def _must_be_a_server(fields: InfoFields, address: Address) -> None:
    if "used_memory" in fields.info:
        return
    if _mode(fields) == "sentinel":
        raise NotRedis(
            f"{address} is a Sentinel and holds no data: give it as --sentinel {address} with --master NAME instead"
        )
    if not identify(fields).product and not any(name in fields.info for name in _OF_A_SERVER):
        raise CommandRefused(
            f"{address} answers INFO without used_memory, so nothing can be said about its memory:"
            " try a user who may read all of INFO, or the server's own port instead of a proxy's",
            command="INFO",
        )


def _databases(fields: InfoFields) -> tuple[tuple[Database, ...], bool]:
    """The databases, and whether the number of keys is known of each.

    No database means no keys, but for servers with only fields of their own: Garnet leaves them out of INFO all.
    """
    found, known = [], "used_memory" in fields.info or any(map(_DATABASE.fullmatch, fields.info))
    if not known:
        fields.doubt("keyspace", NOT_REPORTED)
    for name, value in fields.info.items():
        match = _DATABASE.fullmatch(name)
        if match is None:
            continue
        pairs = value if isinstance(value, Mapping) else {}
        keys, reason = believed(pairs.get("keys"))
        expires, other = believed(pairs.get("expires", 0))
        if keys is None or expires is None:
            fields.doubt(name, (reason or other or "").replace("'None'", "nothing"))
            known = False
        elif expires > keys:
            fields.doubt(name, f"has {int(expires):,} keys with a TTL of only {int(keys):,} keys")
        keys = keys or 0.0
        fields_only, _ = believed(pairs.get("subexpiry", pairs.get("keys_with_volatile_items", 0)))
        with_fields = int(min(fields_only or 0.0, keys))
        found.append(Database(int(match[1]), int(keys), int(min(expires or 0.0, keys)), with_fields))
    return tuple(sorted(found, key=lambda database: database.db)), known


def _counters(fields: InfoFields) -> Counters:
    """INFO errorstats and commandstats exist since 6.2; a server that has them books OOM only once it happened."""
    info = fields.info
    errors = _errors(info)
    overflowed = not _OVERFLOWED.isdisjoint(errors)
    counted = _counts_errors(info) and not overflowed
    return Counters(
        **_figures(Counters, fields),
        refused_writes_total=_refused(fields, errors, counted=counted),
        refused_is_lower_bound=overflowed or "current_eviction_exceeded_time" not in info,
        refused_by_command=_rejected(info),
        errors_by_kind=MappingProxyType(errors),
        expired_stale_percent=fields.number("expired_stale_perc", at_most=100),
        cpu_main_thread_seconds=_main_thread(fields),
    )


def _refused(fields: InfoFields, errors: Mapping[str, int], *, counted: bool) -> int | None:
    """0 only of a server that is known to book its refusals as OOM; Dragonfly has a field of its own for them."""
    if "OOM" in errors:
        return errors["OOM"]
    identity = identify(fields)
    books = counted and (identity.flavour != "other" or identity.product == "KeyDB")
    own = fields.whole("oom_rejections")
    return own if own is not None or not books else 0


def _counts_errors(info: Mapping[str, object]) -> bool:
    return "total_error_replies" in info or any(name.startswith("errorstat_") for name in info)


def _errors(info: Mapping[str, object]) -> dict[str, int]:
    errors: dict[str, int] = {}
    for name, value in info.items():
        if name.startswith("errorstat_") and isinstance(value, Mapping) and len(errors) < _MAX_KINDS:
            count = _count(value, "count")
            if count is not None:
                errors[safe_text(name.removeprefix("errorstat_"), _LONGEST)] = count
    return errors


def _rejected(info: Mapping[str, object]) -> Mapping[str, int]:
    rejected = {}
    for name, value in info.items():
        if name.startswith("cmdstat_") and isinstance(value, Mapping):
            count = _count(value, "rejected_calls")
            if count:
                rejected[safe_text(name.removeprefix("cmdstat_"), _LONGEST)] = count
    return MappingProxyType(rejected)


def _main_thread(fields: InfoFields) -> float | None:
    system = fields.number("used_cpu_sys_main_thread")
    user = fields.number("used_cpu_user_main_thread")
    return None if system is None or user is None else system + user


def _activity(fields: InfoFields) -> Activity:
    link = fields.text("master_link_status")
    paused = fields.text("paused_actions")
    aof_write_failed = fields.flag("aof_enabled") and fields.text("aof_last_write_status") == "err"
    return Activity(
        **_figures(Activity, fields),
        last_save_failed=fields.text("rdb_last_bgsave_status") == "err" or aof_write_failed,
        paused=None if paused is None else paused != "none",
        # A pause without an end, as of FAILOVER, reads as nearly 2^63.
        paused_ms=_count(fields.info, "paused_timeout_milliseconds") or None,
        failing_over=(fields.text("master_failover_state") or "no-failover") != "no-failover",
        master_link_up=None if link is None else link == "up",
        aof_write_failed=aof_write_failed,
        modules=_modules(fields.info),
    )


def _modules(info: Mapping[str, object]) -> tuple[str, ...]:
    lines = info.get("modules", ())
    found = lines if isinstance(lines, list | tuple) else (lines,)
    names = [pairs.get("name") for pairs in found if isinstance(pairs, Mapping)]
    return tuple(safe_text(str(name), 40) for name in names if name is not None)


def _count(pairs: Mapping[str, object], name: str) -> int | None:
    value, _ = believed(pairs.get(name))
    return None if value is None else int(value)
