"""What does not fit the usual picture: memory that no key holds, refusals that are over, what could not be read."""

from collections.abc import Iterator

from redis_oom_tui.formatting.sanitize import escape_glob, safe_text
from redis_oom_tui.formatting.sizes import ago, count, number_of_keys, percent, size
from redis_oom_tui.models.address import LargeCommand
from redis_oom_tui.models.capabilities import Feature
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.snapshot import LimitSource
from redis_oom_tui.models.verdict import Finding, Level, Remedy
from redis_oom_tui.rules import streams
from redis_oom_tui.rules.clients import takes_memory
from redis_oom_tui.rules.findings.case import MIB, Case, finding
from redis_oom_tui.rules.flavours import differs
from redis_oom_tui.rules.history import skew_sentence
from redis_oom_tui.rules.sampled_values import were_read
from redis_oom_tui.rules.shrinking import bytes_of_groups
from redis_oom_tui.rules.verdict import holders
from redis_oom_tui.rules.verdict.clauses import WAIT, keyless_step, unexplained
from redis_oom_tui.rules.verdict.facts import Earlier, earlier_refusals

# What is booked to no key is worth a line from this share of used_memory on.
_KEYLESS_SHARE = 0.25
# Streams are worth one, and a warning, from these shares on.
_STREAM_SHARE, _LARGE_STREAM_SHARE = 0.02, 0.25
_READERS_SHOWN = 4


@finding("refused-at-peak", "refused-large")
def refused_before(case: Case) -> Iterator[Finding]:
    """Writes were refused, and now there is room: what that tells of the cause."""
    earlier = earlier_refusals(case.now, case.thresholds)
    if earlier is None:
        return
    number = case.now.counters.refused_writes_total or 0
    writes = f"{count(number)} {'write was' if number == 1 else 'writes were'} refused before"
    peak = f"used_memory_peak {size(case.memory.peak_bytes)}, maxmemory {size(case.memory.maxmemory_bytes)}"
    if earlier is Earlier.BURST:
        yield Finding(
            id="refused-at-peak",
            level=Level.WARNING,
            title=f"{writes}: its peak reached the limit, in a burst that is over",
            advice="Watch it live (`watch`, or the screen)"
            + (", or check the cluster's other nodes with -c." if _is_one_of_a_cluster(case) else "."),
            evidence=(peak,),
        )
        return
    free = (case.memory.maxmemory_bytes or 0) - (case.memory.peak_bytes or 0)
    yield Finding(
        id="refused-large",
        level=Level.WARNING,
        title=f"{writes}, and its peak was only {percent(_peak_share(case))} of the limit: {_EITHER[earlier]}",
        advice=f"If maxmemory was raised since, that has cured it; else find who writes values of about {size(free)} or"
        " more.",
        evidence=(peak,),
        in_the_application="Write large values in parts, or keep them elsewhere: a command counts while it arrives.",
    )


_EITHER = {
    Earlier.LOWER: "a limit that was lower then, or large values",
    Earlier.LARGE: "large values, or a limit that was lower then",
}


def _peak_share(case: Case) -> float:
    return (case.memory.peak_bytes or 0) / (case.memory.maxmemory_bytes or 1)


@finding("large-writers")
def large_writers(case: Case) -> Iterator[Finding]:
    """Who sends large values, where they matter: near the limit, or after writes were refused."""
    if case.near is Level.OK and not case.now.counters.refused_writes_total:
        return
    least = max(MIB, _LARGE_SHARE * (case.memory.maxmemory_bytes or case.memory.used_bytes or 0))
    found = [one for one in case.large if one.size >= least and takes_memory(one.command.decode("ascii", "replace"))]
    if not found:
        return
    # The log keeps what came long ago, too: it is by the server's clock.
    now = case.now.taken_at + (case.now.clock_skew_seconds or 0.0)
    lately = [one for one in found if now - one.at < _LATELY_SECONDS]
    first, *_ = lately or found
    when = "are sent" if lately else f"were sent {ago(now - first.at)}"
    yield Finding(
        id="large-writers",
        level=case.at_least_warning if lately else Level.WARNING,
        title=f"Commands of up to {size(first.size)} {when}: {_large_words(first)}",
        advice=f"{_whose(first)} write in parts or compressed.",
        evidence=tuple(f"{_large_words(one)}: {size(one.size)}, {ago(now - one.at)}" for one in found[:5]),
        in_the_application="A command is held while it arrives, beside what it stores: large values count twice.",
    )


# Of the limit, what one command must bring to be worth naming its client.
_LARGE_SHARE = 0.02
# What was sent within this time tells of now.
_LATELY_SECONDS = 3600


def _whose(one: LargeCommand) -> str:
    if one.name or _has_address(one):
        return "Find the application by its client name or address, and have it"
    return "Find the application by its key, and have its scripts" if one.key else "Have the applications' scripts"


def _has_address(one: LargeCommand) -> bool:
    """Whether the log has an address: of what a script calls it has none."""
    return one.address not in ("", "?:0")


