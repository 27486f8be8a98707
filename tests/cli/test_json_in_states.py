"""Every --json in unusual states of a server is one document as its schema says, and no figure of it is no number."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from redis_oom_tui.cli.main import main
from redis_oom_tui.formatting.documents import DOCUMENTS
from tests.server.test_cluster_replicas import replicated
from tests.support.cluster import clustered
from tests.support.json_documents import document_of
from tests.support.servers import started

COMMANDS = (
    "check",
    "hogs",
    "hogs --patterns --idle",
    "hogs --instant",
    "hogs --hot",
    "hogs --sample 5",
    "limits --scan",
    "limits --policy allkeys-lru --yes",
    "limits --maxmemory 100mb --persist --yes",
    "cleanup --match a*",
    "cleanup --match b* --expire 10s --yes",
    "cleanup --free-to 80%",
    "cleanup --orphans celery",
    "cleanup --shrink list --keep-last 2",
    "report",
)
# What each user may do besides logging in.
USERS = {"nothing": "-@all", "no INFO": "~* +@all -info", "no SCAN": "~* +@all -scan", "no keys": "+@all"}


@contextmanager
def state(name: str) -> Iterator[list[str]]:
    """A server in that state, and the way to it."""
    if name in USERS:
        with started("valkey", f"user u on >pw {USERS[name]}") as server:
            yield ["-s", server.socket_path, "--user", "u", "-a", "pw"]
    elif name == "replica without its primary":
        with replicated("valkey") as (master, replica, _):
            master.kill()
            yield ["-s", replica.socket_path]
    elif name == "cluster that lost a primary":
        with clustered(replicas=False) as cluster:
            cluster.primaries[2].server.kill()
            yield ["-p", str(cluster.primaries[0].port), "-c"]
    else:
        with started("valkey") as server:
            yield ["-s", server.socket_path]


def _no_number(text: str) -> None:
    raise AssertionError(f"{text} is no number of JSON")


@pytest.mark.parametrize("name", ["empty", *USERS, "replica without its primary", "cluster that lost a primary"])
def test_each_document_is_as_its_schema_says(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with state(name) as way:
        # A scan waits for the primary that is lost.
        for words in ("check", "hogs") if "cluster" in name else COMMANDS:
            with pytest.raises(SystemExit):
                main([*way, *words.split(), "--json"])
            printed = capsys.readouterr().out
            json.loads(printed, parse_constant=_no_number)
            document_of(next(word for word in words.split() if word in DOCUMENTS), printed)
