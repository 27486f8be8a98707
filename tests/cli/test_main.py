"""The front door: what it imports, what it says to bad input, and how it exits."""

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from redis_oom_tui.__main__ import main as command
from redis_oom_tui.cli.main import COMMANDS, main
from tests.cli.ran import ran

HEAVY = ("textual", "rich")


def imported_by(*runs: list[str]) -> list[str]:
    """What these runs of the command have imported of the heavy packages."""
    script = (
        "import contextlib, json, sys\nfrom redis_oom_tui.cli.main import main\n"
        f"for arguments in {runs!r}:\n    with contextlib.suppress(SystemExit): main(arguments)\n"
        f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    names: list[str] = json.loads(done.stderr.splitlines()[-1])
    return names


def test_help_never_imports_the_screen() -> None:
    assert imported_by(["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)) == []


def test_ctrl_c_while_modules_are_imported_prints_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "redis_oom_tui.cli.main":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "redis_oom_tui.cli.main")
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        command()
    assert ended.value.code == 130
    (script,) = metadata.entry_points(group="console_scripts", name="redis-oom-tui")
    assert script.value == "redis_oom_tui.__main__:main"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-u", "http://x"], "this is not a Redis URL"),
        (["--port", "seven"], "not a whole number from 1 to 65535"),
        (["-s", "/s", "-h", "x"], "leave out -h and -p"),
        (["-h", ""], "-h is empty: name a server, or leave it out"),
        (["--sentinel", "a:1"], "belong together"),
        (["--cacert", "/no/such/file"], "no such file"),
        (["--config", "/no/such/file"], "/no/such/file"),
        (["--profile", "nobody"], "nobody"),
        (["no-such-command"], "no such command"),
    ],
)
def test_bad_input_is_told_in_words(arguments: list[str], words: str) -> None:
    done = ran(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_wrong_option_pages_nobody() -> None:
    assert ran("--port", "seven", "check").returncode == 3


@pytest.mark.parametrize(("command", "code"), [("hogs", 1), ("check", 3)])
def test_a_defect_is_told_without_a_traceback_and_pages_nobody(
    command: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(given: object, **_: object) -> None:
        secret = "hunter2"
        raise KeyError(f"\x1b[2J{len(secret)}")

    monkeypatch.setattr("redis_oom_tui.cli.main.read_invocation", broken)
    with pytest.raises(SystemExit) as left:
        main([command])
    printed = capsys.readouterr()
    assert left.value.code == code
    assert "crashed (a bug in it)" in printed.err
    assert "in broken" in printed.err
    assert "Traceback" not in printed.err
    assert "hunter2" not in printed.err
    assert "\x1b" not in printed.err
    assert printed.out == ("UNKNOWN: a defect of this tool (KeyError)\n" if command == "check" else "")


@pytest.mark.parametrize(("arguments", "code"), [(["completion", "bash"], 1), (["-p", "1", "check", "--json"], 3)])
def test_a_full_disk_is_told_in_a_sentence(arguments: list[str], code: int, tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if name not in ("REDIS_URL", "REDISCLI_AUTH")}
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "redis_oom_tui", *arguments],
            env=clean | {"XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == 1
    assert "No space left on device" in done.stderr


def test_the_default_profiles_password_goes_to_its_own_server_only(tmp_path: Path) -> None:
    from redis_oom_tui.cli.context import read_invocation
    from redis_oom_tui.cli.main import cli
    from redis_oom_tui.models.address import Secret

    file = tmp_path / "config.toml"
    file.write_text(
        'default_profile = "prod"\n[profiles.prod]\nhost = "cache-1"\npassword_env = "PROD_PASSWORD"\n',
        encoding="utf-8",
    )
    file.chmod(0o600)
    os.environ["PROD_PASSWORD"] = "hunter2"
    try:
        given = cli.make_context("x", ["--config", str(file)], resilient_parsing=True).params
        ours = read_invocation(given | {"config_path": file})
        foreign = read_invocation(given | {"config_path": file, "host": "elsewhere"})
    finally:
        del os.environ["PROD_PASSWORD"]
    assert ours.connection.password == Secret("hunter2")
    assert foreign.connection.password is None
