"""A live server, as screens and commands see it."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from redis.asyncio import Redis

from redis_oom_tui.models import address as addresses
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.errors import NotRedis, TriageError
from redis_oom_tui.models.snapshot import ClientBuffer, Snapshot
from redis_oom_tui.rules.info import snapshot_from_info
from redis_oom_tui.store import probing
from redis_oom_tui.store.client import make_client
from redis_oom_tui.store.errors import translated
from redis_oom_tui.store.gate import Gate


class LiveServer:
    """One server behind redis-py's connections. Implements `ports.Source`.

    `monotonic` and `wall` are the clocks that stamp the snapshots.
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
        self._capabilities: Capabilities | None = None

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
        if self.connection.sentinel is not None:
            await self._ask_sentinels(self.connection.sentinel)
        with translated(self.address, "INFO"):
            info = await self.client().info("server")
        if info.get("redis_mode", info.get("server_mode")) == "sentinel":
            raise NotRedis(
                f"{self.address} is a Sentinel and holds no data: give it as --sentinel {self.address} --master NAME"
            )

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
        """One INFO, parsed."""
        started = self._monotonic()
        with translated(self.address, "INFO"):
            info: dict[str, Any] = await self.client().info("all")
        now = self._monotonic()
        return snapshot_from_info(
            info, address=self.address, monotonic=now, wall=self._wall(), took=max(0.0, now - started)
        )

    async def clients(self) -> tuple[ClientBuffer, ...]:
        """CLIENT LIST, the largest holders of memory first."""
        with translated(self.address, "CLIENT LIST"):
            lines: list[dict[str, str]] = await self.client().client_list()
        buffers = [_client_buffer(line) for line in lines]
        return tuple(sorted(buffers, key=lambda buffer: -buffer.total_bytes))

    async def _ask_sentinels(self, sentinel: addresses.Sentinel) -> None:
        failure: TriageError | None = None
        for where in sentinel.addresses:
            asked = make_client(replace(self.connection, address=where, sentinel=None, username=None, password=None))
            try:
                with translated(where, "SENTINEL GET-MASTER-ADDR-BY-NAME"):
                    found = await asked.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", sentinel.master)
            except TriageError as error:
                failure = error
                continue
            finally:
                await asked.aclose()
            if found is not None:
                master = addresses.Address(str(found[0], "ascii"), int(found[1]))
                self.connection = replace(self.connection, address=master)
                return
        raise failure or NotRedis(f"no Sentinel knows a master named {sentinel.master!r}: check --master")


def _client_buffer(line: dict[str, str]) -> ClientBuffer:
    def number(field: str) -> int:
        text = str(line.get(field, "0"))
        return int(text) if text.lstrip("-").isdigit() else 0

    def raw(field: str) -> bytes:
        return str(line.get(field, "")).encode("utf-8", "surrogateescape")

    output = number("omem")
    query = number("qbuf") + number("qbuf-free")
    return ClientBuffer(
        id=number("id"),
        address=str(line.get("addr", "")),
        name=raw("name"),
        library=raw("lib-name"),
        user=raw("user"),
        command=raw("cmd"),
        flags=str(line.get("flags", "")),
        total_bytes=max(number("tot-mem"), output + query),
        output_bytes=output,
        query_bytes=query,
        age_seconds=number("age"),
        idle_seconds=number("idle"),
        subscriptions=number("sub") + number("psub") + number("ssub"),
    )
