"""`check`: one verdict, for monitoring and for people; exit 0 ok, 1 warning, 2 critical, 3 unknown."""

import asyncio
import json
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import click

from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.models.errors import CommandRefused, TriageError
from redis_oom_tui.models.snapshot import ClientBuffer, Snapshot
from redis_oom_tui.models.verdict import Finding, Verdict
from redis_oom_tui.words.check_document import share_of_limit
from redis_oom_tui.words.hostile import safe_text
from redis_oom_tui.words.sizes import count, duration, size

if TYPE_CHECKING:
    from redis_oom_tui.models.fleet import NodeView
    from redis_oom_tui.store.fleet.cluster import ClusterSource
    from redis_oom_tui.store.live import LiveServer

# Between its two looks: long enough to see writes being refused, short enough for a monitoring plugin.
_GAP_SECONDS = 0.1
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class _Answer:
    verdict: Verdict
    snapshot: Snapshot
    findings: tuple[Finding, ...]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def check(invocation: Invocation, *, as_json: bool) -> int:
    """One verdict on the server: exit 0 ok, 1 warning, 2 critical or refusing writes, 3 unknown."""
    from redis_oom_tui.words.check_document import check_document

    try:
        answer = asyncio.run(_ask(invocation))
    except TriageError as error:
        from redis_oom_tui.rules.verdict import unknown

        verdict = unknown(str(error))
        if as_json:
            click.echo(json.dumps(check_document(verdict, invocation.connection.address)))
        else:
            click.echo(f"{verdict.level.value.upper()}: {verdict.reason}")
        return verdict.level.exit_code
    if as_json:
        document = check_document(answer.verdict, answer.snapshot.server.address, answer.snapshot, answer.findings)
        click.echo(json.dumps(document))
    else:
        click.echo("\n".join(_lines(answer)))
    return answer.verdict.level.exit_code


async def _ask(invocation: Invocation) -> _Answer:
    from redis_oom_tui.store.live import LiveServer
    from redis_oom_tui.store.opening import source_for

    thresholds = invocation.profile.watch.thresholds
    server = source_for(invocation.connection)
    try:
        # The first look connects, and says what is wrong with that as well: on a slow link a round trip less.
        await (server.locate() if isinstance(server, LiveServer) else server.open())
        before = await server.snapshot()
        replicas = asyncio.create_task(_replicas(server, before))
        # The time between the two looks is enough to load what will judge them.
        from redis_oom_tui.files.machine import with_room
        from redis_oom_tui.rules.findings import Case, examine
        from redis_oom_tui.rules.verdict import judge

        await asyncio.sleep(max(0.0, _GAP_SECONDS - (time.monotonic() - before.taken_monotonic)))
        seen, settings, clients = await _closely(server)
        now = with_room(seen)
        case = Case(now, clients=clients, settings=settings, replicas=await replicas, thresholds=thresholds)
    finally:
        await server.close()
    return _Answer(judge(now, before, thresholds), now, examine(case))


async def _closely(
    server: "LiveServer | ClusterSource",
) -> tuple[Snapshot, Mapping[str, str], tuple[ClientBuffer, ...]]:
    """The second look, with the settings and the clients: in one round trip where that is one server."""
    from redis_oom_tui.store.live import LiveServer

    if isinstance(server, LiveServer):
        return await server.look_closely()
    clients = await _clients(server.clients())
    settings = await server.settings()
    return await server.snapshot(), settings, clients


async def _replicas(server: object, snapshot: Snapshot) -> "tuple[NodeView, ...]":
    """The replicas of a master that is no cluster; in a cluster they are among the nodes."""
    from redis_oom_tui.ports import SeesReplicas

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


def _lines(answer: _Answer) -> list[str]:
    verdict, snapshot = answer.verdict, answer.snapshot
    server, memory = snapshot.server, snapshot.memory
    counters = snapshot.counters
    use = f"used {size(memory.used_bytes)} ({share_of_limit(memory)}), rss {size(memory.rss_bytes)}"
    totals = f"refused writes {count(counters.refused_writes_total)}, evicted keys {count(counters.evicted_keys_total)}"
    lines = [
        f"{verdict.level.value.upper()}: {verdict.reason}",
        f"  {server.address}  {server.flavour} {server.version}, {server.role}",
        f"  {use}, peak {size(memory.peak_bytes)}, {memory.policy}",
        f"  {totals}, {count(snapshot.keys)} keys, {count(snapshot.expires)} with a TTL",
    ]
    if verdict.since is not None:
        began = datetime.fromtimestamp(verdict.since).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")
        lines.append(f"  since {began}, {duration(snapshot.taken_at - verdict.since)} ago")
    lines += [f"  ! {safe_text(note)}" for note in snapshot.notes]
    if snapshot.fleet is not None:
        from redis_oom_tui.words.fleet_lines import node_lines

        lines += [f"  {line}" for line in node_lines(snapshot.fleet)]
    if verdict.first_step:
        lines.append(f"  First: {verdict.first_step}")
    lines += [f"  - {finding.title}. {finding.advice}" for finding in answer.findings[:_SHOWN]]
    return lines
