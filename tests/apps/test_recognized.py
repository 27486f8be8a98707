"""What the libraries leave is recognized as theirs and as no other's, key by key."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from redis_oom_tui.applications import known_applications
from redis_oom_tui.models.application import Confidence
from redis_oom_tui.rules.applications import recognize
from tests.apps import samples
from tests.apps.samples import Sample
from tests.rules.scanned import scanned

UUID = "33fdd1b6-b496-4b33-9f7d-df96679d%"
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

LEAST_SURE = {
    # Names that others may give too, and values that tell nothing.
    "bull": Confidence.LIKELY,
    "express_rate_limit": Confidence.POSSIBLE,
    "langchain": Confidence.LIKELY,
    "langchain_vectors": Confidence.LIKELY,
    "rails_cache": Confidence.LIKELY,
    "spring_cache": Confidence.LIKELY,
    "taskiq": Confidence.LIKELY,
}

CASES = tomllib.loads((Path(__file__).parent / "names.toml").read_text())["cases"]
SAMPLES = [samples.load(name) for name in samples.names()]
KNOWN = [sample for sample in SAMPLES if sample.application]


@pytest.mark.parametrize("sample", KNOWN, ids=lambda sample: sample.name)
@pytest.mark.parametrize("prefix", [b"", b"shop:", b"shop_"])
def test_a_sample_is_of_its_application_and_each_of_its_keys_is_told(sample: Sample, prefix: bytes) -> None:
    keys = {prefix + name: of for name, of in sample.keys.items()}
    recognition = samples.seen(keys)[1]
    assert {one.application.name for one in recognition.found} == {sample.application}
    assert {one.confidence for one in recognition.found} <= {Confidence.HIGH, LEAST_SURE.get(sample.name)}
    by_users = NAMED_BY_USERS.get(sample.name, set())
    assert {pattern for pattern, said in samples.labels(keys).items() if not said} <= by_users | {
        prefix + name for name in by_users
    }


@pytest.mark.parametrize("sample", [one for one in SAMPLES if not one.application], ids=lambda sample: sample.name)
def test_what_has_no_mark_of_its_own_is_of_no_application(sample: Sample) -> None:
    assert samples.seen(sample.keys)[1].found == ()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["what"])
def test_names_are_told_for_what_they_are(case: dict[str, Any]) -> None:
    named = dict(entry.rsplit(" ", 1) for entry in case["keys"])
    keys = {
        name.replace("UUID", UUID).replace("%", f"{at:04}"): kind for name, kind in named.items() for at in range(40)
    }
    view = scanned([(name, kind, 1000) for name, kind in keys.items()])
    recognition = recognize(view)
    assert sorted({one.application.name for one in recognition.found}) == case.get("told", [])
    unknown = [pattern for pattern, said in samples.said(view, recognition).items() if not said]
    assert not (recognition.found and unknown)


def test_all_of_them_on_one_server_are_told_apart() -> None:
    everything = {name: of for sample in SAMPLES for name, of in sample.keys.items()}
    recognition = samples.seen(everything)[1]
    assert {one.application.name for one in recognition.found} == {sample.application for sample in KNOWN}


def test_each_application_has_a_sample() -> None:
    assert {known.name for known in known_applications()} == {sample.application for sample in KNOWN}
