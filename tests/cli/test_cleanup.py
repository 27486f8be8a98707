"""`cleanup` on the command line: shown first, run only when told, and honest in its exit codes."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from redis_oom_tui.actions.planning import PlanMaker
from redis_oom_tui.actions.run import Run
from redis_oom_tui.formatting.sanitize import escape_exact
from redis_oom_tui.models.plan import RunView
from tests.cli.ran import Tool, place_among_processes
from tests.support.acting import calls, fill, fill_to_the_limit
from tests.support.servers import RunningServer, started

HOSTILE = b"cache:\xff\x1b[2J[red]*"


def test_a_cleanup_only_tells_unless_told_to_act(server: RunningServer, tool: Tool) -> None:
    with server.client() as client:
        fill(client, [b"cache:1", b"cache:2", b"other", HOSTILE])
        code, out, _ = tool("cleanup", "--match", "cache:*", "--idle-over", "30", "--max-keys", "9")
        assert code == 0
        assert "Delete 3 keys" in out
        assert "Dry run" in out
        assert "Chosen: cache:*, idle over 30s, the largest, at most 9 keys" in out.splitlines(), "30 is not in days"
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_deletion_that_a_signal_stopped_says_so_by_its_exit_code(
    valkey: RunningServer, valkey_tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    work = Run.run

    async def stopped_at_once(run: Run) -> RunView:
        os.kill(os.getpid(), number)
        while not run._stop:
            await asyncio.sleep(0.001)
        return await work(run)

    monkeypatch.setattr(Run, "run", stopped_at_once)
    with valkey.client() as client:
        fill(client, [b"cache:%d" % n for n in range(9000)])
        code, _, _ = valkey_tool("cleanup", "--match", "cache:*", "--backup", str(tmp_path / "backup"), "--yes")
        assert (code, client.dbsize()) == (130, 9000)


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


def test_expiring_in_place_of_deleting(server: RunningServer, tool: Tool) -> None:
    with server.client() as client:
        fill(client, [b"cache:1"])
        code, document = tool.json("cleanup", "--match", "cache:*", "--expire", "10m", "--yes")
        assert (code, document["report"]["counts"]) == (0, {"expiring": 1})
        assert 0 < client.ttl(b"cache:1") <= 601  # type: ignore[operator]


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
