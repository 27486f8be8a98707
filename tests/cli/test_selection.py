"""A pattern that `hogs` shows selects exactly the keys it counted, given back to `cleanup` and to `hogs` itself."""

import base64
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from redis_oom_tui.cli import main as entry
from tests.cli.ran import Tool, ran
from tests.support.json_documents import document_of
from tests.support.servers import RunningServer, started

ODD = (
    b"app[12]:v*",
    b"app[7]:v*",
    b"app[7]:vx",
    b"a\\b:1",
    b"a\\b:2",
    b"w?:1",
    b"\xff\xfe:1",
    b"\xff\xfe:2",
    b"\xff:x",
)
Run = Callable[..., Any]


@pytest.fixture
def run(server: RunningServer, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; its one JSON document, or its text."""

    def ran(*words: str) -> Any:
        with pytest.raises(SystemExit) as ended:
            entry.main(["-s", server.socket_path, *words])
        said = capsys.readouterr()
        assert not ended.value.code, said
        return json.loads(said.out) if "--json" in words else said.out

    return ran


def fill(server: RunningServer) -> list[bytes]:
    names = [b"user:%d" % n for n in range(2000)]
    names += [b"user:billing:%d" % n for n in range(300)] + [b"user:%d:session" % n for n in range(300)]
    names += [b"%d" % n for n in range(40)] + list(ODD)
    with server.client() as client:
        client.mset(dict.fromkeys(names, b"v" * 100))
    with server.client(db=2) as client:
        client.mset({b"user:%d" % n: b"v" for n in range(70)})
    return names


def planned(document: Any) -> set[bytes]:
    return {
        base64.b64decode(key["key_base64"]) if key["key_base64"] else key["key"].encode() for key in document["keys"]
    }


def matched(document: Any) -> int:
    return int(document["plan"]["matched_keys_total"])


def test_every_row_selects_what_it_counted(server: RunningServer, run: Run, tmp_path: Path) -> None:
    fill(server)
    path = str(tmp_path / "scan")
    rows = run("hogs", "--json", "--save", path)["patterns"]
    by_name = {(row["db"], row["pattern"]): row for row in rows}
    assert by_name[0, "user:<id>"]["keys"] == 2000
    assert by_name[0, "user:<id>"]["match_keys"] == 2600
    assert by_name[2, "user:*"]["select"] == "user:<id>"
    for row in rows:
        db = ("-n", str(row["db"]))
        assert matched(run(*db, "cleanup", "--json", "--pattern", row["select"])) == row["keys"], row
        assert matched(run(*db, "cleanup", "--json", "--pattern", row["pattern"])) == row["keys"], row
        assert run(*db, "hogs", "--json", "--pattern", row["select"])["scanned_keys"] == row["keys"]
        saved = ("cleanup", "--json", "--saved-scan", path, "--pattern", row["select"])
        assert matched(run(*db, *saved)) == row["keys"], row
        assert matched(run(*db, "cleanup", "--json", "--match", row["match"])) >= row["match_keys"] >= row["keys"]


def test_the_row_of_the_ids_takes_neither_billing_nor_sessions(server: RunningServer, run: Run, tmp_path: Path) -> None:
    names = fill(server)
    run("-n", "0", "cleanup", "--pattern", "user:<id>", "--yes", "--no-backup")
    with server.client() as client:
        assert set(client.keys("*")) == {name for name in names if not name[5:].isdigit() or name[:5] != b"user:"}


def test_a_saved_plan_holds_the_pattern_and_runs(server: RunningServer, run: Run, tmp_path: Path) -> None:
    fill(server)
    path = str(tmp_path / "plan")
    run("cleanup", "--pattern", "user:<id>:session", "--save-plan", path)
    head = json.loads((tmp_path / "plan").read_text().splitlines()[0])
    assert head["criteria"]["key_patterns"][0]["parts"] == ["user:", "\\x00:", "session"]
    assert run("cleanup", "--plan", path, "--yes", "--no-backup", "--json")["report"]["counts"]["deleted"] == 300
    with server.client() as client:
        assert client.dbsize() == 2300 + 40 + len(ODD)


def test_a_plan_of_before_patterns_were_in_it_is_read(server: RunningServer, run: Run, tmp_path: Path) -> None:
    fill(server)
    path = tmp_path / "plan"
    run("cleanup", "--match", "w*", "--save-plan", str(path))
    head, *keys = path.read_text().splitlines()
    old = json.loads(head)
    del old["criteria"]["key_patterns"]
    path.write_text("\n".join([json.dumps(old), *keys]) + "\n")
    assert matched(run("cleanup", "--plan", str(path), "--json")) == 1


def test_the_printed_line_can_be_copied(server: RunningServer, run: Run) -> None:
    fill(server)
    text = run("hogs", "--patterns", "--pattern", "user:<id>:session")
    line = next(line for line in text.splitlines() if line.startswith("redis-oom-tui "))
    assert "'user:<id>:session'" in line
    words = shlex.split(line)[1:]
    assert "300 keys" in run(*words[2:])


def test_another_delimiter_goes_with_the_pattern(server: RunningServer, run: Run) -> None:
    with server.client() as client:
        client.mset({b"user/%d/x:y" % n: b"v" for n in range(50)} | {b"user/%d" % n: b"v" for n in range(20)})
    rows = {row["pattern"]: row for row in run("hogs", "--json", "--delimiter", "/")["patterns"]}
    assert rows["user/<id>"]["keys"] == 20
    for row in rows.values():
        plan = run("cleanup", "--json", "--pattern", row["select"], "--delimiter", "/")
        assert matched(plan) == row["keys"]
    text = run("hogs", "--patterns", "--delimiter", "/")
    assert "--delimiter /" in text


def test_pattern_and_match_both_hold(server: RunningServer, run: Run) -> None:
    fill(server)
    plan = run("-n", "0", "cleanup", "--json", "--pattern", "user:<id>", "--match", "*99")
    assert planned(plan) == {b"user:%d" % n for n in range(2000) if n % 100 == 99}


def test_findings_and_the_report_name_what_they_count(server: RunningServer, run: Run) -> None:
    with server.client() as client:
        pipe = client.pipeline(transaction=False)
        for number in range(3000):
            pipe.set(b"session:%d" % number, b"v" * 400, **({"ex": 9999} if number % 5 else {}))
        for number in range(500):
            pipe.set(b"session:keep:%d" % number, b"v" * 400, ex=9999)
        pipe.execute()
    report = run("report", "--json")
    finding = next(one for one in report["findings"] if one["id"] == "no-ttl-stragglers")
    assert finding["select"] == "session:<id>"
    assert finding["db"] == 0
    plan = run("cleanup", "--json", "--pattern", finding["select"], "--no-ttl")
    assert matched(plan) == 600
    rows = {row["pattern"]: row for row in report["scan"]["patterns"]}
    assert rows["session:<id>"]["db"] == 0
    assert (rows["session:<id>"]["match"], rows["session:<id>"]["match_keys"]) == ("session:*", 3500)
    assert "cleanup --pattern" in run("report")


def test_growth_is_told_of_the_same_keys_on_both_sides(server: RunningServer, run: Run, tmp_path: Path) -> None:
    path = str(tmp_path / "before.scan")
    with server.client() as client:
        client.mset({b"cache:product:%d" % n: b"v" * 400 for n in range(5000)})
        client.mset({b"old:%d" % n: b"v" * 100 for n in range(100)})
        run("hogs", "--save", path)
        client.mset({b"cache:product:new%d" % n: b"v" * 400 for n in range(500)})
        client.delete(*[b"old:%d" % n for n in range(100)])
        held = sum(client.memory_usage(b"cache:product:new%d" % n) for n in range(500))
    found = {row["pattern"]: row for row in run("hogs", "--compare", path, "--json")["comparison"]["patterns"]}
    assert {name: row["keys_grown"] for name, row in found.items()} == {
        "cache:product:*": 500,
        "cache:product:new*": 500,
        "old:*": -100,
    }
    assert found["cache:product:new*"]["bytes_grown"] == held
    assert found["cache:product:*"]["bytes_grown"] == held
    assert found["cache:product:new*"]["select"] == "cache:product:new<id>"


def test_a_scan_of_some_keys_says_which_beside_the_pattern(server: RunningServer, run: Run) -> None:
    fill(server)
    with server.client() as client:
        client.rpush(b"user:99999", b"a list")
    for given in (("--type", "list"), ("--match", "user:9999?"), ("--pattern", "user:<any>:session")):
        text = run("-n", "0", "hogs", "--patterns", *given)
        keys = int(text.split(" key", 1)[0].replace(",", ""))
        line = next(line for line in text.splitlines() if line.startswith("redis-oom-tui "))
        words = shlex.split(line)[1:]
        assert matched(run(*words[2:], "--json")) == keys, (given, line)


def test_the_line_under_a_finding_plans_what_the_finding_counts(server: RunningServer, run: Run) -> None:
    with server.client() as client:
        pipe = client.pipeline(transaction=False)
        for number in range(1500):
            pipe.set(b"session:%d" % number, b"v" * 400, **({"ex": 9999} if number % 5 else {}))
            pipe.set(b"session:%d:cart" % number, b"v" * 400, ex=9999)
        pipe.execute()
    line = next(line for line in run("report").splitlines() if line.startswith("To plan it: "))
    words = shlex.split(line.removeprefix("To plan it: ").strip("`"))[1:]
    assert matched(run(*words, "--json")) == 300


def test_a_row_that_took_in_others_is_selected_by_a_saved_scan(
    server: RunningServer, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [f"{a}{b}{c}x" for a in letters[:12] for b in letters for c in letters]
    with server.client() as client:
        client.mset({f"acct:{word}:x": "v" for word in words} | {f"acct:{word}": "v" for word in words[:900]})
    with server.client(db=3) as client:
        client.mset({f"acct:{word}:x": "v" for word in words[:50]})
    path = str(tmp_path / "a.scan")
    rows = {row["pattern"]: row for row in run("hogs", "--json", "--save", path)["patterns"] if row["db"] == 0}
    other = rows["acct:<other>:x"]
    assert other["keys"] < len(words)
    assert other["match_keys"] > other["keys"]
    plan = run("cleanup", "--json", "--pattern", "acct:<other>:x", "--saved-scan", path)
    assert matched(plan) == other["keys"]
    assert (
        matched(run("-n", "0", "cleanup", "--json", "--pattern", "acct:<other>:x", "--saved-scan", path))
        == other["keys"]
    )
    named = {row["pattern"].encode() for row in rows.values() if row["keys"] == 1}
    assert not named & planned(plan)
    for given in (("acct:<other>:x",), ("acct:none", "--saved-scan", path)):
        with pytest.raises(SystemExit) as ended:
            entry.main(["-s", server.socket_path, "cleanup", "--pattern", *given])
        assert ended.value.code == 2
        assert "saved-scan" in capsys.readouterr().err or given[0] == "acct:none"


def test_a_type_that_can_be_none_is_refused_and_a_modules_is_let_through(server: RunningServer, tool: Tool) -> None:
    with server.client() as client:
        client.set("a", "x")
        vectors = server.flavour == "redis8"
        if vectors:
            client.execute_command("VADD", "v", "VALUES", "2", "1", "2", "a")
        for words in (("hogs",), ("cleanup",), ("cleanup", "--yes")):
            code, out, err = tool(*words, "--type", "nope")
            assert (code, out) == (2, "")
            assert "'nope' is not a type of keys: write string, hash, list, set, zset, stream, or a module's" in err
        for kind in ("vectorset", "VectorSet") if vectors else ():
            assert tool.json("hogs", "--type", kind)[1]["scanned_keys"] == 1
            assert [key["key"] for key in tool.json("cleanup", "--type", kind)[1]["keys"]] == ["v"]
        # What no server of these has: some say so (3), others find no key.
        assert tool("hogs", "--type", "no_module")[0] in (0, 3)
        assert client.dbsize() == 1 + vectors


def test_odd_delimiters_and_backslashes_are_printed_as_they_are_read(run: Run, server: RunningServer) -> None:
    with server.client() as client:
        client.mset({b"user\n%d" % n: "v" for n in range(12)} | {rb"\x41": "v" * 3000, b"A": "v" * 2000})
    printed = shlex.split(run("hogs", "--patterns", "--delimiter", "\n", "--match", "user*").splitlines()[-1])
    assert printed[-2:] == ["--match", "user*"]
    assert "Delete 12 keys" in run(*printed[3:])
    name = run("hogs", "--top", "1").split()[-1]
    assert name == r"\\x41"
    assert "3.0K" in run("cleanup", "--key", name)


@pytest.mark.parametrize("how", ["acl", "renamed"])
def test_a_refused_select_is_no_lost_server(flavour: str, how: str) -> None:
    with started(flavour, *(['rename-command SELECT ""'] if how == "renamed" else [])) as server:
        with server.client() as client:
            client.set("a", 1)
            client.execute_command(*("SWAPDB 0 1" if how == "renamed" else "COPY a b DB 1").split())
            client.execute_command(*["ACL", "SETUSER", "sre", "on", ">pw", "~*", "+@all", "-select"])
        login = ("--user", "sre", "-a", "pw") if how == "acl" else ()
        code, _, err = ran("-s", server.socket_path, *login, "hogs")
        assert (code, "SELECT" in err) == (3, True)
        assert "cannot be reached" not in err


def test_who_may_not_select_is_shown_database_0(server: RunningServer) -> None:
    with server.client() as client, server.client(db=3) as other:
        client.mset({f"key:{number}": "v" for number in range(5)})
        other.set("other", "v")
        client.acl_setuser("sre", enabled=True, passwords=["+pw"], keys=["*"], commands=["+@all", "-select"])
        login = ("-s", server.socket_path, "--user", "sre", "-a", "pw", "hogs")
        done = ran(*login, "--json")
        assert done.returncode == 3
        assert "read database 0 alone with -n 0" in done.stderr
        found = document_of("hogs", done.stdout)
        assert (found["scanned_keys"], found["complete"], found["state"]) == (5, False, "failed")
        assert ran(*login, "-n", "0").returncode == 0
