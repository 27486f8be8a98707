"""What the libraries leave is recognized as theirs and as no other's, key by key."""

import pytest

from redis_oom_tui.applications import known_applications
from redis_oom_tui.models.application import Confidence
from redis_oom_tui.rules.applications import recognize
from tests.apps import samples
from tests.apps.samples import Sample
from tests.rules.scanned import scanned

UUID = "33fdd1b6-b496-4b33-9f7d-df96679d%"
PRINCIPAL = "org.springframework.session.FindByIndexNameSessionRepository.PRINCIPAL_NAME_INDEX_NAME"
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
    "rails_cache": Confidence.LIKELY,
    "spring_cache": Confidence.LIKELY,
    "taskiq": Confidence.LIKELY,
}

INCIDENTS: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "finished jobs kept": (
        "BullMQ",
        [("bull:mail:%", "hash"), ("bull:mail:completed", "zset"), ("bull:mail:meta", "hash")],
    ),
    "events with return values": ("BullMQ", [("bull:docker-jobs:events", "stream")]),
    "replies to a dead inspector": (
        "Celery",
        [(f"{UUID}.reply.celery.pidbox", "list"), ("_kombu.binding.reply.celery.pidbox", "set")],
    ),
    "a monitored tag": ("Laravel Horizon", [("shop_horizon:media-import", "zset")]),
    "users' indexes of dead sessions": ("Spring Session", [(f"spring:session:index:{PRINCIPAL}:user%", "set")]),
    "checkpoints for ninety days": ("LangGraph", [(f"checkpoint:{UUID}:__empty__:{UUID}", "string")]),
    "tags that outlive their entries": ("Magento", [("cache:id_tags:zc_a%", "set"), ("cache:tags:zc_CAT_P_%", "set")]),
    "a limit that nobody set": (
        "Bull BullMQ",
        [("immich_bull:thumbnails:wait", "list"), ("immich_bull:thumbnails:%", "hash")],
    ),
    "requests that lost their TTL": ("", [("request/%/1", "hash"), ("request/%/1/html", "string")]),
    "ports and contents": ("", [("Ports/tcp/%", "list"), ("www/content/%", "set")]),
}
"""Public incidents: the applications that could be meant, and names of their keys (% is a number) with their types."""

PLAIN = """
user:% hash|users:%:sessions set|session:% string|sess:% string|sessions:% hash|app:sessions:% hash|app:index:% set
cache:% string|cache:tag:% set|cache:user:% string|jobs list|job:% hash|job:%:state hash|job:%:history list
queue:mail list|queues set|app:jobs hash|app:id string|app:meta hash|app:completed zset|app:failed zset
app:wait list|app:events stream|app:delayed zset|app:% hash|mail:% hash|mail:id string|mail:completed zset|lock:% string
limits:% string|ratelimit:% string|feed:% list|timeline:% zset|stat:x string|events stream|messages stream
workers set|server:% hash|tags:% set|doc:% hash|doc:products:% hash|checkpoint:% string|checkpoint:a:% string
posts:% string|post:% hash|options string|wp:% string|views/% string|articles/% string|books::% string
b:p zset|ts:1:2 hash|tasks list|results:% string|result:% string|celery list|unacked hash|failed_jobs zset
recent_jobs zset|% hash|% string|% list|config hash|chat:% list|message_store list|message:% hash|arq string|rq string
horizon string|redisson string|{a}:x string|{a}_x hash|:1:x string|:1:y:% string|api:v1:users:% string|socket.io string
"""
"""Names (% is a number) that many programs write themselves, with their types."""

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
    assert {pattern for pattern, said in samples.told(keys).items() if not said} <= by_users | {
        prefix + name for name in by_users
    }


@pytest.mark.parametrize("sample", [one for one in SAMPLES if not one.application], ids=lambda sample: sample.name)
def test_what_has_no_mark_of_its_own_is_of_no_application(sample: Sample) -> None:
    assert samples.seen(sample.keys)[1].found == ()


def test_names_that_anybody_may_give_are_of_no_application() -> None:
    named = [entry.rsplit(" ", 1) for line in PLAIN.split("\n") for entry in line.split("|") if entry]
    keys = {name.replace("%", str(at * 7919 + 13)): kind for name, kind in named for at in range(60)}
    assert recognize(scanned([(name, kind, 1000) for name, kind in keys.items()])).found == ()


@pytest.mark.parametrize("incident", INCIDENTS)
def test_the_application_of_a_public_incident_is_named(incident: str) -> None:
    told, keys = INCIDENTS[incident]
    named = {name.replace("%", f"{at:04}"): kind for name, kind in keys for at in range(50)}
    recognition = recognize(scanned([(name, kind, 1000) for name, kind in named.items()]))
    assert " ".join(sorted({one.application.name for one in recognition.found})) == told


def test_all_of_them_on_one_server_are_told_apart() -> None:
    everything = {name: of for sample in SAMPLES for name, of in sample.keys.items()}
    recognition = samples.seen(everything)[1]
    assert {one.application.name for one in recognition.found} == {sample.application for sample in KNOWN}


def test_each_application_has_a_sample() -> None:
    assert {known.name for known in known_applications()} == {sample.application for sample in KNOWN}
