"""What the libraries leave is recognized as theirs and as no other's, key by key."""

import pytest

from redis_oom_tui.applications import known_applications
from redis_oom_tui.models.application import Confidence
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.rules.applications import Recognition, recognize
from tests.apps import samples
from tests.apps.samples import Sample
from tests.rules.scanned import scanned

NAMED_BY_USERS = {
    "django": {b"shop:*:article:*"},
    "dramatiq": {b"one-at-a-time", b"per-minute@*"},
    "flask_caching": {b"<id>"},
    "rails_cache": {b"shop:articles/*", b"shop:articles/*/forever", b"shop:articles/*/visits"},
    "nextcloud": {b"*.svg"},
    "redisson": {b"prices"},
    "symfony_cache": {b"settings"},
}
"""Patterns of samples that have nothing of their application in their names."""

ONLY_POSSIBLE = {"express_rate_limit"}
"""Samples of names that many write themselves, as `rl:<ip>`."""

SAMPLES = [samples.load(name) for name in samples.names()]
KNOWN = [sample for sample in SAMPLES if sample.application]


def seen(several: list[Sample], prefix: bytes = b"") -> tuple[ScanView, Recognition]:
    """A scan of what these samples hold, each key of 1,000 bytes, and what is recognized in it."""
    keys = {prefix + name: of for sample in several for name, of in sample.keys.items()}
    view = scanned([(name, of["type"], 1000) for name, of in keys.items()])
    return view, recognize(view, samples.families(view, keys))


def untold(view: ScanView, recognition: Recognition) -> set[bytes]:
    """Patterns that no other divides, and of which nobody knows what they are."""
    parents = {(row.db, row.parent) for row in view.patterns}
    leaves = [row for row in view.patterns if (row.db, row.pattern) not in parents]
    return {row.pattern for row in leaves if not recognition.of(row)}


@pytest.mark.parametrize("sample", KNOWN, ids=lambda sample: sample.name)
@pytest.mark.parametrize("prefix", [b"", b"shop:", b"shop_"])
def test_a_sample_is_of_its_application_and_each_of_its_keys_is_told(sample: Sample, prefix: bytes) -> None:
    view, recognition = seen([sample], prefix)
    assert {one.application.name for one in recognition.found} == {sample.application}
    sure = {one.confidence for one in recognition.found} <= {Confidence.HIGH, Confidence.LIKELY}
    assert sure == (sample.name not in ONLY_POSSIBLE)
    by_users = NAMED_BY_USERS.get(sample.name, set())
    assert untold(view, recognition) <= by_users | {prefix + name for name in by_users}


@pytest.mark.parametrize("sample", [one for one in SAMPLES if not one.application], ids=lambda sample: sample.name)
def test_what_has_no_mark_of_its_own_is_of_no_application(sample: Sample) -> None:
    assert seen([sample])[1].found == ()


def test_all_of_them_on_one_server_are_told_apart() -> None:
    recognition = seen(SAMPLES)[1]
    assert {one.application.name for one in recognition.found} == {sample.application for sample in KNOWN}


def test_each_application_has_a_sample() -> None:
    assert {known.name for known in known_applications()} == {sample.application for sample in KNOWN}
