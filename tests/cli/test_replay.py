"""`--record FILE` and `replay FILE` on the command line, from a real server to a file and back."""

import itertools
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from redis_oom_tui.cli import replay
from redis_oom_tui.cli.main import main
from redis_oom_tui.files.recordings import Moment, Recorder, load
from redis_oom_tui.files.replay import ReplaySource
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.config import Profile
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.poller import Poller
from tests.rules.snapshots import MIB, snapshot_of
from tests.support.servers import RunningServer


def _ticks(lines: Iterable[str], most: int | None = None) -> list[str]:
    """The lines of ticks that were answered in time, without what stands indented below them."""
    return list(itertools.islice((line for line in lines if "OOM" in line and not line.startswith("  ")), most))


def test_what_plain_showed_is_shown_again(
    valkey: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with valkey.client() as client:
        client.execute_command("ACL", "SETUSER", "sre", "on", ">s3cretword", "~*", "+@all")
        client.config_set("maxmemory", 100_000)
    file = tmp_path / "incident.jsonl"
    login = ("-s", valkey.socket_path, "--user", "sre", "-a", "s3cretword")
    command = (sys.executable, "-m", "redis_oom_tui", *login, "--record", str(file), "--plain", "--interval", "0.1")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as shown:
        assert shown.stdout is not None
        lines = _ticks(shown.stdout, 4)
        shown.send_signal(signal.SIGINT)
        shown.wait(20)
    assert len(load(file).snapshots) >= 4
    assert b"s3cretword" not in file.read_bytes()

    with pytest.raises(SystemExit) as ended:
        main(["--plain", "replay", str(file)])
    assert not ended.value.code
    again = _ticks(capsys.readouterr().out.splitlines())
    assert again[0].split()[2:] == lines[0].split()[2:]
    assert len(again) == len(load(file).snapshots)


def test_an_alarm_is_raised_again_of_polls_that_were_far_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are further apart than a server is away before it counts as lost."""
    file = tmp_path / "r"
    recorder = Recorder(file, Address())
    for at in (1000.0, 1020.0, 1040.0, 1060.0):
        recorder.add(Moment(at, at, snapshot=snapshot_of(85 * MIB, 100 * MIB, at=at)))
    recorder.close()
    events: list[str] = []

    async def polled(source: ReplaySource, profile: Profile) -> None:
        poller = Poller(source, profile.watch, Clock(source.monotonic, source.wall), shared=True, opened=True)
        for _ in range(source.position[1]):
            events.extend(event.kind.value for event in (await poller.poll()).events)

    monkeypatch.setattr(replay, "_lines", polled)
    with pytest.raises(SystemExit) as ended:
        main(["--plain", "replay", str(file)])
    assert (ended.value.code or 0, events) == (0, ["warning"])


@pytest.mark.parametrize("content", [None, "garbage\n"])
def test_a_file_that_is_none_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    if content is not None:
        (tmp_path / "r").write_text(content)
    with pytest.raises(SystemExit) as ended:
        main(["replay", str(tmp_path / "r")])
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_command_that_records_nothing_refuses_to(
    valkey: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "incident.jsonl"
    with pytest.raises(SystemExit) as ended:
        main(["-s", valkey.socket_path, "--record", str(file), "check"])
    assert ended.value.code == 3
    assert "--record has no effect on check: a recording keeps what the screen shows" in capsys.readouterr().out
    assert not file.exists()
