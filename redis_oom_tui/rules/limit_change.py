"""A new maxmemory: what it would refuse, evict or endanger here, before it is set."""

from collections.abc import Sequence

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, parse_size, percent, share_of, size
from redis_oom_tui.models.action import HostMemory
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.settings import Change
from redis_oom_tui.models.snapshot import LimitSource, NodeView, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.breakdown import room_for_data
from redis_oom_tui.rules.other_nodes import PER_NODE
from redis_oom_tui.rules.policies import NOEVICTION, UNKNOWN, evictable_keys, is_known, is_volatile
from redis_oom_tui.rules.verdict.causes import cause_of
from redis_oom_tui.rules.verdict.facts import Facts

UNLIMITED = "unlimited"
# A fork copies the pages that are written to while it lives, and RSS runs ahead of used_memory.
_FORK_SHARE = 0.75
_COMFORT = 0.95


def parse_limit(text: str) -> int:
    """The bytes that `text` means, 0 for `unlimited`; raises BadInput for an empty one, and for a 0 that is a slip.

    >>> parse_limit("4gb"), parse_limit("unlimited")
    (4294967296, 0)
    """
    if text.strip().lower() == UNLIMITED:
        return 0
    if not text.strip():
        raise BadInput("An empty maxmemory would lift the limit: write a size such as 4gb, or unlimited")
    value = parse_size(text)
    if value == 0:
        raise BadInput("maxmemory 0 means no limit at all: write unlimited if that is meant")
    return value


def propose_limit(
    old: str | None, new: int, snapshot: Snapshot, host_memory: HostMemory, replicas: Sequence[NodeView] = ()
) -> Change:
    """maxmemory from `old` to `new` bytes (0: unlimited), with its consequence and warnings on this server.

    `replicas` are those that were asked for their own limits, empty where nobody was.
    """
    return Change(
        name="maxmemory",
        old=old,
        new=str(new),
        consequence=_consequence(new, snapshot, host_memory),
        warnings=(
            *_losses(new, snapshot),
            *_machine(new, snapshot, host_memory),
            *_replication(new, snapshot, replicas),
        ),
        returns=_returns(old, new, snapshot),
        evicts=_evicts(old, new, snapshot),
    )


def with_changes(snapshot: Snapshot, changes: Sequence[Change]) -> Snapshot:
    """`snapshot` as it would be with the limit and the policy that `changes` set, and as much in use as now."""
    memory = snapshot.memory
    for change in changes:
        if change.name == "maxmemory":
            memory = replace(memory, maxmemory_bytes=int(change.new) or None, limit_source=LimitSource.SERVER)
        elif change.name == "maxmemory-policy":
            memory = replace(memory, policy=change.new)
    return snapshot if memory is snapshot.memory else replace(snapshot, memory=memory)


def _refuses(snapshot: Snapshot) -> bool:
    memory = snapshot.memory
    return memory.policy == NOEVICTION or (is_volatile(memory.policy) and snapshot.expires == 0)


def _evicts(old: str | None, new: int, snapshot: Snapshot) -> bool:
    """Whether the new limit evicts keys at once, or may, where it is not known how much is in use."""
    if new == 0 or snapshot.server.is_replica or _refuses(snapshot):
        return False
    counted = snapshot.memory.counted_bytes
    if counted is not None:
        return counted > new
    before = int(old) if old is not None and old.isdigit() else 0
    return not before or new < before


def _returns(old: str | None, new: int, snapshot: Snapshot) -> tuple[str, ...]:
    """What becomes of what is written beyond the old limit meanwhile, when that returns by itself."""
    before = int(old) if old is not None and old.isdigit() else 0
    if not before or 0 < new <= before or snapshot.server.is_replica:
        return ()
    does = "every write is refused until the excess is freed"
    if not is_known(snapshot.memory.policy):
        does = f"the excess may be evicted, or writes refused: {_unknown_policy(snapshot)}"
    elif not _refuses(snapshot):
        does = f"{snapshot.memory.policy} evicts the excess at once, and there is no undo"
    over = (snapshot.memory.counted_bytes or 0) - before
    when, already = ("", f"; {size(over)} over it now") if over > 0 else (" while more is in use", "")
    return (f"When it reverts to {size(before)}{when}, {does}{already}.",)


