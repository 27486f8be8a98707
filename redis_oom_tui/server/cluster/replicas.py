"""The replicas of one master, each asked for its own limit and policy: what a failover would bring."""

from collections.abc import Iterable, Mapping

from redis_oom_tui.models.address import Address, ClusterNode, Connection
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.snapshot import NodeView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.scan.tasks import together

# They are asked beside the diagnosis, which must not wait for a replica behind a firewall.
_PATIENCE_SECONDS = 1.0


async def replicas_of(primary: Connection, lines: Iterable[Mapping[str, object]]) -> tuple[NodeView, ...]:
    """What each replica that `lines` of the INFO of `primary` name says of itself, with the same login.

    One that does not answer has the reason instead.
    """
    found = [_address(line) for line in lines]
    addresses = [address for address in found if address is not None]
    return tuple(await together(_look(primary, each) for each in addresses))


def _address(line: Mapping[str, object]) -> Address | None:
    """From `ip=10.0.0.5,port=6379,state=online,...`."""
    host, port = line.get("ip"), str(line.get("port", ""))
    return Address(str(host), int(port)) if host and port.isascii() and port.isdigit() else None


async def _look(primary: Connection, where: Address) -> NodeView:
    node = ClusterNode(str(where), str(where), where, str(primary.address))
    replica = LiveServer(
        replace(
            primary,
            address=where,
            sentinel=None,
            connect_timeout_seconds=min(_PATIENCE_SECONDS, primary.connect_timeout_seconds),
            read_timeout_seconds=min(_PATIENCE_SECONDS, primary.read_timeout_seconds),
        )
    )
    try:
        return NodeView(node, await replica.snapshot())
    except TriageError as error:
        return NodeView(node, error=str(error))
    finally:
        await replica.close()
