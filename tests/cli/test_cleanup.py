"""`cleanup` and `restore` on the command line: shown first, run only when told, and honest in their exit codes."""

import asyncio
import json
import os
import signal
import uuid
from pathlib import Path
from typing import Any

import pytest

from redis_oom_tui.actions.planning import PlanMaker
from redis_oom_tui.cli import main as entry
from redis_oom_tui.files.backup_reading import as_lines
from redis_oom_tui.formatting.sanitize import escape_exact
from tests.apps import samples
from tests.cli.ran import Tool, place_among_processes
from tests.support.acting import calls, fill, fill_to_the_limit, settled
from tests.support.servers import RunningServer, started

HOSTILE = b"cache:\xff\x1b[2J[red]*"


def test_a_cleanup_only_tells_unless_told_to_act(server: RunningServer, tool: Tool) -> None:
    with server.client() as client:
        fill(client, [b"cache:1", b"cache:2", b"other", HOSTILE])
        code, out, _ = tool("cleanup", "--match", "cache:*")
        assert code == 0
        assert "Delete 3 keys" in out
        assert "Dry run" in out
        assert escape_exact(HOSTILE) in out
        assert "\x1b" not in out
        assert client.dbsize() == 4
        assert calls(client, "unlink") <= 1  # on 6.2, of a key that is not there: whether this user may


