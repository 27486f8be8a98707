"""Every JSON field and CSV column that was ever printed is a promise: none may go, and new ones go into the list."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from redis_oom_tui.cli.main import main
from redis_oom_tui.formatting import watch_lines
from redis_oom_tui.formatting.check import check_document
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.alert import Event, EventKind, Silence
from redis_oom_tui.models.snapshot import ClusterNode, ClusterView, Doubt, Memory, NodeView, Server, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Rates
from redis_oom_tui.models.verdict import Finding, Level, Verdict
from tests.support.servers import RunningServer

pytestmark = pytest.mark.usefixtures("home")
PROMISED: dict[str, list[str]] = json.loads(Path(__file__).with_name("json_fields.json").read_text(encoding="utf-8"))
# Their members are named by the data.
_BY_DATA = ("types", "counts", "refused_by_command")


def fields(value: Any, path: str = "") -> Iterator[str]:
    """The path of every member of a document; `[]` stands for each element of a list."""
    if isinstance(value, list):
        for each in value:
            yield from fields(each, f"{path}[]")
    elif isinstance(value, dict) and not path.endswith(_BY_DATA):
        for name, member in value.items():
            yield f"{path}.{name}".lstrip(".")
            yield from fields(member, f"{path}.{name}")


def documents(server: RunningServer, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> dict[str, set[str]]:
    """Of each command, the fields that it prints here."""
    found: dict[str, set[str]] = {}

    def run(name: str, *words: str, where: tuple[str, ...] = ("-s", server.socket_path)) -> None:
        with pytest.raises(SystemExit):
            main([*where, *words])
        out = capsys.readouterr().out
        printed = out.splitlines()[0].split(",") if "--csv" in words else fields(json.loads(out))
        found.setdefault(name, set()).update(printed)

    scan, backup = str(tmp_path / "scan"), str(tmp_path / "backup")
    run("hogs", "hogs", "--json", "--save", scan)
    with server.client() as client:
        client.set("user:9", b"v" * 5000)
    run("hogs", "hogs", "--json", "--compare", scan, "--idle")
    run("hogs --csv", "hogs", "--csv")
    run("hogs --patterns --csv", "hogs", "--csv", "--patterns")
    run("check", "check", "--json")
    run("limits", "limits", "--json", "--saved-scan", scan, "--set", "maxmemory-samples=6", "--yes")
    run("cleanup", "cleanup", "--json", "--match", "user:*")
    run("cleanup", "cleanup", "--json", "--match", "user:1*", "--yes", "--backup", backup)
    run("restore", "restore", "--json", "--yes", backup)
    run("report", "report", "--json")
    (tmp_path / "good.toml").write_text("", encoding="utf-8")
    run("config check", "config", "check", str(tmp_path / "good.toml"), "--json", where=())
    run("failure", "hogs", "--json", where=("-s", str(tmp_path / "none")))
    return found


def pure_documents() -> dict[str, set[str]]:
    """The same of what needs a cluster, or time."""
    address = Address()
    verdict = Verdict(Level.OK, "fine", "healthy")
    findings = (Finding("id", Level.WARNING, "title", "advice"),)
    node = ClusterNode("a:1", "id", address, "a:1", ((0, 5),))
    snapshot = Snapshot(
        0.0, 0.0, Server("redis", "7", "master", address), Memory(5, 10), doubts=(Doubt("used_memory", "is missing"),)
    )
    cluster = ClusterView((NodeView(node, snapshot, verdict), NodeView(node)))
    event = Event(1, EventKind.OOM, 0.0, "a:1", Level.OOM, Level.OK, "full")
    return {
        "check -c": set(fields(check_document(verdict, address, replace(snapshot, fleet=cluster), findings))),
        "watch": set(fields(watch_lines.tick_object(snapshot, verdict, Rates(), alert=Level.OK)))
        | set(fields(watch_lines.silence_object(Silence(0, 0, "x"), 1.0, address=address, alert=Level.OK)))
        | set(fields(watch_lines.event_object(event))),
    }


@pytest.fixture
def full(valkey: RunningServer) -> RunningServer:
    """A server with keys of several types that refuses writes, so that there is something to find."""
    with valkey.client() as client:
        for number in range(200):
            client.set(f"user:{number}", b"v" * 500)
        for number in range(20):
            client.hset(f"cart:{number}", mapping={f"f{each}": "v" * 90 for each in range(60)})
        client.set(b"odd:\xff", b"v", ex=900)
        client.config_set("maxmemory", 64 * 1024 * 1024)
        client.xadd("stream:1", {"field": b"v" * 3000})
    return valkey


def test_no_field_goes(full: RunningServer, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    printed = documents(full, capsys, tmp_path) | pure_documents()
    gone = {name: sorted(set(promised) - printed[name]) for name, promised in PROMISED.items()}
    assert not {name: missing for name, missing in gone.items() if missing}
