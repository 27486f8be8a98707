"""Memory that is not data: clients, replication, scripts, channels, tracking."""

from collections import Counter
from collections.abc import Iterator

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, number_of, percent, size
from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.breakdown import Share
from redis_oom_tui.models.verdict import Finding, Level, Remedy
from redis_oom_tui.rules.breakdown import break_down, tracking_bytes
from redis_oom_tui.rules.clients import HOG_BYTES, SENDERS, ClientKind, Hog, rank
from redis_oom_tui.rules.findings.case import MIB, Case, finding
from redis_oom_tui.rules.flavours import ANY_CHANNEL, FLAVOURS
from redis_oom_tui.rules.savings import with_noise
from redis_oom_tui.rules.verdict.causes import AFTER_FLUSH
from redis_oom_tui.rules.verdict.clauses import tracking_step
from redis_oom_tui.rules.verdict.holders import are_many

_READ_FASTER = {
    ClientKind.SUBSCRIBER: "Make the subscriber faster, subscribe it to fewer channels, or use a trimmed stream.",
    ClientKind.STALLED: "Close connections that stopped half-way through a command.",
    ClientKind.SENDER: "Send large values in parts, and close connections that stopped half-way.",
    ClientKind.LARGE_VALUE: "Send large values in parts or compressed: a command is held whole while it arrives.",
    ClientKind.READER: "Read replies as they come, and ask in pages (SCAN, LRANGE, HSCAN) instead of at once.",
    ClientKind.REPLICA: "Fix the replica or its link; it will resync from the backlog or in full.",
}
_KILL = "Kill the largest (Triage, c): that frees its buffers at once, and well-behaved clients reconnect."
_HOG_ADVICE = {
    ClientKind.REPLICA: "Find why it does not read and fix or disconnect it: it then catches up, or copies all data"
    " again. client-output-buffer-limit replica bounds it.",
    ClientKind.LARGE_VALUE: "Have it write in parts or compressed: to kill it (Triage, c) frees its buffer until it"
    " sends the next.",
    ClientKind.SENDER: f"Where its query buffer no longer grows, its command never ends. {_KILL}",
}
_SUBSCRIPTION_BYTES, _SUBSCRIBERS = 160, 3
# A script's entry and its place in the table, which are not booked: 20 to 30 bytes on 6.2 and 7.0, up to 60 on 8.2 and
# 95 on 9.1 were measured, with texts of 40 to 5,000 bytes.
_SCRIPT_BYTES = 100
_NO_KEY = "It shows as data, but no key holds it: it is freed when those clients disconnect or unsubscribe."


@finding("monitor")
def forgotten_monitor(case: Case) -> Iterator[Finding]:
    """A MONITOR costs every command of every client, and its buffer grows as fast as they talk."""
    monitors = [hog for hog in rank(case.clients) if hog.kind is ClientKind.MONITOR]
    if not monitors:
        return
    held = sum(hog.client.total_bytes for hog in monitors)
    yield Finding(
        id="monitor",
        level=Level.CRITICAL if case.matters(held, 0.1) else Level.WARNING,
        title=f"{count(len(monitors))} MONITOR client{'s are' if len(monitors) > 1 else ' is'} running",
        advice="Kill it (Triage, c): every command is copied to it, which slows the server and can fill its memory.",
        evidence=tuple(f"{hog.words} holds {hog.holding}" for hog in monitors[:3]),
        saves_bytes=_closing(monitors) if held >= HOG_BYTES else None,
        remedy=Remedy("triage", client_id=monitors[0].client.id),
        in_the_application="Watch with SLOWLOG, LATENCY or commandstats instead of MONITOR.",
    )


