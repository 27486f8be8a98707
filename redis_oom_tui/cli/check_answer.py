"""What `check` finds: two samples of the server, what they amount to, and how that is printed."""

import contextlib
import re
import time
from collections.abc import Awaitable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.files.audit import AuditFile, state_folder, tail_of
from redis_oom_tui.files.server_host import with_room
from redis_oom_tui.formatting.check import AUDIT_UNREAD, check_document, parts_text
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.server import (
    advice_with_commands,
    doubt_lines,
    role_text,
    server_text,
    share_of_limit,
    with_commands,
)
from redis_oom_tui.formatting.sizes import ago, count, size
from redis_oom_tui.models.address import ClientBuffer, LargeCommand
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.errors import CommandRefused, TriageError
from redis_oom_tui.models.settings import Setting
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Finding, Level, Verdict
from redis_oom_tui.rules.breakdown import breakdown_of
from redis_oom_tui.rules.clients import with_clients
from redis_oom_tui.rules.cluster import servers_in
from redis_oom_tui.rules.earlier_runs import left_behind
from redis_oom_tui.rules.findings import Case, examine
from redis_oom_tui.rules.history import between, skew_sentence
from redis_oom_tui.rules.info_checks import with_settings
from redis_oom_tui.rules.verdict import judge
from redis_oom_tui.rules.verdict.facts import LONGER_SECONDS, STEP_SECONDS, calls_for_a_longer_look
from redis_oom_tui.server.preflight import Preflight

if TYPE_CHECKING:
    from redis_oom_tui.formatting.documents.check import CheckDocument
    from redis_oom_tui.models.keys import PatternSample
    from redis_oom_tui.models.scan import ScanView
    from redis_oom_tui.models.snapshot import NodeView
    from redis_oom_tui.server.cluster.source import ClusterSource
    from redis_oom_tui.server.live import LiveServer

    Server = LiveServer | ClusterSource


# So few keys are looked at where something is the matter: it takes a fraction of a second.
_FEW_KEYS, _FURTHER_SECONDS = 5000, 3.0
_SHOWN = 5
_DOUBTS = 5
_TIMED = re.compile(rb'"reverts_in_seconds":\s*[0-9]')
_BEGUN = re.compile(rb'"phase":"intent","id":"(\w+)","action":"(?:set|undo)"')
_ENDED = re.compile(rb'"phase":"result","id":"(\w+)"')
# The rules that speak where every write is refused.
_BLOCKED = ("misconf", "noreplicas")


class Answer(Struct, frozen=True):
    """The second sample, and what was made of both; `unreturned` is what was to go back by itself and did not,
    None where the audit log could not be read.
    """

    verdict: Verdict
    snapshot: Snapshot
    findings: tuple[Finding, ...]
    unreturned: tuple[str, ...] | None = ()


class CheckSamples(Struct, frozen=True):
    """Both samples, with what was asked beside the second."""

    before: Snapshot
    now: Snapshot
    settings: Mapping[str, str]
    clients: tuple[ClientBuffer, ...]
    capabilities: Capabilities
    replicas: "tuple[NodeView, ...]"


def examined(invocation: Invocation, preflight: Preflight | None, *, gap: float) -> Answer:
    """The verdict and the findings; `gap` seconds lie between the samples at least. Raises TriageError."""
    samples = None if preflight is None else _sampled(invocation, preflight)
    if samples is not None and preflight is not None and _may_have_missed(samples.before, samples.now, invocation):
        samples = _sampled_longer(invocation, preflight, samples)
    if samples is None:
        samples = _driven(invocation, gap)
    now = with_settings(with_clients(with_room(samples.now), samples.clients), samples.settings)
    thresholds = invocation.profile.watch.thresholds
    case = Case(
        now,
        clients=samples.clients,
        settings=samples.settings,
        capabilities=samples.capabilities,
        replicas=samples.replicas,
        thresholds=thresholds,
    )
    late = _unreturned(invocation, now, samples.settings)
    verdict = judge(now, samples.before, thresholds, clients=samples.clients)
    worth_it = case.near is not Level.OK or bool(now.counters.refused_writes_total)
    if worth_it and now.fleet is None:
        found = _looked_further(invocation, now)
        case = replace(case, scan=found.scan, values=found.values, large=found.large)
        verdict = judge(now, samples.before, thresholds, clients=samples.clients, scan=found.scan)
    return Answer(verdict, now, examine(case), late)


class Further(Struct):
    """Who sends large values, what so few keys hold, and of which applications they are; what was not to be had is
    absent.
    """

    large: tuple[LargeCommand, ...] = ()
    scan: "ScanView | None" = None
    values: "tuple[PatternSample, ...]" = ()


