"""What an application leaves on a server, in a file: read from one server, written to another.

A sample holds each key with its type, its TTL and its elements. Of a long value the beginning and the length are kept.
Each sample comes back as if it had been recorded when this process began: jobs that had just ended have just ended.
"""

import json
import re
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import redis

from redis_oom_tui.models.keys import PatternSample
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.rules.applications import Recognition, recognize
from redis_oom_tui.rules.key_patterns import matcher
from redis_oom_tui.rules.sampled_values import fields_of
from tests.rules.scanned import scanned

FOLDER = Path(__file__).parent / "recorded"
KEPT = 300
"""Of a longer value so many bytes are kept; the rest comes back as dots."""
_BEGAN = int(time.time())
# Unix seconds or milliseconds that stand alone, as digits.
_TIME = re.compile(r"(?<![0-9A-Za-z.])(1[5-9]\d{8})(\d{3})?(?![0-9A-Za-z])")
_DATE = re.compile(r"20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d")
_DAY = 86400

Keys = dict[bytes, dict[str, Any]]
"""By key: its `type`, its `ttl` in seconds (0 for none) and its `value`, in the words of JSON."""


@dataclass(frozen=True)
class Sample:
    """An application's keys. `source`: "library" or "documentation"; `told_by`: which library, or the address."""

    name: str
    application: str
    source: str
    told_by: str
    keys: Keys


def names() -> list[str]:
    """Every sample there is."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def load(name: str, *, years_ago: int = 0) -> Sample:
    """The sample of this name, recorded now, or so many years ago."""
    text = (FOLDER / f"{name}.json").read_text()
    held = json.loads(_moved(text, json.loads(text)["recorded_at"], _BEGAN - years_ago * 365 * _DAY))
    keys = {_bytes(key): of for key, of in held["keys"].items()}
    return Sample(name, held["application"], held["source"], held["told_by"], keys)


def _moved(text: str, recorded_at: int, at: int) -> str:
    """The sample with its times, those of its own day and after it, as if it had been recorded `at`."""

    def move(found: re.Match[str]) -> str:
        seconds, rest = int(found[1]), found[2] or ""
        return f"{seconds + at - recorded_at}{rest}" if seconds > recorded_at - _DAY else found[0]

    def move_date(found: re.Match[str]) -> str:
        before = datetime.fromisoformat(f"{found[0]}+00:00")
        if before.timestamp() <= recorded_at - _DAY:
            return found[0]
        moved = before + timedelta(seconds=at - recorded_at)
        return moved.strftime(f"%Y-%m-%d{found[0][10]}%H:%M:%S")

    return _DATE.sub(move_date, _TIME.sub(move, text))


def save(sample: Sample) -> None:
    """Write it to its file, one key a line."""
    head: dict[str, str | int] = {"application": sample.application, "source": sample.source, "told_by": sample.told_by}
    head["recorded_at"] = int(time.time())
    fields = [f"  {json.dumps(field)}: {json.dumps(of)}," for field, of in head.items()]
    keys = [f"    {json.dumps(_text(key))}: {json.dumps(of)}" for key, of in sorted(sample.keys.items())]
    lines = ["{", *fields, '  "keys": {', ",\n".join(keys), "  }", "}", ""]
    (FOLDER / f"{sample.name}.json").write_text("\n".join(lines))


def read(client: redis.Redis) -> Keys:
    """Every key of the server's database 0."""
    return {key: _read_key(client, key) for key in client.scan_iter(count=1000)}


def write(client: redis.Redis, keys: Keys, prefix: bytes = b"") -> None:
    """Make these keys on a server, each with this prefix before its name."""
    pipeline = client.pipeline(transaction=False)
    for name, of in keys.items():
        key = prefix + name
        for command in _COMMANDS[of["type"]](key, of["value"]):
            pipeline.execute_command(*command)
        if of["ttl"]:
            pipeline.pexpire(key, of["ttl"] * 1000)
    pipeline.execute()


