"""Fixtures for the screens."""

from collections.abc import Iterator
from typing import Any

import pytest
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet

from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.flows.late_escape import LateEscape
from tests.support.servers import available


@pytest.fixture(scope="session", autouse=True)
def _stylesheets_are_parsed_once() -> Iterator[None]:
    """Each app parses the same stylesheets again, which takes a sixth of a test."""
    parse, parsed = Stylesheet._parse_rules, dict[object, list[RuleSet]]()

    def once(self: Stylesheet, css: str, read_from: Any, *given: Any, **more: Any) -> list[RuleSet]:
        key = (css, read_from, given, *more.items(), *self._variables.items())
        if key not in parsed:
            parsed[key] = parse(self, css, read_from, *given, **more)
        return parsed[key]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Stylesheet, "_parse_rules", once)
        yield


@pytest.fixture(params=[name for name in ("redis6", "valkey") if name in available()])
def flavour(request: pytest.FixtureRequest) -> str:
    """The oldest and the newest: what servers answer is tested on all of them without a screen."""
    return str(request.param)


@pytest.fixture
def listening_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dialogs and reports hear the first key: no test waits for the moment in which they are deaf."""
    monkeypatch.setattr(LateEscape, "SECONDS", 0.0)
    monkeypatch.setattr(Dialog, "GUARD_SECONDS", 0.0)
