"""What README and docs/ promise is there: commands, options, fields, keys, permissions and links."""

import importlib
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis
from textual.app import App
from textual.binding import Binding
from textual.widget import Widget

from redis_oom_tui.cli.main import COMMANDS, cli
from redis_oom_tui.server.command_allowlist import CHANGES, READS, TOUCHING_READS
from redis_oom_tui.tui.app import TriageApp
from redis_oom_tui.tui.main_screen import MainScreen
from redis_oom_tui.tui.panes.cleanup import CleanupPane
from redis_oom_tui.tui.panes.cleanup_views import FormView, StageView
from redis_oom_tui.tui.panes.hogs import HogsPane
from redis_oom_tui.tui.panes.limits import LimitsPane
from redis_oom_tui.tui.panes.log import LogPane
from redis_oom_tui.tui.panes.triage import TriagePane
from redis_oom_tui.tui.panes.triage_lists import Findings
from redis_oom_tui.tui.widgets.live_table import LiveTable
from tests.support.documents import EVERYTHING, PAGES, README, ROOT, page
from tests.support.servers import RunningServer

# Arguments that pass each command's own checks, so that the ACL is what decides, and that change nothing of weight.
ARGUMENTS: dict[str, tuple[object, ...]] = {
    "SELECT": (0,),
    "ACL DRYRUN": ("default", "PING"),
    "CLIENT SETNAME": ("probe",),
    "CLIENT SETINFO": ("LIB-NAME", "probe"),
    "CLIENT NO-EVICT": ("ON",),
    "CLIENT NO-TOUCH": ("ON",),
    "CLIENT KILL": ("ID", "999999"),
    "CONFIG GET": ("maxmemory",),
    "CONFIG SET": ("maxmemory-samples", "5"),
    "SCAN": (0,),
    "CLUSTER COUNTKEYSINSLOT": (0,),
    "EVAL": ("return 1", 0),
    "EVALSHA": ("e0e1f9fabfc9d4800c877a703b823ac0578ff8db", 0),
    "SCRIPT LOAD": ("return 1",),
    "GETRANGE": ("k", 0, 1),
    "HSCAN": ("h", 0),
    "SSCAN": ("s", 0),
    "ZSCAN": ("z", 0),
    "LRANGE": ("l", 0, 1),
    "XRANGE": ("x", "-", "+"),
    "COMMANDLOG GET": (1, "LARGE-REQUEST"),
    "XREVRANGE": ("x", "+", "-"),
    "XPENDING": ("x", "g"),
    "HEXISTS": ("h", "f"),
    "XINFO CONSUMERS": ("x", "g"),
    "HMGET": ("h", "f"),
    "SMISMEMBER": ("s", "m"),
    "ZCOUNT": ("z", 0, 1),
    "ZRANGE": ("z", 0, 1),
    "PEXPIREAT": ("k", 1),
    "CLUSTER SLOT-STATS": ("ORDERBY", "KEY-COUNT"),
    "RESTORE": ("k", 0, "payload"),
}
ON_A_KEY = (
    "TYPE TTL PTTL EXISTS STRLEN HLEN LLEN SCARD ZCARD XLEN DUMP PERSIST UNLINK MEMORY_USAGE OBJECT_ENCODING "
    "OBJECT_FREQ OBJECT_IDLETIME OBJECT_REFCOUNT XINFO_STREAM XINFO_GROUPS"
)
ARGUMENTS |= {command.replace("_", " "): ("k",) for command in ON_A_KEY.split()}


def block(language: str) -> str:
    """The text of the only code block in this language."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", EVERYTHING, re.MULTILINE | re.DOTALL)
    assert len(found) == 1, language
    return str(found[0])


def answer(client: Any, command: str) -> str:
    """What the server says to the command: an error's text, or nothing of interest."""
    try:
        client.execute_command(*command.split(), *ARGUMENTS.get(command, ()))
    except redis.exceptions.NoPermissionError:
        return "not permitted"
    except redis.ResponseError as error:
        return str(error).lower()
    return ""


def refused(client: Any, command: str) -> bool:
    """Whether the ACL refuses the command; any other answer is the server's own business."""
    said = answer(client, command)
    assert "wrong number of arguments for" not in said or "unknown subcommand" in said, command
    return said == "not permitted"