def test_a_cleanup_at_oom_deletes_reports_and_is_undone(server: RunningServer, tool: Tool, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    with server.client() as client:
        fill(client, [b"cache:%d" % n for n in range(1500)] + [b"other"], b"x" * 1000)
        fill_to_the_limit(client)
        code, document = tool.json("cleanup", "--match", "cache:*", "--backup", str(backup), "--yes")
        assert code == 0
        assert document["report"]["counts"] == {"deleted": 1500}
        assert {key["outcome"] for key in document["keys"]} == {"deleted"}
        assert document["plan"]["keys_total"] == 1500
        assert document["budget"]["needed_bytes"] > 0
        assert client.keys() == [b"other"]
        client.set(b"writes work again", b"x" * 1000)
        client.config_set("maxmemory", 0)
        code, document = tool.json("restore", str(backup), "--yes")
        assert (code, document["counts"]) == (0, {"restored": 1500})
        assert client.dbsize() == 1502


@pytest.mark.parametrize("yes", [True, False], ids=["--yes", "only told"])
def test_who_stops_the_search_gets_no_cleanup(
    valkey: RunningServer, valkey_tool: Tool, monkeypatch: pytest.MonkeyPatch, yes: bool
) -> None:
    search = PlanMaker._search

    async def stopped_at_once(maker: PlanMaker, *given: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        while not maker._stop:
            await asyncio.sleep(0.001)
        await search(maker, *given)

    monkeypatch.setattr(PlanMaker, "_search", stopped_at_once)
    with valkey.client() as client:
        fill(client, [b"cache:%d" % n for n in range(9000)])
        code, out, err = valkey_tool("cleanup", "--match", "cache:*", *["--yes"] * yes)
        assert (code, client.dbsize()) == (130, 9000)
    if yes:
        begun = "redis-oom-tui: scanning the keys ...\n"
        assert (out, err) == ("", begun + "Stopped during the search: nothing was done.\n")
    else:
        assert "The search ended early, after " in out
        assert "Dry run" in out


@pytest.mark.parametrize(
    ("words", "doing"),
    [
        (("--match", "a*"), ["scanning the keys"]),
        (("--key", "a1"), ["looking up the keys"]),
        (("--match", "a*", "--expire", "1h", "--yes"), ["scanning the keys", "setting the expiry of 2 keys"]),
        (("--match", "a*", "--yes"), ["scanning the keys", "deleting 2 keys"]),
        (("--match", "b*", "--yes"), ["scanning the keys"]),
    ],
)
def test_without_a_terminal_it_says_once_what_it_does(
    valkey: RunningServer, valkey_tool: Tool, words: tuple[str, ...], doing: list[str]
) -> None:
    with valkey.client() as client:
        fill(client, [b"a1", b"a2"])
    code, _, err = valkey_tool("cleanup", *words)
    assert code == 0
    assert err.splitlines() == [f"redis-oom-tui: {each} ..." for each in doing]


def test_keys_that_a_limit_leaves_out_are_told(valkey: RunningServer, valkey_tool: Tool) -> None:
    with valkey.client() as client:
        fill(client, [b"cache:%d" % n for n in range(7)])
        _, out, _ = valkey_tool("cleanup", "--match", "cache:*", "--max-keys", "6")
    assert "1 more key matches (" in out
    assert "the limit of the plan leaves it out" in out


def test_a_saved_plan_runs_by_its_hash(server: RunningServer, tool: Tool, tmp_path: Path) -> None:
    plan = tmp_path / "plan"
    with server.client() as client:
        fill(client, [b"cache:1", b"cache:2"])
        _, document = tool.json("cleanup", "--match", "cache:*", "--save-plan", str(plan))
        fill(client, [b"cache:3"])
        code, _, err = tool("cleanup", "--plan", str(plan), "--hash", "0000", "--yes")
        assert (code, client.dbsize()) == (2, 3)
        assert "nothing was done" in err
        code, _, _ = tool("cleanup", "--plan", str(plan), "--hash", document["plan"]["hash"][:12], "--yes")
        assert (code, client.keys()) == (0, [b"cache:3"])


CHOICES = (
    ("--max-keys", "1"),
    ("--max-bytes", "1mb"),
    ("--type", "hash"),
    ("--expire", "1h"),
    ("--match", "b*"),
    ("--pattern", "b"),
    ("--delimiter", "/"),
    ("--key", "b"),
    ("--idle-over", "1d"),
    ("--no-ttl",),
    ("--with-ttl",),
    ("--larger-than", "1mb"),
    ("--oldest",),
    ("--emergency",),
)


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice[0])
def test_beside_a_frozen_plan_no_choice_is_dropped_without_a_word(
    valkey: RunningServer, valkey_tool: Tool, tmp_path: Path, choice: tuple[str, ...]
) -> None:
    plan = tmp_path / "plan"
    with valkey.client() as client:
        fill(client, [b"a:%d" % number for number in range(5)])
        valkey_tool("cleanup", "--match", "a:*", "--save-plan", str(plan))
        code, out, err = valkey_tool("cleanup", "--plan", str(plan), *choice, "--yes")
        assert (code, out, client.dbsize()) == (2, "", 5)
        assert f"{choice[0]} cannot be given with --plan: the plan is already frozen" in err


def test_a_frozen_plan_of_another_database_than_asked_for_is_refused(
    valkey: RunningServer, valkey_tool: Tool, tmp_path: Path
) -> None:
    plan = tmp_path / "plan"
    with valkey.client() as client:
        fill(client, [b"a"])
        valkey_tool("cleanup", "--match", "a", "--save-plan", str(plan))
        code, _, err = valkey_tool("cleanup", "--plan", str(plan), "--yes", before=("-n", "1"))
        assert (code, client.dbsize()) == (2, 1)
        assert "it has keys of database 0" in err
        assert valkey_tool("cleanup", "--plan", str(plan), "--yes", before=("-n", "0"))[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--emergency", "--match", "a"), "--match cannot be given with --emergency"),
        (("--match", "a", "--no-backup", "--backup", "x"), "--backup cannot be given with --no-backup"),
        (("--match", "a", "--no-backup", "--keep-unsaved"), "--keep-unsaved cannot be given with --no-backup"),
        (("--match", "a", "--delimiter", "/"), "--delimiter requires --pattern"),
        (("--match", "a", "--oldest"), "--oldest requires --max-keys or --max-bytes"),
        (
            ("--pattern", "a", "--saved-scan", __file__, "--delimiter", "/"),
            "--delimiter cannot be given with --saved-scan",
        ),
        (("--plan", __file__, "--max-keys", "1"), "--max-keys cannot be given with --plan"),
        (("--plan", __file__, "--free-to", "80%"), "--free-to cannot be given with --plan"),
        (("--plan", __file__, "--orphans", "celery"), "--orphans cannot be given with --plan"),
        (("--plan", "/nowhere/x"), "cannot be read"),
        (("--match", "a", "--idle-over", "soon"), "soon"),
        ((), "Choose which keys first"),
        (("--match", ""), "An empty pattern matches no key"),
        (("--emergency",), "No emergency cleanup is configured"),
        (("--match", "a", "--backup", __file__), "exists already"),
        (("--match", "a", "--save-plan", "/nowhere/plan"), "its folder does not exist"),
    ],
)
def test_what_cannot_be_is_said_before_a_server_is_looked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        entry.main(["-s", str(tmp_path / "nothing"), "cleanup", *words, "--yes"])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_very_key_is_named_as_the_tool_prints_it(valkey: RunningServer, valkey_tool: Tool) -> None:
    with valkey.client() as client:
        fill(client, [HOSTILE, b"cache:x", b"cache:"])
        code, _, _ = valkey_tool("cleanup", "--key", escape_exact(HOSTILE), "--yes")
        assert code == 0
        assert set(client.keys()) == {b"cache:x", b"cache:"}


