"""Fixtures that every belt of the tests shares."""

import gc
import os
import signal
from collections import defaultdict
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from redis_oom_tui.models import timeouts
from redis_oom_tui.rules.guarded import DEFECTS, NotJudged
from tests.support.servers import RunningServer, available, started

# Collecting makes a million objects that stay to the end: going through them again and again took half of its time.
gc.disable()

# A loaded machine is no defect of what is tested: no example has a time limit.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

# What a shell runs in the background, or nohup at all, ignores these, and a program under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """What was collected is passed over from here on."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of a test marked `in_turn`, each case runs on every second server, and the next case on the others.

    So each case meets two servers, and each server half of the cases. With CROSS=full, all run on all.
    """
    if os.environ.get("CROSS") == "full":
        return
    tests = defaultdict[str, defaultdict[str, list[pytest.Item]]](lambda: defaultdict(list))
    for item in items:
        params = getattr(item, "callspec", None)
        if params is not None and item.get_closest_marker("in_turn") is not None:
            parts = params.id.split("-")
            parts.remove(params.params["flavour"])
            tests[item.nodeid.partition("[")[0]]["-".join(parts)].append(item)
    left_out = set[pytest.Item]()
    for cases in tests.values():
        for number, case in enumerate(cases.values()):
            left_out |= set(case[1 - number % 2 :: 2] if len(case) > 2 else ())
    if left_out:
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def gives_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is lost or silent is asked again for one second only."""
    monkeypatch.setattr(timeouts, "GIVE_UP", 1.0)


@pytest.fixture(autouse=True)
def _in_its_own_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that is run inside a test gives way to others for good: the tests after it would, too."""
    monkeypatch.setattr(os, "nice", lambda _: 0)


@pytest.fixture(autouse=True)
def _no_defect(request: pytest.FixtureRequest) -> Iterator[None]:
    """What the product catches and keeps as its own defect fails the test, unless that is what the test is about."""
    allowed = request.node.get_closest_marker("defects") is not None
    DEFECTS.kept, DEFECTS.report = {}, None if allowed else _raised
    yield
    kept, DEFECTS.kept, DEFECTS.report = DEFECTS.kept, {}, None
    assert allowed or not kept, "\n".join(line for fault in kept.values() for line in (fault.words, *fault.lines))


def _raised(fault: NotJudged) -> None:
    raise RuntimeError("\n".join((fault.words, *fault.lines)))


@pytest.fixture(params=available())
def flavour(request: pytest.FixtureRequest) -> str:
    """Each server that this machine has, in turn."""
    return str(request.param)


@pytest.fixture
def server(flavour: str) -> Iterator[RunningServer]:
    """A fresh, empty server of each flavour."""
    with started(flavour) as running:
        yield running


@pytest.fixture
def valkey() -> Iterator[RunningServer]:
    """A fresh, empty Valkey: for what does not differ between servers."""
    with started("valkey") as running:
        yield running
