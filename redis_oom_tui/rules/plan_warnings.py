"""What to read before a plan runs: idle times not to be trusted, frees that block.

A server leaves a value to the background thread when it counts more than 64 allocations in it (lazyfree.c): table
entries of a hash, set or zset, nodes of a list; of a stream its nodes, and its groups times the pending entries of the
first. Measured on Redis 6.2 and 7.0 and Valkey 9.1, as the time that UNLINK itself took (milliseconds):

| Value | 6.2 | 7.0 | 9.1 |
|---|---|---|---|
| hash of 5M fields, set of 5M, zset of 2M, list of 5M, stream of 2M | 0.01-4 | 0.01-3 | 0.01-0.06 |
| string of 500 MB | 31-39 | 45-51 | 30-38 |
| list, or hash, of 60 elements of 10 MB | 38 | 52-82 | 45-55 |
| trimmed stream, 1M entries pending in its second group | 305 | 208 | 251 |
| stream with 300k consumers | 68 | 99 | 142 |

So the only value that a server is long about for its size is a stream that is light in entries and heavy in groups, and
`scripts.DELETE` has it counted as the heavy thing it is: then UNLINK takes 1-4 ms. What is left is in proportion to its
bytes, and a string cannot be made shorter. What modules do is not known.
"""

from collections.abc import Iterable

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import duration, number_of_keys, size
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.plan import Criteria, Plan, PlannedKey
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.rules.headroom import OWN_TYPES
from redis_oom_tui.rules.history import skew_sentence
from redis_oom_tui.rules.policies import is_lrm, keeps_last_use

# The clock has 24 bits of seconds: what is idle for longer reads as if it were used lately.
CLOCK_SECONDS = 2**24
CHILD_RUNS = (
    "A BGSAVE or AOF rewrite runs: meanwhile keys that are used keep looking idle. Without a backup, a value of the"
    " same size that is written now is lost unseen."
)
CHILD_BEGAN = (
    "A BGSAVE or AOF rewrite began since the preview, and meanwhile keys that are used keep looking idle: plan again,"
    " or delete with a backup"
)


def other_server(plan: Plan, here: str, run_id: str | None) -> str:
    """Why `plan` is not one of the server at `here`, by its run id, else by its address; '' where it is."""
    if not ((run_id != plan.run_id) if run_id and plan.run_id else (here != plan.server)):
        return ""
    other = f"{here} is not the server of this plan ({plan.server})"
    if here == plan.server:
        other = f"{here} was restarted since the plan was made, or is another server (its run id changed)"
    return f"{other}: make the plan again"


def refuse_unknown(criteria: Criteria, known: Capabilities) -> None:
    """Raise BadInput where the criteria need what this server does not tell, so that nothing would match."""
    for needed, feature, what in (
        (criteria.by_idle_time, Feature.OBJECT_IDLETIME, "idle times"),
        (criteria.larger_than_bytes is not None, Feature.MEMORY_USAGE, "sizes"),
    ):
        if needed and (reason := known.why_not(feature)):
            raise BadInput(f"This server does not report {what} ({reason}): choose by pattern, type or TTL")
    if refusal := why_unchecked(known):
        raise BadInput(refusal)


def why_unchecked(known: Capabilities) -> str | None:
    """Why no key can be checked before it is deleted, in a sentence; None where each can."""
    for feature in (Feature.TYPE, Feature.TTL):
        if reason := known.why_not(feature):
            return (
                f"Each key is checked by its type and expiry before it goes, and {feature} is refused here ({reason}):"
                " log in as a user with permission, or delete with another client"
            )
    return None


def refuse_idle(criteria: Criteria, snapshot: Snapshot) -> None:
    """Raise BadInput where the criteria lean on idle times that this server does not keep."""
    policy = snapshot.memory.policy
    if criteria.by_idle_time and not keeps_last_use(policy):
        kept = (
            "the times of the last change, not of the last use" if is_lrm(policy) else "frequencies and no idle times"
        )
        raise BadInput(f"Under {policy} the server keeps {kept}: choose by pattern, type or size")
    if (criteria.idle_over_seconds or 0) >= CLOCK_SECONDS:
        raise BadInput(f"Idle times wrap at {duration(CLOCK_SECONDS)}: no key can be idle for longer than that")


