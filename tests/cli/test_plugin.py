"""`check` as a monitoring plugin: ranges after the guidelines, the status word first, performance data last."""

import re
from pathlib import Path

import pytest

from redis_oom_tui.cli.main import main
from redis_oom_tui.formatting.plugin import Range, performance_data, read_range, with_ranges
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.verdict import Level, Verdict
from tests.rules.snapshots import MIB, snapshot_of
from tests.support.servers import RunningServer


@pytest.mark.parametrize(
    ("text", "calm", "alerting"),
    [
        ("10", (0, 5, 10), (-1, 10.1, 99)),
        ("10:", (10, 11, 1000), (9.9, 0, -1)),
        ("~:10", (-5, 0, 10), (10.1,)),
        ("10:20", (10, 15, 20), (9.9, 20.1)),
        ("@10:20", (9.9, 20.1), (10, 15, 20)),
        ("@10", (10.1, -1), (0, 10)),
        ("0:", (0, 5), (-1,)),
        ("80%", (80,), (80.5,)),
        ("12.5:13.5%", (13,), (12, 14)),
    ],
)
def test_a_range_alerts_as_the_guidelines_say(text: str, calm: tuple[float, ...], alerting: tuple[float, ...]) -> None:
    found = read_range(text)
    assert [found.alerts(value) for value in calm] == [False] * len(calm)
    assert [found.alerts(value) for value in alerting] == [True] * len(alerting)
    assert read_range(found.text()) == found


@pytest.mark.parametrize("text", ["", ":", "@", "~", "x", "10:5", "10::20", "@@10", "1e3", "10 20", "-5", "nan", "٣"])
def test_what_is_no_range_is_refused(text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        read_range(text)
    code, out, err = ran(capsys, "-s", str(tmp_path / "none"), "check", "--crit", text)
    assert (code, err) == (3, "")
    assert out.startswith("UNKNOWN: --crit: ")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--warn", "abc"), "--warn: 'abc' is not a range"),
        (("--pass-file", "/nonexistent"), "/nonexistent cannot be read"),
        (("--pass-command", "false"), "--pass-command: the password"),
        (("--profile", "nope"), "nope"),
        (("--bogus",), "no such option '--bogus'"),
        (("-p", "a|b"), "'a/b'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_fails_in_its_set_up_is_a_status_too(
    words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = ran(capsys, "check", *words)
    assert (code, err, len(out.splitlines())) == (3, "", 1)
    assert out.startswith("UNKNOWN: ")
    assert sentence in out


def ran(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    out, err = capsys.readouterr()
    return int(str(ended.value.code)), out, err


DATA = re.compile(r"'?[^=' ]+'?=-?[0-9.]+(s|ms|us|%|B|KB|MB|GB|TB|c)?(;[0-9.:~@]*){0,2}(;[0-9.]*){0,2}$")


@pytest.mark.parametrize(
    ("share", "options", "code", "word"),
    [
        (0.5, ("--perfdata",), 0, "OK"),
        (0.85, ("--perfdata",), 1, "WARNING"),
        (0.96, ("--perfdata",), 2, "CRITICAL"),
        (1.3, ("--warn", "200", "--crit", "300", "--perfdata"), 2, "CRITICAL"),
        (0.85, ("--warn", "90", "--crit", "95"), 0, "OK"),
        (0.96, ("--crit", "99"), 1, "WARNING"),
        (0.5, ("--warn", "40"), 1, "WARNING"),
        (0.5, ("--warn", "20", "--crit", "@40:60", "--perfdata"), 2, "CRITICAL"),
        (0.5, ("--warn", "60:"), 1, "WARNING"),
    ],
)
def test_status_and_exit_code(
    valkey: RunningServer,
    capsys: pytest.CaptureFixture[str],
    share: float,
    options: tuple[str, ...],
    code: int,
    word: str,
) -> None:
    with valkey.client() as client:
        for number in range(1000):
            client.set(f"k{number}", b"x" * 10_000)
        limit = int(client.info("memory")["used_memory"] / share)
        client.config_set("maxmemory", limit)
    ended, out, err = ran(capsys, "check", "-s", valkey.socket_path, *options)
    assert (ended, err) == (code, "")
    first, *rest = out.splitlines()
    assert first.startswith(f"{word}: ")
    assert "|" not in "".join(rest)
    text, _, data = first.partition(" | ")
    assert bool(data) is ("--perfdata" in options)
    assert all(DATA.match(each) for each in data.split())
    if "--warn" in options and word != "OK" and share == 0.5:
        side = "inside" if "@" in "".join(options) else "outside"
        assert f"of maxmemory is used, {side} --" in text
        assert "Healthy" not in out
    if data:
        used = data.split()[0].split(";")
        assert (used[0][:5], used[3], used[4]) == ("used=", "0", str(limit))


def test_performance_data_name_ranges_in_their_own_unit() -> None:
    data = performance_data(snapshot_of(850 * MIB, 1000 * MIB, refused=7), read_range("80"), read_range("@10:95"))
    assert data[0] == f"used={850 * MIB}B;{800 * MIB};@{100 * MIB}:{950 * MIB};0;{1000 * MIB}"
    assert data[1] == "pressure=85.00%;80;@10:95;0;"
    assert "refused_writes=7c;;;0;" in data


def test_without_a_limit_there_is_no_share_to_judge() -> None:
    snapshot = snapshot_of(850 * MIB, None)
    assert performance_data(snapshot, Range(), Range())[0] == f"used={850 * MIB}B;;;0;"
    verdict = Verdict(Level.OK, "No limit.", "no-limit")
    assert with_ranges(verdict, snapshot.memory, Range(high=1), Range(high=1)) == verdict


@pytest.mark.parametrize(
    ("level", "rule", "warn", "crit", "expected"),
    [
        (Level.OK, "full-cache", None, "95", Level.CRITICAL),
        (Level.OK, "full-cache", "80", None, Level.WARNING),
        (Level.WARNING, "last-save-failed", "99.5", "99.9", Level.WARNING),
        (Level.CRITICAL, "close-critical", "99.5", "99.9", Level.OK),
        (Level.CRITICAL, "close-critical", None, "99.9", Level.WARNING),
        (Level.CRITICAL, "behind", "99.5", "99.9", Level.CRITICAL),
        (Level.OOM, "refusing-data", "99.5", "99.9", Level.OOM),
        (Level.UNKNOWN, "not-judged", "99.5", "99.9", Level.UNKNOWN),
        (Level.UNKNOWN, "not-judged", "80", "99.9", Level.WARNING),
    ],
)
def test_ranges_stand_in_place_of_our_thresholds_and_of_nothing_else(
    level: Level, rule: str, warn: str | None, crit: str | None, expected: Level
) -> None:
    found = with_ranges(
        Verdict(level, "x", rule),
        snapshot_of(990 * MIB, 1000 * MIB).memory,
        None if warn is None else read_range(warn),
        None if crit is None else read_range(crit),
    )
    assert found.level is expected


def test_no_answer_is_unknown_on_standard_output(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = ran(capsys, "check", "-s", str(tmp_path / "none"), "--warn", "80", "--perfdata")
    assert code == 3
    assert out.startswith("UNKNOWN: ")
    assert len(out.splitlines()) == 1


def test_json_beside_it_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = ran(capsys, "check", "-s", str(tmp_path / "none"), "--json", "--perfdata")
    assert code == 3
    assert "--perfdata cannot be given with --json: one JSON document is printed" in err
    assert "--warn cannot be given with --markdown" in ran(capsys, "check", "--markdown", "--warn", "1")[1]