def test_all_that_narrows_a_plan(valkey: RunningServer, valkey_tool: Tool) -> None:
    with valkey.client() as client:
        fill(client, [b"a:old", b"b:old"], idle=5000)
        client.set(b"a:new", b"x")
        client.set(b"a:big", b"x" * 50_000)
        client.hset(b"a:hash", "f", "v")
        client.set(b"a:ttl", b"x", ex=5000)

        def chosen(*words: str) -> set[str]:
            _, document = valkey_tool.json("cleanup", *words)
            return {key["key"] for key in document["keys"]}

        assert chosen("--match", "a:*", "--match", "b:*", "--idle-over", "1h") == {"a:old", "b:old"}
        assert chosen("--type", "HASH") == {"a:hash"}
        assert chosen("--larger-than", "10kb") == {"a:big"}
        assert chosen("--with-ttl") == {"a:ttl"}
        assert chosen("--no-ttl", "--match", "a:*") == {"a:old", "a:new", "a:big", "a:hash"}
        assert chosen("--match", "*", "--max-keys", "1") == {"a:big"}
        assert chosen("--match", "?:old", "--max-keys", "1", "--oldest") < {"a:old", "b:old"}
        assert chosen("--match", "*", "--max-bytes", "1") == set()
        assert "a:big" not in chosen("--match", "*", "--max-bytes", "50kb")
        assert "a:big" in chosen("--match", "*", "--max-bytes", "60kb")


def test_expiring_in_place_of_deleting(server: RunningServer, tool: Tool) -> None:
    with server.client() as client:
        fill(client, [b"cache:1"])
        code, document = tool.json("cleanup", "--match", "cache:*", "--expire", "10m", "--yes")
        assert (code, document["report"]["counts"]) == (0, {"expiring": 1})
        assert 0 < client.ttl(b"cache:1") <= 601  # type: ignore[operator]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--match", ""],
        ["--match", "a", "--max-keys", "0"],
        ["--larger-than", "50%"],
        ["--idle-over", "soon"],
        ["--no-ttl", "--with-ttl"],
        ["--match", "a", "--backup", "x", "--no-backup"],
        ["--match", "a", "--expire", "0"],
        ["--key", "\\x"],
        ["--plan", "missing"],
        ["--emergency"],
        ["--idle-over", "300d"],
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(
    valkey: RunningServer, valkey_tool: Tool, words: list[str]
) -> None:
    with valkey.client() as client:
        fill(client, [b"a"])
        code, out, err = valkey_tool("cleanup", "--yes", *words)
        assert code in (2, 3)
        assert out == ""
        assert "Traceback" not in err
        assert client.dbsize() == 1


