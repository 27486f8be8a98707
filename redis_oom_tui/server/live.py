"""A live server, as screens and commands see it."""

import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis

from redis_oom_tui.models import address as addresses
from redis_oom_tui.models.address import ClientBuffer, LargeCommand
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.errors import CommandRefused, NotRedis, ServerUnreachable
from redis_oom_tui.models.keys import HotKeys, KeyDetails, KeyId, PatternSample
from redis_oom_tui.models.scan import Pace, ScanOptions, ScanView
from redis_oom_tui.models.snapshot import NodeView, Server, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.headroom import headroom, list_of_clients
from redis_oom_tui.server import probing
from redis_oom_tui.server.client import borrowed, doubt_idle, make_client
from redis_oom_tui.server.cluster.sentinels import MasterLocator
from redis_oom_tui.server.command_allowlist import CommandAllowlist
from redis_oom_tui.server.errors import translated
from redis_oom_tui.server.info_reader import Closely, InfoReader, replicas_of
from redis_oom_tui.server.replies import read_settings

if TYPE_CHECKING:
    from redis_oom_tui.server.scan.keyspace import KeyspaceScan


class LiveServer:
    """One server behind redis-py's connections. Implements `ports.Source`; `monotonic` stamps its snapshots.

    `seen` is who answered last, None before the first: a failover changes its role, a restart its run id. `known` is
    what may be done here, as far as a command learnt it; None to ask when it is wanted next. `superseded` asks other
    nodes of its cluster whether its slots are served elsewhere now: then nobody waits for it to come back. One that is
    made `closed` keeps no connection until it is opened.
    """

    def __init__(
        self,
        connection: addresses.Connection,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        closed: bool = False,
    ) -> None:
        self._where = MasterLocator(connection)
        self._info_reader = InfoReader(monotonic, lambda: (self.connection, self.client()))
        self._clients: dict[tuple[int, bool], Redis] = {}
        self._closed = closed
        self.known: Capabilities | None = None
        self.seen: Server | None = None
        self.superseded: Callable[[], Awaitable[bool]] = _never

    @property
    def connection(self) -> addresses.Connection:
        """How it is reached now: behind Sentinels the address changes with the master."""
        return self._where.connection

    @property
    def address(self) -> addresses.Address:
        return self.connection.address

    def client(self, db: int = 0, *, changing: bool = False) -> "Redis":
        """The client of database `db`, made on first use; `changing` is for confirmed actions alone.

        What still asks after `close` gets its answer, and leaves no connection behind.
        """
        key = (db, changing)
        if key not in self._clients:
            allowlist = CommandAllowlist(read_only=self.connection.read_only, changing=changing)
            self._clients[key] = make_client(self.connection, db=db, allowlist=allowlist, closed=self._closed)
        return self._clients[key]

    async def open(self) -> None:
        """Connect, find the master where Sentinels are asked, and see that it is a server with data, and has the
        database that was chosen.

        Raises one of `models.errors`.
        """
        await self.locate()
        try:
            info = await self._info_reader.info("server")
        except ServerUnreachable as error:
            raise self._where.named(error) from None
        except CommandRefused:
            return  # each look says so, and keys may be scanned all the same
        mode = info.get("redis_mode", info.get("server_mode"))
        if mode == "sentinel":
            raise NotRedis(
                f"{self.address} is a Sentinel and holds no data: give it as --sentinel {self.address} --master NAME"
            )
        if db := self.connection.db:
            await probing.require_database(
                self.client(db), self.client(), self.address, db, clustered=mode == "cluster"
            )

    async def locate(self) -> None:
        """Find the master where Sentinels are asked; else send nothing, and leave it to the first look to connect."""
        if self._closed:
            self._closed, self._clients = False, {}
        await _forgotten(self, await self._where.find())

    async def close(self, *, to_stay: bool = True) -> None:
        """Let go of every connection; those of further questions are kept again, unless it is closed `to_stay` so."""
        self._closed = self._closed or to_stay
        clients, self._clients = list(self._clients.values()), {}
        async with contextlib.AsyncExitStack() as leaving:
            for client in clients:
                leaving.push_async_callback(client.aclose)

    async def capabilities(self) -> Capabilities:
        if self.known is None:
            client = self.client()
            with translated(self.address):
                async with borrowed(client) as connection:
                    refused_setup = dict(connection.refused_setup)
                self.known = await probing.probe_reads(client, self.address, refused_setup)
        return self.known

    async def snapshot(self, section: str = "all") -> Snapshot:
        """One INFO, parsed: all of it, or a `section`. Behind Sentinels a lost or demoted master is looked for again,
        once.
        """
        try:
            snapshot = await _polled(self._info_reader, section, self._clients)
        except ServerUnreachable as error:
            if not await _forgotten(self, await self._where.follow()):
                raise self._where.named(error) from None
            snapshot = await self._info_reader.poll(section)
        if snapshot.server.role == "replica" and await _forgotten(self, await self._where.follow()):
            snapshot = await self._info_reader.poll(section)
        self.seen = snapshot.server
        if snapshot.server.role == "replica":
            self._where.doubt()
        return replace(snapshot, notes=self._where.new_notes())

    async def read_closely(self) -> Closely:
        """INFO, the settings and CLIENT LIST, and what of them was refused: see `InfoReader.closely`."""
        return await self._info_reader.closely()

    async def clients(self) -> tuple[ClientBuffer, ...]:
        """CLIENT LIST, the largest holders of memory first. Raises CommandRefused where its reply has no room."""
        snapshot = await self._info_reader.poll()
        too_long = list_of_clients(snapshot.activity.connected_clients, headroom(snapshot))
        if too_long is not None:
            raise CommandRefused(too_long, command="CLIENT LIST")
        return await self._info_reader.clients("CLIENT", "LIST")

    async def client_by_id(self, client_id: int) -> ClientBuffer | None:
        """What CLIENT LIST says of one client; None where it is gone."""
        found = await self._info_reader.clients("CLIENT", "LIST", "ID", client_id)
        return next((one for one in found if one.id == client_id), None)

    async def settings(self) -> Mapping[str, str]:
        """The settings that a diagnosis looks at; empty where CONFIG is not to be had."""
        with translated(self.address, "CONFIG GET"):
            return await read_settings(self.client())

    async def large_commands(self) -> tuple[LargeCommand, ...]:
        """Who sent large values of late, by the server's logs; empty where none may be read."""
        from redis_oom_tui.server.server_logs import large_commands  # noqa: PLC0415 - asked for near the limit only

        return await large_commands(self)

    async def hot_keys(self) -> tuple[HotKeys, ...]:
        """The hottest keys, where they are tracked, in one element. Raises CommandRefused."""
        from redis_oom_tui.server.server_logs import hot_keys  # noqa: PLC0415 - seldom asked for

        return (await hot_keys(self.client(), self.address),)

    async def replicas(self) -> tuple[NodeView, ...]:
        """What each replica that INFO names says of itself, or why it does not. Raises one of `models.errors`."""
        if self._info_reader.last is None:
            await self.snapshot()
        return await replicas_of(self.connection, self._info_reader.last or {}, LiveServer)

    async def samples(self, scan: ScanView, *, applications_only: bool = False) -> tuple[PatternSample, ...]:
        from redis_oom_tui.server.values import sample_patterns  # noqa: PLC0415 - as for the scan

        return await sample_patterns(self, scan, applications_only=applications_only)

    def scan(self, options: ScanOptions) -> "KeyspaceScan":
        from redis_oom_tui.server.scan.keyspace import KeyspaceScan  # noqa: PLC0415 - `check` must not pay for it

        return KeyspaceScan(self, options)

    def resumed(
        self, progress: Mapping[str, Any], *, pace: Pace | None = None, sample: int | None = None
    ) -> "KeyspaceScan":
        """The scan that gave `progress` when it broke off, to go on with; raises BadInput where that is damaged."""
        from redis_oom_tui.server.scan.checkpoint import checkpoint_from  # noqa: PLC0415 - as for the scan
        from redis_oom_tui.server.scan.keyspace import KeyspaceScan  # noqa: PLC0415

        begun = checkpoint_from(progress, pace=pace, sample=sample)
        return KeyspaceScan(self, begun.options, begun=begun)

    async def details(self, key: KeyId, *, touch: bool = False) -> KeyDetails | None:
        from redis_oom_tui.server.scan.details import details  # noqa: PLC0415 - as for the scan

        return await details(self, key, touch=touch)


async def _polled(reader: InfoReader, section: str, clients: Mapping[Any, Redis]) -> Snapshot:
    """INFO; asked once more of a server that was heard before and closed the connection, as that may have happened
    while nobody used it. Then those of other `clients` that rest may be gone as well.
    """
    try:
        return await reader.poll(section)
    except ServerUnreachable as error:
        if error.silent or reader.last is None:
            raise
    for client in clients.values():
        doubt_idle(client)
    return await reader.poll(section)


async def _never() -> bool:
    return False


async def _forgotten(server: LiveServer, moved: bool) -> bool:
    """`moved`; where another server is meant from now on, the one that was there until now is forgotten."""
    if moved:
        server.known = None
        await server.close(to_stay=False)
    return moved
