"""`cleanup` of large keys: what cannot be backed up is kept, and what can be shrunk comes back."""

import os
from pathlib import Path

import pytest

from redis_oom_tui.formatting.sanitize import escape_exact
from tests.cli.ran import Tool
from tests.support.acting import fill, settled
from tests.support.servers import RunningServer

HOSTILE = b"cache:\xff\x1b[2J[red]*"


def a_giant_beside_a_small_one(server: RunningServer) -> None:
    with server.client() as client:
        client.set("cache:giant", os.urandom(50_000))
        client.set("cache:small", "x")


GIANTS = ("cleanup", "--match", "cache:*", "--max-key-backup", "10kb", "--yes")


def test_a_key_that_cannot_be_backed_up_is_kept_with_the_reason(server: RunningServer, tool: Tool) -> None:
    a_giant_beside_a_small_one(server)
    code, out, _ = tool(*GIANTS)
    assert code == 1
    assert "1 key (" in out
    assert "is kept, as too large to save" in out
    assert "kept: cache:giant: " in out
    assert "1 was kept, as no copy could be saved" in out
    assert "failed" not in out
    assert "is too large to save, with at most 10.0 KiB a key" in out
    with server.client() as client:
        assert client.keys() == [b"cache:giant"]


def test_a_key_that_cannot_be_backed_up_goes_where_that_is_asked_for(server: RunningServer, tool: Tool) -> None:
    a_giant_beside_a_small_one(server)
    code, out, _ = tool(*GIANTS, "--delete-unsaved")
    assert code == 0
    assert "for that there is no undo" in out
    with server.client() as client:
        assert client.dbsize() == 0
        a_giant_beside_a_small_one(server)
        code, out, _ = tool(*GIANTS, "--no-backup")
        assert code == 0
        assert "this cannot be undone" in out
        assert client.dbsize() == 0


def test_keys_that_will_have_no_room_to_be_saved_are_told_before(server: RunningServer, tool: Tool) -> None:
    with server.client() as client:
        for number in range(8):
            client.rpush(f"cache:{number}", os.urandom(1_500_000))
        client.set("other", os.urandom(4_000_000))
        client.config_set("maxmemory-policy", "noeviction")
    with server.client() as client:
        client.config_set("maxmemory", settled(client) - 1_000_000)
        # With a bound no batch is saved before the last one is gone: two together would make room for all others.
        words = ("cleanup", "--match", "cache:*", "--max-bytes", "1gb")
        code, document = tool.json(*words)
        assert code == 0
        assert document["budget"]["plan_bytes"] < 8_000_000, document["budget"]
        code, out, _ = tool(*words, "--yes")
        assert "may be kept: once others are gone, writes are accepted again, and saving 1." in out
        assert "or write no backup (--no-backup)." in out
        assert code == 1
        assert "were kept, as no copy could be saved" in out
        assert client.exists("other")
        code, out, _ = tool(*words, "--yes", "--no-backup")
        assert (code, client.keys()) == (0, [b"other"])


def test_a_giant_in_a_full_server_evicts_nobody_else(server: RunningServer, tool: Tool) -> None:
    with server.client() as client:
        fill(client, [b"other:%d" % n for n in range(20_000)], b"x" * 200)
        client.hset("cache:hog", mapping={f"f{n}": "v" * 20 for n in range(10_000)})
        client.hset("cache:hog", "data", os.urandom(60_000_000))
        client.config_set("maxmemory-policy", "allkeys-lru")
    with server.client() as client:
        client.config_set("maxmemory", settled(client) + 1_000_000)
        code, out, _ = tool("cleanup", "--match", "cache:*", "--yes")
        assert code == 1
        assert "too large to save" in out
        assert (client.info("stats")["evicted_keys"], client.dbsize()) == (0, 20_001)


def test_a_giant_is_shrunk_and_restored_on_the_command_line(server: RunningServer, tool: Tool, tmp_path: Path) -> None:
    backup = str(tmp_path / "b")
    with server.client() as client:
        client.rpush(HOSTILE, *[b"%d" % n for n in range(50)])
        words = ("cleanup", "--shrink", escape_exact(HOSTILE), "--keep-last", "20", "--oldest-end", "left")
        code, out, _ = tool(*words)
        assert code == 0
        assert "Remove 30 of 50 elements (all but the newest 20" in out
        assert "Oldest: 0. Newest that goes: 29." in out
        assert "The oldest are taken to be at the left end, as RPUSH adds at the right." in out
        assert "Dry run." in out
        assert "\x1b" not in out
        code, planned = tool.json(*words)
        assert planned["report"] is None
        assert (planned["shrink"]["removed_elements_total"], planned["shrink"]["oldest"]) == (30, ["0"])
        assert client.llen(HOSTILE) == 50
        assert tool(*words, "--yes", "--hash", "0000")[0] == 2
        code, ran = tool.json(*words, "--yes", "--hash", planned["shrink"]["hash"][:12], "--backup", backup)
        assert (code, ran["report"]["counts"]) == (0, {"deleted": 30})
        assert client.lrange(HOSTILE, 0, 0) == [b"30"]
        code, out, _ = tool("restore", backup, "--yes")
        assert (code, out) == (0, "Restored 30 of 30 elements.\n")
        assert client.llen(HOSTILE) == 50
        code, out, _ = tool(*words[:3], "--keep-last", "50", "--oldest-end", "left")
        assert (code, out) == (0, "None of the 50 elements is to go: there is nothing to do.\n")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--shrink", "k"), "exactly one of --keep-last, --older-than and --fields"),
        (("--keep-last", "5"), "--keep-last requires --shrink KEY"),
        (("--shrink", "k", "--keep-last", "5", "--match", "a"), "--match cannot be given with --shrink"),
        (("--shrink", "k", "--keep-last", "5"), "There is no such key now"),
    ],
)
def test_a_shrink_that_means_nothing_is_one_sentence(valkey_tool: Tool, words: tuple[str, ...], reason: str) -> None:
    code, out, err = valkey_tool("cleanup", *words)
    assert (code, out) == (2, "")
    assert reason in err
    assert len(err.splitlines()) == 1
