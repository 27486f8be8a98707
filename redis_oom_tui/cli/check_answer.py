"""What `check` finds: what two samples of the server amount to, and how that is printed."""

import contextlib
import re
import time
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from redis_oom_tui.cli.check_samples import sampled
from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.files.audit import AuditFile, state_folder, tail_of
from redis_oom_tui.files.server_host import with_host_memory
from redis_oom_tui.formatting.check import AUDIT_UNREAD, check_document, parts_text
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.server import (
    advice_with_commands,
    doubt_lines,
    role_of,
    server_text,
    share_of_limit,
    with_commands,
)
from redis_oom_tui.formatting.sizes import ago, count, number_of, number_of_keys, size
from redis_oom_tui.models.address import LargeCommand
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.settings import Setting
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Finding, Level, Verdict
from redis_oom_tui.rules.breakdown import breakdown_of
from redis_oom_tui.rules.clients import with_clients
from redis_oom_tui.rules.cluster import servers_in, under_one_name
from redis_oom_tui.rules.findings import Case, examine
from redis_oom_tui.rules.history import between, skew_sentence
from redis_oom_tui.rules.info_fields import with_expired, with_settings
from redis_oom_tui.rules.report import left_behind
from redis_oom_tui.rules.verdict import judge, within_rights
from redis_oom_tui.rules.verdict.holders import may_be_clients
from redis_oom_tui.server.preflight import Preflight

if TYPE_CHECKING:
    from redis_oom_tui.formatting.chat import ChatForm
    from redis_oom_tui.formatting.documents.check import CheckDocument
    from redis_oom_tui.models.keys import PatternSample
    from redis_oom_tui.models.scan import ScanView
    from redis_oom_tui.server.cluster.source import ClusterSource
    from redis_oom_tui.server.live import LiveServer

    Server = LiveServer | ClusterSource


# So few keys are read where something is the matter: 20,000 took 0.4 to 0.8 s on a machine at work. Above the first
# number the scan leaves pauses for others.
_FEW_KEYS, _MORE_KEYS, _FURTHER_SECONDS = 5000, 25_000, 3.0
_SHOWN = 5
_DOUBTS = 5
_TIMED = re.compile(rb'"reverts_in_seconds":\s*[0-9]')
_BEGUN = re.compile(rb'"phase":"intent","id":"(\w+)","action":"(?:set|undo)"')
_ENDED = re.compile(rb'"phase":"result","id":"(\w+)"')


class Answer(Struct, frozen=True):
    """The second sample, and what was made of both; `unreturned` is what was to go back by itself and did not,
    None where the audit log could not be read. `connection_args` lead a command to the server.
    """

    verdict: Verdict
    snapshot: Snapshot
    findings: tuple[Finding, ...]
    unreturned: tuple[str, ...] | None = ()
    connection_args: tuple[str, ...] = ()


def examined(invocation: Invocation, preflight: Preflight | None, *, gap: float) -> Answer:
    """The verdict and the findings; `gap` seconds lie between the samples at least. Raises TriageError."""
    samples = sampled(invocation, preflight, gap=gap)
    now = with_settings(with_clients(with_host_memory(samples.now), samples.clients), samples.settings)
    thresholds = invocation.profile.watch.thresholds
    case = Case(
        now,
        clients=samples.clients,
        settings=samples.settings,
        capabilities=samples.capabilities,
        replicas=samples.replicas,
        thresholds=thresholds,
        rates=between(samples.before, now),
        connection_args=invocation.connection_args,
    )
    late = _unreturned(invocation, now, samples.settings)
    verdict = judge(now, samples.before, thresholds, clients=samples.clients, replicas=samples.replicas)
    worth_it = case.near is not Level.OK or bool(now.counters.refused_writes_total)
    if worth_it:
        found = _further_checks(invocation, case)
        now = with_expired(now, *found.expired)
        case = replace(case, now=now, scan=found.scan, values=found.values, large=found.large)
        verdict = judge(
            now,
            samples.before,
            thresholds,
            clients=samples.clients,
            scan=found.scan,
            replicas=samples.replicas,
        )
        verdict = within_rights(verdict, found.capabilities)
    return Answer(
        verdict, replace(now, notes=(*now.notes, *_unlisted(case))), examine(case), late, invocation.connection_args
    )


def _unlisted(case: Case) -> tuple[str, ...]:
    """That the clients were not listed, where one of them may be the cause."""
    why = case.capabilities.why_not(Feature.CLIENT_LIST)
    if why is None or not may_be_clients(case.facts, in_keys=case.cause.in_keys):
        return ()
    return (f"{why}. Which of them holds how much is not known.",)


