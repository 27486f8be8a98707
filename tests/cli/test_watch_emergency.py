"""`watch --on-critical` on a real server: bounded there too, and idle unless armed in both places."""

import json
import signal
from pathlib import Path

import pytest
from redis.crc import key_slot

from tests.cli.ran import ran
from tests.cli.test_watch import fill, watching
from tests.support.cluster import Node, clustered
from tests.support.json_documents import document_of
from tests.support.servers import RunningServer, started

ARMED = """
[watch]
interval = 0.5
hold = 0
[plans.cache]
match = "cache:*"
[plans.old]
match = "old:*"
[emergency]
armed = {armed}
plan = "cache"
after = 0
cooldown = "1h"
max_keys = 50
max_bytes = "200kb"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(ARMED.format(armed="true"))
    path.chmod(0o600)
    return path


def full(server: RunningServer) -> int:
    """A server that refuses writes, with some keys that no plan names; how many keys there are."""
    with server.client() as client:
        client.mset({f"session:{number}": "x" * 5000 for number in range(50)})
    fill(server)
    with server.client() as client:
        return int(client.dbsize())


def arguments(server: RunningServer, config: Path, *rest: str) -> list[str]:
    return ["-s", server.socket_path, "--config", str(config), "watch", "--json", *rest]


def test_it_deletes_what_it_may_and_no_more(flavour: str, config: Path, tmp_path: Path) -> None:
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    with started(flavour, "maxmemory 8mb") as server:
        before = full(server)
        with watching(*arguments(server, config, "--on-critical", "cache"), **state) as running:
            event = running.event("cleanup")
            code, _, errors = running.end(signal.SIGTERM)
        assert (code, errors) == (0, "")
        with server.client() as client:
            gone = before - client.dbsize()
            assert client.exists(*[f"session:{number}" for number in range(50)]) == 50
    assert 0 < gone <= 50
    assert gone * 5000 <= 200 * 1024
    assert f"{gone} deleted" in event["reason"]
    ledger = json.loads((tmp_path / "state" / "redis-oom-tui" / "emergency.json").read_text())
    assert [entry["keys"] for entry in ledger] == [gone]


def test_in_a_cluster_only_the_node_that_is_critical_gives_up_keys(config: Path, tmp_path: Path) -> None:
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    with clustered(replicas=False) as cluster:
        critical = cluster.primaries[1]
        for node in cluster.primaries:
            with node.server.client() as client:
                pipeline = client.pipeline(transaction=False)
                for name in (b"cache:%d" % number for number in range(3000)):
                    if cluster.owner(key_slot(name)) is node:
                        pipeline.set(name, b"x" * 3000)
                pipeline.execute()
        before = [held(node) for node in cluster.primaries]
        with critical.server.client() as client:
            client.config_set("maxmemory", int(client.info("memory")["used_memory"] / 0.97))
        port = str(cluster.primaries[0].port)
        words = ("-c", "-p", port, "--config", str(config), "watch", "--json", "--on-critical", "cache")
        with watching(*words, **state) as running:
            event = running.event("cleanup")
            code, _, errors = running.end(signal.SIGTERM)
        gone = [was - held(node) for was, node in zip(before, cluster.primaries, strict=True)]
    assert (code, errors) == (0, "")
    assert (gone[0], gone[2]) == (0, 0)
    assert 0 < gone[1] <= 50
    assert gone[1] * 3000 <= 200 * 1024
    assert f"{gone[1]} deleted" in event["reason"]


def held(node: Node) -> int:
    with node.server.client() as client:
        return int(client.dbsize())


def test_a_single_look_with_a_dry_run_says_it_in_advance(config: Path, tmp_path: Path) -> None:
    with started("valkey", "maxmemory 8mb") as server:
        before = full(server)
        done = ran(*arguments(server, config, "--once", "--on-critical", "cache", "--dry-run"))
        with server.client() as client:
            assert client.dbsize() == before
    assert (done.returncode, done.stderr) == (2, "")
    said = [document_of("watch", line) for line in done.stdout.splitlines()]
    assert [item["type"] for item in said] == ["tick", "cleanup"]
    assert said[1]["text"].startswith("cache (dry run) would delete ")
    assert 0 < said[1]["keys"] <= 50
    assert said[1]["bytes"] <= 200 * 1024


@pytest.mark.parametrize(
    ("armed", "options", "expected"),
    [
        ("false", ["--on-critical", "cache"], "--on-critical cache is not armed"),
        ("true", ["--on-critical", "old"], "--on-critical old is not armed"),
        ("true", ["--on-critical", "other"], "there is no plan 'other'; the configuration has cache, old: name one of"),
        ("false", ["--on-critical", "other", "--dry-run"], "--on-critical: there is no plan 'other'"),
        ("false", ["--on-critical", "/no/plan"], "--on-critical: /no/plan cannot be read: there is no such file"),
        ("true", ["--on-critical", "/", "--dry-run"], "--on-critical: / is a folder: name a file"),
        ("true", ["--dry-run"], "--dry-run requires --on-critical"),
        ("true", ["--on-critical", "cache", "--once"], "--once does not wait"),
    ],
)
def test_half_an_arming_is_refused_before_anything_begins(
    config: Path, armed: str, options: list[str], expected: str
) -> None:
    config.write_text(ARMED.format(armed=armed))
    done = ran("--config", str(config), "watch", *options)
    assert (done.returncode, done.stdout) == (3, "")
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_armed_by_the_configuration_alone_it_does_nothing(config: Path, tmp_path: Path) -> None:
    with started("valkey", "maxmemory 8mb") as server:
        before = full(server)
        with watching(*arguments(server, config), XDG_STATE_HOME=str(tmp_path)) as running:
            running.until(lambda line: '"event":"critical"' in line or '"event":"oom"' in line)
            for _ in range(4):
                running.until(lambda line: '"type":"tick"' in line)
            running.end(signal.SIGTERM)
        with server.client() as client:
            assert client.dbsize() == before
    assert list(tmp_path.glob("redis-oom-tui")) == []
