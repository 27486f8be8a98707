"""What has no effect, or cannot be used, is refused in one sentence before any server is asked."""

import io
import os
from pathlib import Path

import click
import pytest

from redis_oom_tui.cli.main import COMMANDS, cli, main
from redis_oom_tui.cli.options import FilePath, Number
from tests.cli.ran import ran
from tests.support.cluster import clustered
from tests.support.servers import RunningServer

SERVER = ("check", "hogs", "limits", "cleanup", "restore", "watch", "report")
OWN = ("demo", "replay", "config", "schema", "completion")
# What a command needs beside the option, so that nothing else is wrong with the line.
BESIDE = {
    "cleanup": ("--match", "a"),
    "restore": (__file__,),
    "replay": (__file__,),
    "config": ("check", __file__),
    "completion": ("bash",),
    "watch": ("--once",),
}
VALUES = {
    "host": "127.0.0.1",
    "port": "1",
    "socket": "/nowhere",
    "url": "redis://127.0.0.1:1",
    "password": "x",
    "user": "x",
    "password_file": __file__,
    "password_command": "echo x",
    "db": "1",
    "ca_file": __file__,
    "cert_file": __file__,
    "key_file": __file__,
    "server_name": "x",
    "sentinels": "127.0.0.1:1",
    "master": "x",
    "sentinel_user": "x",
    "sentinel_password": "x",
    "sentinel_ca_file": __file__,
    "sentinel_cert_file": __file__,
    "sentinel_key_file": __file__,
    "sentinel_server_name": "x",
    "limit": "4gb",
    "interval": "5",
    "theme": "dark",
    "config_path": __file__,
    "profile": "x",
    "audit_path": "audit",
    "record_path": "record",
}
# Of the options that are not about the connection: the commands that go by them, or do what they ask for anyway.
USED_BY = {
    "db": ("check", "hogs", "limits", "cleanup", "report", "watch"),
    "interval": tuple(command for command in COMMANDS if command != "watch"),
    "config_path": (*SERVER, "config"),
    "record_path": ("demo", "rdb"),
}
# An alias may hold them for all commands: how a screen looks, no change, where actions are written down.
HOLDS = ("read_only", "no_mouse", "no_auto_scan", "plain", "color", "ascii_only", "theme", "no_diff", "audit_path")
OPTIONS = [option for option in cli.params if isinstance(option, click.Option) and option.name != "version"]


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What is said in one line of a command line that is refused: on stderr, by `check` on stdout."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    out, err = capsys.readouterr()
    assert ended.value.code in (2, 3), err
    assert len((out + err).splitlines()) == 1
    assert out.startswith("UNKNOWN: ") or not out
    return out + err


IGNORED = [
    (command, option)
    for command in COMMANDS
    for option in OPTIONS
    if option.name not in HOLDS and command not in USED_BY.get(str(option.name), SERVER)
]


