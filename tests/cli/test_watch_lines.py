"""Every kind of line and of event that `watch --json` prints, from a real server, as its JSON Schema says."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from redis_oom_tui.models.alert import EventKind
from tests.cli.test_watch import watching
from tests.support.json_documents import document_of
from tests.support.servers import started

MIB = 1024 * 1024
CONFIG = """
[watch]
warn = 40
crit = 60
interval = 0.5
hold = 0
quiet = 2
lost = 1
scan_every = "1m"
[hooks]
exec = "{hook}"
retries = 0
[plans.cache]
match = "junk:*"
[emergency]
plan = "cache"
armed = true
after = 0
cooldown = "1h"
"""


def holding(client: redis.Redis, mib: int) -> None:
    """Hold so much, and nothing else."""
    client.flushall()
    client.set("junk:1", "x" * 100)
    for number in range(mib):
        client.set(f"cache:{number}", "x" * MIB)


Until = Callable[[Callable[[dict[str, Any]], bool]], None]


def _through_all_levels(client: redis.Redis, until: Until, hook: Path, folder: Path) -> None:
    """Up to OOM and down again, with a hook that is not there at first, and a folder that goes."""

    def event(kind: str) -> None:
        until(lambda line: line.get("event") == kind)

    holding(client, 9)
    event("warning")
    until(lambda line: line["type"] == "hook" and not line["ok"])
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o700)
    holding(client, 14)
    event("critical")
    until(lambda line: line["type"] == "cleanup")
    until(lambda line: line["type"] == "hook" and line["ok"])
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    until(lambda line: line["type"] == "metrics")
    client.config_set("maxmemory", "10mb")
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        client.set("refused", "x")
    event("oom")
    client.config_set("maxmemory", "20mb")
    holding(client, 9)
    event("eased")
    client.flushall()
    event("recovered")


def test_every_kind_of_line_and_of_event_is_as_the_schema_says(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    folder = tmp_path / "metrics"
    folder.mkdir()
    config = tmp_path / "config.toml"
    hook = tmp_path / "hook"
    config.write_text(CONFIG.format(hook=hook))
    config.chmod(0o600)

    def until(wanted: Callable[[dict[str, Any]], bool]) -> None:
        """Return once such a line was among all so far: deliveries come when they come."""
        running.until(lambda line: not seen.append(document_of("watch", line)) and any(map(wanted, seen)))

    def event(kind: str) -> None:
        until(lambda line: line.get("event") == kind)

    with (
        started("valkey", "maxmemory 20mb") as server,
        watching(
            *("--config", str(config), "-s", server.socket_path, "watch", "--json", "--on-critical", "cache"),
            *("--prometheus-file", str(folder / "x.prom")),
        ) as running,
    ):
        until(lambda line: line["type"] == "scan")
        with server.client() as client:
            _through_all_levels(client, until, hook, folder)
        server.kill()
        event("lost")
        server.start()
        event("restarted")
        event("back")
        code, left, _ = running.end(signal.SIGTERM)
    seen += [document_of("watch", line) for line in left]
    assert code == 0
    assert {line["event"] for line in seen if line["type"] == "event"} == {kind.value for kind in EventKind}
    assert seen[-1]["type"] == "end"
