"""`redis-oom-tui demo` without a terminal: what it says, and how it ends."""

import subprocess
import sys

import pytest

from redis_oom_tui.cli.main import main


def test_it_is_a_screen_and_says_so_without_a_terminal_before_anything_is_filled() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "redis_oom_tui", "demo", "--keys", "1000"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("The TUI needs a terminal on standard input: ")
    assert "filling" not in done.stderr


def test_its_check_prints_the_verdict_of_a_server_that_refuses_writes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["demo", "--keys", "1000", "--check"])
    assert left.value.code == 2
    assert capsys.readouterr().out.startswith("OOM: Refusing writes")


def test_without_the_extra_it_names_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as left:
        main(["demo", "--check"])
    assert left.value.code == 3
    assert "pipx install --force '.[demo]'" in capsys.readouterr().err


def test_a_plain_demo_prints_ticks() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "redis_oom_tui", "--plain", "--interval", "0.2", "demo", "--keys", "1000"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.terminate()
        process.wait(20)
    assert any("oom" in line.lower() for line in lines)
