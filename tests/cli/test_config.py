"""`config`: the file, judged without a server."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from redis_oom_tui.cli.main import cli
from tests.cli.ran import ran
from tests.support.json_documents import document_of


def call(*arguments: str) -> tuple[int, Result]:
    result = CliRunner().invoke(cli, list(arguments), standalone_mode=False)
    assert result.exception is None, result.exception
    return result.return_value or 0, result


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "config.toml"
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def test_a_good_file_is_told_profile_by_profile(tmp_path: Path) -> None:
    text = """
[plans.cache]
match = "cache:*"
[profiles.prod]
host = "cache-1"
password = "hunter2"
production = true
[profiles.prod.emergency]
armed = true
plan = "cache"
[profiles.dev]
read_only = true
"""
    code, result = call("config", "check", written(tmp_path, text))
    assert code == 0
    assert "is OK" in result.stdout
    assert "profile prod: cache-1:6379; warn 80%, crit 95%; password in the file itself; production" in result.stdout
    assert "may be armed with plan cache" in result.stdout
    assert "profile dev: 127.0.0.1:6379; warn 80%, crit 95%; password none; read-only" in result.stdout
    assert "hunter2" not in result.output


def test_letters_that_the_terminal_lacks_are_shown_by_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "файл.toml"
    path.write_text("")
    command = [sys.executable, "-m", "redis_oom_tui", "config", "check", str(path)]
    done = subprocess.run(command, env={**os.environ, "PYTHONIOENCODING": "latin-1"}, capture_output=True, check=True)
    assert rb"\u0444\u0430\u0439\u043b.toml is OK" in done.stdout


def test_every_fault_is_a_line_and_the_exit_code_says_so(tmp_path: Path) -> None:
    code, result = call("config", "check", written(tmp_path, "[watch]\nwarn = 200\nfoo = 1\n"))
    assert code == 1
    assert [line.split(", ")[1].split(" ")[:2] for line in result.stdout.splitlines()] == [
        ["line", "2:"],
        ["line", "3:"],
    ]


def test_it_works_where_the_file_given_for_everything_is_broken(tmp_path: Path) -> None:
    broken = written(tmp_path, "[watch\n")
    code, result = call("--config", broken, "config", "check")
    assert code == 1
    assert "not valid TOML" in result.stdout


def test_json_is_one_document(tmp_path: Path) -> None:
    code, result = call("config", "check", written(tmp_path, "[profiles.p]\nport = 0\n"), "--json")
    document = document_of("config", result.stdout)
    assert code == 1
    assert document["problems"][0].endswith("profiles.p.port must be a whole number from 1 to 65535")


def test_secrets_are_tried_only_when_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, "[profiles.p]\npassword_env = 'SURELY_NOT_SET'\n")
    assert call("config", "check", path)[0] == 0
    code, result = call("config", "check", path, "--secrets")
    assert code == 1
    assert "SURELY_NOT_SET, which is not set" in result.stdout


def test_without_any_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    code, result = call("config", "check")
    assert code == 0
    assert "the defaults apply" in result.stdout
    _, result = call("config", "path")
    assert result.stdout.strip() == str(tmp_path / "redis-oom-tui" / "config.toml")


def test_what_may_not_be_as_it_was_meant_is_noted(tmp_path: Path) -> None:
    path = written(tmp_path, "[hooks]\nexec = '/no/such/pager'\n")
    code, result = call("config", "check", path)
    assert code == 0
    assert "note: /no/such/pager, the command of hooks, is not found on this machine" in result.stdout


def test_a_webhook_that_others_may_read_is_a_fault(tmp_path: Path) -> None:
    path = written(tmp_path, "[hooks]\nwebhook = 'https://hooks.example.com/SECRET'\n")
    assert call("config", "check", path)[0] == 0
    Path(path).chmod(0o644)
    code, result = call("config", "check", path)
    assert code == 1
    assert "line 2: hooks.webhook may be read by others on this machine" in result.stdout
    assert "SECRET" not in result.output


def test_sentinels_and_clusters_are_told_as_such(tmp_path: Path) -> None:
    text = "[profiles.a]\nsentinels = ['s1:26379']\nmaster = 'm'\n[profiles.b]\nhost = 'n1'\ncluster = true\n"
    _, result = call("config", "check", written(tmp_path, text))
    assert "profile a: master m by the Sentinels s1:26379;" in result.stdout
    assert "profile b: n1:6379 and its cluster;" in result.stdout


def test_the_example_that_is_printed_is_good(tmp_path: Path) -> None:
    code, result = call("config", "example")
    assert code == 0
    assert "[plans.cache]" in result.stdout
    code, checked = call("config", "check", written(tmp_path, result.stdout))
    assert (code, "is OK" in checked.stdout) == (0, True)


def test_a_file_that_is_no_text_is_a_fault_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"[profiles.a]\nhost = '\xff'\n")
    code, result = call("config", "check", str(path))
    assert code == 1
    assert "line 2: not UTF-8 text" in result.output


def test_an_empty_profile_name_means_no_server(tmp_path: Path) -> None:
    path = written(tmp_path, "[profiles.a]\nhost = 'localhost'\n")
    found = ran("--config", path, "--profile", "", "check")
    assert found.returncode == 3
    assert "has no profile ''; it has a" in found.stdout


@pytest.mark.parametrize("command", ["check", "watch", "limits", "--plain"])
def test_a_profile_is_missed_where_there_is_no_file_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    found = ran("--profile", "cache-1", command)
    assert found.returncode == (3 if command in {"check", "watch"} else 2)
    file = tmp_path / "redis-oom-tui" / "config.toml"
    assert f"there is no profile 'cache-1': {file} does not exist; write one" in found.stdout + found.stderr


def test_what_arms_no_profile_is_said(tmp_path: Path) -> None:
    armed = '[plans.cache]\nmatch = "cache:*"\n[emergency]\nplan = "cache"\narmed = true\n'
    assert "note:" not in call("config", "check", written(tmp_path, armed))[1].output
    code, result = call("config", "check", written(tmp_path, armed + "[profiles.a]\nport = 1\n"))
    assert code == 0
    assert "each profile is armed in its own table" in result.output
