"""A live server, as screens and commands see it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from redis_oom_tui.models import address as addresses
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.errors import CommandRefused, NotRedis, ServerUnreachable, TriageError
from redis_oom_tui.models.fleet import NodeView
from redis_oom_tui.models.keys import KeyDetails, KeyId
from redis_oom_tui.models.scan import Pace, ScanOptions, ScanView
from redis_oom_tui.models.snapshot import ClientBuffer, Snapshot
from redis_oom_tui.models.values import FamilySample
from redis_oom_tui.rules.info import snapshot_from_info
from redis_oom_tui.store import probing
from redis_oom_tui.store.client import make_client
from redis_oom_tui.store.errors import translated
from redis_oom_tui.store.fleet import sentinels
from redis_oom_tui.store.gate import Gate
from redis_oom_tui.store.other_way import heeded
from redis_oom_tui.store.replies import client_buffers
from redis_oom_tui.store.told import ask_settings, read_settings, refused_settings, settings_in
from redis_oom_tui.words.hostile import safe_text

if TYPE_CHECKING:
    from redis_oom_tui.store.scan.keyspace import KeyspaceScan


class LiveServer:
    """One server behind redis-py's connections. Implements `ports.Source`.

    `monotonic` and `wall` are the clocks that stamp the snapshots. `replica_lines` is what the last one's INFO said of
    each replica; None before the first.
    """

    def __init__(
        self,
        connection: addresses.Connection,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.connection = connection
        self._monotonic = monotonic
        self._wall = wall
        self._clients: dict[tuple[int, bool], Redis] = {}
        self._answered = False
        self._capabilities: Capabilities | None = None
        self._notes: tuple[str, ...] = ()
        self._doubted: addresses.Address | None = None
        self.replica_lines: tuple[Mapping[str, object], ...] | None = None

    @property
    def address(self) -> addresses.Address:
        """Where it is, for people."""
        return self.connection.address

    def client(self, db: int = 0, *, changing: bool = False) -> "Redis":
        """The client of database `db`, made on first use; `changing` is for confirmed actions alone."""
        key = (db, changing)
        if key not in self._clients:
            gate = Gate(read_only=self.connection.read_only, changing=changing)
            self._clients[key] = make_client(self.connection, db=db, gate=gate)
        return self._clients[key]

    async def open(self) -> None:
        """Connect, find the master where Sentinels are asked, and see that it is a server with data.

        Raises one of `models.errors`.
        """
        await self.locate()
        try:
            info = await heeded(self.connection, self._info("server"))
        except ServerUnreachable as error:
            raise self._named(error) from None
        except CommandRefused:
            return  # each look says so, and keys may be walked all the same
        self._answered = True
        if info.get("redis_mode", info.get("server_mode")) == "sentinel":
            raise NotRedis(
                f"{self.address} is a Sentinel and holds no data: give it as --sentinel {self.address} --master NAME"
            )

    async def locate(self) -> None:
        """Find the master where Sentinels are asked; else send nothing, and leave it to the first look to connect."""
        if self.connection.sentinel is not None:
            await self._find_master()

    async def close(self) -> None:
        """Let go of every connection."""
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            await client.aclose()

    async def capabilities(self) -> Capabilities:
        """What may be read here, asked once."""
        if self._capabilities is None:
            client = self.client()
            with translated(self.address):
                connection = await client.connection_pool.get_connection()
                manners = dict(connection.refused_manners)
                await client.connection_pool.release(connection)
                self._capabilities = await probing.probe_reads(client, manners)
        return self._capabilities

    def remember(self, capabilities: Capabilities) -> None:
        """Keep what a later command learnt."""
        self._capabilities = capabilities

    async def snapshot(self) -> Snapshot:
        """One INFO, parsed. Behind Sentinels a lost or demoted master is looked for again, once."""
        try:
            snapshot = await self._look()
        except ServerUnreachable as error:
            if not await self._followed():
                raise self._named(error) from None
            snapshot = await self._look()
        if snapshot.server.role == "replica" and await self._followed():
            snapshot = await self._look()
        if snapshot.server.role == "replica":
            self._doubt()
        notes, self._notes = self._notes, ()
        return replace(snapshot, notes=notes)

    def _named(self, error: ServerUnreachable) -> ServerUnreachable:
        """Behind Sentinels: who sent us there."""
        sentinel = self.connection.sentinel
        if sentinel is None:
            return error
        return ServerUnreachable(f"{error}; the Sentinels name it as master of {safe_text(sentinel.master, 80)}")

    def _doubt(self) -> None:
        """Say once of each address that the Sentinels take a replica for the master."""
        sentinel = self.connection.sentinel
        if sentinel is None or self._doubted == self.address:
            return
        self._doubted = self.address
        self._notes += (sentinels.doubt(self.address, sentinel),)

    async def _look(self) -> Snapshot:
        started = self._monotonic()
        asking = self._info("all")
        info = await (asking if self._answered else heeded(self.connection, asking))
        self._answered = True
        return self._seen(info, started)

    async def _info(self, section: str) -> dict[str, Any]:
        with translated(self.address, "INFO"):
            return dict(await self.client().info(section))

    def _seen(self, info: dict[str, Any], started: float) -> Snapshot:
        now = self._monotonic()
        self.replica_lines = replica_lines(info)
        return snapshot_from_info(
            info, address=self.address, monotonic=now, wall=self._wall(), took=max(0.0, now - started)
        )

    async def look_closely(self) -> tuple[Snapshot, Mapping[str, str], tuple[ClientBuffer, ...], Capabilities]:
        """INFO, the settings and CLIENT LIST in one round trip; the last two are empty where they may not be read.

        With it what was found to be refused: the settings, where none of them may be read.
        """
        started = self._monotonic()
        pipeline = self.client().pipeline(transaction=False)
        pipeline.info("all")
        asked = ask_settings(pipeline)
        pipeline.client_list()
        with translated(self.address, "INFO"):
            info, *more = await pipeline.execute(raise_on_error=False)
            if isinstance(info, RedisError):
                raise info
            snapshot = self._seen(info, started)
        lines, told = more[asked], more[:asked]
        clients = () if isinstance(lines, RedisError) else client_buffers(lines)
        return snapshot, settings_in(told), clients, refused_settings(told)

    async def clients(self) -> tuple[ClientBuffer, ...]:
        """CLIENT LIST, the largest holders of memory first."""
        with translated(self.address, "CLIENT LIST"):
            return client_buffers(await self.client().client_list())

    async def settings(self) -> Mapping[str, str]:
        """The settings that a diagnosis looks at; empty where CONFIG is not to be had."""
        with translated(self.address, "CONFIG GET"):
            return await read_settings(self.client())

    async def replicas(self) -> tuple[NodeView, ...]:
        """What each replica that INFO names says of itself, or why it does not; none behind a refused INFO."""
        from redis_oom_tui.store.fleet.replicas import replicas_of  # noqa: PLC0415 - it is made of servers like this

        return await replicas_of(self)

    async def samples(self, scan: ScanView) -> tuple[FamilySample, ...]:
        """A few keys of each of the largest families, boiled down to figures."""
        from redis_oom_tui.store.values import sample_families  # noqa: PLC0415 - as for the scan

        return await sample_families(self, scan)

    def scan(self, options: ScanOptions) -> "KeyspaceScan":
        """A scan that has not started yet."""
        from redis_oom_tui.store.scan.keyspace import KeyspaceScan  # noqa: PLC0415 - `check` must not pay for it

        return KeyspaceScan(self, options)

    def resumed(
        self, progress: Mapping[str, Any], *, pace: Pace | None = None, sample: int | None = None
    ) -> "KeyspaceScan":
        """The scan that gave `progress` when it broke off, to go on with; raises BadInput where that is damaged."""
        from redis_oom_tui.store.scan.keeping import begun_from  # noqa: PLC0415 - as for the scan
        from redis_oom_tui.store.scan.keyspace import KeyspaceScan  # noqa: PLC0415

        begun = begun_from(progress, pace=pace, sample=sample)
        return KeyspaceScan(self, begun.options, begun=begun)

    async def details(self, key: KeyId) -> KeyDetails | None:
        """A closer look at one key that leaves no trace; None where it is gone."""
        from redis_oom_tui.store.scan.details import details  # noqa: PLC0415 - as for the scan

        return await details(self, key)

    async def _find_master(self) -> bool:
        """Ask the Sentinels again; True where they name another address than before, which is then ours."""
        if self.connection.sentinel is None:
            return False
        before = self.address
        master = await sentinels.master_of(self.connection, self.connection.sentinel)
        if master == before:
            return False
        await self.close()
        self.connection = replace(self.connection, address=master)
        self._capabilities = None
        return True

    async def _followed(self) -> bool:
        """Whether a failover was found and followed: the next snapshot then says so."""
        before = self.address
        try:
            moved = await self._find_master()
        except TriageError:
            return False
        if moved and self.connection.sentinel is not None:
            name = safe_text(self.connection.sentinel.master, 80)
            self._notes = (
                f"failover: the Sentinels now name {self.address} as master of {name}, in place of {before}",
            )
        return moved


def replica_lines(info: Mapping[str, object]) -> tuple[Mapping[str, object], ...]:
    """What INFO says of each replica."""
    return tuple(value for name, value in info.items() if name.startswith("slave") and isinstance(value, Mapping))