@finding("client-hogs")
def hogs(case: Case) -> Iterator[Finding]:
    """Clients whose buffers are worth closing them for."""
    threshold = max(HOG_BYTES, 0.05 * (case.memory.maxmemory_bytes or case.memory.used_bytes or 0))
    # Of a replica, the backlog is counted as its own, which it shares.
    shared = case.memory.replication_backlog_bytes or 0
    found = [
        hog
        for hog in rank(case.clients)
        if _held(hog) - (shared if hog.kind is ClientKind.REPLICA else 0) >= threshold
        and hog.kind is not ClientKind.MONITOR
    ]
    if not found:
        return
    found.sort(key=lambda hog: -_held(hog))
    held = sum(map(_held, found))
    free = _not_counted(case, found)
    unbelievable = break_down(case.memory).clients_unbelievable is not None
    yield Finding(
        id="client-hogs",
        level=Level.CRITICAL if _most_of_it(case, found) and not unbelievable else Level.WARNING,
        title=f"{_clients(found)} hold{'s' if len(found) == 1 else ''} {size(held)} of {_buffers(found)}",
        advice=_HOG_ADVICE.get(found[0].kind, _KILL),
        evidence=(
            *(f"{hog.words} holds {hog.holding}" for hog in found[:3]),
            *((f"{size(free)} of it does not count towards maxmemory",) if free else ()),
        ),
        # Valkey books replies that only refer to a value: what closing such a client gives back is not known.
        saves_bytes=None if unbelievable else _closing(found),
        remedy=Remedy("triage", client_id=found[0].client.id),
        in_the_application=_READ_FASTER.get(found[0].kind, ""),
    )


def _not_counted(case: Case, found: list[Hog]) -> int:
    """What of it does not count towards the limit: replicas' buffers beyond the backlog."""
    beside_aof = case.memory.not_counted_bytes - (case.memory.aof_buffer_bytes or 0)
    return max(0, min(beside_aof, _of_replicas(found)))


def _most_of_it(case: Case, found: list[Hog]) -> bool:
    """Whether they hold most of what counts towards the limit, and it is near, or there is none."""
    if case.memory.maxmemory_bytes is not None and case.near is Level.OK and not case.facts.refused:
        return False
    of_replicas = min(_of_replicas(found), case.facts.parts.get(Share.REPLICAS, 0))
    counted = sum(map(_held, found)) - _of_replicas(found) + of_replicas
    return 2 * counted > (case.memory.counted_bytes or 0)


def _of_replicas(found: list[Hog]) -> int:
    return sum(_held(hog) for hog in found if hog.kind is ClientKind.REPLICA)