def test_read_only_exits_3_and_sends_no_write(server: RunningServer, tool: Tool, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    with server.client() as client:
        fill(client, [b"cache:1", b"cache:2"])
        tool("cleanup", "--match", "cache:2", "--yes", "--backup", str(backup))
        writes = ("eval", "unlink", "pexpireat", "restore", "config|set", "config")
        before = calls(client, *writes)
        for words in (
            ["cleanup", "--match", "cache:*", "--yes"],
            ["cleanup", "--match", "cache:*", "--expire", "10m", "--yes"],
            ["restore", str(backup), "--yes"],
            ["limits", "--maxmemory", "100mb", "--yes"],
            ["limits", "--policy", "allkeys-lru", "--yes", "--persist"],
        ):
            code, out, err = tool(*words, before=("--read-only",))
            assert (code, out) == (3, "")
            assert "--read-only" in err
        assert calls(client, *writes) == before
        assert tool("cleanup", "--match", "cache:*", before=("--read-only",))[0] == 0
        assert client.dbsize() == 1


def test_a_user_who_may_not_write_exits_3(server: RunningServer, tool: Tool) -> None:
    with server.client() as client:
        fill(client, [b"cache:1"])
        client.execute_command("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@read", "+info", "+client", "+acl")
        login = ("--user", "reader", "-a", "pw")
        code, _, err = tool("cleanup", "--match", "*", "--yes", before=login)
        assert (code, "UNLINK is refused here" in err) == (3, True)
        code, _, err = tool("limits", "--maxmemory", "1gb", "--yes", before=login)
        assert (code, "CONFIG SET is refused here" in err) == (3, True)
        assert "pw" not in err.replace("pwd", "")
        assert client.dbsize() == 1


def test_a_key_that_changed_is_named_and_is_no_failure(
    valkey: RunningServer, valkey_tool: Tool, tmp_path: Path
) -> None:
    plan = tmp_path / "plan"
    with valkey.client() as client:
        fill(client, [b"cache:1", b"cache:2"])
        valkey_tool("cleanup", "--match", "cache:*", "--save-plan", str(plan))
        client.append(b"cache:1", b"more")
        code, out, _ = valkey_tool("cleanup", "--plan", str(plan), "--yes")
    assert code == 0
    assert "1 was skipped, as it changed or may have" in out
    assert "changed: cache:1: it was used since the preview" in out


def test_a_run_that_kept_every_key_exits_1(server: RunningServer, tool: Tool, tmp_path: Path) -> None:
    plan = tmp_path / "plan"
    names = [b"cache:%d" % n for n in range(50)]
    with server.client() as client:
        fill(client, names)
        tool("cleanup", "--match", "cache:*", "--save-plan", str(plan))
        for name in names:
            client.append(name, b"more")
        code, document = tool.json("cleanup", "--plan", str(plan), "--yes")
        assert (code, document["report"]["ok"]) == (1, False)
        assert document["report"]["counts"] == {"changed": 50}
        assert client.dbsize() == 50
        client.delete(*names)
        code, document = tool.json("cleanup", "--plan", str(plan), "--yes")
        assert (code, document["report"]["ok"], document["report"]["counts"]) == (0, True, {"gone": 50})


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


def test_a_run_that_could_not_finish_exits_1(valkey: RunningServer, valkey_tool: Tool) -> None:
    with valkey.client() as client:
        fill(client, [b"cache:1"])
        client.config_set("min-replicas-to-write", 1)
        code, out, _ = valkey_tool("cleanup", "--match", "cache:*", "--yes")
    assert code == 1
    assert "NOREPLICAS" in out
    assert "Undo with" not in out
    assert "so this plan would do nothing: " in out
    assert "write.." not in out


def test_who_shrank_a_stream_is_not_told_to_undo_it_while_it_exists(valkey: RunningServer, valkey_tool: Tool) -> None:
    with valkey.client() as client:
        for number in range(30):
            client.xadd("orders", {"n": number})
        client.rpush("jobs", *range(30))
    words = ("--keep-last", "20", "--yes")
    code, out, _ = valkey_tool("cleanup", "--shrink", "orders", *words)
    assert "(primary)" in out
    assert (code, "Undo with" in out, "Once the stream is gone, restore with: redis-oom-tui" in out) == (0, False, True)
    code, out, _ = valkey_tool("cleanup", "--shrink", "jobs", "--oldest-end", "left", *words)
    assert (code, "Undo with: redis-oom-tui" in out) == (0, True)


def test_where_nothing_matches_nothing_is_asked(valkey: RunningServer, valkey_tool: Tool) -> None:
    code, out, _ = valkey_tool("cleanup", "--match", "nothing*", "--yes")
    assert code == 0
    assert "there is nothing to do" in out


def test_no_server_exits_3_with_one_sentence(valkey: RunningServer, valkey_tool: Tool) -> None:
    valkey.kill()
    for words in (["cleanup", "--match", "*", "--yes"], ["limits"]):
        code, out, err = valkey_tool(*words)
        assert (code, out) == (3, "")
        assert err.count("\n") == 1


def test_restore_asks_and_nobody_there_means_no(valkey: RunningServer, valkey_tool: Tool, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    with valkey.client() as client:
        fill(client, [b"cache:1"])
        valkey_tool("cleanup", "--match", "cache:*", "--yes", "--backup", str(backup))
        code, _, err = valkey_tool("restore", str(backup))
        assert (code, client.dbsize()) == (1, 0)
        assert "add --yes" in err
        code, _, err = valkey_tool("restore", str(tmp_path / "missing"), "--yes")
        assert (code, "cannot be read" in err) == (2, True)


def test_an_emergency_runs_the_prepared_plan_within_its_caps(
    valkey: RunningServer, valkey_tool: Tool, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[plans.caches]\nmatch = "cache:*"\n\n[emergency]\nplan = "caches"\nmax_keys = 2\n')
    with valkey.client() as client:
        fill(client, [b"cache:1", b"cache:2", b"cache:3", b"other"])
        code, _, _ = valkey_tool("cleanup", "--emergency", before=("--config", str(config)))
        assert (code, client.dbsize()) == (0, 4)
        code, out, _ = valkey_tool("cleanup", "--emergency", "--yes", before=("--config", str(config)))
        assert (code, client.dbsize()) == (0, 2), out
        assert client.exists(b"other")


def test_the_audit_option_says_where(valkey: RunningServer, valkey_tool: Tool, tmp_path: Path) -> None:
    audit = tmp_path / "elsewhere" / "audit"
    with valkey.client() as client:
        fill(client, [b"cache:1"])
    valkey_tool("cleanup", "--match", "cache:*", "--yes", before=("--audit", str(audit)))
    assert b'"deleted":1' in audit.read_bytes()


def test_config_away_is_no_hindrance_to_a_cleanup(flavour: str) -> None:
    with started(flavour, 'rename-command CONFIG ""') as server, server.client() as client:
        fill(client, [b"cache:1"])
        assert Tool(server)("cleanup", "--match", "cache:*", "--yes")[0] == 0
        assert client.dbsize() == 0


def test_others_on_its_machine_are_served_first(valkey: RunningServer, tmp_path: Path) -> None:
    with valkey.client() as client:
        fill(client, [b"old:%d" % number for number in range(20)])
    second = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
    copies = tmp_path / "copies.rotbak"
    way = ("--audit", str(tmp_path / "audit"))
    assert (
        place_among_processes(valkey, *way, "cleanup", "--match", "old:*", "--backup", str(copies), "--yes") == second
    )
    assert place_among_processes(valkey, *way, "restore", str(copies), "--yes") == second


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
        assert (code, document["counts"], document["file_damaged"]) == (1, {"restored": 119}, True)
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
        # A frame that is damaged costs its own keys alone.
        raw = bytearray(backup.read_bytes())
        raw[len(raw) // 2] ^= 1
        backup.write_bytes(raw)
        code, out, err = valkey_tool("restore", str(backup), "--yes")
        assert (code, out, client.dbsize()) == (2, "", 0)
        code, document = valkey_tool.json("restore", str(backup), "--yes", "--damaged-ok")
        restored, failed = document["counts"]["restored"], document["counts"]["failed"]
        assert (code, restored + failed, client.dbsize()) == (1, 600, restored)
        assert 0 < failed <= 250


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
        assert (code, document["ok"], document["counts"]) == (1, False, {"restored": 19, "failed": 1})
        assert "keys may be missing" in document["sentence"]


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


def test_free_to_proposes_and_frees_what_harms_least(server: RunningServer, tool: Tool, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, [b"old:%d" % n for n in range(1000)], b"x" * 3000, idle=40 * 86400)
        fill(client, [b"app:cache:%d" % n for n in range(1000)], b"x" * 3000, idle=60)
        fill(client, [b"queue:mail:%d" % n for n in range(1000)], b"x" * 3000, idle=90 * 86400)
        limit = settled(client)
        client.config_set("maxmemory", limit)
        code, out, _ = tool("cleanup", "--free-to", "60%")
        assert code == 0
        assert "1. caches without a TTL: app:cache:" in out
        assert "2. keys that nobody used for 30 days: old:" in out
        assert "Risk: nothing tells whether somebody needs them all the same" in out
        assert "Not proposed: 1,000 keys" in out
        assert "Dry run." in out
        code, document = tool.json("cleanup", "--free-to", "60%", "--yes", "--backup", str(tmp_path / "b"))
        assert code == 0
        assert document["proposal"]["parts"][0]["keys_total"] == 1000
        assert document["budget"]["enough"]
        gone = document["report"]["counts"]["deleted"]
        left = [client.keys(pattern) for pattern in ("app:cache:*", "old:*", "queue:mail:*")]
        assert gone == 2000 - len(left[0]) - len(left[1])
        assert 0 < len(left[0]) + len(left[1]) < 1000
        assert len(left[2]) == 1000
        assert 0.5 < settled(client) / limit < 0.66
        assert tool("restore", str(tmp_path / "b"), "--yes")[0] in (0, 1)
        code, out, _ = tool("cleanup", "--free-to", "99%")
        assert (code, "it is under 99% already." in out, "Nothing" in out) == (0, True, False)


def test_free_to_says_where_no_deletion_helps_before_any_scan(server: RunningServer, tool: Tool) -> None:
    with server.client() as client:
        fill(client, [b"app:cache:%d" % n for n in range(300)], b"x" * 3000, idle=60)
        pipeline = client.pipeline(transaction=False)
        for number in range(450):
            pipeline.execute_command("SCRIPT", "LOAD", f"return '{number:020000}'")
        pipeline.execute()
        client.config_set("maxmemory", settled(client))
        scans = client.info("commandstats").get("cmdstat_scan")
        code, out, _ = tool("cleanup", "--free-to", "80%")
        assert code == 0
        assert "No deletion helps: cached scripts hold" in out
        assert "First step: " in out
        assert "SCRIPT FLUSH" in out
        assert "Nothing:" not in out
        assert client.info("commandstats").get("cmdstat_scan") == scans
        code, document = tool.json("cleanup", "--free-to", "80%")
        assert (code, document["proposal"]["parts"]) == (0, [])
        assert document["proposal"]["cause"].startswith("No deletion helps: ")


def test_free_to_says_that_results_are_still_in_use(valkey: RunningServer, valkey_tool: Tool) -> None:
    with valkey.client() as client:
        for number in range(400):
            result = '{"status": "SUCCESS", "result": "' + "x" * 3000 + '", "date_done": null, "task_id": "a"}'
            client.set(f"celery-task-meta-{uuid.UUID(int=number * 7919)}", result)
        client.config_set("maxmemory", settled(client))
        code, out, _ = valkey_tool("cleanup", "--free-to", "80%")
        assert code == 0
        assert "Not proposed: 400 keys (" in out
        assert "which are results used within the last hour, as celery-task-meta-" in out


def test_free_to_names_finished_jobs_or_the_command_that_counts_them(server: RunningServer, tool: Tool) -> None:
    with server.client() as client:
        samples.write(client, samples.load("bullmq").keys)
        for job in range(1000, 1300):
            client.hset(f"bull:mail:{job}", mapping={"name": "a", "data": "x" * 5000, "opts": "{}", "timestamp": "1"})
            client.zadd("bull:mail:completed", {str(job): 1_700_000_000_000})
        client.config_set("maxmemory", settled(client))
        code, out, _ = tool("cleanup", "--free-to", "80%")
        command = next(line.rpartition(": ")[2].split() for line in out.splitlines() if "cleanup --finished" in line)
        assert (code, "cleanup" in command) == (0, True)
        code, out, _ = tool(*command[command.index("cleanup") :])
        assert (code, "that BullMQ lists as completed" in out) == (0, True)


@pytest.mark.parametrize("share", ["0%", "100%", "x", "-5"])
def test_a_share_that_cannot_be_meant_is_one_sentence(valkey_tool: Tool, share: str) -> None:
    code, _, err = valkey_tool("cleanup", "--free-to", share)
    assert code == 2
    assert "a share of maxmemory from 1% to 99%" in err


def test_free_to_without_a_limit_says_so(valkey_tool: Tool) -> None:
    code, _, err = valkey_tool("cleanup", "--free-to", "80%")
    assert (code, "No limit is known here" in err) == (2, True)


def test_finished_jobs_go_and_come_back_on_the_command_line(server: RunningServer, tool: Tool, tmp_path: Path) -> None:
    backup = str(tmp_path / "b")
    with server.client() as client:
        samples.write(client, samples.load("bullmq").keys)
        before = client.dbsize()
        words = ("cleanup", "--finished", "bullmq:mail", "--older-than", "0s")
        code, out, _ = tool(*words)
        assert code == 0
        assert "(primary)" in out
        assert "Delete 3 of 3 jobs that BullMQ lists as completed (bull:mail:completed), older than 0s" in out
        assert "Waiting and active jobs are not touched." in out
        assert client.dbsize() == before
        code, ran = tool.json(*words, "--yes", "--backup", backup)
        assert (code, ran["report"]["counts"]) == (0, {"deleted": 3})
        assert ran["finished"]["jobs"][0] == {"list": "bull:mail:completed", "job": "1"}
        code, out, _ = tool("restore", backup, "--yes")
        assert (code, out) == (0, "Restored 3 of 3 jobs.\n")
        assert client.dbsize() == before
        code, out, _ = tool("cleanup", "--finished", "bullmq:mail", "--older-than", "3650d")
        assert (code, out) == (0, "None of the 3 completed jobs is that old: there is nothing to do.\n")


def test_dead_jobs_of_sidekiq_are_elements_and_results_of_celery_are_keys(
    valkey: RunningServer, valkey_tool: Tool
) -> None:
    with valkey.client() as client:
        samples.write(client, samples.load("sidekiq").keys)
        samples.write(client, samples.load("celery").keys)
        client.zadd("dead", {"older": 1_000_000_001, "newer": 4_000_000_000})
        _, told = valkey_tool.json("cleanup", "--finished", "Sidekiq", "--older-than", "1d")
        assert (told["shrink"]["key"], told["shrink"]["score_unit"]) == ("dead", "s")
        assert told["shrink"]["removed_elements_total"] < told["shrink"]["elements_total"]
        results = client.keys("celery-task-meta-*")
        client.restore("celery-task-meta-old", 0, client.dump(results[0]), idletime=90_000)
        _, told = valkey_tool.json("cleanup", "--finished", "celery", "--older-than", "1d")
        assert [key["key"] for key in told["keys"]] == ["celery-task-meta-old"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--finished", "bullmq"), "--finished requires --older-than TIME"),
        (("--finished", "nonsense", "--older-than", "1d"), "is no application that is known with finished work: "),
        (("--finished", "bullmq", "--older-than", "1d", "--match", "a"), "--match cannot be given with --finished"),
        (("--state", "failed"), "--state requires --finished APP"),
        (("--finished", "bullmq", "--older-than", "1d", "--state", "x"), "--state completed or failed"),
        (("--finished", "bullmq", "--older-than", "1d"), "No list of completed jobs of BullMQ is here"),
    ],
)
def test_finished_work_that_means_nothing_is_one_sentence(
    valkey_tool: Tool, words: tuple[str, ...], reason: str
) -> None:
    code, out, err = valkey_tool("cleanup", *words)
    assert (code, out) == (2, "")
    assert reason in err
    assert len(err.splitlines()) == 1


def test_reply_queues_that_no_binding_names_are_orphans(server: RunningServer, tool: Tool) -> None:
    with server.client() as client:
        samples.write(client, samples.load("celery").keys)
        live, orphan = (f"{number * 8}-0000-3000-8000-{number * 12}.reply.celery.pidbox" for number in "12")
        other = f"{'3' * 8}-0000-3000-8000-{'3' * 12}.reply.celery.pidbox"
        client.delete(*client.keys("*.reply.celery.pidbox"), "unused")
        client.sadd("_kombu.binding.reply.celery.pidbox", f"{live[:36]}\x06\x16\x06\x16{live}")
        for name in (live, orphan, other):
            client.rpush(name, "answer")
        client.rpush("mail:reply", "a")
        code, document = tool.json("cleanup", "--orphans", "celery")
        assert code == 0
        assert {key["key"] for key in document["keys"]} == {orphan, other}
        code, document = tool.json("cleanup", "--orphans", "celery", "--yes", "--no-backup")
        assert (code, client.exists(live), client.exists(orphan)) == (0, 1, 0)
        code, out, _ = tool("cleanup", "--orphans", "celery")
        assert (code, "there is nothing to do" in out) == (0, True)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--orphans", "bullmq"), "'bullmq' is no application whose orphans are known: Celery\n"),
        (("--orphans", "x"), "'x' is no application whose orphans are known: Celery\n"),
        (("--orphans", "celery", "--match", "a"), "--match cannot be given with --orphans"),
    ],
)
def test_orphans_that_cannot_be_told_are_one_sentence(valkey_tool: Tool, words: tuple[str, ...], reason: str) -> None:
    code, _, err = valkey_tool("cleanup", *words)
    assert (code, reason in err) == (2, True)
