"""The large data of docs/performance.md, in small: databases, names of 100 KB, a giant collection, many clients."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from redis_oom_tui.cli.main import main
from tests.support.json_documents import document_of
from tests.support.servers import RunningServer, started

DATABASES = 16
LONG = 100_000
CLIENTS = 200


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run one command on a server and return what it prints; it must end well."""
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))

    def run(server: RunningServer, *arguments: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["-s", server.socket_path, *arguments])
        out, err = capfd.readouterr()
        assert ended.value.code == code, err
        return out

    return run


def test_sixteen_databases_are_scanned_planned_emptied_and_restored(
    server: RunningServer, say: Callable[..., str], tmp_path: Path
) -> None:
    backup = str(tmp_path / "all.backup")
    clients = [server.client(db=db) for db in range(DATABASES)]
    for db, client in enumerate(clients):
        client.mset({f"user:{number}": "v" for number in range(100)})
        client.mset({f"cache:{number}": f"of {db}" for number in range(db + 1)})
    cached = sum(range(1, DATABASES + 1))
    document = document_of("hogs", say(server, "hogs", "--json", "--top", "5000"))
    assert document["scanned_keys"] == len(document["keys"]) == 100 * DATABASES + cached
    assert {key["db"] for key in document["keys"]} == set(range(DATABASES))
    assert document_of("hogs", say(server, "-n", "7", "hogs", "--json"))["scanned_keys"] == 108
    say(server, "cleanup", "--match", "cache:*", "--yes", "--backup", backup)
    assert [client.dbsize() for client in clients] == [100] * DATABASES
    say(server, "restore", backup, "--yes")
    assert [client.get("cache:0") for client in clients] == [b"of %d" % db for db in range(DATABASES)]


def test_names_of_100_kb_are_scanned_and_deleted_exactly_and_fill_no_screen(
    server: RunningServer, say: Callable[..., str], tmp_path: Path
) -> None:
    names = [b"n:%d:" % char + bytes([char]) * LONG for char in (0x1B, 0x2D, 0x3A, 0x5F, 0xFF)]
    with server.client() as client:
        for name in [*names, b"n:stays"]:
            client.set(name, b"v")
        document = document_of("hogs", say(server, "hogs", "--json"))
        assert {len(key["key_base64"] or key["key"]) > LONG for key in document["keys"]} == {True, False}
        assert len(say(server, "hogs")) < 5_000
        assert len(say(server, "cleanup", "--match", "n:*:*")) < 10_000
        backup = str(tmp_path / "names.backup")
        say(server, "cleanup", "--match", "n:*:*", "--yes", "--backup", backup)
        assert client.keys() == [b"n:stays"]
        say(server, "restore", backup, "--yes")
        assert set(client.keys()) == {*names, b"n:stays"}


def test_a_giant_of_each_kind_is_found_marked_and_freed(valkey: RunningServer, say: Callable[..., str]) -> None:
    many = 101_000  # over what is looked at in one go
    with valkey.client() as client:
        fill = "for i = 1, %d do redis.call(%s) end" % (many, "%s")  # noqa: UP031
        client.eval(fill % "'HSET', KEYS[1], 'f' .. i, i", 1, "giant:hash")
        client.eval(fill % "'ZADD', KEYS[1], i, 'm' .. i", 1, "giant:zset")
        client.eval(fill % "'SADD', KEYS[1], 'm' .. i", 1, "giant:set")
        client.eval(fill % "'RPUSH', KEYS[1], 'e' .. i", 1, "giant:list")
        rows = document_of("hogs", say(valkey, "hogs", "--json"))["keys"]
        assert {row["elements"] for row in rows} == {many}
        # Counting every element would hold the server up: the sizes are estimates, and say so.
        # A list is counted by its nodes, of which there are few.
        assert {row["measured"] for row in rows if row["type"] != "list"} == {False}
        say(valkey, "cleanup", "--match", "giant:*", "--no-backup", "--yes")
        assert client.dbsize() == 0


def test_two_hundred_clients_are_no_reason_to_wait(say: Callable[..., str]) -> None:
    with started("valkey", "maxclients 300") as server, contextlib.ExitStack() as stack:
        for _ in range(CLIENTS):
            stack.enter_context(server.client()).ping()
        document = document_of("check", say(server, "check", "--json"))
        assert document["verdict"] == "ok"
        assert "OK" in say(server, "report")