def _consequence(new: int, snapshot: Snapshot, host: HostMemory) -> str:
    """What follows of the limit itself, and for a higher one what the machine has: a fact to compare with."""
    has = f" {host.words}" if host.words and _raised(new, snapshot) and new else ""
    data = room_for_data(replace(snapshot.memory, maxmemory_bytes=new), snapshot.activity) if new else None
    keys = "" if data is None or data >= 0.9 * new else f" {size(data)} of it is room for data, as buffers are now."
    return f"{_fill(new, snapshot)}{keys}{has}"


def _fill(new: int, snapshot: Snapshot) -> str:
    memory = snapshot.memory
    if new == 0:
        return "No limit: writes are never refused, and memory grows until the machine has none left."
    counted = memory.counted_bytes
    if counted is None:
        return f"How much is in use is not known, so nor is what a limit of {size(new)} would do."
    fill = f"{size(counted)} in use would be {share_of(percent(counted / new, 1), size(new))}"
    over = counted - new
    if over <= 0:
        ending = "; writes are accepted again." if memory.over() else "."
        return f"{fill}{ending}"
    if snapshot.server.is_replica:
        return f"{fill}: if promoted, it would {_at_once(snapshot)}."
    if _refuses(snapshot):
        return f"{fill}: under {memory.policy} every write is refused at once until {size(over)} have gone."
    if not is_known(memory.policy):
        return f"{fill}. Whether that evicts data or refuses writes is not known: {_unknown_policy(snapshot)}."
    return f"{fill}: {memory.policy} evicts {size(over)} of data at once."


def _unknown_policy(snapshot: Snapshot) -> str:
    policy = snapshot.memory.policy
    return "its policy is not reported" if policy == UNKNOWN else f"this tool does not know its policy {policy}"


def _losses(new: int, snapshot: Snapshot) -> tuple[str, ...]:
    """What lowering the limit below what is in use would cost."""
    memory = snapshot.memory
    over = (memory.counted_bytes or 0) - new
    if new == 0 or over <= 0:
        return ()
    if snapshot.server.is_replica:
        return (f"It holds {size(over)} more than that: if promoted, it would {_at_once(snapshot)}.",)
    if memory.policy == NOEVICTION:
        return (f"Writes will be refused until {size(over)} is freed: noeviction evicts nothing.",)
    if is_volatile(memory.policy) and not snapshot.expires:
        return (f"Writes will be refused until {size(over)} is freed: no key has a TTL, so none is evicted.",)
    if not is_known(memory.policy):
        return (f"It may evict {size(over)} of data at once, or refuse writes: {_unknown_policy(snapshot)}.",)
    for_data = room_for_data(replace(memory, maxmemory_bytes=new), snapshot.activity)
    if not for_data:
        return (
            (
                f"All of {size(new)} is taken by the server itself, buffers, backlog and scripts, which cannot be"
                " evicted: every key that may be evicted would be, and writes still refused."
            ),
        )
    return (_evicted_words(over, snapshot),)


def _at_once(snapshot: Snapshot) -> str:
    if not is_known(snapshot.memory.policy):
        return f"evict or refuse writes ({_unknown_policy(snapshot)})"
    return "refuse every write at once" if _refuses(snapshot) else f"evict by {snapshot.memory.policy} at once"


def _evicted_words(over: int, snapshot: Snapshot) -> str:
    memory = snapshot.memory
    pool = evictable_keys(memory.policy, snapshot) or 0
    estimate = evicted_keys(over, pool, snapshot)
    if is_volatile(memory.policy) and estimate >= pool:
        every = "The only key" if pool == 1 else f"All {count(pool)} keys"
        return (
            f"{every} with a TTL may be evicted within about a second, and writes refused after that; there is no undo."
        )
    return f"About {count(estimate)} of {count(pool)} keys would be evicted within about a second; there is no undo."


