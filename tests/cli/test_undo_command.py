"""The lines that put something back: each works when it is copied, and holds no password."""

import json
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
from redis.crc import key_slot

from redis_oom_tui.cli import main as entry
from redis_oom_tui.cli import undo_command
from redis_oom_tui.formatting.sanitize import unescape_exact
from redis_oom_tui.formatting.server import PROGRAM, cleanup_line, command_line, with_code
from tests.support.cluster import Node, RunningCluster, clustered
from tests.support.ports import free_ports
from tests.support.servers import RunningServer, started

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
    lines = [line[line.index(PROGRAM) :] for line in out.splitlines() if PROGRAM in line]
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


def test_a_command_that_is_printed_works_in_another_folder(
    valkey: RunningServer, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever paths it was told by."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "password").write_text("pw")
    (tmp_path / "config.toml").write_text("")
    (tmp_path / "s").symlink_to(valkey.socket_path)
    way = ("--config", "config.toml", "--audit", "audit", "--user", "sre", "--pass-file", "password")
    with valkey.client() as client:
        client.acl_setuser("sre", enabled=True, passwords=["+pw"], keys=["*"], categories=["+@all"])
        client.mset({"tmp:1": "v", "tmp:2": "v"})
        for number, where in enumerate((("-s", "s"), ("-u", "unix:s"))):
            monkeypatch.chdir(tmp_path)
            plan, backup = f"plan{number}", f"backup{number}"
            words = (*where, *way, "cleanup", "--match", "tmp:*", "--save-plan", plan, "--backup", backup)
            code, out = _run(capsys, *words)
            assert code == 0
            monkeypatch.chdir(elsewhere)
            code, out = _run(capsys, *_copied(out, "cleanup")[-1])
            assert (code, client.dbsize()) == (0, 0), out
            assert _run(capsys, *_copied(out, "restore")[-1], "--yes")[0] == 0
            assert client.dbsize() == 2


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
        (
            {"url": "redis://u:hunter2@a:1", "password_command": "vault read t=hunter2"},
            "-u redis://a:1 --user u --askpass",
        ),
        ({"url": "rediss://:hunter2@a:7000/2?x=hunter2"}, "-u rediss://a:7000/2 --askpass"),
        ({"url": "unix://sre:hunter2@/run/s?db=3"}, "-u unix:///run/s?db=3 --user sre --askpass"),
        ({"url": "redis://hunter2@a:7000"}, "-u redis://a:7000 --askpass"),
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
    assert "hunter2" not in command_line(way, "restore", "f")


def test_a_backtick_in_a_name_does_not_end_the_command() -> None:
    name = "a`b <!channel>"
    command = cleanup_line(("-p", "7000"), 0, "--shrink", name)
    codes: list[str] = []
    with_code(f"To plan it: `{command}`.", str, lambda line: codes.append(line) or line)
    assert codes == [command]
    assert unescape_exact(shlex.split(command)[-1]) == name.encode()


# In a sentence in backticks, else to the end of its line.
_COMMAND = re.compile(rf"`({PROGRAM} [^`]*)`|(?:^|: )({PROGRAM} -.*)$", re.MULTILINE)
_OUTPUTS = (
    ("check",),
    ("check", "--json"),
    ("check", "--markdown"),
    ("report",),
    ("report", "--no-scan"),
    ("hogs", "--patterns"),
    ("cleanup", "--free-to", "80%"),
)


@pytest.mark.parametrize("clustered_", [False, True])
def test_every_command_that_is_printed_leads_to_this_server(
    clustered_: bool, cluster: RunningCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def owner(name: str) -> Node:
        return cluster.owner(key_slot(name.encode()))

    with ExitStack() as stack:
        port = cluster.primaries[0].port if clustered_ else free_ports()[0]
        way = ["-p", str(port), *(["-c"] if clustered_ else [])]
        if not clustered_:
            (tmp_path / "password").write_text("hunter2\n")
            server = stack.enter_context(started("valkey", "bind 127.0.0.1", f"port {port}", "requirepass hunter2"))
            _burden(stack.enter_context(server.client(password="hunter2")), lambda _: True)
            way += ["--pass-file", str(tmp_path / "password")]
        else:
            for node in cluster.primaries:
                _burden(stack.enter_context(node.server.client()), lambda name, node=node: owner(name) is node)
        commands: list[str] = []
        for words in _OUTPUTS:
            code, out = _run(capsys, *way, *words)
            assert code == 0 or (words[0] == "check" and code < 3), (words, out)
            commands += _commands("\n".join(_texts(json.loads(out))) if "--json" in words else out)
            assert len(_commands(out)) == out.count(f"{PROGRAM} -"), out
        found = {" ".join(shlex.split(text)) for text in commands}
        assert len(found) >= 4, found
        for text in found:
            words = shlex.split(text)[1:]
            assert sorted(words[: len(way)]) == sorted(way), text
            code, out = _run(capsys, *words)
            assert code == 0, (text, out)


def _burden(client: redis.Redis, holds: Callable[[str], bool]) -> None:
    """What is spoken of with a command: a stream, a list and a sorted set that are large, replies that nobody reads."""

    def here(*names: str) -> list[str]:
        return [name for name in names if holds(name)]

    pipeline = client.pipeline(transaction=False)
    for name in here(*(f"{number:08d}-0000-3000-8000-{number:012d}.reply.celery.pidbox" for number in range(40))):
        pipeline.lpush(name, *(b"r" * 5000 for _ in range(20)))
    for name in here("_kombu.binding.celery", "_kombu.binding.reply.celery.pidbox", "_kombu.binding.mail"):
        pipeline.sadd(name, "celery\x06\x16\x06\x16celery")
    for name in here("orders:log", "old:sessions", "board"):
        for number in range(600):
            pipeline.xadd(name, {"body": "x" * 2000, "n": number})
    for name in here("events:a", "jobs:b", "c"):
        pipeline.rpush(name, *(b"x" * 2000 for _ in range(600)))
    for name in here("scores:a", "history:b", "seen"):
        pipeline.zadd(name, {f"{number:02000}": number for number in range(600)})
    pipeline.execute()
    client.config_set("maxmemory", int(int(client.info("memory")["used_memory"]) * 1.02))


def _commands(out: str) -> list[str]:
    """The commands of this tool in a text."""
    return [in_sentence or whole for in_sentence, whole in _COMMAND.findall(out)]


def _texts(document: object) -> Iterator[str]:
    """Every text in a JSON document."""
    if isinstance(document, str):
        yield document
    for each in document.values() if isinstance(document, dict) else document if isinstance(document, list) else ():
        yield from _texts(each)
