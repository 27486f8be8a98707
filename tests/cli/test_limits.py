"""`limits` on the command line: shown, asked on a terminal, set, read back."""

import os
import pty
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from redis_oom_tui.cli import main as entry
from tests.support.acting import fill, fill_to_the_limit
from tests.support.json_documents import document_of
from tests.support.servers import RunningServer


def run(server: RunningServer, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        entry.main(["-s", server.socket_path, "limits", *words])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_shown_with_the_way_of_a_write_and_each_policy(
    server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with server.client() as client:
        fill(client, [b"k%d" % n for n in range(3000)])
        fill_to_the_limit(client)
    code, out, _ = run(server, capsys)
    assert code == 0
    assert "noeviction: the write is refused with OOM" in out
    assert "allkeys-lru" in out
    assert "up to 3,000 keys" in out
    assert "behaves like noeviction" in out


def test_shown_while_clients_are_paused(server: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    """A script that may write would wait for the end of the pause."""
    # 6.2 takes no mark of a script that does not write: it is asked in vain.
    with server.client() as client:
        client.client_pause(60_000, all=False)
    code, out, err = run(server, capsys)
    assert (code, err) == (0, "")
    assert "maxmemory no limit, noeviction" in out
    code, out, err = run(server, capsys, "--maxmemory", "100mb", "--yes")
    assert (code, "maxmemory is 100.0 MiB" in out) == (0, True), err


def test_raising_the_limit_cures_oom(server: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    with server.client() as client:
        fill(client, [b"k%d" % n for n in range(3000)])
        fill_to_the_limit(client)
        code, out, _ = run(server, capsys, "--maxmemory", "100mb", "--yes")
        assert code == 0
        assert "maxmemory is 100.0 MiB (104,857,600 bytes) now" in out
        client.set(b"accepted", b"x" * 1000)


def test_several_settings_and_json(server: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--maxmemory", "100mb", "--policy", "allkeys-lru", "--set", "maxmemory-samples=10", "--yes", "--json")
    code, out, _ = run(server, capsys, *words)
    document = document_of("limits", out)
    assert code == 0
    assert [(change["name"], change["now"]) for change in document["changes"]] == [
        ("maxmemory-policy", "allkeys-lru"),
        ("maxmemory", "104857600"),
        ("maxmemory-samples", "10"),
    ]
    assert (document["maxmemory_bytes"], document["policy"]) == (104857600, "allkeys-lru")
    assert len(document["policies"]) >= 8


@pytest.mark.parametrize(
    "words",
    [
        ["--maxmemory", ""],
        ["--maxmemory", "0"],
        ["--maxmemory", "50%"],
        ["--policy", "allkeys-lrx"],
        ["--policy", ""],
        ["--set", "maxmemory"],
        ["--set", "requirepass=x"],
        ["--persist"],
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(
    valkey: RunningServer, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    code, out, err = run(valkey, capsys, "--yes", *words)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    with valkey.client() as client:
        assert client.config_get("maxmemory*")["maxmemory-policy"] == "noeviction"


def test_without_a_terminal_nothing_is_changed_unconfirmed(
    valkey: RunningServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Path(os.devnull).open())  # noqa: SIM115
    code, _, err = run(valkey, capsys, "--maxmemory", "100mb")
    sys.stdin.close()
    assert code == 1
    assert "add --yes" in err
    with valkey.client() as client:
        assert client.config_get("maxmemory") == {"maxmemory": "0"}


def test_where_nobody_is_asked_the_warnings_are_seen_all_the_same(
    valkey: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with valkey.client() as client:
        client.mset({f"key:{n}": "x" * 100 for n in range(1000)})
        client.config_set("maxmemory", "100mb")
        code, out, err = run(valkey, capsys, "--maxmemory", "1mb", "--persist", "--yes")
    assert code == 0
    assert "maxmemory is 1.0 MiB (1,048,576 bytes) now; it was 100.0 MiB (104,857,600 bytes)." in out
    warnings = [line for line in err.splitlines() if line.startswith("! ")]
    assert any("will be refused until" in line for line in warnings), err
    assert any("CONFIG REWRITE" in line for line in warnings), err


def test_what_could_not_be_persisted_is_done_in_part(valkey: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    file = valkey.folder / "server.conf"
    kept = file.read_text()
    file.unlink()
    file.mkdir()
    try:
        code, out, _ = run(valkey, capsys, "--maxmemory", "100mb", "--persist", "--yes")
    finally:
        file.rmdir()
        file.write_text(kept)
    assert code == 1
    assert "maxmemory is 100.0 MiB (104,857,600 bytes) now" in out
    assert "Not persisted: CONFIG REWRITE: " in out


def test_what_cannot_be_read_back_is_unknown(server: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    change = ("--set", "maxmemory-samples=7", "--yes")
    with server.client() as client:
        client.execute_command("ACL SETUSER", "default", "-config", "+config|set")
        code, out, _ = run(server, capsys, *change)
        assert code == 3
        assert "maxmemory-samples: unknown: the server answered OK, and it could not be read back (" in out
        assert "now; it was" not in out
        code, out, _ = run(server, capsys, *change, "--json")
        (changed,) = document_of("limits", out)["changes"]
        assert (code, changed["took"], changed["unread"], changed["now"]) == (3, False, True, None)
        client.execute_command("ACL SETUSER", "default", "+@all")
        assert client.config_get("maxmemory-samples") == {"maxmemory-samples": "7"}


def test_what_is_so_already_is_not_said_to_have_been_changed(
    valkey: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(valkey, capsys, "--policy", "noeviction", "--yes")
    assert (code, out) == (0, "maxmemory-policy is noeviction already.\n")


def test_what_is_so_already_is_not_asked_about(server: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    with server.client() as client:
        fill(client, [b"k%d" % n for n in range(3000)])
        fill_to_the_limit(client)
        limit = client.config_get("maxmemory")["maxmemory"]
        for more in ((), ("--revert-after", "10m")):
            code, out, err = run(server, capsys, "--maxmemory", limit, *more)
            assert (code, err) == (0, "")
            assert out.startswith("maxmemory is ")
            assert out.endswith(" already.\n")
        assert client.config_get("maxmemory") == {"maxmemory": limit}


def an_evicting_server(client: redis.Redis) -> int:
    """3,000 keys far below a limit at which keys would be evicted; half of the memory that they take."""
    fill(client, [b"k%d" % n for n in range(3000)])
    client.config_set("maxmemory", "64mb")
    client.config_set("maxmemory-policy", "allkeys-lru")
    return int(client.info("memory")["used_memory"]) // 2


def on_a_terminal(
    server: RunningServer,
    answer: bytes,
    *words: str,
    asked: bytes = b'Type "yes"',
    meanwhile: Callable[[], object] = lambda: None,
) -> tuple[int, bytes]:
    """The command on a terminal of its own, on which `answer` is typed when `asked` stands there, after `meanwhile`."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "redis_oom_tui", "-s", server.socket_path, "limits", *words]
    tool = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, close_fds=True)
    os.close(slave)
    said = b""
    try:
        while chunk := os.read(master, 4096):
            said += chunk
            if asked in said and answer:
                meanwhile()
                os.write(master, answer)
                answer = b""
    except OSError:  # Linux's way of saying that the other end is closed
        pass
    os.close(master)
    return tool.wait(timeout=30), said


@pytest.mark.parametrize(("answer", "now"), [(b"yes\r", "104857600"), (b"y\r", "0"), (b"\r", "0"), (b"\x1b[B\r", "0")])
def test_a_terminal_is_asked_for_a_whole_word(valkey: RunningServer, answer: bytes, now: str) -> None:
    code, said = on_a_terminal(valkey, answer, "--maxmemory", "100mb")
    assert b"maxmemory: no limit (0) -> 100.0 MiB (104,857,600 bytes)" in said
    assert code == (0 if now != "0" else 1)
    with valkey.client() as client:
        assert client.config_get("maxmemory") == {"maxmemory": now}


@pytest.mark.parametrize(("answer", "now"), [(b"yes\r", 100), (b"evict\r", 5)])
def test_a_change_that_evicts_wants_its_own_word(server: RunningServer, answer: bytes, now: int) -> None:
    with server.client() as client:
        fill(client, (f"key:{n}".encode() for n in range(2000)), value=b"x" * 10_000)
        client.config_set("maxmemory", 100 * 2**20)
        client.config_set("maxmemory-policy", "allkeys-lru")
        code, said = on_a_terminal(server, answer, "--maxmemory", "5mb", asked=b'Type "evict"')
        assert b"keys would be evicted within about a second; there is no undo" in said
        assert code == (0 if now == 5 else 1)
        assert client.config_get("maxmemory") == {"maxmemory": str(now * 2**20)}
        assert bool(client.info("stats")["evicted_keys"]) == (now == 5)


def test_the_way_back_to_no_limit_is_a_line_that_works(
    valkey: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(valkey, capsys, "--maxmemory", "100mb", "--yes")
    (line,) = [line for line in out.splitlines() if line.startswith("redis-oom-tui")]
    assert line.endswith("limits --set maxmemory=unlimited")
    code, _, err = run(valkey, capsys, *shlex.split(line.partition(" limits ")[2]), "--yes")
    assert code == 0, err
    with valkey.client() as client:
        assert client.config_get("maxmemory") == {"maxmemory": "0"}


@pytest.mark.parametrize(
    "words", [("--set", "maxmemory=64mb", "--maxmemory", "20mb"), ("--set", "maxmemory-samples=6") * 2]
)
def test_a_setting_that_is_given_twice_is_refused(
    valkey: RunningServer, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    code, out, err = run(valkey, capsys, *words, "--yes")
    assert (code, out) == (2, "")
    assert "is given twice: give each setting one value" in err


def test_limit_and_policy_change_in_an_order_that_evicts_nothing(
    server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with server.client() as client:
        half = an_evicting_server(client)
        code, out, _ = run(server, capsys, "--maxmemory", str(half), "--policy", "noeviction", "--yes")
        assert (code, client.dbsize()) == (0, 3000)
        undo = [shlex.split(line)[3:] for line in out.splitlines() if line.startswith("redis-oom-tui")]
        assert [words[-1].partition("=")[0] for words in undo] == ["maxmemory", "maxmemory-policy"]
        code, _, _ = run(server, capsys, "--policy", "allkeys-lru", "--set", "maxmemory=67108864", "--yes")
        assert (code, client.dbsize()) == (0, 3000)