def _looked_further(invocation: Invocation, now: Snapshot) -> Further:
    """What the server's logs tell, and its keys where these are few: one of them may be the cause, or none."""
    import asyncio

    from redis_oom_tui.models.scan import Pace, ScanOptions
    from redis_oom_tui.server.live import LiveServer

    found = Further()

    async def look() -> None:
        server = LiveServer(invocation.connection)
        try:
            async with asyncio.timeout(_FURTHER_SECONDS):
                await server.open()
                found.large = await server.large_commands()
                if 0 < now.keys <= _FEW_KEYS:
                    found.scan = await server.scan(ScanOptions(pace=Pace.FULL_SPEED)).run()
                    found.values = await server.application_samples(found.scan)
        finally:
            await server.close()

    with contextlib.suppress(TriageError, TimeoutError):
        asyncio.run(look())
    return found


def _sampled_longer(invocation: Invocation, preflight: Preflight, samples: CheckSamples) -> CheckSamples | None:
    """The same with the last of some more samples; None where the driver must say what is the matter."""
    from redis_oom_tui.server.preflight import LeftToTheDriver

    try:
        preflight.again(LONGER_SECONDS, lambda sample: _refused(samples.before, sample.snapshot()))
    except TimeoutError as error:
        from redis_oom_tui.server.errors import as_ours

        raise as_ours(error, invocation.connection.address) from None
    except (OSError, ValueError, LeftToTheDriver):
        return None
    return replace(samples, now=preflight.latest().snapshot())


def _may_have_missed(before: Snapshot, now: Snapshot, invocation: Invocation) -> bool:
    """Whether refused writes may come too seldom for what was seen so far, which shows none."""
    thresholds = invocation.profile.watch.thresholds
    verdict = judge(now, before, thresholds)
    seen = verdict.level is Level.OOM or verdict.rule in _BLOCKED
    return not seen and calls_for_a_longer_look(now, thresholds)


def _refused(before: Snapshot, now: Snapshot) -> bool:
    """Whether a write was refused between the two, here or on the cluster's worst node."""
    verdict = judge(now, before)
    return bool(between(before, now).refused_writes) or verdict.level is Level.OOM or verdict.rule in _BLOCKED


def _sampled(invocation: Invocation, preflight: Preflight) -> CheckSamples | None:
    """What the preflight saw; None where the driver must say what is the matter. Silence is not waited for twice."""
    first = preflight.first()
    replicas: tuple[NodeView, ...] = ()
    before = None if first is None else first.snapshot()
    if first is not None and before is not None and before.activity.connected_replicas:
        replicas = _replicas_named(invocation, first.fields())
    closer = preflight.closer()
    if preflight.silent:
        from redis_oom_tui.server.errors import as_ours

        raise as_ours(TimeoutError(), invocation.connection.address)
    if before is None or closer is None:
        return None
    return CheckSamples(before, closer.snapshot(), closer.settings(), closer.clients(), closer.capabilities(), replicas)


def _replicas_named(invocation: Invocation, info: Mapping[str, object]) -> "tuple[NodeView, ...]":
    """Asked while the pause between the samples runs; only this needs the driver then."""
    import asyncio

    from redis_oom_tui.server.info_reader import replica_lines, replicas_of
    from redis_oom_tui.server.live import LiveServer

    return asyncio.run(replicas_of(invocation.connection, replica_lines(info), LiveServer))


def _driven(invocation: Invocation, gap: float) -> CheckSamples:
    import asyncio

    return asyncio.run(_ask(invocation, gap))


async def _ask(invocation: Invocation, gap: float) -> CheckSamples:
    import asyncio

    from redis_oom_tui.server.live import LiveServer
    from redis_oom_tui.server.open_source import source_for

    server = source_for(invocation.connection)
    try:
        # The first sample connects, and says what is wrong with that as well: on a slow link a round trip less.
        await (server.locate() if isinstance(server, LiveServer) else server.open())
        before = await server.snapshot()
        replicas = asyncio.create_task(_replicas(server, before))
        await asyncio.sleep(max(0.0, gap - (time.monotonic() - before.taken_monotonic)))
        now, settings, clients, known = await _closely(server)
        if _may_have_missed(before, now, invocation):
            now = await _longer(server, before, now)
        return CheckSamples(before, now, settings, clients, known, await replicas)
    finally:
        await server.close()


async def _longer(server: "Server", before: Snapshot, now: Snapshot) -> Snapshot:
    """The last of some more samples, up to the first that shows a refused write."""
    import asyncio

    until = before.taken_monotonic + LONGER_SECONDS
    while not _refused(before, now) and (left := until - time.monotonic()) > 0:
        await asyncio.sleep(min(left, STEP_SECONDS))
        now = await server.snapshot()
    return now


async def _closely(server: "Server") -> tuple[Snapshot, Mapping[str, str], tuple[ClientBuffer, ...], Capabilities]:
    """The second sample, with the settings and the clients: in one round trip where that is one server."""
    from redis_oom_tui.server.live import LiveServer

    if isinstance(server, LiveServer):
        return await server.look_closely()
    clients = await _clients(server.clients())
    settings = await server.settings()
    return await server.snapshot(), settings, clients, await server.capabilities()


