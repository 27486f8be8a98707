"""What the project's own files say of each other: targets of make, versions of Python, links."""

import re
import tomllib
from pathlib import Path

from redis_oom_tui.cli.main import COMMANDS
from tests.support.documents import ROOT

PROSE = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob(".github/**/*.yml"), ROOT / ".ci" / "run"]


def test_every_target_of_make_that_is_named_is_there() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {(path.name, word) for path in PROSE for word in commands(path.read_text())}
    assert len(named) > 10
    assert {(name, word) for name, word in named if word not in targets} == set()


def commands(text: str) -> list[str]:
    """The words after `make` where a command stands: at the beginning of a line or of code, or behind `run:`."""
    return re.findall(r"(?:^ {4}|^|`|run: )make ([a-z][\w-]*)", text, re.MULTILINE)


def test_the_smoke_test_leaves_no_command_out() -> None:
    source = (ROOT / "scripts" / "smoke.py").read_text()
    assert [command for command in COMMANDS if f'"{command}"' not in source] == []


def test_each_python_that_is_promised_runs_the_suite() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    promised = [words for line in project["classifiers"] for words in re.findall(r"Python :: (3\.\d+)$", line)]
    (tested,) = re.findall(r"python: \[(.+)\]", (ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert re.findall(r'"([\d.]+)"', tested) == promised
    assert promised[0] == project["requires-python"].removeprefix(">=")


def test_links_of_the_pages_for_contributors_lead_to_files() -> None:
    for name in ("CONTRIBUTING.md", "SECURITY.md"):
        links = re.findall(r"\]\((?!https:)([^)#]+)", (ROOT / name).read_text())
        assert [link for link in links if not Path(ROOT / link).exists()] == []