def grant(client: redis.Redis, *languages: str) -> None:
    """Run the lines of docs/permissions.md for one user; only one block may name what a server does not know."""
    for language in languages:
        for line in block(language).splitlines():
            said = answer(client, re.sub("oom-(reader|operator)", "oom", line))
            assert said == "" or language == "acl-new", (line, said)


@pytest.fixture
def oom_user(server: RunningServer) -> Iterator[redis.Redis]:
    with server.client() as admin:
        grant(admin, "acl", "acl-new")
    with server.client(username="oom", password="PASSWORD") as client:
        yield client


def on_this_server(server: RunningServer, commands: frozenset[str]) -> list[str]:
    """Those it knows: old servers lack some, Sentinel's are another server's, and anybody may AUTH."""
    elsewhere = ("AUTH", "SENTINEL")
    with server.client() as admin:
        said = {command: answer(admin, command) for command in sorted(commands) if not command.startswith(elsewhere)}
    return [command for command, text in said.items() if "unknown" not in text]


def test_the_reader_may_send_every_read_and_no_change(server: RunningServer, oom_user: redis.Redis) -> None:
    reads = on_this_server(server, READS)
    assert len(reads) > 30
    assert [command for command in reads if refused(oom_user, command)] == []
    assert [command for command in sorted(CHANGES | TOUCHING_READS) if not refused(oom_user, command)] == []


def test_the_looker_may_send_every_look_but_what_deletions_ask(server: RunningServer, oom_user: redis.Redis) -> None:
    with server.client() as admin:
        grant(admin, "acl-look")
    assert [command for command in sorted(TOUCHING_READS) if refused(oom_user, command)] == ["DUMP", "OBJECT REFCOUNT"]


def test_the_operator_may_send_every_change(server: RunningServer, oom_user: redis.Redis) -> None:
    with server.client() as admin:
        grant(admin, "acl-act")
    # SCRIPT LOAD stands in for EVAL, where that is refused.
    needed = sorted(CHANGES - {"SCRIPT LOAD"} | {"DUMP", "OBJECT REFCOUNT"})
    assert [command for command in needed if refused(oom_user, command)] == []
    assert refused(oom_user, "FLUSHALL")