async def _replicas(server: "Server", snapshot: Snapshot) -> "tuple[NodeView, ...]":
    """The replicas of a master that is no cluster; in a cluster they are among the nodes."""
    from redis_oom_tui.ports.source import SeesReplicas

    if not isinstance(server, SeesReplicas) or not snapshot.activity.connected_replicas:
        return ()
    try:
        return await server.replicas()
    except TriageError:
        return ()


async def _clients(asked: Awaitable[tuple[ClientBuffer, ...]]) -> tuple[ClientBuffer, ...]:
    try:
        return await asked
    except CommandRefused:
        return ()


def _unreturned(invocation: Invocation, snapshot: Snapshot, settings: Mapping[str, str]) -> tuple[str, ...] | None:
    """A sentence for each, from the audit log; none where that tells of no such change. None: it is unreadable."""
    path = invocation.audit_path or state_folder() / "audit.jsonl"
    # To read the whole log takes long, and there is hardly ever such a change in it.
    try:
        if not path.exists() or not _tells_of_any(tail_of(path)):
            return ()
        history = AuditFile(path, wall=time.time).history()
    except (OSError, TriageError):
        return None
    memory = snapshot.memory
    values = {"maxmemory": str(memory.maxmemory_bytes or 0), "maxmemory-policy": memory.policy, **settings}
    shown = str(snapshot.server.address)
    sentences: list[str] = []
    for server in sorted(servers_in(snapshot)):
        known = [Setting(name, value) for name, value in values.items()] if server == shown else []
        sentences += left_behind(history, server, known, time.time(), unread=True)
    return tuple(sentences)


def _tells_of_any(tail: bytes) -> bool:
    """Whether there is a change for a while in the log, or one of which no end was written."""
    return _TIMED.search(tail) is not None or not set(_BEGUN.findall(tail)) <= set(_ENDED.findall(tail))


def document(answer: Answer) -> "CheckDocument":
    """The promised document."""
    snapshot = answer.snapshot
    return check_document(
        answer.verdict, snapshot.server.address, snapshot, answer.findings, answer.unreturned, breakdown_of(snapshot)
    )


def markdown(answer: Answer) -> str:
    """The same for a chat."""
    from redis_oom_tui.formatting.chat import chat_text_of

    notes = (*answer.snapshot.notes, *((AUDIT_UNREAD,) if answer.unreturned is None else answer.unreturned))
    return chat_text_of(answer.verdict, answer.snapshot, answer.findings, notes, _held(answer))


def _held(answer: Answer) -> str:
    """What holds the memory, where something is wrong."""
    return "" if answer.verdict.level is Level.OK else parts_text(breakdown_of(answer.snapshot))


def _keys(snapshot: Snapshot) -> str:
    least = "" if snapshot.keyspace_known else "at least "
    return f"{least}{count(snapshot.keys)} keys, {least}{count(snapshot.expires)} with a TTL"


def lines(answer: Answer) -> list[str]:
    """A few lines for people, the verdict first."""
    verdict, snapshot = answer.verdict, answer.snapshot
    server, memory = snapshot.server, snapshot.memory
    counters = snapshot.counters
    use = f"used {size(memory.used_bytes)} ({share_of_limit(memory)}), rss {size(memory.rss_bytes)}"
    totals = f"refused writes {count(counters.refused_writes_total)}, evicted keys {count(counters.evicted_keys_total)}"
    found = [
        f"{verdict.level.value.upper()}: {verdict.reason}",
        f"  {server.address}  {server_text(server)}, {role_text(server.role)}",
        f"  {use}, peak {size(memory.peak_bytes)}, {memory.policy}",
        f"  {totals}, {_keys(snapshot)}",
    ]
    if held := _held(answer):
        found.append(f"  {held}")
    if verdict.since is not None:
        began = datetime.fromtimestamp(verdict.since).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")
        found.append(f"  since {began}, {ago(snapshot.taken_at - verdict.since)}")
    found += [f"  ! {safe_text(note)}" for note in snapshot.notes]
    found += [f"  ! {sentence}" for sentence in ((AUDIT_UNREAD,) if answer.unreturned is None else answer.unreturned)]
    if sentence := skew_sentence(snapshot):
        found.append(f"  ! {sentence}: expiries and idle times are by the server's")
    found += [f"  ? {line}" for line in doubt_lines(snapshot, _DOUBTS)]
    if snapshot.fleet is not None:
        from redis_oom_tui.formatting.check import node_lines

        found += [f"  {line}" for line in node_lines(snapshot.fleet)]
    if verdict.first_step:
        found.append(f"  Next: {with_commands(verdict.first_step)}")
    if verdict.confirm and verdict.level is not Level.OK:
        found.append(f"  To confirm: {'; '.join(verdict.confirm)}")
    found += [f"  - {finding.title}. {advice_with_commands(finding)}" for finding in answer.findings[:_SHOWN]]
    return found
