"""What the commands print of sizes: their kind and range, and a sum that cannot be true."""

import json
from collections.abc import Callable

import pytest

from redis_oom_tui.cli import main as entry
from tests.support.servers import RunningServer, module_with_keys, started
from tests.support.shapes import SHAPES, jobs

Printed = Callable[..., str]


@pytest.fixture
def printed(server: RunningServer, home: None, capsys: pytest.CaptureFixture[str]) -> Printed:
    """What a command prints on this server, which must go well."""

    def run(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            entry.main(["-s", server.socket_path, *words])
        out, err = capsys.readouterr()
        assert not ended.value.code, err
        return out

    return run


def test_hogs_and_cleanup_tell_what_a_size_is_worth(server: RunningServer, printed: Printed) -> None:
    with server.client() as client:
        SHAPES["stream with many consumers"](client)
        jobs(50, 11)(client)
    found = json.loads(printed("hogs", "--json", "--top", "100"))
    kinds = {key["key"]: key["size_kind"] for key in found["keys"]}
    assert kinds.pop("big:stream") == "estimated"
    assert set(kinds.values()) == {"exact"}
    stream = next(key for key in found["keys"] if key["key"] == "big:stream")
    assert stream["bytes_low"] < stream["bytes"] <= stream["bytes_high"]
    assert found["bytes"] == sum(key["bytes"] for key in found["keys"])
    assert "size_kind,bytes_low,bytes_high" in printed("hogs", "--csv").splitlines()[0]
    text = printed("hogs")
    assert "from - to" in text
    assert any("~" in line or "!" in line for line in text.splitlines() if "big:stream" in line)
    planned = json.loads(printed("cleanup", "--match", "*", "--json"))
    by_key = {key["key"]: key for key in planned["keys"]}
    assert by_key["big:stream"]["size_kind"] == "estimated"
    assert by_key["bull:mail:7"]["bytes_low"] == by_key["bull:mail:7"]["bytes"] == by_key["bull:mail:7"]["bytes_high"]
    assert planned["plan"]["bytes_low"] < planned["plan"]["bytes"] <= planned["plan"]["bytes_high"]
    assert "estimated: " in printed("cleanup", "--match", "*")


def test_the_sum_of_a_pattern_is_exact_where_each_of_its_keys_is(server: RunningServer, printed: Printed) -> None:
    with server.client() as client:
        SHAPES["stream with many consumers"](client)
        client.hset("solo:hash", mapping={f"field{n}": "x" * 100 for n in range(300)})
        client.set("solo:text", b"x" * 4000)
        client.sadd("tags", *(f"tag-number-{n}" for n in range(2000)))
    found = json.loads(printed("hogs", "--json", "--patterns", "--top", "20"))
    kinds = {row["pattern"]: row["size_kind"] for row in found["patterns"]}
    assert kinds == {"solo:*": "exact", "solo:hash": "exact", "solo:text": "exact"} | dict.fromkeys(
        ("big:stream", "tags"), "estimated"
    )
    lines = printed("hogs", "--patterns", "--top", "20").splitlines()
    assert not any("~" in line for line in lines if "solo:" in line)


def test_keys_that_may_hold_more_than_the_bound_are_said_to_match(server: RunningServer, printed: Printed) -> None:
    with server.client() as client:
        for at in range(6):
            client.set(b"q:%d" % at, b"x" * 3_000_000)
    words = ("cleanup", "--match", "q:*", "--max-bytes", "2mb")
    sentence = "6 keys match; each may hold more than 2.0 MiB, so the limit of the plan leaves them out."
    assert printed(*words).splitlines() == [sentence]
    assert json.loads(printed(*words, "--json"))["plan"]["consent"] == [sentence]
    nothing = json.loads(printed("cleanup", "--match", "none*", "--json"))["plan"]
    assert nothing["consent"] == ["No key of 6 matches."]


def test_a_plan_of_which_all_is_kept_frees_nothing(server: RunningServer, printed: Printed) -> None:
    with server.client() as client:
        client.set(b"q:large", b"x" * 3_000_000)
        client.set(b"q:small", b"x" * 1000)
    kept = printed("cleanup", "--match", "q:large", "--max-key-backup", "1mb")
    assert "nothing will be deleted" in kept
    assert "--delete-unsaved" in kept
    assert "--no-backup" in kept
    assert "this plan frees about 0 B." in kept
    part = json.loads(printed("cleanup", "--match", "q:*", "--max-key-backup", "1mb", "--json"))["budget"]
    assert 1000 < part["plan_bytes"] < 2000
    all_go = printed("cleanup", "--match", "q:large", "--max-key-backup", "1mb", "--delete-unsaved")
    assert "this plan frees about 2." in all_go or "this plan frees about 3." in all_go
    assert "--no-backup" not in all_go


def test_what_an_expiry_frees_has_the_range_of_its_keys(server: RunningServer, printed: Printed) -> None:
    with server.client() as client:
        SHAPES["stream with many consumers"](client)
    out = printed("cleanup", "--match", "*", "--expire", "1h")
    assert "0 B" not in out
    assert " within 1h00m, nothing at once." in out


def test_hogs_says_that_sizes_contradict_what_is_used(server: RunningServer, printed: Printed) -> None:
    with server.client() as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(40):
            pipeline.xadd(f"s{number}", {"a": "1"})
            pipeline.xgroup_create(f"s{number}", "g", "$")
            for at in range(1500):
                pipeline.execute_command("XGROUP", "CREATECONSUMER", f"s{number}", "g", f"c{at}")
        pipeline.execute()
    found = json.loads(printed("hogs", "--json"))
    text = printed("hogs")
    if server.flavour == "valkey":
        assert found["contradiction"] is None
        assert "% of used_memory is in these keys" in text
    else:
        assert "over-reports" in found["contradiction"]
        # The two scans saw the server with a few bytes more or less.
        assert found["contradiction"].partition(" of used_memory")[2] in text
        assert "is in these keys" not in text


def test_a_modules_key_that_tells_no_size_is_printed_first(home: None, capsys: pytest.CaptureFixture[str]) -> None:
    module = module_with_keys()
    if module is None:
        pytest.skip("no module with keys of its own")
    with started("redis8", f"loadmodule {module}") as server, server.client() as client:
        client.mset({f"k{number}": "x" * 1000 for number in range(50)})
        client.execute_command("GRAPH.QUERY", "graph", "UNWIND range(1, 40000) AS x CREATE (:N {v: x})")
        with pytest.raises(SystemExit):
            entry.main(["-s", server.socket_path, "hogs", "--json", "--top", "3"])
        found = json.loads(capsys.readouterr().out)
        with pytest.raises(SystemExit):
            entry.main(["-s", server.socket_path, "hogs"])
        text = capsys.readouterr().out
    first = found["keys"][0]
    assert (first["key"], first["bytes"], first["measured"]) == ("graph", None, False)
    assert first["size_kind"] == "not measurable"
    assert (first["bytes_low"], first["bytes_high"]) == (None, None)
    assert found["unsized_keys"] == 1
    assert "1 key is of a module that does not report its size" in text
