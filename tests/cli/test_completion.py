"""Completion and the manual page: both come from the declarations, so both know every command."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from redis_oom_tui.cli.main import COMMANDS, cli
from redis_oom_tui.cli.manual import page


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_that_asks_us_back(shell: str) -> None:
    result = CliRunner().invoke(cli, ["completion", shell], standalone_mode=False)
    assert result.exception is None
    assert f"_REDIS_OOM_TUI_COMPLETE={shell}_complete" in result.stdout
    binary = shutil.which(shell)
    if binary is not None:
        done = subprocess.run([binary, "-n"], input=result.stdout, text=True, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


CONFIG = "[plans.cache]\nmatch = 'cache:*'\n[profiles.orders]\nhost = 'a'\n[profiles.ordinary]\nhost = 'b'\n"


@pytest.mark.parametrize(
    ("words", "current", "expected"),
    [
        ("redis-oom-tui ", "", "watch"),
        ("redis-oom-tui watch --on", "--on", "--on-critical"),
        ("redis-oom-tui --profile ord", "ord", "ordinary"),
        ("redis-oom-tui --profile orders watch --on-critical ", "", "cache"),
    ],
)
def test_commands_options_profiles_and_plans_are_completed(
    tmp_path: Path, words: str, current: str, expected: str
) -> None:
    (tmp_path / "redis-oom-tui").mkdir()
    (tmp_path / "redis-oom-tui" / "config.toml").write_text(CONFIG)
    environment = {
        **os.environ,
        "XDG_CONFIG_HOME": str(tmp_path),
        "_REDIS_OOM_TUI_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - bool(current)),
    }
    done = subprocess.run(
        [sys.executable, "-m", "redis_oom_tui"],
        env=environment,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert expected in [line.split(",")[1] for line in done.stdout.splitlines()]


def test_another_shell_is_refused() -> None:
    with pytest.raises(click.UsageError):
        cli.main(["completion", "csh"], standalone_mode=False)


def test_the_manual_page_knows_every_command_and_option() -> None:
    text = page()
    plain = text.replace("\\-", "-")
    for name in COMMANDS:
        assert f".SS redis-oom-tui {name}" in plain
    for option in ("--sentinel", "--on-critical", "--webhook", "--profile"):
        assert option in plain
    assert not re.findall(r"^(?!\.(?:TH|SH|SS|TP|PP|nf|fi)\b)[.'].*", text, re.MULTILINE)
    groff = shutil.which("groff")
    if groff is not None:
        done = subprocess.run([groff, "-man", "-Tutf8", "-ww"], input=text, text=True, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_no_help_shows_a_mark_that_was_meant_for_its_layout(command: str | None) -> None:
    words = ["--help"] if command is None else [command, "--help"]
    result = CliRunner().invoke(cli, words)
    assert "\b" not in result.stdout
    assert "\\b" not in result.stdout
    if command == "completion":
        assert (
            "    fish:  redis-oom-tui completion fish > ~/.config/fish/completions/redis-oom-tui.fish" in result.stdout
        )
