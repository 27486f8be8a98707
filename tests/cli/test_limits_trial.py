"""`limits --revert-after`: a setting on trial goes back by itself unless somebody keeps it."""

import functools
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_limits import an_evicting_server, on_a_terminal, run
from tests.support.json_documents import document_of
from tests.support.servers import RunningServer


def test_two_changes_on_trial_are_shown_in_the_order_in_which_they_are_made(
    server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with server.client() as client:
        half = an_evicting_server(client)
        words = ("--maxmemory", str(half), "--policy", "noeviction", "--yes", "--revert-after", "1s")
        _, _, err = run(server, capsys, *words)
        assert "! Writes will be refused until " in err
        assert "keys would be evicted" not in err
        assert client.dbsize() == 3000


@pytest.mark.parametrize(("answer", "now"), [(b"no\rkeep\r", "104857600"), (b"\x04", "0")])
def test_a_setting_on_trial_stays_only_if_it_is_kept(valkey: RunningServer, answer: bytes, now: str) -> None:
    words = ("--maxmemory", "100mb", "--yes", "--revert-after", "10m")
    code, said = on_a_terminal(valkey, answer, *words, asked=b'type "keep"')
    assert b"killed before that, undo with: CONFIG SET maxmemory 0" in said
    assert code == (0 if now != "0" else 1)
    assert (b"is not kept: it reverted to no limit (0)" in said) is (now == "0")
    with valkey.client() as client:
        assert client.config_get("maxmemory") == {"maxmemory": now}


def test_a_setting_that_others_changed_on_trial_is_not_said_to_stay(server: RunningServer) -> None:
    words = ("--policy", "allkeys-lfu", "--yes", "--revert-after", "10m")
    with server.client() as client:
        others = functools.partial(client.config_set, "maxmemory-policy", "volatile-ttl")
        code, said = on_a_terminal(server, b"keep\r", *words, asked=b'type "keep"', meanwhile=others)
        assert code == 1
        assert b"it no longer reverts, but it is volatile-ttl now: it was changed meanwhile" in said
        assert b"limits --policy" not in said, "there is nothing to undo"
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-ttl"}


def test_a_trial_says_before_what_the_old_limit_would_mean_again(
    valkey: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with valkey.client() as client:
        client.config_set("maxmemory", int(client.info("memory")["used_memory"]) // 2)
    code, _, err = run(valkey, capsys, "--maxmemory", "1gb", "--yes", "--revert-after", "1s")
    assert code == 1
    assert "! When it reverts to " in err
    assert "every write is refused until the excess is freed" in err


def trying(server: RunningServer, span: str) -> subprocess.Popen[str]:
    """The command without a terminal, its setting set and not back yet if it is to go back in more than a moment."""
    words = ("limits", "--policy", "allkeys-lru", "--yes", "--json", "--revert-after", span)
    tool = subprocess.Popen(
        [sys.executable, "-m", "redis_oom_tui", "-s", server.socket_path, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert tool.stderr is not None
    said = [next(tool.stderr, "") for _ in range(3)]
    assert said[0].endswith("killed before that, undo with: CONFIG SET maxmemory-policy noeviction\n")
    assert said[1] == "maxmemory-policy is allkeys-lru for now\n"
    assert said[2].startswith("It reverts in")
    assert said[2].endswith("not a terminal, so nobody can keep it\n")
    return tool


def policy_is(server: RunningServer, name: str) -> bool:
    with server.client() as client:
        return bool(client.config_get("maxmemory-policy") == {"maxmemory-policy": name})


def test_without_a_terminal_a_setting_on_trial_goes_back_when_the_time_is_over(valkey: RunningServer) -> None:
    out, _ = trying(valkey, "1s").communicate(timeout=60)
    (change,) = document_of("limits", out)["changes"]
    assert (change["took"], change["now"]) == (False, "noeviction")
    assert policy_is(valkey, "noeviction")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_trial_at_once(valkey: RunningServer, number: int) -> None:
    tool = trying(valkey, "1h")
    assert policy_is(valkey, "allkeys-lru")
    tool.send_signal(number)
    tool.communicate(timeout=60)
    assert tool.returncode == 1
    assert policy_is(valkey, "noeviction")


def test_a_killed_trial_has_said_in_the_audit_file_what_it_left_behind(valkey: RunningServer, tmp_path: Path) -> None:
    tool = trying(valkey, "1h")
    tool.kill()
    tool.communicate()
    lines = [json.loads(line) for line in (tmp_path / "redis-oom-tui" / "audit.jsonl").read_text().splitlines()]
    (intent,) = [line for line in lines if line["phase"] == "intent"]
    assert intent["what"] == "maxmemory-policy: noeviction to allkeys-lru, reverted in 3600s unless kept"
    assert (intent["before"], intent["reverts_in_seconds"]) == ("noeviction", 3600)


@pytest.mark.parametrize("words", [["--revert-after", "60s"], ["--revert-after", "0", "--policy", "allkeys-lru"]])
def test_a_trial_of_nothing_is_refused(
    valkey: RunningServer, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    code, _, err = run(valkey, capsys, *words)
    assert code == 2
    assert "--revert-after" in err
