"""What beside the data holds memory: the part that explains a full server, and who of the clients it is."""

from collections import defaultdict
from typing import Literal

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, number_of, size
from redis_oom_tui.models.breakdown import Share
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.rules.breakdown import BUFFERS, channels_of
from redis_oom_tui.rules.clients import OWN_NAME, ClientKind, Hog, rank
from redis_oom_tui.rules.verdict.facts import Facts

ALL_BUFFERS: Literal["all buffers"] = "all buffers"
"""No one kind of buffers explains it, and all together do."""
_ELSEWHERE = (Share.SCRIPTS, Share.FUNCTIONS, Share.TRACKING, Share.CHANNELS, Share.WATCHED)
_BOOKED = (Share.TABLES, *_ELSEWHERE, *BUFFERS)
# More connections than this, each with little, are many; they took 17 KB each on 6.2 and 7.0, 8 KB on 8.2 and 9.1.
_MANY, _LITTLE_BYTES = 200, 128 * 1024


def largest(facts: Facts) -> "Share | Literal['all buffers'] | None":
    """The part beside the data that explains by itself why the server is full; None where it is the data."""
    parts = {share: facts.parts.get(share, 0) for share in (*BUFFERS, *_ELSEWHERE)}
    share = max(parts, key=lambda share: parts[share])
    if facts.explains(parts[share]):
        return share
    return ALL_BUFFERS if facts.explains(facts.buffer_bytes) else None


# From this part of what is counted on, what clients hold is worth a look at each of them.
_CLIENTS_PART = 0.10


def may_be_clients(facts: Facts, *, in_keys: bool) -> bool:
    """Whether clients may hold what fills it: where no key does (`in_keys`), or much is booked for them, or nothing is
    told of it.
    """
    if facts.near is Level.OK and not facts.refused:
        return False
    if not in_keys or facts.now.memory.clients_normal_bytes is None:
        return True
    return facts.parts.get(Share.CLIENTS, 0) >= _CLIENTS_PART * (facts.now.memory.counted_bytes or 0)


# Bytes for each byte of a name that a client gave itself, low and high: measured on 6.2 to 9.1.
_NAME_COPIES = (2.0, 3.0)


def name_bytes(facts: Facts) -> tuple[int, int]:
    """What the names of clients (CLIENT SETNAME) take, low and high."""
    held = sum(len(client.name) for client in facts.clients)
    return round(_NAME_COPIES[0] * held), round(_NAME_COPIES[1] * held)


def keys_hold_most(facts: Facts) -> bool:
    """Whether less than half of what is counted is in buffers and in names of clients."""
    return 2 * (facts.buffer_bytes + name_bytes(facts)[0]) < facts.used_by_data


def names_clause(facts: Facts) -> str:
    """That the names hold it."""
    low, high = name_bytes(facts)
    return f"names that clients gave themselves hold about {size(low)} to {size(high)} of it, not data"


def are_many(facts: Facts) -> bool:
    """Whether it is the number of the clients that takes so much, and none of them alone."""
    number = facts.now.activity.connected_clients or 0
    held = facts.parts.get(Share.CLIENTS, 0)
    if number < _MANY or held / number > _LITTLE_BYTES:
        return False
    return not facts.clients or 5 * max(client.total_bytes for client in facts.clients) < held


def connections_clause(facts: Facts) -> str:
    """That so many clients hold it."""
    number, held = count(facts.now.activity.connected_clients), size(facts.parts.get(Share.CLIENTS, 0))
    return f"{number} connections hold {held} of it{', none of them much' if facts.clients else ''}: not data"


def buffers_clause(facts: Facts) -> str:
    """What the clients hold, and of which kind they are where CLIENT LIST tells."""
    found = _main_holders(facts)
    if found is None:
        return f"client and replica buffers use {size(facts.buffer_bytes)} of it, not data"
    _, hogs = found
    held = size(sum(hog.client.total_bytes for hog in hogs))
    who = f"{hogs[0].words} holds" if len(hogs) == 1 else f"{count(len(hogs))} clients, the first {hogs[0].words}, hold"
    return f"client and replica buffers use {size(facts.buffer_bytes)} of it, not data: {who} {held}"


_STEPS = {
    ClientKind.MONITOR: "Kill the MONITOR client (Triage, c): it is sent every command of everybody.",
    ClientKind.REPLICA: "Fix or disconnect the replica that does not read; client-output-buffer-limit bounds it.",
    ClientKind.SUBSCRIBER: (
        "Kill the subscriber that does not read (Triage, c); client-output-buffer-limit pubsub bounds it."
    ),
    ClientKind.STALLED: (
        "Kill the client whose command never ends (Triage, c); client-query-buffer-limit and maxmemory-clients bound"
        " it."
    ),
    ClientKind.LARGE_VALUE: (
        "Find who writes such large values (Triage, c): have them written in parts, or raise maxmemory in Limits if"
        " they are meant to be. Killing a client helps until it sends the next."
    ),
    ClientKind.SENDER: (
        "Kill the client whose command never ends (Triage, c); if it does end, send smaller values."
        " client-query-buffer-limit and maxmemory-clients bound both."
    ),
    ClientKind.QUEUER: "Kill the client with the long MULTI (Triage, c), or let it EXEC in smaller steps.",
    ClientKind.READER: (
        "Kill the client that does not read its replies (Triage, c); maxmemory-clients bounds it, and smaller replies"
        " do."
    ),
}


