"""Fixtures of the tests that act on keys."""

import random
from types import SimpleNamespace

import pytest

from redis_oom_tui.actions import batch


@pytest.fixture(autouse=True)
def _no_end_is_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """New ends are drawn by chance from the time given: here none comes within its first tenth.

    Such a key would be gone before the test has looked at it, or keep the earlier end that it had no longer.
    """
    drawn = random.Random(7)
    monkeypatch.setattr(batch, "random", SimpleNamespace(random=lambda: drawn.uniform(0.1, 1)))