@finding("maxmemory-clients")
def no_client_limit(case: Case) -> Iterator[Finding]:
    """maxmemory-clients would have stopped the hogs."""
    clients = break_down(case.memory).size(Share.CLIENTS)
    base = case.memory.maxmemory_bytes or case.memory.used_bytes
    if base is None:
        return
    if case.settings.get("maxmemory-clients") != "0" or clients < max(4 * MIB, 0.1 * base):
        return
    yield Finding(
        id="maxmemory-clients",
        level=Level.WARNING,
        title=f"Nothing limits client buffers, which hold {size(clients)}",
        advice="Set maxmemory-clients to 5%: over it, the largest clients are closed, and writes go on.",
        evidence=(f"clients {size(clients)}, {percent(clients / base)} of {size(base)}", "maxmemory-clients 0"),
        saves_bytes=(int(0.85 * (clients - base // 20)), with_noise(clients, clients)[1]),
        remedy=Remedy("limits", setting="maxmemory-clients", value="5%"),
    )


@finding("clients-evicted")
def evicted_clients(case: Case) -> Iterator[Finding]:
    """maxmemory-clients has closed clients: their applications saw connections reset."""
    number = case.now.counters.evicted_clients_total
    if not number:
        return
    limit = case.settings.get("maxmemory-clients", "")
    yield Finding(
        id="clients-evicted",
        level=Level.WARNING,
        title=f"{number_of(number, 'client')} {'was' if number == 1 else 'were'} closed by maxmemory-clients",
        advice="Find what they send or do not read; raise maxmemory-clients if they are meant to hold so much.",
        evidence=(
            f"evicted_clients {count(number)}",
            *((f"maxmemory-clients {safe_text(limit, 24)}",) if limit else ()),
        ),
        in_the_application="A connection that was reset may be one of these: connect again, and read in pages.",
    )


@finding("backlog")
def backlog(case: Case) -> Iterator[Finding]:
    """A backlog too large for the limit that it counts towards."""
    held, limit = case.memory.replication_backlog_bytes or 0, case.memory.maxmemory_bytes
    if limit is None or held < max(4 * MIB, 0.2 * limit):
        return
    yield Finding(
        id="backlog",
        level=Level.CRITICAL if held > 0.5 * limit else Level.WARNING,
        title=f"The replication backlog takes {size(held)} of the {size(limit)} limit",
        advice="Lower it (CONFIG SET repl-backlog-size 1mb, the default of Redis): no client holds it, and no deletion"
        " frees it. A replica that was away for longer copies all data again.",
        evidence=(f"mem_replication_backlog {size(held)}",),
        saves_bytes=(int(0.9 * (held - MIB)), held),
    )


@finding("scripts")
def scripts(case: Case) -> Iterator[Finding]:
    """Scripts made by pasting values into their text are each kept."""
    held, kept = (case.memory.scripts_bytes or 0), case.now.activity.cached_scripts or 0
    if not case.matters(held) or kept < 500:
        return
    most = 2 * held > (case.memory.used_bytes or 0)
    yield Finding(
        id="scripts",
        level=case.at_least_warning if most else Level.WARNING,
        title=f"{count(kept)} cached scripts take {size(held)}",
        advice="Stop sending scripts with values in their text; SCRIPT FLUSH, by hand, drops those already kept."
        f" {AFTER_FLUSH}",
        evidence=(f"number_of_cached_scripts {count(kept)}, {size(held)}",),
        saves_bytes=(int(0.85 * held), int(1.1 * held) + kept * _SCRIPT_BYTES),
        in_the_application="Pass values as KEYS and ARGV, so that one script is kept once (EVALSHA).",
    )


@finding("functions")
def functions(case: Case) -> Iterator[Finding]:
    """Function libraries stay until somebody deletes them."""
    held = case.memory.functions_bytes or 0
    if case.matters(held, 0.1):
        yield Finding(
            id="functions",
            level=case.at_least_warning if case.matters(held, 0.5) else Level.WARNING,
            title=f"Function libraries take {size(held)}",
            advice="List them (FUNCTION LIST) and delete, by hand, those that nobody calls (FUNCTION DELETE).",
            evidence=(f"{size(held)} by used_memory_functions and used_memory_vm_functions",),
            in_the_application="Load one library for all callers, and replace it (FUNCTION LOAD REPLACE).",
        )


@finding("many-connections")
def many_connections(case: Case) -> Iterator[Finding]:
    """Connections of which none holds much, but all together do."""
    held, number = break_down(case.memory).size(Share.CLIENTS), case.now.activity.connected_clients or 0
    if not case.matters(held, 0.25) or not are_many(case.facts):
        return
    groups = Counter(_from(client) for client in case.clients)
    yield Finding(
        id="many-connections",
        level=case.at_least_warning,
        title=f"{count(number)} connections hold {size(held)}{', none of them much' if case.facts.clients else ''}",
        advice="Find who opens so many and give it a pool; timeout closes idle ones, maxclients bounds them.",
        evidence=(
            f"connected_clients {count(number)}, {size(held // number)} each",
            *(f"{count(several)} {who}" for who, several in groups.most_common(3)),
        ),
        in_the_application="Share a pool of connections in each process, and close it at its end.",
    )


def _from(client: ClientBuffer) -> str:
    if client.name:
        return f"named {safe_text(client.name, 32)}"
    host = client.address.rpartition(":")[0]
    return "without a name over the unix socket" if "/" in host else f"without a name from {safe_text(host, 40)}"


@finding("channels")
def channels(case: Case) -> Iterator[Finding]:
    """Pub/sub channels are booked as data, so only their number shows them."""
    activity = case.now.activity
    kinds = (
        (activity.pubsub_channels, "pub/sub channel"),
        (activity.pubsub_patterns, "pub/sub pattern"),
        (activity.shard_channels, "shard channel"),
    )
    clients = " and ".join(number_of(number, kind) for number, kind in kinds if number)
    number = sum(number or 0 for number, _ in kinds)
    # By the lengths of their names, which are not read, and with what is booked to the subscriber.
    flavour = FLAVOURS.get(case.now.server.flavour)
    low, high = (number * each for each in (ANY_CHANNEL if flavour is None else flavour.channel))
    if case.matters(low, 0.02):
        yield Finding(
            id="channels",
            level=case.at_least_warning if case.matters(low, 0.25) else Level.OK,
            title=f"{clients} take about {size(low)} to {size(high)}",
            advice=_NO_KEY,
            evidence=(clients, *_subscribers(case)),
            saves_bytes=(low, high),
            in_the_application="Share channels: one per topic.",
        )


def _held(hog: Hog) -> int:
    """What a client holds: its buffers and, beside them, its subscriptions, which the server books as data."""
    return hog.client.total_bytes + hog.client.subscriptions * _SUBSCRIPTION_BYTES


def _subscribers(case: Case) -> list[str]:
    """Those with most subscriptions: what each channel takes is in no client's buffers on 6.2."""
    subscribed = (hog for hog in rank(case.clients) if hog.client.subscriptions)
    most = sorted(subscribed, key=lambda hog: -hog.client.subscriptions)
    return [f"{hog.words} holds {count(hog.client.subscriptions)} subscriptions" for hog in most[:_SUBSCRIBERS]]


@finding("tracking")
def tracking(case: Case) -> Iterator[Finding]:
    """Client-side caching is booked as data: a key is tracked for each client that has read it."""
    low, high = tracking_bytes(case.now.activity)
    if not case.matters(low, 0.02):
        return
    activity = case.now.activity
    keys, items, prefixes = activity.tracking_keys, activity.tracking_items, activity.tracking_prefixes
    for_clients = f", {count(items)} times in all," if items and items > (keys or 0) else ""
    tracked = f"{count(prefixes)} prefixes and {count(keys)} keys" if prefixes else f"{count(keys)} keys"
    yield Finding(
        id="tracking",
        level=case.at_least_warning if case.matters(low, 0.25) or case.cause.name == "tracking" else Level.OK,
        title=f"{tracked} tracked for clients{for_clients} take about {size(low)} to {size(high)}",
        advice=f"{tracking_step(activity)} {_NO_KEY}",
        evidence=(
            f"tracking_total_keys {count(keys)}, tracking_total_items {count(items)}",
            f"tracking_total_prefixes {count(prefixes)}",
        ),
        in_the_application="Track a few prefixes (BCAST), or only what is read again (OPTIN).",
    )


def _closing(hogs: list[Hog]) -> tuple[int, int]:
    """What closing these clients frees: no more than they hold, but for what others give back."""
    held = sum(map(_held, hogs))
    return int(0.7 * held), with_noise(held, held)[1]


def _buffers(found: list[Hog]) -> str:
    """Of query buffers where all of them send and none reads too slowly."""
    if any(hog.client.subscriptions * _SUBSCRIPTION_BYTES > hog.client.total_bytes for hog in found):
        return "buffers and subscriptions"
    return "query buffers" if all(hog.kind in SENDERS for hog in found) else "buffers"


def _clients(found: list[Hog]) -> str:
    kind = str(found[0].kind)
    return kind[0].upper() + kind[1:] if len(found) == 1 else f"{count(len(found))} clients"
