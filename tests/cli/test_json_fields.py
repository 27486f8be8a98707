"""Every JSON field and CSV column that was ever printed is a promise: none may go, and new ones go into the list."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from redis_oom_tui.cli.main import COMMANDS, cli, main
from redis_oom_tui.formatting.check import check_document
from redis_oom_tui.formatting.documents import DOCUMENTS, json_schema, spelled
from redis_oom_tui.formatting.key_sizes import hot_document, instant_document
from redis_oom_tui.formatting.report import document as report_document
from redis_oom_tui.formatting.settings import limits_document
from redis_oom_tui.formatting.watch_lines import json_line, missing_object, silence_object, tick_object
from redis_oom_tui.models.action import Limits
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.alert import Event, EventKind, Silence
from redis_oom_tui.models.keys import HotKeys, KeySizes, Measure, SizeBucket, SizeHistogram
from redis_oom_tui.models.scan import PatternRow, ScanState, ScanView
from redis_oom_tui.models.settings import Change, ChangeResult, NodeResult
from redis_oom_tui.models.snapshot import ClusterNode, ClusterView, Doubt, Memory, NodeView, Server, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import IncidentReport, Rates
from redis_oom_tui.models.verdict import Finding, Level, Verdict
from redis_oom_tui.monitor.listeners import _figures
from redis_oom_tui.monitor.output import JsonLines, Note
from tests.apps import samples
from tests.support.documents import ROOT
from tests.support.json_documents import document_of
from tests.support.servers import RunningServer

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


def described(definition: dict[str, Any], definitions: dict[str, Any], path: str = "") -> Iterator[str]:
    """The same of a schema."""
    if "$ref" in definition:
        definition = definitions[definition["$ref"].rpartition("/")[2]]
    for option in definition.get("anyOf", ()):
        yield from described(option, definitions, path)
    if "items" in definition:
        yield from described(definition["items"], definitions, f"{path}[]")
    for name, member in definition.get("properties", {}).items():
        yield f"{path}.{name}".lstrip(".")
        yield from described(member, definitions, f"{path}.{name}")


def described_fields(command: str, document: Any) -> set[str]:
    """The fields of a document that is as its schema says."""
    return set(fields(document_of(command, json.dumps(document))))


def documents(server: RunningServer, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> dict[str, set[str]]:
    """Of each command, the fields that it prints here; each document is held against its schema."""
    found: dict[str, set[str]] = {}

    def run(name: str, *words: str, where: tuple[str, ...] = ("-s", server.socket_path)) -> None:
        with pytest.raises(SystemExit):
            main([*where, *words])
        out = capsys.readouterr().out
        printed = out.splitlines()[0].split(",") if "--csv" in words else fields(document_of(words[0], out))
        found.setdefault(name, set()).update(printed)

    scan, backup = str(tmp_path / "scan"), str(tmp_path / "backup")
    run("hogs", "hogs", "--json", "--save", scan)
    with server.client() as client:
        client.set("user:9", b"v" * 5000)
    run("hogs", "hogs", "--json", "--compare", scan, "--idle")
    with server.client() as client:
        client.mset({f"many:{number}": "v" for number in range(3000)})
    run("hogs", "hogs", "--json", "--sample", "1000")
    with server.client() as client:
        client.delete(*(f"many:{number}" for number in range(3000)))
    run("hogs --csv", "hogs", "--csv")
    run("hogs --patterns --csv", "hogs", "--csv", "--patterns")
    run("limits", "limits", "--json", "--saved-scan", scan, "--set", "maxmemory-samples=6", "--yes")
    run("cleanup", "cleanup", "--json", "--match", "user:*")
    run("cleanup", "cleanup", "--json", "--match", "user:1*", "--yes", "--backup", backup)
    run("restore", "restore", "--json", "--yes", backup)
    with server.client() as client:
        for number in range(200):
            client.set(f"app:cache:{number}", b"v" * 5000)
        client.config_set("maxmemory", int(client.info("memory")["used_memory"]))
    run("cleanup --free-to", "cleanup", "--json", "--free-to", "95%")
    run("cleanup --finished", "cleanup", "--json", "--finished", "bullmq", "--older-than", "0s", "--yes", "--no-backup")
    run("cleanup --shrink", "cleanup", "--shrink", "stream:1", "--keep-last", "1", "--json", "--yes", "--no-backup")
    run("report", "report", "--json")
    with server.client() as client:
        client.config_set("maxmemory", 1)
    run("check", "check", "--json")
    profiles = tmp_path / "profiles.toml"
    profiles.write_text(f'[profiles.a]\nsocket = "{server.socket_path}"\n', encoding="utf-8")
    run("check --all", "check", "--all", "--json", where=("--config", str(profiles)))
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
    change = Change("hz", "10", "20")
    by_node = ChangeResult(change, took=True, now="20", nodes=(NodeResult("a:1", took=True, old="10", now="20"),))
    scanned = ScanView(ScanState.COMPLETE, patterns=(PatternRow(b"a:*", b"", 3, 4096, 0.5, 3),))
    lines: list[str] = []
    writer = JsonLines(SimpleNamespace(write=lines.append), address=address)
    writer.event(Event(1, EventKind.OOM, 0.0, "a:1", Level.OOM, Level.OK, "full"))
    JsonLines(SimpleNamespace(write=lines.append), address=address, profile="a").note(Note("failed", "text", 0.0))
    for kind in ("scan", "server", "metrics", "failed"):
        writer.note(Note(kind, "text", 0.0))
    writer.note(Note("scan", "text", 0.0, figures=_figures(scanned)))
    writer.note(Note("hook", "text", 0.0, figures={"hook": "exec", "number": 1, "event": "oom", "ok": True}))
    figures = {"plan": "cache", "dry_run": False, "keys": 1, "bytes": 100, "hash": "aa"}
    writer.note(Note("cleanup", "text", 0.0, figures=figures))
    writer.note(Note("end", "text", 0.0, figures={"looks": 1, "events": 0, "alert": "ok"}))
    lines += [missing_object(3), json_line(silence_object(Silence(0, 0, "x"), 1.0, address=address, alert=Level.OK))]
    lines.append(json_line(tick_object(snapshot, verdict, Rates(), alert=Level.OK)))
    documents = [set(fields(document_of("watch", line))) for line in lines]
    clustered = check_document(verdict, address, replace(snapshot, cluster=cluster), findings)
    both = {"schema": 1, "verdict": "ok", "profiles": [{"profile": "a", "same_server_as": [], "check": clustered}]}
    strings = SizeHistogram(0, "string", Measure.VALUE, (SizeBucket(4, 7, 3),))
    sizes = KeySizes((strings,), 4, 3, 100, 12, 21, ("hash",))
    hot = HotKeys(True, 10, 1.0, 6.4, 200, 100, ((b"k", 90),), ((b"k", 90),), node="a:1")
    report = IncidentReport(0.0, snapshot, replace(snapshot, cluster=cluster), verdict, (), findings)
    return {
        "check -c": described_fields("check", clustered),
        "check --all -c": described_fields("check", both),
        "hogs --hot": described_fields("hogs", hot_document((hot,), 9)),
        "hogs --instant": described_fields("hogs", instant_document(sizes)),
        "limits -c": described_fields("limits", limits_document(Limits(None, "noeviction"), [by_node])),
        "report -c": described_fields("report", report_document(report)),
        "watch": set().union(*documents),
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
        client.xadd("stream:1", {"field": b"v" * 3000})
        samples.write(client, samples.load("bullmq").keys)
    return valkey


def test_every_document_is_as_its_schema_says_and_no_field_goes(
    full: RunningServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    printed = documents(full, capsys, tmp_path) | pure_documents()
    printed["check --all"] |= printed.pop("check --all -c")
    gone = {name: sorted(set(promised) - printed[name]) for name, promised in PROMISED.items()}
    assert not {name: missing for name, missing in gone.items() if missing}


@pytest.mark.parametrize(
    "words",
    [
        *(("check",), ("limits",), ("report",), ("cleanup",), ("cleanup", "--match", "a"), ("restore", "nowhere")),
        *(("watch", "--warn", "99", "--crit", "1"), ("config", "check", "nowhere")),
    ],
    ids=" ".join,
)
def test_a_failure_is_as_its_schema_says(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit):
        main(["-s", str(tmp_path / "none")] * (words[0] != "config") + [*words, "--json"])
    assert set(document_of(words[0], capsys.readouterr().out)) >= {"schema", "verdict", "reason"}


@pytest.mark.parametrize("command", DOCUMENTS)
def test_every_field_of_a_schema_is_promised(command: str) -> None:
    schema = json_schema(command)
    names = (
        spelled(command),
        f"{command} -c",
        f"{command} --all",
        f"{command} --hot",
        f"{command} --instant",
        f"{command} --shrink",
        f"{command} --free-to",
        f"{command} --finished",
        "failure",
    )
    promised = {field for name in names for field in PROMISED.get(name, ())}
    assert sorted(set(described(schema, schema["$defs"])) - promised) == []


def test_every_command_that_prints_json_has_a_schema() -> None:
    context = click.Context(cli)
    commands = {name: cli.get_command(context, name) for name in COMMANDS}
    for command in [each for each in commands.values() if isinstance(each, click.Group)]:
        commands |= {f"{command.name} {name}": inner for name, inner in command.commands.items()}
    printing = [name for name, each in commands.items() if any("--json" in option.opts for option in each.params)]
    assert sorted(printing) == sorted(map(spelled, DOCUMENTS))


def test_every_field_of_a_schema_says_what_it_means() -> None:
    definitions = {name: each for command in DOCUMENTS for name, each in json_schema(command)["$defs"].items()}
    members = [(name, *member) for name, each in definitions.items() for member in each["properties"].items()]
    assert len(members) > 250
    assert [(name, field) for name, field, member in members if not member.get("description")] == []


def test_the_command_prints_what_the_folder_holds(capsys: pytest.CaptureFixture[str]) -> None:
    for command in DOCUMENTS:
        with pytest.raises(SystemExit) as ended:
            main(["schema", command])
        assert ended.value.code == 0
        assert capsys.readouterr().out == (ROOT / "docs" / "schema" / f"{command}.json").read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["schema"])
    assert capsys.readouterr().out.split() == list(DOCUMENTS)