def came_and_went(facts: Facts) -> bool:
    """Whether what is booked for clients came and went with a command that was refused: none of those listed holds
    it.
    """
    if largest(facts) not in (Share.CLIENTS, ALL_BUFFERS) or not facts.refused or not facts.clients:
        return False
    held, listed = facts.parts.get(Share.CLIENTS, 0), sum(client.total_bytes for client in facts.clients)
    return _main_holders(facts) is None and 2 * listed < held and 2 * held > facts.buffer_bytes


def buffers_step(facts: Facts) -> str:
    """Whom to close, by what the clients do."""
    found = _main_holders(facts)
    generic = "Kill the client holding the buffers (Triage, c)."
    if found is None:
        return generic
    kind, hogs = found
    return f"{_STEPS.get(kind, generic)}{_more(len(hogs))}"


def _more(number: int) -> str:
    return f" There are {count(number)} such clients." if number > 1 else ""


def unbooked_client(facts: Facts) -> int | None:
    """The id of the client of which `unbooked_step` speaks; None where there is none."""
    found = unbooked(facts)
    return None if found is None else found[0].client.id


def client_to_close(facts: Facts) -> int | None:
    """The id of the client of which `buffers_step` speaks; None where no client holds much."""
    found = _main_holders(facts)
    return None if found is None else found[1][0].client.id


def _main_holders(facts: Facts) -> tuple[ClientKind, list[Hog]] | None:
    """The kind of client that holds most, and those of that kind; None where no client holds much."""
    kinds: dict[ClientKind, list[Hog]] = defaultdict(list)
    for hog in rank(facts.clients):
        if hog.kind is not ClientKind.ORDINARY and hog.client.name != OWN_NAME:
            kinds[hog.kind].append(hog)
    if not kinds:
        return None
    kind = max(kinds, key=lambda kind: sum(hog.client.total_bytes for hog in kinds[kind]))
    held = sum(hog.client.total_bytes for hog in kinds[kind])
    return (kind, kinds[kind]) if 4 * held >= facts.buffer_bytes else None


def in_no_key(facts: Facts) -> int | None:
    """Bytes that are in no key and booked nowhere; None where keys hold an unknown part."""
    share = 0.0 if not facts.now.keys else facts.explained_by_keys
    if share is None:
        return None
    # What the keys explain has the tables in it, which are booked too.
    explained = max(0, round(share * facts.used_by_data) - facts.parts.get(Share.TABLES, 0))
    return max(0, facts.used_by_data - booked(facts) - explained)


def booked(facts: Facts) -> int:
    """Bytes that are no data, and that the server books, or tells the number of."""
    return sum(facts.parts.get(share, 0) for share in _BOOKED)


def module_names(facts: Facts) -> tuple[str, ...]:
    """The modules that somebody loaded."""
    return tuple(safe_text(name, 24) for name in facts.now.activity.modules if name not in _OWN_MODULES)


# A queue of so many commands may hold what is missing.
_LONG_QUEUE = 100


def unbooked(facts: Facts) -> tuple[Hog, str, int] | None:
    """The client that may hold what is booked nowhere, what it does in words, and how many do so: 6.2 books no queue
    of a MULTI, and Valkey little of the messages that subscribers share.
    """
    queued = max(facts.clients, key=lambda client: client.queued_commands, default=None)
    if queued is not None and queued.queued_commands >= _LONG_QUEUE and not queued.queued_bytes:
        hog = Hog(queued, ClientKind.QUEUER)
        return hog, f"{hog.words} of {count(queued.queued_commands)} commands", 1
    waiting = [hog for hog in rank(facts.clients) if hog.kind is ClientKind.SUBSCRIBER and hog.client.unread]
    if not waiting:
        return None
    several = f" (the largest of {count(len(waiting))} such subscribers)" if len(waiting) > 1 else ""
    return waiting[0], f"{waiting[0].words} that does not read{several}", len(waiting)


def unbooked_step(facts: Facts) -> str:
    """To close that client first; '' where there is none."""
    found = unbooked(facts)
    if found is None:
        return ""
    hog, _, number = found
    return f"{_STEPS[hog.kind]}{_more(number)} If that frees nothing: "


def suspects(facts: Facts) -> tuple[str, ...]:
    """What there is on this server that may hold memory which is booked nowhere, in words, the likeliest first."""
    activity, memory = facts.now.activity, facts.now.memory
    subscribers = [client for client in facts.clients if client.subscriptions]
    unsized = 0 if facts.scan is None else facts.scan.unsized_keys
    candidates = (
        (unsized, "unsized module key"),
        (memory.lazyfree_pending_objects, "deleted object still being freed"),
        (channels_of(activity), "pub/sub channel"),
        (len(subscribers), "subscriber"),
        (activity.tracking_keys, "tracked key"),
        (activity.watched_keys, "watched key"),
    )
    names = [f"the module {name}" for name in module_names(facts)]
    client = unbooked(facts)
    first = () if client is None else (client[1],)
    return (*first, *(number_of(number, thing) for number, thing in candidates if number), *names)


# Loaded by the server itself: Valkey 9's Lua engine, Redis 8's vector sets.
_OWN_MODULES = frozenset({"lua", "vectorset"})