def idle_flags(
    criteria: Criteria, snapshot: Snapshot, keys: Iterable[PlannedKey], *, lfu_before: bool
) -> tuple[str, ...]:
    """Sentences to read before a plan is confirmed. `lfu_before`: an LFU or LRM policy was on since the start."""
    found: list[str] = []
    by_idle_time = criteria.by_idle_time
    listed = tuple(keys)
    if by_idle_time and lfu_before:
        found.append(
            "The policy was LFU or LRM at a time since the server started: keys used then show wrong idle times."
        )
    if listed and is_lrm(snapshot.memory.policy):
        found.append(f"Under {snapshot.memory.policy} a key that is only read after this preview looks unused.")
    if by_idle_time and snapshot.server.is_replica:
        found.append("Idle times on a replica are not the primary's: keys that look idle here may be busy there.")
    if by_idle_time and snapshot.server.uptime_seconds is not None:
        older = sum(1 for key in listed if (key.idle_seconds or 0) > snapshot.server.uptime_seconds + 5)
        if older:
            found.append(f"{number_of_keys(older)} idle for longer than the server has been up: check before deleting.")
    if sentence := skew_sentence(snapshot):
        found.append(f"{sentence}: what expires, and when, is by the server's.")
    if snapshot.activity.has_child:
        found.append(CHILD_RUNS)
    if listed and not any(key.idle_seconds is not None for key in listed):
        found.append(
            "The server does not report idle times: a key that is used or changed after this preview is recognized"
            " only by its type, expiry and size."
        )
    return tuple(found)


def never_evicted_flags(snapshot: Snapshot) -> tuple[str, ...]:
    """What to say of a deletion on a server that has keys which are never evicted: DUMP does not keep that."""
    kept = snapshot.activity.never_evicted_keys
    if not kept:
        return ()
    are = "is" if kept == 1 else "are"
    loses = (
        "one that this plan deletes and a backup brings back is evicted like any other, until BLESS SET marks it again"
    )
    return (f"{number_of_keys(kept)} of this server {are} never evicted (BLESS): {loses}.",)


def in_use_flags(keys: Iterable[PlannedKey]) -> tuple[str, ...]:
    """What to say of keys that were used in the very second in which the preview read them."""
    number = len([key for key in keys if key.read_at is None and key.in_use])
    if not number:
        return ()
    were, them = ("was", "it") if number == 1 else ("were", "them")
    seen = f"{number_of_keys(number)} {were} in use at this preview, so later changes would not show"
    return (f"{seen}: only a deletion with a backup takes {them}.",)


_LARGE_STRING = 256 * 1024 * 1024
_LARGE_MODULE = 1024 * 1024
_SECONDS_A_BYTE = 1e-10


def freeing_flags(keys: Iterable[PlannedKey]) -> tuple[str, ...]:
    """Sentences for the keys of a plan whose deletion holds the server up, as far as types and sizes tell.

    >>> from redis_oom_tui.models.keys import KeyId
    >>> large = 500_000_000
    >>> freeing_flags([PlannedKey(KeyId(0, b"k"), "string", large), PlannedKey(KeyId(0, b"l"), "hash", large)])
    ('1 key is a string of 476.8 MiB: its memory is freed in one go, about 50 ms in which no other client is served.',)
    """
    listed = [key for key in keys if key.size is not None and key.size >= _LARGE_MODULE]
    strings = [key.size or 0 for key in listed if key.type == "string" and (key.size or 0) >= _LARGE_STRING]
    modules = [key for key in listed if key.type not in OWN_TYPES]
    found = []
    if strings:
        takes = f"about {max(strings) * _SECONDS_A_BYTE * 1000:.0f} ms in which no other client is served."
        if len(strings) == 1:
            found.append(f"1 key is a string of {size(strings[0])}: its memory is freed in one go, {takes}")
        else:
            found.append(
                f"{number_of_keys(len(strings))} are strings of up to {size(max(strings))}: the memory of each is freed"
                f" in one go, {takes}"
            )
    if modules:
        largest = max(modules, key=lambda key: key.size or 0)
        found.append(
            f"{number_of_keys(len(modules))} belong to a module (the largest, {size(largest.size)}, is of type"
            f" {safe_text(largest.type, 40)}): whether it frees them in the background is not known."
        )
    return tuple(found)
