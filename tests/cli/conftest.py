"""Fixtures for the command line."""

from pathlib import Path

import pytest

from tests.cli.ran import Tool
from tests.support.servers import RunningServer


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Configuration, audit file and backups in a folder of the test's own, and no server named by the environment."""
    for variable in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    for variable in ("REDIS_URL", "REDISCLI_AUTH"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(autouse=True)
def _soon_polled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report polls twice; between the two, a rate needs no second and a half."""
    monkeypatch.setattr("redis_oom_tui.cli.report._POLL_SECONDS", 0.4)


@pytest.fixture
def looks_longer_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """For servers that only replay: nothing comes of a longer look at what does not change."""
    monkeypatch.setattr("redis_oom_tui.cli.check_samples.LONGER_SECONDS", 0.3)


@pytest.fixture
def tool(server: RunningServer) -> Tool:
    """The command on a server of each flavour."""
    return Tool(server)


@pytest.fixture
def valkey_tool(valkey: RunningServer) -> Tool:
    """The command on a Valkey."""
    return Tool(valkey)