def _large_words(one: LargeCommand) -> str:
    key = f" of {safe_text(one.key, 40)}" if one.key else ""
    name = f" by {safe_text(one.name, 32)}" if one.name else ""
    origin = "" if "/" in one.address else f" from {safe_text(one.address, 40)}"
    if not _has_address(one):
        origin = "" if one.name else " by a script (EVAL): the server does not say whose"
    node = f" on {safe_text(one.node, 80)}" if one.node else ""
    return f"{safe_text(one.command.upper(), 24)}{key}{name}{origin}{node}"


@finding("held-by-no-key")
def keyless(case: Case) -> Iterator[Finding]:
    """Memory in use on a server without a key, or of which a complete scan of the keys explains little."""
    facts, share = case.facts, case.facts.explained_by_keys
    if not case.now.keyspace_known or (case.now.keys and not unexplained(facts)):
        return
    if case.scan is not None and case.scan.unsized_keys:
        # They may hold it: the cause says so.
        return
    if not case.cause.in_keys and "held-by-no-key" not in case.cause.findings:
        # The cause has a name, and the rest is how little of it the numbers tell at the least.
        return
    booked, held = holders.booked(facts), holders.in_no_key(facts) or 0
    if held < 8 * MIB or not case.matters(held, _KEYLESS_SHARE):
        return
    tracked = case.now.activity.replica_expires_tracked
    waits = bool(case.memory.lazyfree_pending_objects)
    client_id = None if waits else holders.unbooked_client(facts)
    yield Finding(
        id="held-by-no-key",
        level=case.at_least_warning,
        title=f"The keys explain only {percent(share)} of the memory: {size(held)} is in no key"
        if case.now.keys
        else f"{size(held)} is in use, but there are no keys",
        advice=WAIT if waits else keyless_step(facts),
        evidence=(
            f"{number_of_keys(case.now.keys)}, used_memory {size(case.memory.used_bytes)}",
            *((f"{size(booked)} of the rest is booked: tables, buffers, scripts",) if booked else ()),
            *holders.suspects(facts),
            *((f"slave_expires_tracked_keys {count(tracked)}",) if tracked else ()),
            *(f"{name} {value}: its log may be long" for name, value in _long_logs(case)),
        ),
        remedy=None if client_id is None else Remedy("triage", client_id=client_id),
    )


# By default a log has 128 entries at most, of up to 4 KB each.
_LONG_LOG = 2000


def _long_logs(case: Case) -> Iterator[tuple[str, str]]:
    """The bounds of logs that are kept in memory, where these are high."""
    for name in ("slowlog-max-len", "acllog-max-len"):
        value = case.settings.get(name, "")
        if value.isdecimal() and int(value) >= _LONG_LOG:
            yield name, value


def _is_one_of_a_cluster(case: Case) -> bool:
    """Whether it is a node of a cluster of which no other was asked."""
    return case.now.server.mode == "cluster" and case.now.cluster is None


@finding("one-cluster-node")
def one_node(case: Case) -> Iterator[Finding]:
    """A node of a cluster, checked without the others."""
    if not _is_one_of_a_cluster(case):
        return
    refused = bool(case.now.counters.refused_writes_total) and case.near is Level.OK
    yield Finding(
        id="one-cluster-node",
        level=Level.WARNING if refused else Level.OK,
        title="This is one node of a cluster, and the others are not shown",
        advice="Use -c: another node may be the full one.",
    )


@finding("not-redis")
def foreign(case: Case) -> Iterator[Finding]:
    """A server that is neither Redis nor Valkey: what of it is not judged."""
    server, memory = case.now.server, case.memory
    if not server.is_foreign:
        return
    name = server.product or "This server"
    beyond = memory.maxmemory_bytes and memory.rss_bytes and memory.rss_bytes >= 0.8 * memory.maxmemory_bytes
    rss = (f"rss {size(memory.rss_bytes)} beside a limit of {size(memory.maxmemory_bytes)}",) if beyond else ()
    yield Finding(
        id="not-redis",
        level=Level.WARNING if rss and case.near is Level.OK else Level.OK,
        title=f"{name} is neither Redis nor Valkey: only the fields that it shares with them are judged",
        advice=(
            "Not judged: when it refuses, what it evicts, and its own buffers. Read its own INFO fields for those. "
            + differs(name)
        ).rstrip(),
        evidence=rss,
    )


@finding("refusals-unknown")
def refusals_unknown(case: Case) -> Iterator[Finding]:
    """A server that does not report how many writes it refused: past refusals are not judged."""
    server = case.now.server
    if server.is_foreign or case.now.counters.refused_writes_total is not None:
        return
    yield Finding(
        id="refusals-unknown",
        level=Level.OK,
        title="This server does not report how many writes it refused: refusals that are over are not judged",
        advice=(
            "Redis reports it from 6.2 on, in INFO errorstats; the application's log has the OOM errors. "
            + differs(server.product)
        ).rstrip(),
    )


