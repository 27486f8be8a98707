"""`restore` on the command line: asked before, warned of what has no room, and careful with damaged backups."""

import json
from pathlib import Path

import pytest

from redis_oom_tui.files.backup_reading import as_lines
from tests.cli.ran import Tool
from tests.support.acting import fill, settled
from tests.support.backup_files import pieces
from tests.support.servers import RunningServer


@pytest.mark.parametrize(("policy", "share"), [("noeviction", 0.97), ("noeviction", 1.3), ("allkeys-lru", 0.97)])
def test_before_a_restore_it_is_said_that_there_is_no_room(
    server: RunningServer, tool: Tool, tmp_path: Path, policy: str, share: float
) -> None:
    backup = tmp_path / "backup"
    with server.client() as client:
        fill(client, [b"cache:1"])
        assert tool("cleanup", "--match", "cache:*", "--yes", "--backup", str(backup))[0] == 0
        fill(client, [b"other:%d" % n for n in range(5000)], b"x" * 1000)
        client.config_set("maxmemory-policy", policy)
        client.config_set("maxmemory", int(settled(client) / share))
        code, _, err = tool("restore", str(backup))
        assert code == 1
        where = "The server is over maxmemory, at " if share > 1 else "The server is at "
        assert f"! {where}" in err
        assert "Nothing is restored there above 95%: free memory or raise maxmemory first." in err
        code, document = tool.json("restore", str(backup), "--yes")
        assert (code, document["ok"], client.exists("cache:1")) == (1, False, 0)
        client.config_set("maxmemory", 0)
        assert "Nothing is restored there" not in tool("restore", str(backup))[2]


def test_restore_asks_and_nobody_there_means_no(valkey: RunningServer, valkey_tool: Tool, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    with valkey.client() as client:
        fill(client, [b"cache:1"])
        valkey_tool("cleanup", "--match", "cache:*", "--yes", "--backup", str(backup))
        code, _, err = valkey_tool("restore", str(backup))
        assert (code, client.dbsize()) == (1, 0)
        assert "add --yes" in err
        assert "run_id" not in err
        valkey.kill()
        valkey.start()
        err = valkey_tool("restore", str(backup))[2]
        assert "The run_id is not that of the backup: the server was restarted since, or another one has its" in err
        code, _, err = valkey_tool("restore", str(tmp_path / "missing"), "--yes")
        assert (code, "cannot be read" in err) == (2, True)


def test_a_backup_that_lost_a_line_is_refused_unless_that_is_asked_for(
    valkey: RunningServer, valkey_tool: Tool, tmp_path: Path
) -> None:
    backup = tmp_path / "b.jsonl"
    with valkey.client() as client:
        fill(client, [b"cache:%d" % n for n in range(120)])
        assert valkey_tool("cleanup", "--match", "cache:*", "--backup", str(backup), "--yes")[0] == 0
        lines = list(as_lines(backup))
        backup.write_bytes(b"".join(lines[:60] + lines[61:]))
        code, out, _ = valkey_tool("restore", str(backup), "--show")
        assert (code, len(out.splitlines())) == (1, 121)
        code, out, err = valkey_tool("restore", str(backup), "--yes")
        assert (code, out, client.dbsize()) == (2, "", 0)
        assert "119 of 120 keys can be read" in err
        assert "--damaged-ok" in err
        assert err.count("\n") == 1
        code, document = valkey_tool.json("restore", str(backup), "--yes", "--damaged-ok")
        assert (code, document["counts"], document["file_damaged"]) == (1, {"restored": 119, "failed": 1}, True)
        assert "119 of 120 keys can be read" in document["file_note"]
        assert client.dbsize() == 119


def test_a_backup_is_shown_in_lines_and_restored_from_its_frames(
    valkey: RunningServer, valkey_tool: Tool, tmp_path: Path
) -> None:
    backup = tmp_path / "b.backup"
    with valkey.client() as client:
        fill(client, [b"cache:\x1b%d" % n for n in range(600)])
        assert valkey_tool("cleanup", "--match", "cache:*", "--backup", str(backup), "--yes")[0] == 0
        code, out, err = valkey_tool("restore", str(backup), "--show")
        lines = [json.loads(line) for line in out.splitlines()]
        assert (code, err, client.dbsize()) == (0, "", 0)
        code, refused, err = valkey_tool("restore", str(backup), "--show", "--yes")
        assert (code, refused, "--show restores nothing" in err) == (2, "", True)
        assert {line["key"] for line in lines[1:-1]} == {f"cache:\\x1b{n}" for n in range(600)}
        assert (lines[0]["deed"], lines[-1]["keys"]) == ("delete", 600)
        # A frame that is damaged in its body or its header costs its own keys alone.
        whole = backup.read_bytes()
        frame = len(pieces(backup)[0])
        for place in (frame + 20, frame + 60):
            raw = bytearray(whole)
            raw[place] ^= 1
            backup.write_bytes(raw)
            code, out, err = valkey_tool("restore", str(backup), "--yes")
            assert (code, out, client.dbsize()) == (2, "", 0)
            code, document = valkey_tool.json("restore", str(backup), "--yes", "--damaged-ok")
            restored, failed = document["counts"]["restored"], document["counts"]["failed"]
            assert (code, restored + failed, client.dbsize()) == (1, 600, restored)
            assert f"Restored {restored} of 600 keys" in document["sentence"]
            assert 0 < failed <= 250
            client.flushall()


def test_a_backup_without_its_last_line_is_restored_and_said_to_have_no_end(
    valkey: RunningServer, valkey_tool: Tool, tmp_path: Path
) -> None:
    backup = tmp_path / "b.jsonl"
    with valkey.client() as client:
        fill(client, [b"cache:%d" % n for n in range(20)])
        assert valkey_tool("cleanup", "--match", "cache:*", "--backup", str(backup), "--yes")[0] == 0
        backup.write_bytes(b"".join(list(as_lines(backup))[:-1]))
        code, out, _ = valkey_tool("restore", str(backup), "--yes")
        assert (code, client.dbsize()) == (0, 20)
        assert "keys may be missing" in out
        client.flushall()
        backup.write_bytes(backup.read_bytes()[:-40])
        code, document = valkey_tool.json("restore", str(backup), "--yes")
        # A key that was being written when its run was interrupted was not deleted: it is no failure.
        assert (code, document["ok"], document["counts"]) == (0, True, {"restored": 19})
        assert "keys may be missing" in document["sentence"]
        assert "19 of the 20 keys of its plan can be read" in document["sentence"]


def test_a_backup_without_any_key_is_no_success(valkey: RunningServer, valkey_tool: Tool, tmp_path: Path) -> None:
    backup, cut = tmp_path / "backup", tmp_path / "cut"
    with valkey.client() as client:
        fill(client, [b"cache:%d" % n for n in range(20)])
        assert valkey_tool("cleanup", "--match", "cache:*", "--backup", str(backup), "--yes")[0] == 0
        whole = backup.read_bytes()
        for length in (whole.index(b"\n") + 1, whole.index(b"\n") + 30, len(whole) // 2):
            cut.write_bytes(whole[:length])
            code, document = valkey_tool.json("restore", str(cut), "--yes")
            assert (code, document["ok"], document["keys_total"]) == (1, False, 0)
            assert document["sentence"].startswith("Nothing was restored. ")
            assert "none of the 20 keys of its plan can be read" in document["sentence"]
            assert valkey_tool("restore", str(cut), "--show")[0] == 1
