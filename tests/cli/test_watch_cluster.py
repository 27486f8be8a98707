"""`watch -c` and `--plain -c`: the worst node speaks, tick by tick."""

from collections.abc import Iterator

import pytest

from redis_oom_tui.cli import main as entry
from tests.support.cluster import RunningCluster, clustered
from tests.support.json_documents import document_of


@pytest.fixture(scope="module")
def cluster() -> Iterator[RunningCluster]:
    with clustered(replicas=False) as running:
        with running.primaries[1].server.client() as client:
            client.config_set("maxmemory", 1_000_000)
        yield running


def test_one_look(cluster: RunningCluster, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        entry.main(["-c", "-p", str(cluster.primaries[0].port), "watch", "--once", "--json"])
    document = document_of("watch", capfd.readouterr().out.splitlines()[-1])
    assert ended.value.code == 2
    assert document["verdict"] == "oom"
    assert cluster.primaries[1].name in document["reason"]
    assert document["server"]["address"] == cluster.primaries[1].name


def test_a_server_without_a_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    from tests.support.ports import free_ports
    from tests.support.servers import started

    port = free_ports()[0]
    with started("valkey", f"port {port}"), pytest.raises(SystemExit) as ended:
        entry.main(["-c", "-p", str(port), "check"])
    assert ended.value.code == 3
    assert "leave out -c" in capsys.readouterr().out
