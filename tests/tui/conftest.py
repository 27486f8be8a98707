"""Fixtures for the screens."""

import pytest

from redis_oom_tui.tui.dialogs.base import Dialog


@pytest.fixture
def listening_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dialogs hear the first key: no test waits for the moment in which they are deaf."""
    monkeypatch.setattr(Dialog, "GUARD_SECONDS", 0.0)