def evicted_keys(over: int, pool: int, snapshot: Snapshot) -> int:
    """About how many of `pool` keys are evicted until `over` bytes have gone, were they all of the mean size."""
    data = max(1, (snapshot.memory.counted_bytes or 0) - (snapshot.memory.startup_bytes or 0))
    return min(pool, max(1, round(over * max(1, snapshot.keys) / data)))


def _raised(new: int, snapshot: Snapshot) -> bool:
    return new == 0 or new > (snapshot.memory.maxmemory_bytes or 0)


def _machine(new: int, snapshot: Snapshot, host: HostMemory) -> tuple[str, ...]:
    limit = host.limit_bytes or snapshot.memory.host_bytes
    if not _raised(new, snapshot):
        return ()
    if new == 0:
        return ("Without a limit the OOM killer may kill the server when RAM runs out, and all data with it.",)
    if limit is None:
        return ("How much memory the machine has is not known: check before raising.",)
    if new > limit:
        return (f"{size(new)} is more than the {size(limit)} there are: the kernel would kill the server first.",)
    found: list[str] = []
    cause = cause_of(Facts(snapshot))
    if not cause.cured_by_limit and (snapshot.memory.pressure or 0.0) >= 1.0:
        found.append(f"What fills it is in no key: {cause.clause(Facts(snapshot))}. It may fill a higher limit too.")
    if new > limit * _FORK_SHARE:
        found.append(
            f"{size(new)} is {percent(new / limit)} of {size(limit)}: a BGSAVE, an AOF rewrite or a replica's sync"
            " needs room for the pages written meanwhile."
        )
    rss = snapshot.memory.rss_bytes
    counted = snapshot.memory.counted_bytes
    if rss is not None and counted is not None and host.free_bytes is not None:
        growth = new - counted
        if growth > host.free_bytes:
            found.append(
                f"It may grow by {size(growth)}, but only {size(host.free_bytes)} are free on this machine now."
            )
    return tuple(found)


def _replication(new: int, snapshot: Snapshot, replicas: Sequence[NodeView]) -> tuple[str, ...]:
    found: list[str] = []
    if snapshot.server.is_replica:
        found.append("This is a replica: the setting is its own, and takes effect when it is promoted.")
    elif snapshot.server.mode == "cluster":
        found.append(PER_NODE)
    elif replicas:
        found += _copies(new, snapshot.memory.counted_bytes or 0, replicas)
    elif connected := snapshot.activity.connected_replicas:
        have = "1 replica has a limit" if connected == 1 else f"{count(connected)} replicas have limits"
        found.append(
            f"{have} of their own, not known from here: set them as well, when raising before this one, or a failover"
            " brings the trouble back."
        )
    counted = snapshot.memory.counted_bytes
    if new and counted is not None and counted <= new < counted / _COMFORT:
        found.append("That is little more than what is in use: it would be full again at once.")
    return tuple(found)


def _copies(new: int, counted: int, replicas: Sequence[NodeView]) -> list[str]:
    """What each replica would make of this master's data after a failover; nothing of one with the same limit."""
    found = []
    for replica in replicas:
        who = f"Its replica {safe_text(replica.name, 60)}"
        if replica.snapshot is None:
            found.append(f"{who} could not be asked for its own limit ({safe_text(replica.error or '', 160)}).")
            continue
        memory = replica.snapshot.memory
        limit = memory.maxmemory_bytes
        if limit is None or limit == new:
            continue
        if new and limit > new:
            found.append(f"{who} has a limit of its own, {size(limit)}: it keeps that, also after a failover.")
            continue
        does = "refuse writes" if memory.policy == NOEVICTION else f"evict by {memory.policy}"
        if not is_known(memory.policy):
            does = f"evict or refuse writes ({_unknown_policy(replica.snapshot)})"
        what = f"it would {does} at once" if counted > limit else f"it would {does} from there on"
        found.append(
            f"{who} has a limit of {size(limit)}: after a failover {what}. Set it there as well, when raising before"
            " this one."
        )
    return found
