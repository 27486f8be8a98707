"""`limits -c` and `cleanup -c`, `restore -c`: every node, told node by node."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.crc import key_slot

from redis_oom_tui.cli import main as entry
from tests.cli.ran import on_cluster
from tests.support.cluster import Node, RunningCluster, clustered

KEYS = 90


@pytest.fixture(scope="module")
def cluster() -> Iterator[RunningCluster]:
    with clustered(replicas=False) as running:
        for index in range(KEYS):
            name = b"tmp:%d" % index
            with running.owner(key_slot(name)).server.client() as client:
                client.set(name, "v" * 100)
        yield running


def test_a_limit_for_all_nodes(cluster: RunningCluster, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = on_cluster(cluster, capsys, "limits", "--maxmemory", "200mb", "--yes")
    assert code == 0, document
    for node in cluster.primaries:
        with node.server.client() as client:
            assert client.config_get("maxmemory") == {"maxmemory": str(200 * 1024 * 1024)}


def test_a_limit_for_one_node(cluster: RunningCluster, capsys: pytest.CaptureFixture[str]) -> None:
    node = cluster.primaries[2]
    before = _limits(cluster)
    words = ("limits", "--node", node.name, "--maxmemory", "300mb", "--yes")
    code, document = on_cluster(cluster, capsys, *words)
    assert (code, document["maxmemory_bytes"]) == (0, 300 * 1024 * 1024)
    assert [each["node"] for each in document["changes"][0]["nodes"]] == [node.name]
    assert _limits(cluster) == [*before[:2], str(300 * 1024 * 1024)]
    assert document["node"] == node.name


def test_limits_name_the_node_that_they_are_of(cluster: RunningCluster, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = on_cluster(cluster, capsys, "limits")
    assert code == 0
    assert document["node"] in [node.name for node in cluster.primaries]
    with pytest.raises(SystemExit):
        entry.main(["-c", "-p", str(cluster.primaries[0].port), "limits", "--node", cluster.primaries[1].name])
    assert capsys.readouterr().out.startswith(f"On {cluster.primaries[1].name}: maxmemory ")


def test_a_node_wants_a_cluster(cluster: RunningCluster, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        entry.main(["-p", str(cluster.primaries[0].port), "limits", "--node", "a:1", "--maxmemory", "1gb"])
    assert ended.value.code == 2
    assert "add -c before limits" in capsys.readouterr().err


def test_a_node_that_may_not_be_changed_is_named_before_any_other_is(
    cluster: RunningCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _limits(cluster)
    with cluster.primaries[1].server.client() as client:
        client.execute_command("ACL SETUSER", "default", "-config|set")
        with pytest.raises(SystemExit) as ended:
            entry.main(["-c", "-p", str(cluster.primaries[0].port), "limits", "--maxmemory", "210mb", "--yes"])
        client.execute_command("ACL SETUSER", "default", "+config|set")
    assert ended.value.code == 3
    assert f"On {cluster.primaries[1].name}: " in capsys.readouterr().err
    assert _limits(cluster) == before


def _limits(cluster: RunningCluster) -> list[str]:
    found = []
    for node in cluster.primaries:
        with node.server.client() as client:
            found.append(str(client.config_get("maxmemory")["maxmemory"]))
    return found


def test_cleanup_and_restore(cluster: RunningCluster, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    backup = tmp_path / "backup.jsonl"
    code, planned = on_cluster(cluster, capsys, "cleanup", "--match", "tmp:*")
    assert (code, len(planned["keys"])) == (0, KEYS)
    assert _left(cluster) == KEYS
    code, _ = on_cluster(cluster, capsys, "cleanup", "--match", "tmp:*", "--backup", str(backup), "--yes")
    assert (code, _left(cluster)) == (0, 0)
    assert list(tmp_path.glob("backup*.jsonl")) == [backup]
    code, _ = on_cluster(cluster, capsys, "restore", str(backup), "--yes")
    assert code == 0
    assert _left(cluster) == KEYS


def _left(cluster: RunningCluster) -> int:
    total = 0
    for node in cluster.primaries:
        with node.server.client() as client:
            total += sum(1 for _ in client.scan_iter(match="tmp:*"))
    return total


def test_a_trial_on_a_cluster_is_told_as_it_ended_on_each_node(cluster: RunningCluster) -> None:
    before = _limits(cluster)
    words = ("limits", "--maxmemory", "400mb", "--yes", "--json", "--revert-after", "1h")
    where = ("-c", "-p", str(cluster.primaries[0].port))
    tool = subprocess.Popen(
        [sys.executable, "-m", "redis_oom_tui", *where, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert tool.stderr is not None
    said = ""
    while "It reverts in" not in said:
        line = next(tool.stderr, "")
        assert line, said
        said += line
    other = cluster.primaries[2]
    by_hand = f"CONFIG SET maxmemory {before[2]} on {other.name}"
    assert (by_hand in said) is (len(set(before)) > 1), said
    with other.server.client() as client:
        client.config_set("maxmemory", "500mb")
    tool.send_signal(signal.SIGINT)
    out, _ = tool.communicate(timeout=60)
    (change,) = json.loads(out)["changes"]
    assert (tool.returncode, change["took"], change["now"]) == (1, False, None)
    assert change["detail"].startswith("it did not revert to ")
    assert f"Not on: {other.name}: somebody else changed it" in change["detail"]
    assert _limits(cluster) == [*before[:2], str(500 * 2**20)]


def test_what_one_node_did_not_take_is_told_by_node(
    cluster: RunningCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = cluster.primaries[1]
    lost.server.kill()
    with pytest.raises(SystemExit) as ended:
        entry.main(["-c", "-p", str(cluster.primaries[0].port), "limits", "--policy", "allkeys-lru", "--yes"])
    out = capsys.readouterr().out
    assert ended.value.code == 1
    assert "maxmemory-policy: 2 of 3 nodes took allkeys-lru." in out
    assert f"  {lost.name}  NOT changed: " in out
    assert out.count("allkeys-lru now; it was noeviction") == 2


def test_a_plan_without_a_lost_node_is_not_called_stopped(
    cluster: RunningCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = cluster.primaries[1]
    lost.server.kill()
    with pytest.raises(SystemExit) as ended:
        entry.main(["-c", "-p", str(cluster.primaries[0].port), "cleanup", "--match", "tmp:*"])
    printed = capsys.readouterr()
    assert ended.value.code == 0
    assert "its keys are not in the plan." in printed.out
    assert "topped" not in printed.out + printed.err


def test_free_to_is_about_the_fullest_shard(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with clustered(replicas=False) as running:
        for index in range(1500):
            name = b"app:cache:%d" % index
            with running.owner(key_slot(name)).server.client() as client:
                client.set(name, "v" * 10_000)
        for node, share in zip(running.primaries, (0.5, 0.99, 0.9), strict=True):
            with node.server.client() as client:
                client.config_set("maxmemory", int(client.info("memory")["used_memory"] / share))
        full = running.primaries[1]
        before = [_keys_of(node) for node in running.primaries]
        backup = tmp_path / "backup"
        words = ("cleanup", "--free-to", "80%", "--yes", "--backup", str(backup))
        code, document = on_cluster(running, capsys, *words)
        assert code == 0, document
        assert (document["proposal"]["shard"], document["proposal"]["shards_over_total"]) == (full.name, 2)
        # On a server of so few MB the tool's own connections count.
        assert document["budget"]["plan_bytes"] > 0.9 * document["budget"]["needed_bytes"] > 0, document["budget"]
        after = [_keys_of(node) for node in running.primaries]
        assert (after[0], after[2]) == (before[0], before[2])
        assert after[1] < before[1]
        with full.server.client() as client:
            client.config_set("maxmemory", 0)
        code, document = on_cluster(running, capsys, "restore", str(backup), "--yes")
        assert [_keys_of(node) for node in running.primaries] == before, document


def test_orphans_of_a_cluster_are_named_by_no_list_of_any_node(
    flavour: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    replies = [f"{number:08d}-0000-3000-8000-{number:012d}.reply.celery.pidbox" for number in range(24)]
    # Two lists on two nodes: what names a queue is hardly ever beside it.
    bindings = ["_kombu.binding.reply.celery.pidbox", "_kombu.binding.b"]
    with clustered(replicas=False, flavour=flavour) as running:
        for number, name in enumerate(replies):
            _call(running, "RPUSH", name, "answer")
            if number % 2:
                _call(running, "SADD", bindings[number // 2 % 2], f"{name[:36]}\x06\x16\x06\x16{name}")
        backup = str(tmp_path / "backup")
        code, document = on_cluster(running, capsys, "cleanup", "--orphans", "celery", "--yes", "--backup", backup)
        assert (code, document["report"]["counts"]) == (0, {"deleted": 12})
        assert {key["key"] for key in document["keys"]} == set(replies[::2])
        left = {key.decode() for node in running.primaries for key in _keys_of(node)}
        assert left == {*replies[1::2], *bindings}
        assert on_cluster(running, capsys, "restore", backup, "--yes")[0] == 0
        first = running.primaries[0]
        slot = next(slot for slot in range(100) if slot not in {key_slot(key) for key in _keys_of(first)})
        with first.server.client() as client:
            client.execute_command("CLUSTER DELSLOTS", slot)
        code, document = on_cluster(running, capsys, "cleanup", "--orphans", "celery")
        assert (code, "No node serves some slots" in document["error"]) == (2, True), document


def _call(running: RunningCluster, command: str, key: str, *words: str) -> None:
    with running.owner(key_slot(key.encode())).server.client() as client:
        client.execute_command(command, key, *words)


def _keys_of(node: Node) -> set[bytes]:
    with node.server.client() as client:
        return set(client.keys())
