"""A master without a cluster and its replicas: what each would do once promoted, and what its scan cannot know."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from redis_oom_tui.cli import main as entry
from redis_oom_tui.models.address import Address, Connection
from redis_oom_tui.models.scan import ScanOptions, ScanState
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.rules.findings.cluster import replica_findings
from redis_oom_tui.rules.verdict import judge
from redis_oom_tui.server.live import LiveServer
from tests.support.ports import free_ports
from tests.support.servers import RunningServer, started
from tests.support.waiting import in_step, until


@contextmanager
def replicated(flavour: str) -> Iterator[tuple[RunningServer, RunningServer, Connection]]:
    """A master on a port, its replica in step, and the way to the master."""
    first, second = free_ports(2)
    common = ("bind 127.0.0.1", "repl-diskless-sync yes", "repl-diskless-sync-delay 0")
    with ExitStack() as stack:
        master = stack.enter_context(started(flavour, f"port {first}", *common))
        replica = stack.enter_context(started(flavour, f"port {second}", f"replicaof 127.0.0.1 {first}", *common))

        def in_step() -> bool:
            with replica.client() as client:
                return str(client.info("replication").get("master_link_status")) == "up"

        until(in_step, "the replica in step")
        yield master, replica, replace(master.connection, address=Address(port=first))


async def test_a_replica_that_would_evict_on_promotion(flavour: str) -> None:
    with replicated(flavour) as (_, replica, connection):
        with replica.client() as client:
            client.config_set("maxmemory", 500_000)
            client.config_set("maxmemory-policy", "allkeys-lru")
        live = LiveServer(connection)
        await live.open()
        views = await live.replicas()
        primary = await live.snapshot()
        found = list(replica_findings(primary, views))
        with replica.frozen():
            lost = await live.replicas()
        await live.close()
    assert [finding.level for finding in found] == [Level.WARNING]
    assert "if promoted, it would evict" in found[0].title
    assert all(view.snapshot is None and view.error for view in lost)
    assert [finding.id for finding in replica_findings(primary, lost)] == ["replica-unseen"]


@pytest.mark.parametrize("another", ["primary", "replica"])
async def test_another_server_at_the_address_of_a_replica_is_not_taken_for_it(another: str) -> None:
    """As through a tunnel, or from outside of a container's network."""
    with replicated("valkey") as (master, replica, connection), replicated("valkey") as others:
        with others[another == "replica"].client() as client:
            client.config_set("maxmemory", 500_000)
            client.config_set("maxmemory-policy", "allkeys-lru")
            port = client.info("server")["tcp_port"]
        with replica.client() as client, master.client() as asked:
            client.config_set("replica-announce-port", port)
            asked.client_kill_filter(_type="replica")
            until(lambda: asked.info("replication").get("slave0", {}).get("port") == port, "the port announced")
        live = LiveServer(connection)
        await live.open()
        (view,) = await live.replicas()
        verdict = judge(await live.snapshot(), replicas=(view,))
        await live.close()
    assert (view.snapshot, verdict.level) == (None, Level.OK)
    assert "is another server" in str(view.error)


def test_check_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    with replicated("valkey") as (_, replica, connection):
        with replica.client() as client:
            client.config_set("maxmemory", 500_000)
            client.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(SystemExit):
            entry.main(["-p", str(connection.address.port), "check"])
    assert "if promoted, it would evict" in capsys.readouterr().out


async def test_a_scan_of_a_replica_says_what_it_cannot_know(flavour: str) -> None:
    with replicated(flavour) as (master, replica, _):
        with master.client() as client:
            client.mset({f"k{n}": n for n in range(50)})
            in_step(client)
        live = LiveServer(replica.connection)
        await live.open()
        view = await live.scan(ScanOptions(idle=True)).run()
        await live.close()
    assert (view.state, view.scanned_keys) == (ScanState.COMPLETE, 50)
    assert any("this is a replica" in note for note in view.notes)
    assert any("may be in use there" in note for note in view.notes)
