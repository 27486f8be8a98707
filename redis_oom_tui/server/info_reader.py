"""What INFO says of a server, with its settings and clients; of each replica; and how many of some keys had expired."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from redis import exceptions
from redis.asyncio import Redis

from redis_oom_tui.models.address import Address, ClientBuffer, ClusterNode, Connection
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.snapshot import NodeView, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.ports.source import PolledSource
from redis_oom_tui.rules.headroom import headroom, list_of_clients
from redis_oom_tui.rules.info import snapshot_from_info
from redis_oom_tui.rules.info_fields import most_expiring
from redis_oom_tui.server.client import make_client
from redis_oom_tui.server.connection_options import with_tls_hint
from redis_oom_tui.server.errors import translated
from redis_oom_tui.server.replies import (
    ask_settings,
    client_buffers,
    clients_in,
    data,
    info_in,
    page,
    refused_settings,
    settings_in,
)
from redis_oom_tui.server.scan.connection import MonitoredServer
from redis_oom_tui.server.tasks import together

Closely = tuple[Snapshot, Mapping[str, str], tuple[ClientBuffer, ...], Capabilities]


BRIEF = ""
"""What INFO tells by itself, without the counts and latencies by command: on a server that works, those take it several
times as long as the rest.
"""


class InfoReader:
    """The looks at one server, stamped by `monotonic`. `reach` tells how it is reached now, and the client that does.

    `last` is what INFO said last; None before the first.
    """

    def __init__(self, monotonic: Callable[[], float], reach: Callable[[], tuple[Connection, Redis]]) -> None:
        self._reach = reach
        self._monotonic = monotonic
        self._answered = False
        self.last: Mapping[str, object] | None = None

    async def info(self, section: str) -> dict[str, Any]:
        """INFO as it is told; raises one of `models.errors`, as all here do."""
        way, client = self._reach()
        asking = _info(way, client, section)
        # One that never answered yet may be asked the wrong way, with TLS or without.
        info = await (asking if self._answered else with_tls_hint(way, asking))
        self._answered = True
        return info

    async def poll(self, section: str = "all") -> Snapshot:
        """INFO, all of it or a `section`."""
        started = self._monotonic()
        info = await self.info(section)
        return self._seen(self._reach()[0], info, started)

    async def closely(self) -> Closely:
        """INFO and the settings in one round trip, then CLIENT LIST where its reply has room; the last two are empty
        where they may not be read.

        With it what was found to be refused: the settings, where none of them may be read, and a list too long to read.
        """
        (way, client), started = self._reach(), self._monotonic()
        pipeline = client.pipeline(transaction=False)
        pipeline.execute_command("INFO", "all")
        asked = ask_settings(pipeline)
        with translated(way.address, "INFO"):
            info, *others = await pipeline.execute(raise_on_error=False)
            snapshot = self._seen(way, info_in(data(info)), started)
            known = refused_settings(others[:asked])
            too_long = list_of_clients(snapshot.activity.connected_clients, headroom(snapshot))
            if too_long is not None:
                return snapshot, settings_in(others), (), known.without(Feature.CLIENT_LIST, too_long)
            listing = client.pipeline(transaction=False)
            listing.execute_command("CLIENT", "LIST")
            (lines,) = await listing.execute(raise_on_error=False)
        clients = client_buffers(clients_in(lines)) if isinstance(lines, bytes) else ()
        return snapshot, settings_in(others), clients, known

    async def clients(self, *command: str | int) -> tuple[ClientBuffer, ...]:
        """What this CLIENT LIST tells, the largest holders of memory first."""
        way, client = self._reach()
        with translated(way.address, "CLIENT LIST"):
            return client_buffers(clients_in(data(await client.execute_command(*command))))

    def _seen(self, way: Connection, info: Mapping[str, Any], started: float) -> Snapshot:
        now = self._monotonic()
        self.last = info
        took = max(0.0, now - started)
        return snapshot_from_info(
            info, address=way.address, monotonic=now, wall=time.time(), took=took, stated_limit=way.stated_limit_bytes
        )


async def _info(way: Connection, client: "Redis", section: str) -> dict[str, Any]:
    with translated(way.address, "INFO"):
        return info_in(data(await client.execute_command("INFO", *filter(None, (section,)))))


# They are asked beside the diagnosis, which must not wait for a replica behind a firewall.
_PATIENCE_SECONDS = 1.0


async def replicas_of(
    primary: Connection, info: Mapping[str, object], server: Callable[[Connection], PolledSource]
) -> tuple[NodeView, ...]:
    """What each replica that the `info` of `primary` names says of itself, with the same login; `server` makes what
    asks it.

    One that does not answer has the reason instead, and so has one in whose place another server answers.
    """
    lines = [value for name, value in info.items() if name.startswith("slave") and isinstance(value, Mapping)]
    addresses = [address for line in lines if (address := _address(line)) is not None]
    copied = info.get("master_replid")
    return tuple(await together(_replica_view(primary, each, server, copied) for each in addresses))


def _address(line: Mapping[str, object]) -> Address | None:
    """From `ip=10.0.0.5,port=6379,state=online,...`."""
    host, port = line.get("ip"), str(line.get("port", ""))
    return Address(str(host), int(port)) if host and port.isascii() and port.isdigit() else None


# The primary names its replicas by addresses of its own network.
_ANOTHER = "is another server: from here, that address leads elsewhere, or the replica was promoted"


def _is_another(snapshot: Snapshot, copied: object) -> bool:
    """Whether it is no replica of the server of that replication id; its own tells nothing while it is copying."""
    own, server = snapshot.server.replication_id, snapshot.server
    if server.role in ("master", "primary"):
        return True
    tells = snapshot.activity.master_link_up and not server.is_foreign and own is not None and copied is not None
    return bool(tells) and own != copied


async def _replica_view(
    primary: Connection, where: Address, server: Callable[[Connection], PolledSource], copied: object
) -> NodeView:
    node = ClusterNode(str(where), str(where), where, str(primary.address))
    replica = server(
        replace(
            primary,
            address=where,
            sentinel=None,
            connect_timeout_seconds=min(_PATIENCE_SECONDS, primary.connect_timeout_seconds),
            read_timeout_seconds=min(_PATIENCE_SECONDS, primary.read_timeout_seconds),
        )
    )
    try:
        snapshot = await replica.snapshot()
    except TriageError as error:
        return NodeView(node, error=str(error))
    finally:
        await replica.close()
    return NodeView(node, error=f"{where} {_ANOTHER}") if _is_another(snapshot, copied) else NodeView(node, snapshot)


_PAGE = 500


async def expired_among(server: MonitoredServer, snapshot: Snapshot) -> tuple[int, int]:
    """Of some keys of the database with most TTLs, how many had expired, and how many live. Raises `models.errors`.

    Nothing but the server's own count tells of the first: no command shows a key that has expired.
    """
    database = most_expiring(snapshot)
    if database is None:
        return 0, 0
    client = make_client(server.connection, db=database.db)
    try:
        with translated(server.address, "SCAN"):
            pipeline = client.pipeline(transaction=False)
            pipeline.execute_command("INFO", "stats")
            pipeline.execute_command("SCAN", "0", "COUNT", _PAGE)
            pipeline.execute_command("INFO", "stats")
            before, names, after = await pipeline.execute(raise_on_error=False)
            if any(isinstance(reply, exceptions.RedisError) for reply in (before, names, after)):
                return 0, 0
            return max(0, _expired(after) - _expired(before)), len(page(names)[1])
    finally:
        await client.aclose()


def _expired(reply: object) -> int:
    expired = str(info_in(data(reply)).get("expired_keys", ""))
    return int(expired) if expired.isdecimal() else 0