@pytest.mark.parametrize(("command", "option"), IGNORED, ids=[f"{each[1].name} {each[0]}" for each in IGNORED])
def test_no_command_ignores_an_option_in_silence(
    command: str, option: click.Option, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    name = str(option.name)
    value = [] if option.is_flag else [str(tmp_path / VALUES[name]) if name == "record_path" else VALUES[name]]
    err = refused(capsys, option.opts[0], *value, command, *BESIDE.get(command, ()))
    assert f"{'/'.join(option.opts)} has no effect on {command}: " in err


# It writes to its standard output by the handle.
USED = [
    (name, command) for name in (*USED_BY, *HOLDS) for command in USED_BY.get(name, SERVER) if command in SERVER[:-2]
]


@pytest.mark.parametrize(("name", "command"), USED)
def test_what_a_command_goes_by_is_taken(
    name: str, command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    option = next(option for option in OPTIONS if option.name == name)
    value = [] if option.is_flag else [VALUES[name]]
    with pytest.raises(SystemExit):
        main(["-s", str(tmp_path / "none"), option.opts[0], *value, command, *BESIDE.get(command, ())])
    assert "has no effect" not in capsys.readouterr().err


@pytest.mark.parametrize("words", [("-h", "a"), ("-u", "redis://a"), ("-n", "1"), ("--limit", "1gb"), ("--tls",)])
def test_a_report_of_a_recording_takes_no_server(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    err = refused(capsys, *words, "report", "--from", __file__)
    assert f"{words[0]}" in err
    assert "cannot be given with --from: a recording is read, and no server contacted" in err
    assert "--no-scan cannot be given with --from" in refused(capsys, "report", "--from", __file__, "--no-scan")


def path_parameters() -> list[tuple[str, click.Parameter]]:
    """Each parameter that is a path, with the command that has it; "" for those before the command."""
    context = click.Context(cli)
    found: list[tuple[str, click.Parameter]] = [("", parameter) for parameter in cli.params]
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        inner = command.commands.items() if isinstance(command, click.Group) else [("", command)]
        found += [(f"{name} {sub}".strip(), parameter) for sub, each in inner for parameter in each.params]
    return [(name, parameter) for name, parameter in found if isinstance(parameter.type, click.Path)]


PATHS = path_parameters()


def test_all_paths_are_of_the_one_kind() -> None:
    assert len(PATHS) >= 22
    assert all(isinstance(parameter.type, FilePath) for _, parameter in PATHS)


NEW = ("record_path", "save", "output", "backup_path", "save_plan")
KEPT = ("audit_path", "prometheus_file")
PLACES = {
    "folder": "",
    "missing": "none",
    "no folder": "none/file",
    "loop": "loop",
    "too long": "n" * 300,
    "nul": "a\0b",
}
UNUSABLE = [
    (command, parameter, place)
    for command, parameter in PATHS
    for place in PLACES
    if not (place == "missing" and parameter.name in NEW)
    and not (place in ("missing", "no folder") and parameter.name in KEPT)
]


@pytest.mark.parametrize(
    ("command", "parameter", "place"), UNUSABLE, ids=[f"{name} {each.name}: {place}" for name, each, place in UNUSABLE]
)
def test_a_path_that_cannot_be_used_is_refused_in_a_sentence(
    command: str, parameter: click.Parameter, place: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    path = f"{tmp_path}/{PLACES[place]}"
    words = [path] if isinstance(parameter, click.Argument) else [parameter.opts[0], path]
    server = [] if command in ("replay", "config check") else ["-s", str(tmp_path / "none")]
    err = refused(capsys, *server, *(command.split() or [*words, "check"]), *(words if command else []))
    assert not {"Error:", "Usage:", "defect"} & set(err.split())
    assert "is the server up" not in err


def test_a_file_that_this_user_may_not_read(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "scan"
    file.write_text("")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "scan cannot be read: Permission denied" in refused(capsys, "hogs", "--compare", str(file))
    assert "may not write to its folder" in refused(capsys, "hogs", "--save", str(tmp_path / "new"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("-p", "seven", "hogs"),
            "-p/--port: 'seven' is not a whole number from 1 to 65535 (see redis-oom-tui --h",
        ),
        (("-p", "99999", "hogs"), "-p/--port: '99999' is not a whole number from 1 to 65535 (see"),
        (("-n", "-1", "hogs"), "-n/--db: '-1' is not a whole number of 0 or more (see"),
        (("--interval", "nan"), "--interval: 'nan' is not a number from 0.1 to 3600 (see"),
        (("hogs", "--top", "x"), "--top: 'x' is not a whole number from 1 to 100000 (see redis-oom-tui hogs --help)"),
        (("hogs", "--every"), "no such option '--every' (see redis-oom-tui hogs --help)"),
        (("hogs", "--all"), "--all has no effect on hogs: it is about one server"),
        (("--all", "check"), "--all has no effect on check: give it after the command, as in check --all"),
        (("hogs", "--matchs", "a"), "no such option '--matchs'; did you mean --match? (see redis-oom-tui hogs"),
        (("hogs", "--nothing"), "no such option"),
        (("restore",), "missing argument 'FILE'"),
        (("nothing",), "no such command 'nothing'"),
    ],
)
def test_a_wrong_value_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], sentence: str
) -> None:
    assert sentence in refused(capsys, *words).lower().replace("file", "FILE")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--maxmemory", "50%"), "'50%' is not a size"),
        (("--maxmemory", "0"), "write unlimited if that is meant"),
        (("--policy", " "), "eviction policy cannot be empty"),
        (("--set", "hz=9999"), "hz"),
        (("--set", "Maxmemory=x"), "'x' is not a size"),
        (("--set", "maxmemory-samples=many"), "whole number"),
        (("--set", "lazyfree-lazy-expire=perhaps"), "neither yes nor no"),
        (("--maxmemory", "4gb", "--revert-after", "soon"), "soon"),
        (("--node", "a:1"), "-c"),
    ],
)
def test_limits_checks_every_value_before_a_server_is_asked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    assert sentence in refused(capsys, "-s", str(tmp_path / "none"), "limits", *words, "--yes")


