"""`hogs` on real servers: what it prints, and how it ends."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from redis_oom_tui.cli.hogs import from_glob
from tests.apps import samples
from tests.cli.ran import Ran, place_among_processes, ran
from tests.support.json_documents import document_of
from tests.support.servers import RunningServer, started

COMMAND = [sys.executable, "-m", "redis_oom_tui"]


def run(server: RunningServer, *arguments: str) -> Ran:
    return ran("-s", server.socket_path, "hogs", *arguments)


def fill(server: RunningServer) -> None:
    with server.client() as client:
        pipe = client.pipeline(transaction=False)
        for number in range(400):
            pipe.set(b"session:%d" % number, b"x" * 50, ex=3600)
        for number in range(40):
            pipe.hset(b"cart:%d:items" % number, mapping={b"a": b"b" * 30})
        pipe.set(b"report", b"x" * 50_000)
        pipe.set(b"\xff\x1b[31m", b"x" * 20_000)
        pipe.execute()
    with server.client(db=3) as client:
        client.set(b"other", b"v")


@pytest.fixture(scope="module")
def filled() -> Any:
    with started("valkey") as server:
        fill(server)
        yield server


def test_the_promised_json(server: RunningServer) -> None:
    fill(server)
    done = run(server, "--json", "--top", "3")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found = document_of("hogs", done.stdout)
    assert found["complete"] is True
    assert found["scanned_keys"] == found["total_keys"] == 443
    assert found["vanished_keys"] == found["refused_keys"] == 0
    # All were counted: nothing is estimated from a part.
    assert found["estimated_bytes"] is None
    assert all(row["estimated_bytes"] is row["estimated_keys"] is None for row in found["patterns"])
    assert [row["key"] for row in found["keys"][:2]] == ["report", "\\xff\\x1b[31m"]
    assert found["keys"][0]["key_base64"] is None
    assert found["keys"][1]["key_base64"] == "/xtbMzFt"
    assert found["keys"][0]["ttl_seconds"] is None
    assert found["keys"][0]["bytes"] > 50_000
    patterns = {row["pattern"]: row for row in found["patterns"]}
    assert patterns["session:*"]["keys"] == 400
    assert patterns["session:*"]["no_ttl_keys"] == 0
    assert patterns["cart:*:items"]["no_ttl_keys"] == 40
    assert patterns["cart:*:items"]["types"] == {"hash": 40}
    assert {row["type"] for row in found["types"]} == {"string", "hash"}


def test_words_csv_and_patterns(filled: RunningServer) -> None:
    words = run(filled)
    assert "443 keys" in words.stdout
    assert "report" in words.stdout
    assert "\x1b" not in words.stdout
    assert words.stderr == ""
    rows = list(csv.DictReader(io.StringIO(run(filled, "--csv", "--top", "2").stdout)))
    assert [row["key"] for row in rows] == ["report", "\\xff\\x1b[31m"]
    assert rows[0]["ttl_seconds"] == ""
    pattern_rows = list(csv.DictReader(io.StringIO(run(filled, "--csv", "--patterns").stdout)))
    assert {"session:*", "cart:*:items"} <= {row["pattern"] for row in pattern_rows}
    assert "session:*" in run(filled, "--patterns").stdout


def test_filters_sorting_and_one_database(filled: RunningServer) -> None:
    found = document_of("hogs", run(filled, "--json", "--match", "cart:*", "--sort", "key", "--top", "2").stdout)
    assert [row["key"] for row in found["keys"]] == ["cart:0:items", "cart:10:items"]
    assert found["scanned_keys"] == 40
    assert document_of("hogs", run(filled, "--json", "--match", "\\xff*").stdout)["scanned_keys"] == 1
    assert document_of("hogs", run(filled, "--json", "--type", "hash").stdout)["scanned_keys"] == 40
    done = ran("-s", filled.socket_path, "-n", "3", "hogs", "--json")
    assert [row["key"] for row in document_of("hogs", done.stdout)["keys"]] == ["other"]


def test_the_share_of_a_sample_is_of_the_keys_that_were_counted(filled: RunningServer) -> None:
    line = run(filled, "--sample", "100").stdout.splitlines()[0]
    assert f"a sample: {int(line.split()[0]) / 443:.0%} of 443 keys" in line
    assert "a sample: looked through about " in run(filled, "--sample", "100", "--match", "session:*").stdout


def test_a_scan_is_kept_and_compared(filled: RunningServer, tmp_path: Path) -> None:
    kept = tmp_path / "scan.json"
    assert run(filled, "--save", str(kept)).returncode == 0
    assert kept.stat().st_mode & 0o777 == 0o600
    again = run(filled, "--save", str(kept))
    assert again.returncode == 2
    assert "exists already" in again.stderr
    with filled.client() as client:
        for number in range(100):
            client.set(b"leak:%d" % number, b"x" * 1000)
        try:
            done = run(filled, "--compare", str(kept), "--json")
            grown = document_of("hogs", done.stdout)["comparison"]["patterns"][0]
            assert grown["pattern"] == "leak:*"
            assert grown["keys_grown"] == 100
            assert grown["bytes_before"] == 0
            assert grown["certain"] is True
            assert "leak:*" in run(filled, "--compare", str(kept)).stdout
        finally:
            client.delete(*[b"leak:%d" % number for number in range(100)])


def test_keys_that_the_earlier_scan_passed_over_are_no_growth(filled: RunningServer, tmp_path: Path) -> None:
    kept = tmp_path / "scan.json"
    assert run(filled, "--match", "cart:*", "--save", str(kept)).returncode == 0
    comparison = document_of("hogs", run(filled, "--compare", str(kept), "--json").stdout)["comparison"]
    for row in (comparison["all"], *comparison["patterns"]):
        assert (row["keys_grown"], row["bytes_grown"], row["certain"]) == (None, None, False)
        assert row["doubt"] == "the earlier scan read some keys only"
    done = run(filled, "--compare", str(kept))
    assert "(the earlier scan read some keys only)" in done.stdout


def test_a_database_that_the_earlier_scan_passed_over_is_no_growth(filled: RunningServer, tmp_path: Path) -> None:
    kept = tmp_path / "scan.json"
    assert ran("-s", filled.socket_path, "-n", "1", "hogs", "--save", str(kept)).returncode == 0
    comparison = document_of("hogs", run(filled, "--compare", str(kept), "--json").stdout)["comparison"]
    assert comparison["patterns"]
    assert {row["keys_grown"] for row in comparison["patterns"] if row["db"] == 0} == {None}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_keeps_what_was_found(valkey: RunningServer, number: signal.Signals) -> None:
    with valkey.client() as client:
        pipe = client.pipeline(transaction=False)
        for index in range(40_000):
            pipe.set(b"k:%d" % index, b"v")
        pipe.execute()
    command = [*COMMAND, "-s", valkey.socket_path, "hogs", "--gentle", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with valkey.client() as client:
        while not any(line.get("cmd") in ("scan", "pttl", "type") for line in client.client_list()):
            time.sleep(0.01)
    process.send_signal(number)
    out, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    found = document_of("hogs", out)
    assert found["complete"] is False
    assert found["state"] == "stopped"
    assert "Traceback" not in errors


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    done = ran("-s", str(tmp_path / "none"), "hogs")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [["--match", ""], ["--compare", "/nowhere/x"], ["--top", "0"], ["--sort", "beauty"]]
)
def test_bad_input_is_told_in_a_sentence(filled: RunningServer, arguments: list[str]) -> None:
    done = run(filled, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--csv", "--compare", __file__], "--csv cannot be given with --compare"),
        (["--gentle", "--full-speed"], "--gentle and --full-speed cannot be combined"),
        (["--replicas"], "--replicas requires -c"),
        (["--patterns", "--sort", "idle"], "--sort cannot be given with --patterns"),
        (["--compare", __file__, "--sort", "idle"], "--sort cannot be given with --compare"),
    ],
)
def test_an_option_without_effect_is_refused_before_a_server_is_looked_for(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = ran("-s", str(tmp_path / "none"), "hogs", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_two_forms_at_once_are_refused() -> None:
    done = ran("hogs", "--csv", "--json")
    assert (done.returncode, json.loads(done.stdout)["error"]) == (2, "--csv and --json cannot be combined")


def test_globs_as_typed() -> None:
    assert from_glob("a\\*b\\x00*") == b"a\\*b\x00*"
    assert from_glob("plain*") == b"plain*"


def test_neither_hogs_nor_its_help_imports_the_screens() -> None:
    code = (
        "import sys; from redis_oom_tui.cli.main import main\ntry: main(['hogs', '--help'])\nexcept SystemExit: pass\n"
    )
    code += "assert not {'textual', 'rich'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False).returncode == 0


def test_a_saved_scan_that_broke_off_is_gone_on_with(server: RunningServer, tmp_path: Path) -> None:
    fill(server)
    first, second = str(tmp_path / "first.scan"), str(tmp_path / "second.scan")
    done = run(server, "--sample", "100", "--save", first, "--json")
    part = document_of("hogs", done.stdout)
    assert 100 <= part["scanned_keys"] < 443
    done = run(server, "--resume", first, "--save", second, "--json")
    assert done.returncode == 0, done.stderr
    whole = document_of("hogs", run(server, "--json").stdout)
    found = document_of("hogs", done.stdout)
    assert found["complete"] is True
    assert found["scanned_keys"] == whole["scanned_keys"] == 443
    assert found["types"] == whole["types"]
    done = run(server, "--resume", second)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is complete: there is nothing to resume" in done.stderr


@pytest.mark.parametrize("extra", [["--match", "a*"], ["--type", "hash"], ["--idle"], ["--delimiter", "/"]])
def test_what_a_scan_asks_is_said_when_it_begins(filled: RunningServer, extra: list[str]) -> None:
    done = run(filled, "--resume", __file__, *extra)
    assert done.returncode == 2
    assert done.stderr.endswith(f"test_hogs.py: leave {extra[0]} out\n")


def test_where_a_scan_cannot_be_saved_none_is_begun(filled: RunningServer, tmp_path: Path) -> None:
    done = run(filled, "--save", str(tmp_path / "absent" / "x.scan"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("x.scan cannot be written: its folder does not exist\n")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    done = run(filled, "--save", str(tmp_path / "dangling"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "exists already" in done.stderr


def test_a_scan_that_broke_off_and_was_saved_says_how_to_go_on(filled: RunningServer, tmp_path: Path) -> None:
    kept = tmp_path / "kept.scan"
    done = run(filled, "--sample", "100", "--save", str(kept))
    assert f"To continue it: redis-oom-tui -s {filled.socket_path} hogs --resume {kept}\n" in done.stderr
    whole = run(filled, "--save", str(tmp_path / "whole.scan"))
    assert (whole.returncode, whole.stderr) == (0, "")
    document = json.loads(kept.read_text())
    del document["progress"]
    kept.write_text(json.dumps(document))
    done = run(filled, "--resume", str(kept))
    assert done.returncode == 2
    assert "does not say where its scan was interrupted: start a new one" in done.stderr


def test_no_key_of_that_kind(filled: RunningServer) -> None:
    assert run(filled, "--match", "absent:*").stdout.startswith("none of the 443 keys matches\n")


@pytest.mark.parametrize(("pace", "place"), [("--gentle", 19), ("--normal", 10), ("--full-speed", 0)])
def test_others_on_its_machine_are_served_first(filled: RunningServer, pace: str, place: int) -> None:
    assert place_among_processes(filled, "hogs", pace) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + place)


def test_the_application_behind_the_keys_is_named(server: RunningServer) -> None:
    with server.client() as client:
        samples.write(client, samples.load("bullmq").keys)
        client.set("other:1", b"v" * 50_000)
    done = run(server, "--patterns")
    assert re.search(r"^ *bytes +share +keys +application +most of it$", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r" BullMQ at myapp:bull +", done.stdout)
    assert re.search(r" BullMQ: events +bull:mail:events$", done.stdout, re.MULTILINE)
    found = document_of("hogs", run(server, "--json").stdout)
    assert sorted((one["name"], one["confidence"], one["prefix"]) for one in found["applications"]) == [
        ("BullMQ", "high", "bull"),
        ("BullMQ", "high", "myapp:bull"),
    ]
    assert "removeOnComplete" in {setting["name"] for setting in found["applications"][0]["settings"]}
    (events,) = [row for row in found["patterns"] if row["pattern"] == "bull:mail:events"]
    assert events["applications"] == [
        {
            "name": "BullMQ",
            "confidence": "high",
            "kind": "events",
            "use": "events",
            "loss": "harmless",
            "instance": "mail",
        }
    ]
    rows = list(csv.DictReader(io.StringIO(run(server, "--patterns", "--csv", "--top", "50").stdout)))
    applications = {row["pattern"]: row["application"] for row in rows}
    assert (applications["bull:mail:completed"], applications["other:*"]) == ("BullMQ: completed", "")


def test_the_last_line_plans_what_may_go_and_never_what_loses_work(valkey: RunningServer) -> None:
    with valkey.client() as client:
        for job in range(60):
            client.hset(f"bull:mail:{job}", mapping={"name": "a", "data": "x" * 3000, "opts": "{}", "timestamp": "1"})
            client.zadd("bull:mail:completed", {str(job): 1_700_000_000_000})
        client.hset("bull:mail:meta", mapping={"version": "bullmq:5.1.0", "opts.maxLenEvents": 10000})
        client.set("bull:mail:id", 60)
        last = run(valkey, "--patterns").stdout.splitlines()[-1]
        assert "cleanup --finished bullmq:mail --state completed --older-than 1d" in last
        client.flushall()
        for entry in range(300):
            client.xadd("orders", {"data": "x" * 500, "n": entry})
        assert run(valkey, "--patterns").stdout.splitlines()[-1].endswith("cleanup --shrink orders --keep-last 1000")
        client.flushall()
        samples.write(client, samples.load("sidekiq").keys)
        for number in range(300):
            client.zadd("retry", {f'{{"class": "Mail", "jid": "{number}", "args": ["{"x" * 500}"]}}': number})
        words = run(valkey, "--patterns").stdout
        assert "Sidekiq" in words
        assert "To plan" not in words
        client.flushall()
        for number in range(300):
            client.set(f"page:{number}", "x" * 500)
        assert "cleanup --pattern 'page:<id>'" in run(valkey, "--patterns").stdout


def test_idle_times_of_patterns_are_in_their_table(filled: RunningServer) -> None:
    assert " idle p50 " in run(filled, "--patterns", "--idle").stdout
    assert "idle p50" not in run(filled, "--patterns").stdout


def test_an_order_that_the_server_has_no_figures_for_is_said(server: RunningServer) -> None:
    fill(server)
    kept = {"noeviction": ("idle", "freq"), "allkeys-lfu": ("freq", "idle")}
    for policy, (has, lacks) in kept.items():
        with server.client() as client:
            client.config_set("maxmemory-policy", policy)
        done = run(server, "--sort", lacks, "--json")
        assert f"(--sort {has}): the keys are ordered by bytes" in done.stderr
        assert done.stderr == f"redis-oom-tui: {document_of('hogs', done.stdout)['notes'][-1]}\n"
        assert run(server, "--sort", has).stderr == ""
