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
from scripts.manual import page


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


# What a person's Tab does, without a terminal: the script is read once, and its function called for each line of words.
SHELLS = {
    "bash": """
eval "$(redis-oom-tui completion bash)"
while read -r line; do
    read -ra COMP_WORDS <<< "$line"; COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
    _redis_oom_tui_completion redis-oom-tui; echo "${COMPREPLY[*]}"
done
""",
    "zsh": """
autoload -U compinit; compinit -D
eval "$(redis-oom-tui completion zsh)"
compadd() { print -n -- $completions "" }
_describe() { print -n -- ${completions_with_descriptions[@]%%:*} "" }
while read -r line; do
    words=(${=line}); CURRENT=${#words}; _redis_oom_tui_completion; print
done
""",
    "fish": """
redis-oom-tui completion fish | source
while read line
    string join -- " " (complete -C $line | string replace -r "\\t.*" "")
end
""",
}
COMPLETED = {
    "redis-oom-tui limits --policy allk": {"allkeys-lru", "allkeys-lfu", "allkeys-random"},
    "redis-oom-tui watch --on-critical c": {"cache"},
    "redis-oom-tui --profile ord": {"orders", "ordinary"},
    "redis-oom-tui --theme=ans": {"--theme=ansi-dark", "--theme=ansi-light"},
    "redis-oom-tui check --sentinel-c": {"--sentinel-cacert", "--sentinel-cert"},
    "redis-oom-tui wat": {"watch"},
    "redis-oom-tui --theme ans": {"ansi-dark", "ansi-light"},
    "redis-oom-tui check --theme da": {"dark"},
    "redis-oom-tui cleanup --no-ttl --type z": {"zset"},
    "redis-oom-tui schema che": {"check"},
    # bash makes a word of the "=" unless told otherwise.
    "redis-oom-tui limits --policy = allk": {"allkeys-lru", "allkeys-lfu", "allkeys-random"},
}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_commands_options_and_values(shell: str, tmp_path: Path) -> None:
    binary = shutil.which(shell)
    if binary is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "redis-oom-tui").mkdir()
    (tmp_path / "redis-oom-tui" / "config.toml").write_text(CONFIG)
    # One shell is asked everything; for the others what each kind of answer needs is enough.
    asked = list(COMPLETED)[: None if shell == "bash" else 5]
    done = subprocess.run(
        [binary, *(["-f"] if shell == "zsh" else []), "-c", SHELLS[shell]],
        input="\n".join(asked) + "\n",
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "XDG_CONFIG_HOME": str(tmp_path),
            "LANG": "C.UTF-8",
        },
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    answers = [set(line.split()) for line in done.stdout.splitlines()]
    assert dict(zip(asked, answers, strict=True)) == {words: COMPLETED[words] for words in asked}


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


def test_the_manual_page_is_installed_where_install_has_no_option_to_make_folders(tmp_path: Path) -> None:
    """As on macOS, whose install takes no -D."""
    found = shutil.which("install")
    if found is None or shutil.which("make") is None:
        pytest.skip("make or install is not installed")
    stand_in = tmp_path / "bin" / "install"
    stand_in.parent.mkdir()
    stand_in.write_text(f'#!/bin/sh\n[ "$1" != -D ] || exit 64\nexec {found} "$@"\n')
    stand_in.chmod(0o755)
    venv = Path(sys.executable).parents[1]
    done = subprocess.run(
        ["make", "-o", f"{venv}/.installed", f"VENV={venv}", f"DESTDIR={tmp_path}", "PREFIX=/opt", "install-man"],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PATH": f"{stand_in.parent}:{os.environ['PATH']}"},
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    page_there = tmp_path / "opt" / "share" / "man" / "man1" / "redis-oom-tui.1"
    assert page_there.read_text() == page()


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_no_help_shows_a_mark_that_was_meant_for_its_layout(command: str | None) -> None:
    words = ["--help"] if command is None else [command, "--help"]
    result = CliRunner().invoke(cli, words)
    assert "\b" not in result.stdout
    assert "\\b" not in result.stdout
    if command == "completion":
        assert "    fish:  redis-oom-tui completion fish \\\n" in result.stdout
