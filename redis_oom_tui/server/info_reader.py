"""One look at a server: INFO, parsed; at best with the settings in the same round trip, and the clients after it."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from redis.asyncio import Redis

from redis_oom_tui.models.address import ClientBuffer, Connection
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.rules.headroom import headroom, list_of_clients
from redis_oom_tui.rules.info import snapshot_from_info
from redis_oom_tui.server.config_reader import ask_settings, refused_settings, settings_in
from redis_oom_tui.server.decode import data
from redis_oom_tui.server.errors import translated
from redis_oom_tui.server.replies import client_buffers, clients_in, info_in
from redis_oom_tui.server.tls_fallback import with_tls_hint

Closely = tuple[Snapshot, Mapping[str, str], tuple[ClientBuffer, ...], Capabilities]


class InfoReader:
    """The looks at one server, stamped by `monotonic`. `way` is how it is reached, `client` what reaches it so.

    `replica_lines` is what the last INFO said of each replica; None before the first.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._answered = False
        self.replica_lines: tuple[Mapping[str, object], ...] | None = None

    async def info(self, way: Connection, client: "Redis", section: str) -> dict[str, Any]:
        """INFO as it is told; raises one of `models.errors`, as all here do."""
        asking = _info(way, client, section)
        # One that never answered yet may be asked the wrong way, with TLS or without.
        told = await (asking if self._answered else with_tls_hint(way, asking))
        self._answered = True
        return told

    async def look(self, way: Connection, client: "Redis") -> Snapshot:
        """All of INFO."""
        started = self._monotonic()
        return self._seen(way, await self.info(way, client, "all"), started)

    async def closely(self, way: Connection, client: "Redis") -> Closely:
        """INFO and the settings in one round trip, then CLIENT LIST where its reply has room; the last two are empty
        where they may not be read.

        With it what was found to be refused: the settings, where none of them may be read, and a list too long to read.
        """
        started = self._monotonic()
        pipeline = client.pipeline(transaction=False)
        pipeline.execute_command("INFO", "all")
        asked = ask_settings(pipeline)
        with translated(way.address, "INFO"):
            info, *told = await pipeline.execute(raise_on_error=False)
            snapshot = self._seen(way, info_in(data(info)), started)
            known = refused_settings(told[:asked])
            too_long = list_of_clients(snapshot.activity.connected_clients, headroom(snapshot))
            if too_long is not None:
                return snapshot, settings_in(told), (), known.without(Feature.CLIENT_LIST, too_long)
            listing = client.pipeline(transaction=False)
            listing.execute_command("CLIENT", "LIST")
            (lines,) = await listing.execute(raise_on_error=False)
        clients = client_buffers(clients_in(lines)) if isinstance(lines, bytes) else ()
        return snapshot, settings_in(told), clients, known

    def _seen(self, way: Connection, info: Mapping[str, Any], started: float) -> Snapshot:
        now = self._monotonic()
        self.replica_lines = replica_lines(info)
        took = max(0.0, now - started)
        return snapshot_from_info(
            info,
            address=way.address,
            monotonic=now,
            wall=time.time(),
            took=took,
            stated_limit=way.stated_limit_bytes,
        )


def replica_lines(info: Mapping[str, object]) -> tuple[Mapping[str, object], ...]:
    """What INFO says of each replica."""
    return tuple(value for name, value in info.items() if name.startswith("slave") and isinstance(value, Mapping))


async def _info(way: Connection, client: "Redis", section: str) -> dict[str, Any]:
    with translated(way.address, "INFO"):
        return info_in(data(await client.execute_command("INFO", section)))
