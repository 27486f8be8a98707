"""`hogs --instant`: what the server counts itself, without reading a key."""

import sys
from typing import Any

import pytest

from redis_oom_tui.cli.instant import show_before_the_scan
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.breakdown import size_histograms
from tests.cli.test_hogs import fill, run
from tests.rules.snapshots import snapshot_of
from tests.support.json_documents import document_of
from tests.support.servers import RunningServer, started


@pytest.fixture(scope="module")
def filled() -> Any:
    with started("valkey") as server:
        fill(server)
        yield server


def test_instant_tells_what_the_server_counts_itself_and_reads_no_key(server: RunningServer) -> None:
    with server.client() as client:
        client.mset({b"s:%d" % number: b"x" * 3000 for number in range(400)})
        client.hset("h", mapping={str(number): "v" for number in range(700)})
        client.xadd("stream", {"a": 1})
        client.config_resetstat()
        counted = any("distrib" in name for name in client.info("all"))
    done = run(server, "--instant", "--json")
    document = document_of("hogs", done.stdout)
    if not counted:
        assert done.returncode == 3
        assert "INFO keysizes" in document["error"]
        assert "leave --instant out to scan" in run(server, "--instant").stderr
        return
    assert (document["total_keys"], document["counted_keys"]) == (402, 401)
    assert document["key_sizes"][0]["buckets"] == [{"low": 2048, "high": 4095, "keys": 400}]
    assert document["bytes_low"] == 400 * 2048
    assert 0 < document["explained_share_low"] < document["explained_share_high"] <= 1
    assert document["elements_only"] == ["hash"]
    words = run(server, "--instant").stdout
    assert "2.0K to 4.0K value" in words
    assert "1 key not counted" in words
    with server.client() as client:
        assert not {"cmdstat_scan", "cmdstat_memory|usage"} & set(client.info("commandstats"))


@pytest.mark.parametrize(
    ("option", "named"),
    [("--csv", "--csv"), ("--match=a*", "--match"), ("--gentle", "--gentle"), ("--patterns", "--patterns")],
)
def test_instant_is_refused_beside_what_needs_a_scan(filled: RunningServer, option: str, named: str) -> None:
    done = run(filled, "--instant", option)
    assert done.returncode == 2
    assert f"{named} cannot be given with --instant" in done.stderr


@pytest.mark.parametrize("terminal", [True, False])
def test_who_waits_at_a_terminal_sees_them_before_the_scan(
    terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    histograms = size_histograms({"db0_distrib_strings_sizes": {"1K": "1000"}})
    show_before_the_scan(replace(snapshot_of(), size_histograms=histograms), None)
    show_before_the_scan(snapshot_of(), None)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("INFO keysizes") == terminal
