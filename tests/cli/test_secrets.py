"""Every way in which a password reaches the tool, and that none shows it."""

from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from redis_oom_tui.cli.connecting import ConnectionOptions, resolve
from redis_oom_tui.cli.context import Invocation, read_invocation
from redis_oom_tui.cli.main import _hide_secrets
from redis_oom_tui.cli.options import root_options
from redis_oom_tui.models.address import Secret
from redis_oom_tui.models.errors import BadInput


@click.command(context_settings={"help_option_names": ["--help"]})
@root_options
@click.pass_context
def _probe(ctx: click.Context, /, **given: object) -> Invocation:
    return read_invocation(given)


def _read(*words: str) -> Invocation:
    invocation = _probe.main(list(words), standalone_mode=False)
    assert isinstance(invocation, Invocation)
    return invocation


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("REDIS_URL", "REDISCLI_AUTH", "REDIS_SENTINEL_AUTH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def test_from_a_file_a_command_and_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "secret"
    kept.write_text("hunter2\n")
    monkeypatch.setattr("click.prompt", lambda *words, **options: "hunter2")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    for ways in (("--pass-file", str(kept)), ("--pass-command", "printf hunter2"), ("--askpass",), ("-a", "hunter2")):
        invocation = _read("-h", "cache-1", *ways)
        assert invocation.connection.password == Secret("hunter2")
        assert "hunter2" not in repr(invocation)


def test_two_ways_at_once_and_ways_that_fail() -> None:
    with pytest.raises(BadInput, match="keep one of"):
        _read("-a", "hunter2", "--pass-command", "printf x")
    with pytest.raises(BadInput, match="ended with status 1"):
        _read("--pass-command", "false")
    with pytest.raises(BadInput, match="--pass-file"):
        _read("--pass-file", "/nowhere")


def test_the_sentinels_password_is_their_own() -> None:
    connection = _read(
        "--sentinel", "s1", "--master", "m", "-a", "data", "--sentinel-user", "watch", "--sentinel-pass", "theirs"
    ).connection
    assert connection.password == Secret("data")
    assert connection.sentinel is not None
    assert (connection.sentinel.username, connection.sentinel.password) == ("watch", Secret("theirs"))


def test_the_sentinels_password_from_the_environment() -> None:
    options = ConnectionOptions(sentinels=("s1",), master="m")
    sentinel = resolve(options, {"REDIS_SENTINEL_AUTH": "theirs", "REDISCLI_AUTH": "data"}).sentinel
    assert sentinel is not None
    assert sentinel.password == Secret("theirs")


def test_the_sentinels_password_without_sentinels() -> None:
    with pytest.raises(BadInput, match="--sentinel and --master"):
        _read("--sentinel-pass", "theirs")


def test_a_profile_may_hold_all_of_it(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        '[profiles.ha]\nsentinels = ["s1:26379"]\nmaster = "m"\n'
        'sentinel_username = "watch"\nsentinel_password_command = "printf theirs"\n'
    )
    file.chmod(0o600)
    sentinel = _read("--config", str(file), "--profile", "ha").connection.sentinel
    assert sentinel is not None
    assert (sentinel.username, sentinel.password) == ("watch", Secret("theirs"))


@pytest.mark.parametrize(
    ("words", "hidden"),
    [
        (("-a", "x", "check"), True),
        (("check", "-ca", "x"), True),
        (("-ax",), True),
        (("--pass=x",), True),
        (("--url", "redis://a:x@h"), True),
        (("-c", "-p", "6380", "check", "--askpass"), False),
        (("--user", "a", "--audit", "f", "--pass-file", "g"), False),
    ],
)
def test_a_password_among_the_words_is_taken_off_the_process_list(
    words: tuple[str, ...], hidden: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles: list[str] = []
    monkeypatch.setattr("setproctitle.setproctitle", titles.append)
    _hide_secrets(words)
    assert bool(titles) is hidden
