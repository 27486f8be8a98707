"""What the screen asks of a server beside INFO: clients, settings, rights, replicas, each as often as it is worth."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

from redis_oom_tui.models.address import ClientBuffer, LargeCommand
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.errors import CommandRefused, TriageError
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.snapshot import NodeView, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.ports.source import PolledSource, SeesReplicas, Source, TellsLargeCommands, TellsSettings
from redis_oom_tui.rules.clients import with_clients
from redis_oom_tui.rules.guarded import DEFECTS, FAULTS
from redis_oom_tui.rules.info_fields import with_settings
from redis_oom_tui.rules.verdict import within_rights

_CLIENTS_SECONDS = 5.0
_SETTINGS_SECONDS = 30.0
_REPLICAS_SECONDS = 30.0
# The logs of commands are some hundred KB at most, and asked for only where they may matter.
_LARGE_SECONDS = 60.0
_LARGE_FROM = 0.80


class Details:
    """What `source` last told. `clients` is None until CLIENT LIST answered, or where it is refused or was not asked
    for, which `unlisted` explains; `scan` tells what the keys were last found to hold.
    """

    def __init__(self, source: Source, scan: Callable[[], ScanView | None] = lambda: None) -> None:
        self.scan = scan
        self.clients: tuple[ClientBuffer, ...] | None = None
        self.unlisted = ""
        self.settings: Mapping[str, str] = MappingProxyType({})
        self.capabilities = Capabilities()
        self.large: tuple[LargeCommand, ...] = ()
        self._source = source
        self._clients_due = self._settings_due = self._large_due = 0.0

    async def ask(self, snapshot: Snapshot) -> Snapshot:
        """Ask for what is due; returns `snapshot` with what that adds to it. Raises one of `models.errors`."""
        self.capabilities = await self._source.capabilities()
        await self._ask_clients(snapshot.taken_monotonic)
        await self._ask_settings(snapshot.taken_monotonic)
        await self._ask_large(snapshot)
        return with_settings(with_clients(snapshot, self.clients or (), fresh=False), self.settings)

    def added_to(self, state: ServerState) -> ServerState:
        """`state` with what is known by now."""
        return replace(
            state,
            verdict=None if state.verdict is None else within_rights(state.verdict, self.capabilities),
            clients=self.clients,
            unlisted=self.unlisted,
            settings=self.settings,
            capabilities=self.capabilities,
            large=self.large,
        )

    async def _ask_clients(self, now: float) -> None:
        if now < self._clients_due or not self.capabilities.has(Feature.CLIENT_LIST):
            return
        self._clients_due = now + _CLIENTS_SECONDS
        try:
            self.clients, self.unlisted = await self._source.clients(), ""
        except CommandRefused as error:
            self.clients, self.unlisted = None, str(error)

    async def _ask_settings(self, now: float) -> None:
        if now < self._settings_due or not isinstance(self._source, TellsSettings):
            return
        self._settings_due = now + _SETTINGS_SECONDS
        self.settings = await self._source.settings()

    async def _ask_large(self, snapshot: Snapshot) -> None:
        """Who sends large values, near the limit and after refusals."""
        full = (snapshot.memory.pressure or 0.0) >= _LARGE_FROM or snapshot.counters.refused_writes_total
        if full and snapshot.taken_monotonic >= self._large_due and isinstance(self._source, TellsLargeCommands):
            self._large_due = snapshot.taken_monotonic + _LARGE_SECONDS
            with contextlib.suppress(CommandRefused):
                self.large = await self._source.large_commands()


class ReplicaPoll:
    """What the replicas of `source` last said. Asks nothing where there are none, or where `source` cannot ask."""

    def __init__(self, source: PolledSource) -> None:
        self._source = source
        self._views: tuple[NodeView, ...] = ()
        self._due = 0.0
        self._asking: asyncio.Task[None] | None = None

    def seen(self, snapshot: Snapshot) -> tuple[NodeView, ...]:
        """As last told; begins to ask again when that is due, beside the polls: a replica may be behind a firewall."""
        if not snapshot.activity.connected_replicas or snapshot.cluster is not None:
            self._views, self._due = (), 0.0
        elif snapshot.taken_monotonic >= self._due and self._asking is None and isinstance(self._source, SeesReplicas):
            self._due = snapshot.taken_monotonic + _REPLICAS_SECONDS
            self._asking = asyncio.create_task(self._ask(self._source))
        return self._views

    async def answered(self) -> None:
        """Wait until those that are being asked have answered, which each must within seconds."""
        if self._asking is not None:
            await asyncio.wait((self._asking,))

    async def _ask(self, source: SeesReplicas) -> None:
        try:
            # A primary that cannot be asked is the poll's own failure: it is told there.
            with contextlib.suppress(TriageError, OSError):
                self._views = await source.replicas()
        except FAULTS as error:
            self._views = ()
            DEFECTS.take("what the replicas say is", error)
        finally:
            self._asking = None

    def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