def test_a_saved_scan_of_one_database_is_no_scan_of_all(
    valkey: RunningServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    scan = str(tmp_path / "scan")
    with valkey.client() as client:
        client.set("a", "v")
        with pytest.raises(SystemExit):
            main(["-s", valkey.socket_path, "-n", "0", "hogs", "--save", scan])
        with pytest.raises(SystemExit) as ended:
            main(["-s", valkey.socket_path, "limits", "--saved-scan", scan])
        assert ended.value.code == 0
        client.select(1)
        client.set("b", "v")
    capsys.readouterr()
    err = refused(capsys, "-s", valkey.socket_path, "limits", "--saved-scan", scan)
    assert "the saved scan is of database 0 only, without the keys of 1 other database: a policy may evict any" in err


@pytest.mark.parametrize(
    "words", [("hogs",), ("hogs", "--instant"), ("check",), ("cleanup", "--match", "a"), ("limits",)]
)
def test_a_database_that_is_not_there_is_one_sentence(
    valkey: RunningServer, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    for db in (99, 2**31, 10**20):
        text = refused(capsys, "-s", valkey.socket_path, "-n", str(db), *words)
        assert text.rstrip(".\n").endswith(f"unix:{valkey.socket_path} has no database {db} (0 to 15)")


def test_a_database_that_a_cluster_does_not_have_is_one_sentence(
    flavour: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with clustered(1, replicas=False, flavour=flavour) as cluster:
        node = cluster.primaries[0]
        where = ("-p", str(node.port), "-n", "3")
        for words in (("-c", "check"), ("-c", "hogs", "--instant"), ("-c", "cleanup", "--match", "a"), ("check",)):
            text = refused(capsys, *where, *words)
            assert text.rstrip(".\n").endswith(f"{node.name} has no database 3: this cluster has database 0 only")


@pytest.mark.parametrize("command", ["check", "hogs"])
def test_a_password_is_asked_for_on_a_terminal_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert "--askpass needs a terminal" in refused(capsys, command, "--askpass")


def test_an_empty_database_is_there(valkey: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["-s", valkey.socket_path, "-n", "15", "check"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("OK: ")


# Digits of other scripts, Python's underscores, digits that are none to int(), a Kelvin sign for k, a long s for s, and
# more digits than int() reads.
ODD = ("٣", "7_101", "²", "4\u212a", "4\u017f", "9" * 5000)
LINES = {
    "check": "-p {}; -n {}; --limit {}; --interval {}; -u redis://a:{}; -u redis://a/{}; --master a --sentinel a:{}",
    "hogs": "--top {}; --sample {}",
    "cleanup": "--idle-over {}; --larger-than {}; --max-keys {}; --max-bytes {}; --max-key-backup {}; --max-backup {};"
    " --free-to {}; --expire {}; --shrink a --keep-last {}; --shrink a --older-than {}",
    "limits": "--maxmemory {}; --maxmemory 4gb --revert-after {}; --set maxmemory={}; --set maxmemory-clients={};"
    " --set maxmemory-samples={}; -c --node a:{}",
    "report": "--hours {}",
    "watch": "--warn {}; --crit {}; --interval {}; --hold {}; --scan-every {}; --prometheus 127.0.0.1:{}",
    "demo": "--keys {}",
}
IN_A_FILE = (
    '[watch]\nhold = "{}"',
    '[profiles.a]\nlimit = "{}"\nread_timeout = "{}"',
    '[profiles.a]\nmaster = "a"\nsentinels = ["a:{}"]',
    '[plans.a]\nmatch = "a"\nidle_over = "{}"\nlarger_than = "{}"',
)
SAYS = ("is not a", "is too long", "is more than", "which 'a:", "from 1% to 99%", "the URL cannot be read")


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_a_number_is_written_in_plain_digits(tmp_path: Path, odd: str) -> None:
    lines = [[name, *line.format(odd).split()] for name, options in LINES.items() for line in options.split(";")]
    for number, text in enumerate(IN_A_FILE):
        path = tmp_path / f"{number}.toml"
        path.write_text(text.format(odd, odd))
        lines.append(["config", "check", str(path)])
    for words in lines:
        done = ran(*words)
        assert done.returncode in (1, 2, 3), words
        assert any(text in done.stdout + done.stderr for text in SAYS), (words, done)


def test_every_number_is_among_those_that_are_tried() -> None:
    marks = {"SIZE", "TIME", "SPAN", "SHARE", "PERCENT", "SECONDS", "N"}
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        for parameter in command.params:
            if isinstance(parameter.type, Number) or parameter.metavar in marks:
                assert any(f"{option} {{}}" in LINES.get(name, "") for option in parameter.opts), (name, parameter.opts)