@pytest.mark.parametrize("name", PAGES, ids=str)
def test_every_link_leads_to_a_file_and_a_heading(name: Path) -> None:
    for link in re.findall(r"\]\(([^):]+)\)", PAGES[name]):
        file, _, anchor = link.partition("#")
        target = (ROOT / name).parent / file if file else ROOT / name
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def anchors(text: str) -> set[str]:
    """The headings of a page, as links name them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_readme_is_short_and_links_to_every_page() -> None:
    assert len(README.splitlines()) <= 250
    pages = {str(name) for name in PAGES if name.parent.name == "docs"}
    assert pages <= set(re.findall(r"\]\(([^)#:]+)\)", README))


def test_every_path_in_the_architecture_exists() -> None:
    named = re.findall(r"`([\w./]+(?:/[\w.]*|\.(?:py|md|json|toml)))`", page("architecture"))
    assert len(set(named)) > 40
    folders = ["", "redis_oom_tui/rules/verdict/"]
    assert [name for name in named if not any((ROOT / folder / name).exists() for folder in folders)] == []


def test_the_way_of_a_key_has_at_most_fourteen_steps() -> None:
    _, _, way = page("architecture").partition("## A key's bytes")
    assert 10 <= len(re.findall(r"^\d+\. ", way.partition("\n## ")[0], re.MULTILINE)) <= 14


def test_what_is_never_sent_is_on_no_list() -> None:
    assert {"KEYS", "MONITOR", "FLUSHALL", "FLUSHDB", "DEBUG"}.isdisjoint(READS | TOUCHING_READS | CHANGES)


def test_the_example_for_applications(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with server.client() as admin:
        admin.set("template", b"x" * 5000)
        payload = admin.dump("template")
        assert payload is not None
        for number in range(200):
            admin.restore(f"cache:{number}", 7_200_000, payload, idletime=7200)  # type: ignore[arg-type]
        admin.config_set("maxmemory", int(admin.info("memory")["used_memory"]) - 100_000)
        with pytest.raises(redis.ResponseError):
            admin.set("order:1001", "paid")
        monkeypatch.setattr(redis, "Redis", lambda host: admin)
        exec(compile(block("python"), "applications.md", "exec"), {})
        assert admin.get("order:1001") == b"paid"
        assert admin.get("orders") == b"1"
        assert admin.dbsize() < 200


def test_every_option_in_the_tables_exists() -> None:
    named = set(re.findall(r"^\| (`-.*?) \|", page("connecting"), re.MULTILINE))
    words = {word for cell in named for word in re.findall(r"`(--?[\w-]+)", cell)}
    known = {option for parameter in cli.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert words <= known
    assert len(words) >= 30


def test_every_command_in_the_table_exists_and_none_is_left_out() -> None:
    _, _, table = README.partition("| Command | Does |")
    named = re.findall(r"^\| `([a-z]+)` \|", table.partition("\n\n")[0], re.MULTILINE)
    assert set(named) <= set(COMMANDS)


def test_what_is_generated_is_not_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs")
    pages = importlib.import_module("reference").pages()
    assert len(pages) > 8
    assert set((ROOT / "docs" / "schema").iterdir()) <= set(pages)
    stale = [path.name for path, text in pages.items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run: make docs"


def examples() -> list[str]:
    """The command lines of all console blocks that start the tool."""
    blocks = re.findall(r"^```console\n(.*?)^```$", EVERYTHING, re.MULTILINE | re.DOTALL)
    lines = [line[2:].partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return sorted({line for line in lines if line.startswith("redis-oom-tui")})


@pytest.mark.parametrize("line", examples())
def test_every_example_is_understood(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its options exist and its values are accepted; what it does is the other tests' business."""
    program, *words = shlex.split(line)
    monkeypatch.chdir(tmp_path)
    for before, word in pairwise(words):
        if before in ("--plan", "--resume", "--compare", "--from", "--saved-scan", "--rdb", "restore", "replay", "rdb"):
            (tmp_path / word).touch()
    assert program == "redis-oom-tui"
    context = cli.make_context("redis-oom-tui", words, resilient_parsing=False)
    if not (context._protected_args or context.args):
        return  # The screen has no command.
    name, command, rest = cli.resolve_command(context, [*context._protected_args, *context.args])
    assert name in COMMANDS
    assert command is not None
    command.make_context(str(name), rest, parent=context)


SPELLED = {"Esc": "escape", "+": "plus", "-": "minus", "/": "slash", "?": "question_mark", "Ctrl+P": "ctrl+p"}
SPELLED |= {":": "colon", "Ctrl+L": "ctrl+l", "[": "left_square_bracket", "]": "right_square_bracket"}


@pytest.mark.parametrize(
    ("title", "kinds"),
    [
        ("", [TriageApp, MainScreen]),
        (" in Hogs", [HogsPane, LiveTable]),
        (" in Triage", [TriagePane, Findings]),
        (" in Limits", [LimitsPane]),
        (" in Log", [LogPane]),
        (" in Cleanup", [CleanupPane, FormView, StageView]),
    ],
)
def test_every_key_in_the_tables_is_bound(title: str, kinds: list[type[App[int]] | type[Widget]]) -> None:
    bound = {key for kind in kinds for binding in bindings(kind) for key in binding.key.split(",")}
    _, _, table = page("keys").partition(f"| Key{title} | Does |")
    cells = [row.split("|")[1] for row in table.partition("\n\n")[0].splitlines()[2:]]
    keys = [key for cell in cells for key in re.findall(r"`(.+?)`", cell)]
    assert len(keys) >= 3
    assert [key for key in keys if SPELLED.get(key, key.lower() if len(key) > 1 else key) not in bound] == []


def bindings(kind: type[App[int]] | type[Widget]) -> list[Binding]:
    """The bindings that a class and its bases declare."""
    declared = [item for cls in kind.__mro__ for item in cls.__dict__.get("BINDINGS", ())]
    return [item if isinstance(item, Binding) else Binding(*item) for item in declared]
