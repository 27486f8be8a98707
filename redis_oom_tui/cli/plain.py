"""`--plain`: a line a tick, no screen control, for dumb terminals, logs, screen readers and stalled links.

Below the line of a tick stand, indented, the other facts of Triage.
"""

import asyncio
import time
from collections.abc import Hashable, Sequence

import click
from msgspec import Struct

from redis_oom_tui.cli.context import Invocation, recorded
from redis_oom_tui.cli.process import require_output
from redis_oom_tui.files.own_actions import OwnActions
from redis_oom_tui.formatting import sizes
from redis_oom_tui.formatting.check import node_lines
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.server import (
    advice_with_commands,
    command_line,
    limit_text,
    role_of,
    server_text,
    with_commands,
)
from redis_oom_tui.formatting.sizes import per_second
from redis_oom_tui.formatting.vitals import cluster_sums, counter_facts, gauge_facts, saving, trend_words
from redis_oom_tui.models.address import Address, ClientBuffer, Connection
from redis_oom_tui.models.config import Profile
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Finding
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.details import Details
from redis_oom_tui.monitor.poller import Poller
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.ports.source import Source
from redis_oom_tui.rules.breakdown import breakdown_of
from redis_oom_tui.rules.clients import noteworthy_bytes, only_own, others
from redis_oom_tui.rules.findings import Case, examine
from redis_oom_tui.rules.guarded import attempt

# Figures move at every tick: they are told again this often, words where they change.
_AGAIN_SECONDS = 60.0
_CLIENTS = 5
_NO_FINDING = "finding: nothing stands out; keys are not read here (`{hogs}`)"


def watch_plainly(invocation: Invocation, connection: Connection | None = None) -> int:
    """Print lines until interrupted."""
    from redis_oom_tui.server.open_source import source_for

    require_output()
    connection = connection or invocation.connection
    source = source_for(connection)
    profile = replace(invocation.profile, read_only=connection.read_only)
    asyncio.run(_watch(recorded(source, invocation), replace(invocation, profile=profile)))
    return 0


async def _watch(source: Source, invocation: Invocation) -> None:
    clock, lines = Clock(), PlainLines(invocation.profile)
    settings = replace(invocation.profile.watch, interval_seconds=invocation.screen.interval_seconds)
    try:
        await source.open()
        poller = Poller(source, settings, clock, details=Details(source), shared=True, opened=True)
        poller.ours = OwnActions(invocation.audit_path).since_last
        await poller.run(lambda state: click.echo("\n".join(lines.lines(state, clock.wall(), clock.monotonic()))))
    finally:
        await source.close()


class _Part(Struct):
    """Some lines of Triage, told again where `key` is another than before."""

    key: Hashable
    lines: list[str]