class Further(Struct):
    """Who sends large values, how many of some keys had expired and how many live, what so few keys hold, and of which
    applications they are; what was not to be had is absent.
    """

    large: tuple[LargeCommand, ...] = ()
    expired: tuple[int, int] = (0, 0)
    scan: "ScanView | None" = None
    values: "tuple[PatternSample, ...]" = ()
    capabilities: Capabilities = Capabilities()


def _further_checks(invocation: Invocation, case: Case) -> Further:
    """What the server's logs tell, and its keys where these are few: one of them may be the cause, or none.

    Of refusals that are over, on a server with room, keys tell nothing: these are not read at each check from then on.
    """
    import asyncio

    from redis_oom_tui.models.scan import Pace, ScanOptions
    from redis_oom_tui.server.info_reader import expired_among
    from redis_oom_tui.server.live import LiveServer
    from redis_oom_tui.server.server_logs import large_commands

    found, now, connection = Further(), case.now, invocation.connection
    of_now = case.near is not Level.OK or case.facts.refused > 0
    if now.cluster is not None:
        # Of a cluster, the node that stands for it: the fullest.
        connection = replace(connection, address=now.server.address, cluster=False)

    async def ask() -> None:
        server = LiveServer(connection)
        try:
            async with asyncio.timeout(_FURTHER_SECONDS):
                await server.open()
                found.large = tuple(replace(one, node=now.server.node) for one in await large_commands(server))
                if of_now:
                    found.capabilities = await server.capabilities()
                if of_now and case.facts.cannot_evict and not now.server.is_replica:
                    found.expired = await expired_among(server, now)
                if of_now and 0 < now.keys <= _MORE_KEYS:
                    pace = Pace.FULL_SPEED if now.keys <= _FEW_KEYS else Pace.NORMAL
                    found.scan = await server.scan(ScanOptions(pace=pace)).run()
                    found.values = await server.samples(found.scan, applications_only=True)
        finally:
            await server.close()

    with contextlib.suppress(TriageError, TimeoutError):
        asyncio.run(ask())
    return found


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
    history = under_one_name(history, shown, snapshot.server.run_id)
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
        answer.verdict,
        snapshot.server.address,
        snapshot,
        answer.findings,
        answer.unreturned,
        breakdown_of(snapshot),
        answer.connection_args,
    )


def for_chat(answer: Answer, form: "ChatForm") -> str:
    """The same for a chat."""
    from redis_oom_tui.formatting.chat import chat_text_of

    notes = (*answer.snapshot.notes, *((AUDIT_UNREAD,) if answer.unreturned is None else answer.unreturned))
    way = answer.connection_args
    return chat_text_of(
        answer.verdict, answer.snapshot, answer.findings, notes, _held(answer), form, connection_args=way
    )


def _held(answer: Answer) -> str:
    return "" if answer.verdict.level is Level.OK else parts_text(breakdown_of(answer.snapshot))


def _keys(snapshot: Snapshot) -> str:
    if not snapshot.keyspace_known and not snapshot.databases:
        return "? keys"
    least = "" if snapshot.keyspace_known else "at least "
    return f"{least}{number_of_keys(snapshot.keys)}, {least}{count(snapshot.expires)} with a TTL"


def lines(answer: Answer) -> list[str]:
    """A few lines for people, the verdict first."""
    verdict, snapshot = answer.verdict, answer.snapshot
    server, memory = snapshot.server, snapshot.memory
    counters = snapshot.counters
    use = f"used {size(memory.used_bytes)} ({share_of_limit(memory)}), rss {size(memory.rss_bytes)}"
    totals = f"refused writes {count(counters.refused_writes_total)}, evicted keys {count(counters.evicted_keys_total)}"
    found = [
        f"{verdict.level.value.upper()}: {verdict.reason}",
        f"  {server.address}  {server_text(server)}, {role_of(server)}",
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
    if snapshot.cluster is not None:
        from redis_oom_tui.formatting.check import node_lines

        found += [f"  {line}" for line in node_lines(snapshot.cluster)]
    if verdict.first_step:
        found.append(f"  Next: {with_commands(verdict.first_step, answer.connection_args, verdict.client_id)}")
    if verdict.confirm and verdict.level is not Level.OK:
        found.append(f"  To confirm: {'; '.join(verdict.confirm)}")
    for finding in answer.findings[:_SHOWN]:
        found.append(f"  - {finding.title}. {advice_with_commands(finding, answer.connection_args)}")
    if (more := len(answer.findings) - _SHOWN) > 0:
        found.append(f"  ... and {number_of(more, 'more finding')} (--json has all)")
    return found
