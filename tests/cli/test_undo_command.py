"""The lines that put something back: each works when it is copied, and holds no password."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.crc import key_slot

from redis_oom_tui.cli import main as entry
from redis_oom_tui.cli import undo_command
from tests.support.cluster import RunningCluster, clustered
from tests.support.servers import RunningServer

pytestmark = pytest.mark.usefixtures("home")
KEYS = 30


@pytest.fixture(scope="module")
def cluster() -> Iterator[RunningCluster]:
    with clustered(replicas=False) as running:
        yield running


def _run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        entry.main(list(words))
    return int(ended.value.code or 0), capsys.readouterr().out


def _copied(out: str, command: str) -> list[list[str]]:
    """The words of each line that was printed to be copied, without the program's name."""
    lines = [line[line.index(undo_command.PROGRAM) :] for line in out.splitlines() if undo_command.PROGRAM in line]
    found = [shlex.split(line)[1:] for line in lines]
    assert found, out
    assert all(command in words for words in found)
    return found


def test_a_cleanup_of_a_cluster_is_undone_by_its_one_line(
    cluster: RunningCluster, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    names = [b"tmp:%d" % index for index in range(KEYS)]
    for name in names:
        with cluster.owner(key_slot(name)).server.client() as client:
            client.set(name, "v" * 100)
    backup = str(tmp_path / "my backup")
    way = ("-c", "-p", str(cluster.primaries[0].port))
    code, out = _run(capsys, *way, "cleanup", "--match", "tmp:*", "--backup", backup, "--yes")
    assert code == 0
    (words,) = _copied(out, "restore")
    assert _run(capsys, *words, "--yes")[0] == 0
    for name in names:
        with cluster.owner(key_slot(name)).server.client() as client:
            assert client.exists(name) == 1


def test_nodes_whose_limits_differed_each_get_their_own_back(
    cluster: RunningCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [str(size * 1024 * 1024) for size in (200, 300, 300)]
    for node, size in zip(cluster.primaries, before, strict=True):
        with node.server.client() as client:
            client.config_set("maxmemory", size)
    way = ("-c", "-p", str(cluster.primaries[0].port), "limits", "--maxmemory")
    code, out = _run(capsys, *way, "400mb", "--yes")
    assert code == 0
    for words in _copied(out, "--node"):
        assert _run(capsys, *words, "--yes")[0] == 0
    for node, size in zip(cluster.primaries, before, strict=True):
        with node.server.client() as client:
            assert client.config_get("maxmemory")["maxmemory"] == size


def test_a_setting_is_put_back_by_the_line_shown(valkey: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    way = ("-s", valkey.socket_path, "limits", "--policy")
    code, out = _run(capsys, *way, "allkeys-lfu", "--yes")
    assert code == 0
    (words,) = _copied(out, "limits")
    assert _run(capsys, *words, "--yes")[0] == 0
    with valkey.client() as client:
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"


def test_a_saved_plan_is_run_by_the_line_shown(
    valkey: RunningServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with valkey.client() as client:
        client.set("tmp:1", "v")
    chosen = ("cleanup", "--match", "tmp:*", "--save-plan", str(tmp_path / "a plan"), "--no-backup")
    code, out = _run(capsys, "-s", valkey.socket_path, *chosen)
    assert code == 0
    (words,) = _copied(out, "cleanup")
    assert _run(capsys, *words)[0] == 0
    with valkey.client() as client:
        assert client.exists("tmp:1") == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"host": "a", "port": 7000, "db": 0, "read_only": True}, "-h a -p 7000"),
        ({"socket": "/s", "password": "hunter2", "user": "sre"}, "-s /s --user sre --askpass"),
        ({"host": "a", "password_command": "echo hunter2"}, "-h a --askpass"),
        ({"url": "redis://u:hunter2@a:1", "password_command": "vault read t=hunter2"}, "-u redis://u@a:1 --askpass"),
        ({"url": "rediss://:hunter2@a:7000/2?x=hunter2"}, "-u rediss://a:7000/2 --askpass"),
        ({"url": "unix://sre:hunter2@/run/s?db=3"}, "-u unix://sre@/run/s?db=3 --askpass"),
        ({"url": "redis://[::1]:7000", "cluster": True, "tls": True}, "-u redis://[::1]:7000 --tls -c"),
        (
            {"password_file": Path("/p"), "profile": "x", "config_path": Path("c")},
            "--config c --profile x --pass-file /p",
        ),
        (
            {"sentinels": ("a:1", "b:2"), "master": "m", "sentinel_user": "u", "sentinel_password": "hunter2"},
            "--master m --sentinel-user u --sentinel a:1 --sentinel b:2",
        ),
        (
            {"sentinels": ("a:1",), "master": "m", "sentinel_ca_file": Path("/ca"), "sentinel_tls": True},
            "--master m --sentinel-cacert /ca --sentinel-tls --sentinel a:1",
        ),
        (
            {"sentinels": ("a:1",), "master": "m", "tls": True, "sentinel_tls": False},
            "--master m --tls --no-sentinel-tls --sentinel a:1",
        ),
    ],
)
def test_the_way_in_and_never_a_password(given: dict[str, object], words: str) -> None:
    way = undo_command.connection_args(given)
    assert sorted(way) == sorted(words.split())
    assert "hunter2" not in undo_command.line(way, "restore", "f")