class PlainLines:
    """The line of a tick, and below it what else Triage shows: at first, where its words change, and every minute."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._printed: dict[str, tuple[Hashable, float]] = {}

    def lines(self, state: ServerState, now: float, monotonic: float) -> list[str]:
        """What to print at this tick; `now` is the time of day."""
        first = line(state, now, monotonic)
        if state.answer is None:
            return [first]
        parts = attempt(
            "these details are", lambda: self._parts(state, monotonic), lambda fault: {"": _Part("", [fault.words])}
        )
        lines = [text for name, part in parts.items() if self._due(name, part.key, monotonic) for text in part.lines]
        return [first, *(f"  {text}" for text in lines)]

    def _due(self, name: str, key: Hashable, monotonic: float) -> bool:
        before, at = self._printed.get(name, (None, 0.0))
        if name in self._printed and key == before and 0 <= monotonic - at < _AGAIN_SECONDS:
            return False
        self._printed[name] = (key, monotonic)
        return True

    def _parts(self, state: ServerState, monotonic: float) -> dict[str, _Part]:
        if state.snapshot is None or state.verdict is None:
            return {}
        snapshot, verdict = state.snapshot, state.verdict
        slow = None if state.next_try is None else max(0.0, state.next_try - monotonic)
        wait = [] if slow is None else [f"slow server: next poll in {sizes.duration(slow)}"]
        way = self._profile.connection_args
        nothing = _NO_FINDING.format(hogs=command_line(way, "hogs"))
        first = (
            [f"next: {safe_text(with_commands(verdict.first_step, way, verdict.client_id))}"]
            if verdict.first_step
            else []
        )
        server = _server_line(state.address, snapshot, self._profile)
        found = examine(self._case(state, snapshot))
        clients = _client_lines(state, snapshot)
        trend = trend_words(state.samples, state.forecast, snapshot.counters)
        parts = {
            "slow": _Part(bool(wait), wait),
            "notes": _Part(snapshot.notes, [f"note: {safe_text(note)}" for note in snapshot.notes]),
            "server": _Part((snapshot.server.run_id, snapshot.server.role), [server]),
            "next": _Part(verdict.first_step, first),
            "figures": _Part("", _figure_lines(state, snapshot)),
            "trend": _Part(state.forecast.trend, [f"trend: {trend}"]),
            "findings": _Part(tuple(map(_identity, found)), [_finding_line(one, way) for one in found] or [nothing]),
            "clients": _Part(tuple(line.split("  ")[-1] for line in clients), clients),
        }
        if (cluster := snapshot.cluster) is not None:
            levels = tuple((view.name, view.verdict and view.verdict.level) for view in cluster.nodes)
            head = f"nodes ({len(cluster.nodes)}), worst first; {cluster_sums(cluster)}:"
            parts["nodes"] = _Part(levels, [head, *node_lines(cluster)])
        return parts

    def _case(self, state: ServerState, snapshot: Snapshot) -> Case:
        return Case(
            now=snapshot,
            clients=state.clients or (),
            capabilities=state.capabilities,
            settings=state.settings,
            replicas=state.replicas,
            thresholds=self._profile.watch.thresholds,
            large=state.large,
            rates=state.rates,
            connection_args=self._profile.connection_args,
        )


def _server_line(address: Address, snapshot: Snapshot, profile: Profile) -> str:
    server = snapshot.server
    parts = [safe_text(str(address)), role_of(server), safe_text(server_text(server))]
    if server.node and server.node != str(address):
        parts.insert(1, f"node {safe_text(server.node)}")
    if server.uptime_seconds is not None:
        parts.append(f"up {sizes.duration(server.uptime_seconds)}")
    marks = (
        f"profile {safe_text(profile.name, 20)}" * bool(profile.name),
        "PRODUCTION" * profile.production,
        "read-only" * profile.read_only,
    )
    return f"server: {', '.join((*parts, *filter(None, marks)))}"


def _figure_lines(state: ServerState, snapshot: Snapshot) -> list[str]:
    split = breakdown_of(snapshot)
    parts = sorted(split.parts, key=lambda part: -part.size)
    held = ", ".join(f"{part.share.value} {sizes.short_size(part.size)}" for part in parts)
    return [
        f"memory: {', '.join(fact.clause for fact in gauge_facts(snapshot.memory))}",
        f"memory by use: {split.not_judged or held or 'unknown, as used_memory is'}",
        f"totals: {', '.join(fact.clause for fact in counter_facts(snapshot, state.rates))}",
        f"policy: {safe_text(snapshot.memory.policy)}",
    ]


def _identity(finding: Finding) -> Hashable:
    remedy = finding.remedy
    return (finding.id, finding.level, None if remedy is None else (remedy.match, remedy.db, remedy.client_id))


def _finding_line(finding: Finding, way: Sequence[str]) -> str:
    worth = f"; frees {saving(finding)}" if finding.saves_bytes is not None else ""
    return f"finding: {finding.level.value}: {safe_text(finding.title)}{worth}. {advice_with_commands(finding, way)}"


def _client_lines(state: ServerState, snapshot: Snapshot) -> list[str]:
    """The largest ones, with what they hold in two spaces before who they are."""
    if state.clients is None:
        return [f"clients: {safe_text(state.why_no_clients or 'CLIENT LIST has not answered yet')}"]
    ranked = others(state.clients)
    least = noteworthy_bytes(snapshot.memory.used_bytes or 0)
    hogs = [hog for hog in ranked if hog.client.total_bytes >= least]
    if not hogs:
        most = max((hog.client.total_bytes for hog in ranked), default=None)
        none = only_own(len(state.clients)) if most is None else f"No client buffer above {sizes.size(most)}"
        return [f"clients: {none}"]
    return [f"client: {_held(hog.client)}  {hog.words}" for hog in hogs[:_CLIENTS]]


def _held(client: ClientBuffer) -> str:
    parts = (("output", client.output_bytes), ("query", client.query_bytes))
    held = ", ".join(f"{word} {sizes.short_size(size)}" for word, size in parts)
    return f"{sizes.short_size(client.total_bytes)} ({held}), idle {sizes.duration(client.idle_seconds)}"


def line(state: ServerState, now: float, monotonic: float) -> str:
    """One tick in words: time, state, memory, what was refused and evicted, and the verdict's sentence."""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    return attempt("this line is", lambda: _line(state, monotonic, at), lambda fault: f"{at}  UNKNOWN  {fault.words}")


def _line(state: ServerState, monotonic: float, at: str) -> str:
    snapshot = state.snapshot
    if state.answer is None or snapshot is None or state.verdict is None:
        age = "" if snapshot is None else f" (last figures {sizes.duration(state.age(monotonic))} old)"
        return f"{at}  UNKNOWN  {safe_text(state.error or state.sample.reason or 'connecting')}{age}"
    memory, rates = snapshot.memory, state.rates
    between = " used, " if memory.maxmemory_bytes is None else " of "
    figures = [
        state.verdict.level.value.upper().ljust(8),
        f"{sizes.size(memory.counted_bytes)}{between}{limit_text(memory)}",
        "" if memory.pressure is None else sizes.percent(memory.pressure, 1),
        safe_text(memory.policy),
        f"refused {per_second(rates.per_second(rates.refused_writes))}",
        f"evicted {per_second(rates.per_second(rates.evicted_keys))}",
        f"keys {sizes.count(snapshot.keys)}",
        safe_text(state.verdict.reason),
    ]
    return "  ".join((at, *(figure for figure in figures if figure)))
