"""Applications are recognized by evidence, with any prefix, and what is of none is left unchanged."""

import subprocess
import sys
from pathlib import Path

import pytest

from redis_oom_tui.applications import BadEntry, known_applications, read_entry, shape
from redis_oom_tui.models.application import Application, Recognition
from redis_oom_tui.rules.applications import recognize
from tests.rules.scanned import Key, scanned


def bull_keys(prefix: str = "bull", queue: str = "mail") -> list[Key]:
    root = f"{prefix}:{queue}:"
    names = {"meta": "hash", "id": "string", "completed": "zset", "wait": "list", "events": "stream", "marker": "zset"}
    jobs: list[Key] = [(f"{root}{number}", "hash", 10_000) for number in range(1, 200)]
    return jobs + [(root + name, kind, 300) for name, kind in names.items()]


SIDEKIQ: list[Key] = [
    ("queues", "set", 90),
    ("queue:default", "list", 5000),
    ("queue:mailers", "list", 9000),
    ("processes", "set", 100),
    ("web-1:71:0f0d00b0ff12", "hash", 400),
    ("web-1:71:0f0d00b0ff12:work", "hash", 400),
    ("stat:processed", "string", 60),
    ("stat:processed:2026-11-01", "string", 60),
    ("retry", "zset", 700),
    ("dead", "zset", 90_000),
]
UUID = "11111111-2222-4333-8444-5555555{:05d}"
CELERY: list[Key] = [
    *((f"celery-task-meta-{UUID.format(number)}", "string", 900) for number in range(300)),
    *((f"{UUID.format(number)}.reply.celery.pidbox", "list", 90_000) for number in range(22)),
    ("_kombu.binding.celery", "set", 100),
    ("_kombu.binding.reply.celery.pidbox", "set", 100),
    ("celery", "list", 4000),
    ("celery\x06\x163", "list", 3000),
    ("unacked", "hash", 4000),
    ("unacked_index", "zset", 100),
]
PLAIN: list[Key] = [
    *((f"cache:{number}", "string", 400) for number in range(300)),
    *((f"session:{number}", "string", 400) for number in range(300)),
    *((f"user:{number}:profile", "hash", 400) for number in range(100)),
    *((f"app:users:{number}", "hash", 400) for number in range(100)),
    ("app:users:id", "string", 60),
    ("queue:mail", "list", 60),
    ("orders", "list", 60),
    ("retry", "zset", 60),
    ("jobs:completed", "zset", 60),
    ("events", "stream", 60),
]


HOMEMADE: list[Key] = [
    *((f"app:orders:{number}", "hash", 400) for number in range(100)),
    ("app:orders:events", "stream", 9000),
    ("app:orders:id", "string", 60),
    *((f"tasks:default:{number}", "hash", 400) for number in range(100)),
    ("tasks:default:priority", "zset", 60),
    ("tasks:default:id", "string", 60),
    ("tasks:failed", "zset", 60),
    ("tasks:queue", "list", 60),
    ("blog:tag:python:entries", "zset", 60),
    *((f"feed:home:{number}", "zset", 400) for number in range(50)),
    *((f"rl:{number}:{number}", "string", 60) for number in range(50)),
    *((f"rl:10.0.0.{number}", "string", 60) for number in range(50)),
    *((f"sess:{number}", "string", 400) for number in range(50)),
    *((f"job:{number}", "hash", 400) for number in range(50)),
    *((f"job:{number}:state", "hash", 400) for number in range(50)),
    *((f"views:{number}", "string", 60) for number in range(50)),
    *((f"posts::{number}", "string", 60) for number in range(50)),
    *((f"lock:{number}", "string", 60) for number in range(50)),
    *((f"{number}:page:{number}", "string", 60) for number in range(50)),
    *((f"user:{number}:sessions:expires", "string", 60) for number in range(50)),
    ("options", "hash", 60),
    ("messages", "stream", 60),
    ("schedule", "zset", 60),
    ("dead", "list", 60),
    ("failed", "list", 60),
    ("workers", "set", 60),
    ("queues:mail", "list", 60),
    ("results", "hash", 60),
    ("doc:articles:1", "hash", 60),
]
"""What people write themselves: it resembles some applications, and is none of them."""


def with_prefix(keys: list[Key], prefix: str) -> list[Key]:
    return [(f"{prefix}{name!s}", kind, size) for name, kind, size in keys]


def found(recognition: Recognition) -> dict[str, str]:
    return {one.application.name: one.confidence.value for one in recognition.found}


def labels(keys: list[Key]) -> dict[str, str]:
    view = scanned(keys)
    recognition = recognize(view)
    return {
        row.pattern.decode(): f"{label.application.name}: {label.kind.id}"
        for row in view.patterns
        for label in recognition.of(row)
    }


@pytest.mark.parametrize("prefix", ["bull", "myapp:bull", "immich_bull", "{bull}", "jobs"])
def test_bullmq_under_any_prefix(prefix: str) -> None:
    view = scanned(bull_keys(prefix))
    recognition = recognize(view)
    assert found(recognition) == {"BullMQ": "high"}
    (bull,) = recognition.found
    assert (bull.prefix, sum(row.keys for row in bull.rows["job"])) == (prefix.encode(), 199)
    named = {row.pattern: recognition.of(row)[0].kind.id for row in view.patterns if recognition.of(row)}
    assert named[f"{prefix}:mail:completed".encode()] == "completed"


