"""Both sides of the command: options of the connection, `-h` and `help`, and help by topic."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from redis_oom_tui.cli.main import COMMANDS, cli, main
from redis_oom_tui.cli.options import ON_SERVER
from redis_oom_tui.files.config import example_text
from tests.support.servers import RunningServer


def ran(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    out, err = capsys.readouterr()
    return int(str(ended.value.code)), out, err


def split(*words: str) -> tuple[dict[str, object], list[str]]:
    """The options before the command and what is left, as click reads the words."""
    context = cli.make_context("redis-oom-tui", list(words))
    values = context.params.items()
    given = {name: value for name, value in values if name != "interval" and value not in (None, False, ())}
    return given, [*context._protected_args, *context.args]


@pytest.mark.parametrize(
    ("words", "given", "left"),
    [
        (("check", "-p", "6380"), {"port": 6380}, ["check"]),
        (("check", "-p6380", "--json"), {"port": 6380}, ["check", "--json"]),
        (("-h", "a", "check", "--port=6380"), {"host": "a", "port": 6380}, ["check"]),
        (("hogs", "--top", "3", "-cn", "2", "--idle"), {"cluster": True, "db": 2}, ["hogs", "--top", "3", "--idle"]),
        (("hogs", "--match", "-p", "-h", "a"), {"host": "a"}, ["hogs", "--match", "-p"]),
        (("check", "-h", "check"), {"host": "check"}, ["check"]),
        (("-p", "1", "check", "-p", "2"), {"port": 2}, ["check"]),
        (
            ("check", "--sentinel", "a:1", "--sentinel=b:1", "--master", "m"),
            {"sentinels": ("a:1", "b:1"), "master": "m"},
            ["check"],
        ),
        # A command's own option of the same name is the command's.
        (("watch", "--interval", "9", "--plain"), {}, ["watch", "--interval", "9", "--plain"]),
        (("cleanup", "--key", "a", "--tls"), {"tls": True}, ["cleanup", "--key", "a"]),
        (("config", "check", "--secrets", "--read-only"), {"read_only": True}, ["config", "check", "--secrets"]),
        (("restore", "--", "-p"), {}, ["restore", "--", "-p"]),
        (("check", "--sentinel-tls"), {"sentinel_tls": True}, ["check"]),
        (("-c",), {"cluster": True}, []),
    ],
)
def test_an_option_means_the_same_on_both_sides(
    words: tuple[str, ...], given: dict[str, object], left: list[str]
) -> None:
    assert split(*words) == (given, left)


def test_every_option_is_taken_behind_every_command_that_has_none_of_its_name() -> None:
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            continue
        own = {spelling for parameter in command.params for spelling in parameter.opts}
        for option in cli.params:
            value = [] if getattr(option, "is_flag", False) else ["1"]
            if option.name != "version" and not own & set(option.opts):
                assert cli._in_order(context, [name, option.opts[0], *value]) == [option.opts[0], *value, name]


def test_a_server_is_asked_by_an_option_behind_the_command(
    server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = ran(capsys, "check", "--json", "-s", server.socket_path)
    assert code == 0
    assert json.loads(out)["server"]["address"] == f"unix:{server.socket_path}"


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (("-h",), "redis-oom-tui [OPTIONS]"),
        (("help",), "redis-oom-tui [OPTIONS]"),
        (("--read-only", "-h"), "redis-oom-tui [OPTIONS]"),
        (("check", "-h"), "redis-oom-tui check [OPTIONS]"),
        (("hogs", "--top", "3", "-h"), "redis-oom-tui hogs [OPTIONS]"),
        (("help", "limits"), "redis-oom-tui limits [OPTIONS]"),
        (("help", "config", "check"), "redis-oom-tui config check [OPTIONS]"),
        (("config", "check", "-h"), "redis-oom-tui config check [OPTIONS]"),
        (("check", "-h", "--json"), "redis-oom-tui check [OPTIONS]"),
        (("-h", "-p", "1", "check"), "redis-oom-tui [OPTIONS]"),
        (("-h", "--help"), "redis-oom-tui [OPTIONS]"),
        (("help", "-h"), "redis-oom-tui [OPTIONS]"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_an_h_without_a_host_and_the_word_help_show_help(
    words: tuple[str, ...], usage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = ran(capsys, *words)
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: {usage}")


@pytest.mark.parametrize("command", sorted(ON_SERVER - {""}))
def test_help_of_a_command_needs_no_password_and_no_configuration(
    command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("[")
    folder = tmp_path / "redis-oom-tui"
    folder.mkdir()
    (folder / "config.toml").write_text(example_text())
    (folder / "config.toml").chmod(0o600)
    for words in (
        (command, "--help"),
        (command, "-h"),
        ("help", command),
        ("--config", str(bad), command, "--help"),
        (command, "--pass-file", str(tmp_path / "none"), "--help"),
    ):
        code, out, err = ran(capsys, *words)
        assert (code, err) == (0, ""), words
        assert out.startswith(f"Usage: redis-oom-tui {command}")


def test_help_as_the_value_of_an_option_asks_for_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = ran(capsys, "-s", str(tmp_path / "none"), "hogs", "--match", "--help")
    assert (code, out) == (3, "")
    assert "none" in err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("help", "nothing"), "no such command 'nothing'"),
        (("hogs", "-n"), "option '-n' requires an argument (see redis-oom-tui --help)"),
        (("hogs", "--match"), "option '--match' requires an argument (see redis-oom-tui hogs --help)"),
        # Neither is the command: the one is a host, the other a glob.
        (("-h", "check", "hogs", "--no"), "no such option '--no'"),
        (("hogs", "--no", "--match", "check"), "no such option '--no'"),
        (("-p",), "option '-p' requires an argument"),
        (("hogs", "--port", "x"), "-p/--port: 'x' is not a whole number"),
        (("completion",), "Choose from: bash, zsh, fish"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(
    words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = ran(capsys, *words)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert sentence in err


def test_a_group_without_its_command_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ran(capsys, "config")
    assert (code, out) == (2, "")
    assert err.startswith("Usage: redis-oom-tui config")
    assert "\n  example" in err


@pytest.mark.parametrize("words", [("--no", "check"), ("--no", "x", "check"), ("-h", "hogs", "check", "--no")])
def test_a_check_that_cannot_be_read_is_unknown(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ran(capsys, *words)
    assert (code, err) == (3, "")
    assert out.startswith("UNKNOWN: no such option '--no'")


def test_help_has_the_commands_first_and_the_options_by_topic() -> None:
    text = CliRunner().invoke(cli, ["--help"]).stdout
    heads = [line for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    topics = ["Connection:", "TLS:", "Sentinel:", "Screen:", "Files:", "Other:"]
    assert heads == ["Commands (none: the screen):", *topics]
    assert all(f"\n  {name} " in text for name in COMMANDS)
    assert text.count("--sentinel-cacert") == 1


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_fits_80_columns_in_a_wide_terminal(command: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = CliRunner().invoke(cli, ["--help"] if command is None else [command, "--help"]).stdout
    assert text.startswith("Usage: ")
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "x>=" not in text
    assert "<=x" not in text
