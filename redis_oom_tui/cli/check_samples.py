"""The samples that `check` judges by: from the preflight, or through the driver."""

import time
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.errors import CommandRefused, TriageError
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.rules.history import between
from redis_oom_tui.rules.verdict import judge
from redis_oom_tui.rules.verdict.facts import LONGER_SECONDS, STEP_SECONDS, needs_longer_sample
from redis_oom_tui.server.preflight import Preflight

if TYPE_CHECKING:
    from redis_oom_tui.models.snapshot import NodeView
    from redis_oom_tui.server.cluster.source import ClusterSource
    from redis_oom_tui.server.live import LiveServer

    Server = LiveServer | ClusterSource

# The rules that speak where every write is refused.
_BLOCKED = ("misconf", "noreplicas")


class CheckSamples(Struct, frozen=True):
    """Both samples, with what was asked beside the second."""

    before: Snapshot
    now: Snapshot
    settings: Mapping[str, str]
    clients: tuple[ClientBuffer, ...]
    capabilities: Capabilities
    replicas: "tuple[NodeView, ...]"


def sampled(invocation: Invocation, preflight: Preflight | None, *, gap: float) -> CheckSamples:
    """Two samples, `gap` seconds apart at least; more where refused writes may have been missed. Raises TriageError."""
    samples = None if preflight is None else _sampled(invocation, preflight)
    if samples is not None and preflight is not None and _may_have_missed(samples.before, samples.now, invocation):
        samples = _sampled_longer(invocation, preflight, samples)
    if samples is None:
        import asyncio

        samples = asyncio.run(_ask(invocation, gap))
    db = invocation.connection.db
    if db and samples.now.cluster is None and db not in {each.db for each in samples.now.databases}:
        import asyncio

        # One without a key is not in the sample: it may not be there at all.
        asyncio.run(_opened(invocation))
    return samples


async def _opened(invocation: Invocation) -> None:
    from redis_oom_tui.server.live import LiveServer

    server = LiveServer(invocation.connection)
    try:
        await server.open()
    finally:
        await server.close()


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
    return not seen and needs_longer_sample(now, thresholds)


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
    if preflight.unreachable is not None:
        raise preflight.unreachable
    if before is None or closer is None:
        return None
    return CheckSamples(before, closer.snapshot(), closer.settings(), closer.clients(), closer.capabilities(), replicas)


def _replicas_named(invocation: Invocation, info: Mapping[str, object]) -> "tuple[NodeView, ...]":
    """Asked while the pause between the samples runs; only this needs the driver then."""
    import asyncio

    from redis_oom_tui.server.info_reader import replicas_of
    from redis_oom_tui.server.live import LiveServer

    return asyncio.run(replicas_of(invocation.connection, info, LiveServer))


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
        return await server.read_closely()
    clients, unlisted = await _clients(server.clients())
    settings = await server.settings()
    snapshot, known = await server.snapshot(), await server.capabilities()
    return snapshot, settings, clients, known.without(Feature.CLIENT_LIST, unlisted) if unlisted else known


async def _replicas(server: "Server", snapshot: Snapshot) -> "tuple[NodeView, ...]":
    """The replicas of a master that is no cluster; in a cluster they are among the nodes."""
    from redis_oom_tui.ports.source import SeesReplicas

    if not isinstance(server, SeesReplicas) or not snapshot.activity.connected_replicas:
        return ()
    try:
        return await server.replicas()
    except TriageError:
        return ()


async def _clients(asked: Awaitable[tuple[ClientBuffer, ...]]) -> tuple[tuple[ClientBuffer, ...], str]:
    """The clients, or why they are not listed."""
    try:
        return await asked, ""
    except CommandRefused as error:
        return (), str(error).rstrip(".")