@pytest.mark.parametrize(("keys", "name"), [(SIDEKIQ, "Sidekiq"), (CELERY, "Celery")])
@pytest.mark.parametrize("prefix", ["", "shop:", "shop_"])
def test_every_key_of_an_application_is_told(keys: list[Key], name: str, prefix: str) -> None:
    keys = with_prefix(keys, prefix)
    view = scanned(keys)
    recognition = recognize(view)
    assert found(recognition) == {name: "high"}
    leaves = {(row.db, row.pattern) for row in view.patterns} - {(row.db, row.parent) for row in view.patterns}
    untold = [row.pattern for row in view.patterns if (row.db, row.pattern) in leaves and not recognition.of(row)]
    assert untold == []


def test_several_applications_on_one_server_are_kept_apart() -> None:
    view = scanned([*bull_keys(), *bull_keys("other", "sms"), *SIDEKIQ, *CELERY, *PLAIN])
    assert [(one.application.name, one.prefix) for one in recognize(view).found] == [
        ("Celery", b""),
        ("BullMQ", b"bull"),
        ("BullMQ", b"other"),
        ("Sidekiq", b""),
    ]


def test_plain_names_are_no_application() -> None:
    assert labels(PLAIN) == {}


@pytest.mark.parametrize("prefix", ["", "shop:", "cache_"])
def test_what_people_write_themselves_is_at_most_possibly_an_application(prefix: str) -> None:
    names = found(recognize(scanned(with_prefix([*PLAIN, *HOMEMADE], prefix))))
    assert {name for name, confidence in names.items() if confidence != "possible"} == set()


def test_a_list_is_a_task_queue_only_where_its_binding_is_there() -> None:
    found_labels = labels([*CELERY, ("orders", "list", 4000)])
    assert found_labels["celery"] == "Celery: task queue"
    assert "orders" not in found_labels


def test_jobs_without_the_keys_beside_them_are_only_possible_and_need_their_own_prefix() -> None:
    jobs: list[Key] = [(f"bull:mail:{number}", "hash", 10_000) for number in range(100)]
    assert found(recognize(scanned(jobs))) == {"Bull": "possible", "BullMQ": "possible"}
    assert found(recognize(scanned([(str(name).replace("bull", "pitbull"), *rest) for name, *rest in jobs]))) == {}


def test_a_pattern_around_several_is_told_where_all_of_it_is_of_one_application() -> None:
    found_labels = labels([*bull_keys(), *PLAIN])
    assert found_labels["bull:mail:*"].startswith("BullMQ: ")


def only_by_fields(known: Application, kind_id: str) -> bool:
    """Whether a look at the values must prove a kind, whatever its names are."""
    return all(kind_id in one.fields for one in known.evidence if kind_id in one.keys)


@pytest.mark.parametrize("known", known_applications(), ids=lambda known: known.name)
def test_an_entry_says_what_it_must(known: Application) -> None:
    assert known.link.startswith("https://")
    assert known.evidence
    for kind in known.keys:
        for text in kind.names:
            one = shape(text)
            assert one.pieces
            assert kind.beside or len(one.literal.strip(b":_-.")) > 1 or only_by_fields(known, kind.id), text
    for work in known.finished:
        assert work.job or work.index


MINIMAL = """
name = "X"
link = "https://x.example"
[[keys]]
id = "job"
use = "job"
loss = "loses work"
names = ["x:<id>"]
[[evidence]]
confidence = "high"
keys = ["job"]
"""


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ('link = "https://x.example"\n', "", "x.toml: `link` is missing"),
        ('loss = "loses work"', 'loss = "bad"', "x.toml: `keys[0].loss` is not a value that is known here"),
        ('keys = ["job"]', 'keys = ["jobs"]', "x.toml: `evidence[0].keys` names 'jobs', which is none of its keys"),
        ('names = ["x:<id>"]', 'names = "x"', "x.toml: `keys[0].names` is not a list"),
        ('names = ["x:<id>"]', 'names = ["<id>:<id>"]', "x.toml: `keys[0].names` '<id>:<id>' has a placeholder twice"),
        ('use = "job"', 'use = "job"\nttl = 1', "x.toml: `keys[0].ttl` is not known here"),
        ('name = "X"', "name =", "x.toml: Invalid value (at line 2, column 7)"),
    ],
)
def test_a_fault_in_an_entry_names_file_and_field(tmp_path: Path, before: str, after: str, sentence: str) -> None:
    file = tmp_path / "x.toml"
    file.write_text(MINIMAL)
    assert read_entry(file).name == "X"
    file.write_text(MINIMAL.replace(before, after, 1))
    with pytest.raises(BadEntry) as caught:
        read_entry(file)
    assert str(caught.value) == sentence


def test_what_is_known_of_applications_is_no_part_of_a_start() -> None:
    program = "import sys, redis_oom_tui.cli.check_answer as _; print([name for name in sys.modules if name == '{}'])"
    for module in ("tomllib", "redis_oom_tui.applications"):
        done = subprocess.run(
            [sys.executable, "-c", program.format(module)], capture_output=True, text=True, check=True
        )
        assert done.stdout == "[]\n"


def test_a_shape_gives_back_the_name_that_it_took() -> None:
    name = b"my:bull:mail:7:logs"
    one = shape("<prefix>:<queue>:<id>:logs")
    values = one.match(name)
    assert values is not None
    assert one.name(values) == name
