"""The examples: what they show is what the product takes, and all that it takes."""

import configparser
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from redis_oom_tui.cli.main import cli
from redis_oom_tui.files import config
from redis_oom_tui.files.config.reader import Section

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_example_configuration_is_good(tmp_path: Path) -> None:
    copy = tmp_path / "config.toml"
    shutil.copyfile(EXAMPLES / "config.toml", copy)
    assert config.problems(copy) == ()
    configuration = config.load(copy)
    assert configuration.profile().name == "cache"
    assert configuration.profile("orders").emergency.armed
    assert not configuration.profile("cache").emergency.armed


def test_the_example_configuration_shows_every_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known: set[str] = set()
    finish = Section.finish

    def remember(self: Section) -> None:
        known.update(self._known)
        finish(self)

    monkeypatch.setattr(Section, "finish", remember)
    copy = tmp_path / "config.toml"
    shutil.copyfile(EXAMPLES / "config.toml", copy)
    config.load(copy)
    text = copy.read_text()
    keys = set(re.findall(r"^(?:# )?([a-z_]+) =", text, re.MULTILINE))
    tables = {part for header in re.findall(r"^\[(.+)\]$", text, re.MULTILINE) for part in header.split(".")}
    # A secret's four forms are shown at the first of each kind; the literal one is not recommended.
    forms = {f"{name}{form}" for name in ("sentinel_password", "webhook") for form in ("_file", "_command")}
    assert known - keys - tables - forms == {"password", "sentinel_password"}


def service() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(EXAMPLES / "redis-oom-tui@.service")
    return parser


def test_the_service_starts_a_command_that_there_is(tmp_path: Path) -> None:
    copy = tmp_path / "config.toml"
    shutil.copyfile(EXAMPLES / "config.toml", copy)
    (tmp_path / "orders.password").write_text("x")
    words = shlex.split(service()["Service"]["ExecStart"].replace("%i", "orders"))
    assert Path(words[0]).name == "redis-oom-tui"
    arguments = [str(copy) if word == "/etc/redis-oom-tui/config.toml" else word for word in words[1:]]
    result = CliRunner().invoke(cli, [*arguments, "--help"])
    assert result.exit_code == 0, result.output
    assert "--on-critical" in result.output


def test_the_service_is_hardened() -> None:
    unit = service()["Service"]
    for key in ("NoNewPrivileges", "DynamicUser", "ProtectHome", "PrivateTmp", "PrivateDevices", "RestrictSUIDSGID"):
        assert unit[key] == "yes"
    assert unit["ProtectSystem"] == "strict"
    assert unit["CapabilityBoundingSet"] == ""


ANALYZE = shutil.which("systemd-analyze")


@pytest.mark.parametrize("analyze", [] if ANALYZE is None else [ANALYZE])
def test_systemd_takes_the_service_as_it_stands(analyze: str, tmp_path: Path) -> None:
    """All but the program's own place, which is the user's."""
    text = (EXAMPLES / "redis-oom-tui@.service").read_text().replace("/usr/local/bin/redis-oom-tui", "/bin/true")
    (tmp_path / "redis-oom-tui@orders.service").write_text(text)
    unit = str(tmp_path / "redis-oom-tui@orders.service")
    verified = subprocess.run([analyze, "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    complaints = [line for line in verified.stderr.splitlines() if "redis-oom-tui" in line]
    assert complaints == []


def test_the_container_is_built_of_what_there_is() -> None:
    """The image itself needs a registry: here its files, extra and command are held against the project's own."""
    root = EXAMPLES.parent
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    text = (EXAMPLES / "Containerfile").read_text()
    (extra,) = re.findall(r"uv sync .* --extra (\w+)", text)
    assert extra in project["optional-dependencies"]
    (command,) = re.findall(r'^ENTRYPOINT \["(.+)"\]$', text, re.MULTILINE)
    assert command in project["scripts"]
    copied = " ".join(re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)).split()
    assert sorted(copied) == ["dist/*.whl", "pyproject.toml", "uv.lock"]
    ignored = (root / ".dockerignore").read_text().splitlines()
    assert sorted(line[1:] for line in ignored if line.startswith("!")) == sorted(copied)
    (python,) = set(re.findall(r"python:(3\.\d+)-slim", text))
    assert f"Programming Language :: Python :: {python}" in project["classifiers"]
    assert set(re.findall(r"/opt/([\w-]+)", text)) == {command}
    (uv,) = re.findall(r"^UV_VERSION := (\S+)$", (root / "Makefile").read_text(), re.MULTILINE)
    assert f"uv=={uv}" in text
    assert "-f examples/Containerfile" in text


def test_the_container_runs_as_nobody_in_particular_and_ends_cleanly() -> None:
    lines = (EXAMPLES / "Containerfile").read_text().splitlines()
    assert "USER 10001" in lines
    assert "STOPSIGNAL SIGTERM" in lines
    assert 'ENTRYPOINT ["redis-oom-tui"]' in lines