def _read_key(client: redis.Redis, key: bytes) -> dict[str, Any]:
    kind = client.type(key).decode()
    milliseconds = client.pttl(key)
    ttl = max(1, round(milliseconds / 1000)) if milliseconds > 0 else 0
    return {"type": kind, "ttl": ttl, "value": _READERS[kind](client, key)}


def _text(value: bytes) -> str:
    cut = value[:KEPT] + (b"\xff{%d}" % (len(value) - KEPT) if len(value) > KEPT else b"")
    return cut.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    value = text.encode("utf-8", "surrogateescape")
    head, mark, rest = value.rpartition(b"\xff{")
    if mark and rest.endswith(b"}") and rest[:-1].isdigit():
        return head + b"." * int(rest[:-1])
    return value


def _pairs(client: redis.Redis, key: bytes) -> dict[str, str]:
    return {_text(field): _text(value) for field, value in sorted(client.hgetall(key).items())}


def _stream(client: redis.Redis, key: bytes) -> dict[str, Any]:
    entries = [[_text(at), [_text(part) for pair in of.items() for part in pair]] for at, of in client.xrange(key)]
    return {"entries": entries, "groups": [_text(group["name"]) for group in client.xinfo_groups(key)]}


_READERS: dict[str, Any] = {
    "string": lambda client, key: _text(client.get(key)),
    "hash": _pairs,
    "list": lambda client, key: [_text(item) for item in client.lrange(key, 0, -1)],
    "set": lambda client, key: sorted(_text(item) for item in client.smembers(key)),
    "zset": lambda client, key: {_text(item): score for item, score in client.zrange(key, 0, -1, withscores=True)},
    "stream": _stream,
}

_COMMANDS: dict[str, Any] = {
    "string": lambda key, value: [("SET", key, _bytes(value))],
    "hash": lambda key, value: [("HSET", key, _bytes(field), _bytes(of)) for field, of in value.items()],
    "list": lambda key, value: [("RPUSH", key, *map(_bytes, value))],
    "set": lambda key, value: [("SADD", key, *map(_bytes, value))],
    "zset": lambda key, value: [("ZADD", key, score, _bytes(member)) for member, score in value.items()],
    "stream": lambda key, value: [
        *(("XADD", key, at, *map(_bytes, parts)) for at, parts in value["entries"]),
        *(("XGROUP", "CREATE", key, group, "0", "MKSTREAM") for group in value["groups"]),
    ],
}


def seen(keys: Keys) -> tuple[ScanView, Recognition]:
    """A scan of these keys, each of 1,000 bytes, and what is recognized in it with a look at every pattern."""
    view = scanned([(name, of["type"], 1000) for name, of in keys.items()])
    return view, recognize(view, looks(view, keys))


def labels(keys: Keys) -> dict[bytes, str]:
    """What each pattern of these keys is said to be."""
    return said(*seen(keys))


def said(view: ScanView, recognition: Recognition) -> dict[bytes, str]:
    """What each pattern that no other divides is said to be, as `RQ: job`; an empty string for nobody knows."""
    parents = {(row.db, row.parent) for row in view.patterns}
    leaves = [row for row in view.patterns if (row.db, row.pattern) not in parents]
    return {
        row.pattern: ", ".join(f"{label.application.name}: {label.kind.id}" for label in recognition.of(row))
        for row in leaves
    }


def looks(view: ScanView, keys: Keys) -> tuple[PatternSample, ...]:
    """Of each pattern the fields that all its hashes have, or the format of its values."""
    found = []
    for row in view.patterns:
        if row.select is None:
            continue
        selected = zip(keys.values(), matcher(row.select).held(list(keys)), strict=True)
        held = [_fields(of) for of, is_held in selected if is_held and of["type"] in ("string", "hash")]
        if held:
            fields = frozenset.intersection(*held)
            found.append(PatternSample(row.pattern, row.types[0][0], len(held), db=0, fields=fields))
    return tuple(found)


def _fields(of: dict[str, Any]) -> frozenset[str]:
    return frozenset(of["value"]) if of["type"] == "hash" else fields_of(_bytes(of["value"]))
