"""The screen's profile: its name and marks are the file's, its server is the one that the options lead to."""

from pathlib import Path
from typing import Any

import pytest

from redis_oom_tui.cli.main import cli
from redis_oom_tui.files.config import load
from redis_oom_tui.tui.profiles import same_server

CONFIG = """
[profiles.cache]
port = 6380
db = 2
production = true

[profiles.by-sentinel]
sentinels = ["127.0.0.1:26379"]
master = "main"
sentinel_password_command = "echo secret"
"""


@pytest.mark.parametrize(
    ("given", "own"),
    [
        (["--profile", "cache"], True),
        (["--profile", "cache", "--read-only"], True),
        (["--profile", "cache", "-p", "7000"], False),
        (["--profile", "cache", "-n", "3"], False),
        (["--profile", "by-sentinel"], True),
    ],
)
def test_options_beside_a_profile_may_lead_to_another_server(
    given: list[str], own: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(CONFIG)
    file.chmod(0o600)
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr("redis_oom_tui.tui.run.run_app", lambda _, **options: shown.append(options) or 0)
    cli(["--config", str(file), *given], standalone_mode=False)
    profile = shown[0]["profile"]
    known = load(file).profile(given[1])
    assert same_server(profile, known) is own
    assert (profile.production, profile.read_only) == (known.production, "--read-only" in given)
