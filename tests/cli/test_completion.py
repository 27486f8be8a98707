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


# What a person's Tab does, without a terminal: the script is read, and its function called for these words.
SHELLS = {
    "bash": 'eval "$(redis-oom-tui completion bash)"; COMP_WORDS=({words}); COMP_CWORD=$((${#COMP_WORDS[@]} - 1));'
    ' _redis_oom_tui_completion redis-oom-tui; printf "%s\\n" "${{COMPREPLY[@]}}"',
    "zsh": "autoload -U compinit; compinit -D; "
    'eval "$(redis-oom-tui completion zsh)"; words=({words}); CURRENT=${{#words}};'
    " compadd() {{ print -l -- $completions }}; _describe() {{ print -l -- $completions_with_descriptions }};"
    " _redis_oom_tui_completion",
    "fish": "redis-oom-tui completion fish | source; complete -C '{words}'",
}


COMPLETED = [
    ("redis-oom-tui limits --policy allk", {"allkeys-lru", "allkeys-lfu", "allkeys-random"}),
    ("redis-oom-tui watch --on-critical c", {"cache"}),
    ("redis-oom-tui --theme ans", {"ansi-dark", "ansi-light"}),
    ("redis-oom-tui check --theme da", {"dark"}),
    ("redis-oom-tui cleanup --no-ttl --type z", {"zset"}),
    ("redis-oom-tui hogs --profile ord", {"orders", "ordinary"}),
    ("redis-oom-tui check --sentinel-c", {"--sentinel-cacert", "--sentinel-cert"}),
    ("redis-oom-tui schema che", {"check"}),
]


@pytest.mark.parametrize(
    ("shell", "words", "expected"),
    [("bash", *each) for each in COMPLETED] + [(shell, *each) for shell in ("zsh", "fish") for each in COMPLETED[:2]],
)
def test_a_shell_completes_values(shell: str, words: str, expected: set[str], tmp_path: Path) -> None:
    binary = shutil.which(shell)
    if binary is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "redis-oom-tui").mkdir()
    (tmp_path / "redis-oom-tui" / "config.toml").write_text(CONFIG)
    script = SHELLS[shell].replace("{words}", words).replace("{{", "{").replace("}}", "}")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [binary, *(["-f"] if shell == "zsh" else []), "-c", script],
        env={"PATH": path, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "LANG": "C.UTF-8"},
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert {re.split(r"[\t:]", line)[0] for line in done.stdout.splitlines()} == expected


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
    heads = re.findall(r"^\.SH (.+)$", text, re.MULTILINE)
    assert heads[-5:] == ["EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"]
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
        assert "    fish:  redis-oom-tui completion fish \\\n" in result.stdout
