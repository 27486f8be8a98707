"""Which keys `cleanup` takes: all that narrows a plan, saved plans, and what cannot be meant."""

from pathlib import Path

import pytest

from redis_oom_tui.cli import main as entry
from redis_oom_tui.formatting.sanitize import escape_exact
from tests.cli.ran import Tool
from tests.support.acting import fill
from tests.support.servers import RunningServer, started

HOSTILE = b"cache:\xff\x1b[2J[red]*"


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


@pytest.mark.parametrize("yes", [(), ("--yes",)])
def test_the_plan_of_another_server_is_refused_before_anything_is_told_of_it(
    valkey: RunningServer, valkey_tool: Tool, tmp_path: Path, yes: tuple[str, ...]
) -> None:
    plan = tmp_path / "plan"
    with valkey.client() as client, started("valkey") as other:
        fill(client, [b"cache:1"])
        valkey_tool("cleanup", "--match", "cache:*", "--save-plan", str(plan))
        code, out, err = Tool(other)("cleanup", "--plan", str(plan), *yes)
    assert (code, out) == (3, "")
    assert "is not the server of this plan" in err
    assert "deleting" not in err


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


@pytest.mark.parametrize(
    "words",
    [
        ("--match", "cache:*", "--expire", ""),
        ("--match", "cache:*", "--idle-over", ""),
        ("--match", "cache:*", "--larger-than", ""),
        ("--match", "cache:*", "--max-bytes", ""),
        ("--match", "cache:*", "--hash", ""),
        ("--match", "cache:*", "--expire", "999999999999d"),
        ("--match", "cache:*", "--larger-than", "9" * 5000),
        ("--match", "cache:*", "--idle-over", "9" * 5000),
        ("--shrink", "cache:list", "--keep-last", "1", "--oldest-end", "left", "--hash", ""),
        ("--finished", "bullmq:", "--older-than", "1d"),
    ],
    ids=lambda words: " ".join(words)[:60],
)
def test_a_value_that_is_empty_or_absurd_is_refused_and_nothing_happens(
    valkey: RunningServer, valkey_tool: Tool, words: tuple[str, ...]
) -> None:
    with valkey.client() as client:
        fill(client, [b"cache:1"])
        client.rpush(b"cache:list", "a", "b")
        code, out, err = valkey_tool("cleanup", *words, "--yes")
        assert (code, out) == (2, "")
        assert "crashed" not in err
        assert client.exists(b"cache:1") == 1
        assert client.ttl(b"cache:1") == -1
        assert client.llen(b"cache:list") == 2


def test_an_empty_name_is_shown_as_quotes_and_a_missing_key_is_said_to_be_missing(
    valkey: RunningServer, valkey_tool: Tool
) -> None:
    with valkey.client() as client:
        fill(client, [b""])
    _, out, _ = valkey_tool("cleanup", "--key", "")
    assert '  ""\n' in out
    code, out, _ = valkey_tool("cleanup", "--key", "nobody")
    assert (code, out) == (0, "The key does not exist or does not match: there is nothing to do.\n")


def test_an_age_from_before_all_time_takes_nothing(server: RunningServer, tool: Tool) -> None:
    with server.client() as client:
        client.xadd(b"events", {b"a": b"b"})
    code, out, _ = tool("cleanup", "--shrink", "events", "--older-than", "36000d")
    assert code == 0
    assert "there is nothing to do" in out