@finding("limit-stated")
def stated_limit(case: Case) -> Iterator[Finding]:
    """The operator's word stands for the limit."""
    if case.memory.limit_source is not LimitSource.OPERATOR:
        return
    yield Finding(
        id="limit-stated",
        level=Level.OK,
        title=f"The limit of {size(case.memory.maxmemory_bytes)} is stated (--limit), not reported by the server",
        advice="Keep it as `limit` in the profile, and change it with the plan or the instance's size.",
    )


@finding("clock-skew")
def clock(case: Case) -> Iterator[Finding]:
    """The clocks of the server and of this computer differ."""
    sentence = skew_sentence(case.now)
    if sentence is None:
        return
    yield Finding(
        id="clock-skew",
        level=Level.OK,
        title=sentence,
        advice="Expiries, idle times and backups here are by the server's clock, the log and the audit file by this"
        " computer's. Correct the clock that is wrong (NTP): a jump of the server's ends keys early or late.",
        evidence=(f"server_time_usec is {case.now.clock_skew_seconds:+.1f}s from this computer's time",),
    )


# By what is lost: its name in the title, and what goes unsaid without it.
_LOST = {
    Feature.SCAN: ("keys", "which keys hold the memory, and every finding about them"),
    Feature.MEMORY_USAGE: ("sizes of keys", "what each key and pattern takes"),
    Feature.TYPE: ("types", "what kind of value takes how much, and no cleanup can be checked"),
    Feature.TTL: ("TTLs", "what expires and what stays"),
    Feature.CLIENT_LIST: ("clients", "who holds buffers"),
    Feature.CONFIG_GET: ("settings", "what does not fit this server among them"),
    Feature.OBJECT_IDLETIME: ("idle times", "what has long been unused"),
}


@finding("not-readable", on_demand=True)
def refused_reads(case: Case) -> Iterator[Finding]:
    """What this user may not ask, or this server does not answer."""
    known = case.capabilities
    lost = {feature: words for feature, words in _LOST.items() if not known.has(feature)}
    if not lost:
        return
    names = [name for name, _ in lost.values()]
    listed = " and ".join((", ".join(names[:-1]), names[-1]) if len(names) > 1 else names)
    yield Finding(
        id="not-readable",
        level=Level.WARNING if Feature.SCAN in lost else Level.OK,
        title=f"Not readable: {listed}",
        advice="What these commands would show is not judged. If this user may not run them, log in as one who may, or"
        " have them allowed: they change nothing.",
        evidence=tuple(
            f"{feature.value} is refused ({safe_text(known.why_not(feature) or '', 120)}): no advice on {unsaid}"
            for feature, (_, unsaid) in lost.items()
        ),
    )


@finding("values-unread", on_demand=True)
def unread_values(case: Case) -> Iterator[Finding]:
    """Values that could not be read without a trace."""
    if were_read(case.values) is not False:
        return
    refused = case.capabilities.why_not(Feature.NO_TOUCH)
    yield Finding(
        id="values-unread",
        level=Level.OK,
        title="Values not sampled: no advice on compression or integers",
        advice="Values are read only behind CLIENT NO-TOUCH (Redis 7.2, 7.4 and 8.4, Valkey): without it, reading would"
        " make idle keys look used, and this tool leaves no trace.",
        evidence=() if refused is None else (f"{Feature.NO_TOUCH.value}: {safe_text(refused, 120)}",),
    )


_TRAP = (
    "XAUTOCLAIM gives pending entries to a consumer that is alive, XACK ends them. Do that before XGROUP DELCONSUMER,"
    " which loses what its consumer holds. A trim removes entries, and leaves consumers and pending entries in place."
)


@finding("stream-readers")
def stream_readers(case: Case) -> Iterator[Finding]:
    """Large streams whose consumers have gone, or whose pending entries nobody acknowledges."""
    for sample in case.values:
        wrong = streams.health(sample.groups)
        if not wrong or not case.matters(sample.key_bytes, _STREAM_SHARE):
            continue
        pending, most = sum(group.pending for group in sample.groups), bytes_of_groups(sample.groups)
        held = (
            f"up to {size(most)} of it" if MIB < most < sample.key_bytes else "perhaps most of it" if most > MIB else ""
        )
        named = safe_text(sample.pattern, 40)
        yield Finding(
            id="stream-readers",
            level=case.at_least_warning if case.matters(sample.key_bytes, _LARGE_STREAM_SHARE) else Level.OK,
            title=f"Readers of {named} have gone or fallen behind: {streams.group_words(sample.groups)}",
            advice=_TRAP,
            evidence=(
                f"a stream of about {size(round(sample.key_bytes))}",
                *wrong[:_READERS_SHOWN],
                *([f"consumers and pending entries hold {held}: no trim frees that"] if held else ()),
                *(["XTRIM with ACKED (Redis 8.2) removes no entry that is pending"] if pending else ()),
            ),
            remedy=Remedy("cleanup", escape_glob(sample.pattern), key=KeyId(sample.db, sample.pattern), kind="stream"),
        )
