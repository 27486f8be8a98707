"""One round of questions to every node of a cluster, and what each said."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from msgspec import Struct, field

from redis_oom_tui.models.address import Address, ClusterNode
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.snapshot import NodeView, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.info_checks import with_write_settings
from redis_oom_tui.rules.verdict import judge, unknown
from redis_oom_tui.server.config_reader import read_settings
from redis_oom_tui.server.errors import translated
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.scan.tasks import together

# Questions under way at a time: enough for a wide cluster, few enough for the box that asks.
_AT_ONCE = 64
# A node that did not answer is left alone for a while, so that it does not hold up every round by its timeouts.
_LONGEST_REST = 15.0
_SETTINGS_EVERY = 60.0
# Nodes that serve nothing (replicas) are asked less often: in a wide cluster they are half of the work.
_OTHERS_EVERY = 10.0
_NOTHING: Mapping[str, str] = MappingProxyType({})


class _Known(Struct):
    """What is remembered of a node from one round to the next."""

    last: Snapshot | None = None
    error: str | None = None
    failures: int = 0
    rest_until: float = 0.0
    settings: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    settings_due: float = 0.0
    view: NodeView | None = None
    fresh_until: float = 0.0


class ClusterPoll:
    """Asks the nodes of a cluster, remembers what they said, and lets lost ones rest."""

    def __init__(self, server_of: Callable[[Address], LiveServer], monotonic: Callable[[], float] = time.monotonic):
        self._server_of = server_of
        self._monotonic = monotonic
        self._known: dict[str, _Known] = {}
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def ask(self, nodes: Iterable[ClusterNode]) -> tuple[NodeView, ...]:
        """A view of each of `nodes`, in their order; never raises for a node's fault."""
        return tuple(await together(self._view(node) for node in nodes))

    def forgive(self) -> None:
        """Ask lost nodes again in the next round, rested or not."""
        for known in self._known.values():
            known.rest_until = known.fresh_until = 0.0

    async def _view(self, node: ClusterNode) -> NodeView:
        known = self._known.setdefault(node.name, _Known())
        if not node.serves and known.view is not None and self._monotonic() < known.fresh_until:
            return replace(known.view, node=node)
        known.view, known.fresh_until = await self._look(node, known), self._monotonic() + _OTHERS_EVERY
        return known.view

    async def _look(self, node: ClusterNode, known: _Known) -> NodeView:
        if self._monotonic() < known.rest_until and known.error is not None:
            return NodeView(node, error=known.error, verdict=unknown(known.error))
        server = self._server_of(node.address)
        try:
            async with self._gate:
                snapshot = await server.snapshot()
                await self._settle(known, server)
        except TriageError as error:
            known.error, known.last = str(error), None
            known.failures += 1
            known.rest_until = self._monotonic() + min(_LONGEST_REST, 2.0 ** min(known.failures - 1, 5))
            return NodeView(node, error=known.error, verdict=unknown(known.error))
        snapshot = with_write_settings(snapshot, known.settings)
        verdict = judge(snapshot, known.last)
        known.last, known.error, known.failures = snapshot, None, 0
        return NodeView(node, snapshot, verdict, settings=known.settings)

    async def _settle(self, known: _Known, server: LiveServer) -> None:
        if self._monotonic() < known.settings_due:
            return
        with translated(server.address, "CONFIG GET"):
            known.settings = await read_settings(server.client())
        known.settings_due = self._monotonic() + _SETTINGS_EVERY
