"""Writes what is generated in docs/: the reference of commands, the fields and schemas of the JSON documents, the ids,
the applications.

Run by `make docs`; a test finds what is stale.
"""

import inspect
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from redis_oom_tui.applications import known_applications
from redis_oom_tui.cli.main import cli
from redis_oom_tui.formatting.documents import DOCUMENTS, json_schema, spelled
from redis_oom_tui.formatting.documents.check import FailureDocument
from redis_oom_tui.rules import findings, verdict
from redis_oom_tui.rules.flavours import FLAVOURS, MANAGED, PRODUCTS, REFUSAL, Product
from redis_oom_tui.rules.providers import PROVIDERS
from redis_oom_tui.rules.verdict import limit_rules
from redis_oom_tui.rules.verdict.causes import CAUSES
from tests.support.releases import ABILITIES, RELEASES

DOCS = Path(__file__).parent
PROMISED = DOCS.parent / "tests" / "rules" / "public_ids.json"
FINDING_RULES = (*findings.RULES, *findings.ON_DEMAND)
MARK = "<!-- Below this line: written by `make docs`. -->\n"
WIDTH = 80
TYPES = {"array": "list"}


def pages() -> dict[Path, str]:
    """Every file that is written, with its text."""
    written = {
        DOCS / "commands.md": _below_mark("commands.md", ["## Reference\n", *_commands(cli, None)]),
        DOCS / "json.md": _below_mark("json.md", _fields()),
        DOCS / "applications.md": _below_mark("applications.md", ["## Known applications\n", _applications()]),
        DOCS / "servers.md": _below_mark("servers.md", _servers()),
        DOCS / "findings.md": _below_mark("findings.md", _ids()),
        PROMISED: json.dumps({kind: sorted({*ids, *_promised()[kind]}) for kind, ids in _declared().items()}, indent=1)
        + "\n",
    }
    schemas = {DOCS / "schema" / f"{name}.json": json.dumps(json_schema(name), indent=1) + "\n" for name in DOCUMENTS}
    return written | schemas


def _below_mark(name: str, sections: list[str]) -> str:
    """The page with everything below the mark replaced."""
    by_hand, mark, _ = (DOCS / name).read_text(encoding="utf-8").partition(MARK)
    return by_hand + mark + "\n" + "\n".join(sections)


def _commands(command: click.Command, outer: click.Context | None, name: str = "redis-oom-tui") -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=outer, terminal_width=WIDTH)
    yield f"### {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
    for inner in command.list_commands(context) if isinstance(command, click.Group) else ():
        found = command.get_command(context, inner)
        if found is not None and not found.hidden:
            yield from _commands(found, context, inner)


def _declared() -> dict[str, list[str]]:
    """The ids that there are; of those made of a cause or a setting, the beginning."""
    kinds = {"verdicts": (*verdict.RULES, limit_rules.healthy), "findings": FINDING_RULES}
    found = {kind: list(dict.fromkeys(id_ for rule in rules for id_ in rule.ids)) for kind, rules in kinds.items()}
    return found | {"causes": [cause.name for cause in CAUSES]}


def _promised() -> dict[str, list[str]]:
    """The ids of all versions: none may go."""
    promised: dict[str, list[str]] = json.loads(PROMISED.read_text(encoding="utf-8"))
    return promised


def _ids() -> list[str]:
    """The ids of the verdicts, of the causes, and of the findings."""
    verdicts = (*verdict.RULES, limit_rules.healthy)
    causes = [(f"`{cause.name}`", ", ".join(f"`{each}`" for each in cause.confirm)) for cause in CAUSES]
    return [
        "## Verdicts\n",
        _table("Id", "When", [(_named(rule.ids, "CAUSE"), _first_line(rule.judge)) for rule in verdicts]),
        "## Causes\n",
        _table("Cause", "To confirm", causes),
        "## Findings\n",
        _table("Id", "When", [(_named(rule.ids, "SETTING"), _first_line(rule.judge)) for rule in FINDING_RULES]),
    ]


def _applications() -> str:
    """What each application is told by, and its settings that bound what it keeps."""
    rows = [
        (
            f"[{known.name}]({known.link})",
            ", ".join(dict.fromkeys(kind.use.plural for kind in known.keys)),
            ", ".join(f"`{setting.name}`" for setting in known.settings),
        )
        for known in known_applications()
    ]
    return _table("Application", "Its keys", "Settings that bound them", rows)


def _servers() -> list[str]:
    """What is known of each server, and of each managed service."""
    own = [(name.capitalize(), "its version", f"`{REFUSAL}`", "yes", "") for name in FLAVOURS]
    services = [
        (each.name, "host name" if each.host else "not recognized", _how(each.policy), each.limit, each.note)
        for each in PROVIDERS
    ]
    known = [*own, *(_server(each, "where reported") for each in MANAGED), *(_server(each, "no") for each in PRODUCTS)]
    return [
        "## Servers\n",
        _table(
            "Server",
            "Known in INFO by",
            "Refuses a write with",
            "Refusals and evictions judged",
            "Different there",
            known,
        ),
        "## What works where\n",
        "Tried on a server, by a test on each release:\n",
        _table("What", "By", *(each.name for each in RELEASES), _abilities()),
        "From documentation, not tried: what is not available there. All else is unknown until the server is asked.\n",
        _table("Service", "Not available", [(each.name, _lacking(each.lacks)) for each in PROVIDERS if each.lacks]),
        "\nOf Dragonfly, Kvrocks, Garnet and the other servers above, every line is unknown until they are asked.\n",
        "## Managed services\n",
        _table("Service", "Known by", "To change the policy", "To change the limit", "Different there", services),
    ]


def _abilities() -> list[tuple[str, ...]]:
    return [
        (what, f"`{command}`", *("not available" if command in each.lacks else "works" for each in RELEASES))
        for what, command in ABILITIES.items()
    ]


def _lacking(commands: Iterable[str]) -> str:
    words = {command: what for what, command in ABILITIES.items()}
    return ", ".join(f"{words[command]} (`{command}`)" for command in commands)


def _how(change: str) -> str:
    return change if change.startswith("in the") else f"`{change}`"


def _server(product: Product, judged: str) -> tuple[str, ...]:
    own = f" or `{product.prefix}*`" if product.prefix else ""
    refusal = f"`{product.refusal}`" if product.refusal else "not known"
    return product.name, f"`{product.version_field}`{own}", refusal, judged, product.differs


def _named(ids: Iterable[str], rest: str) -> str:
    return " ".join(f"`{id_}{rest if id_.endswith('-') else ''}`" for id_ in ids)


def _table(*rows: Any) -> str:
    """Its heads, then a list of its rows."""
    *heads, cells = rows
    head, *body = (f"| {' | '.join(line)} |" for line in (heads, *cells))
    return "\n".join((head, f"|{'---|' * len(heads)}", *body)) + "\n"


def _first_line(function: object) -> str:
    return " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split())


def _fields() -> list[str]:
    """A table for each document; a part that stands in several is described at the first."""
    sections: list[str] = []
    described: dict[str, str] = {}
    for name in DOCUMENTS:
        schema = json_schema(name)
        sections.append(f"## {spelled(name)}\n")
        for kind in [each["$ref"].rpartition("/")[2] for each in schema["anyOf"]]:
            if kind != FailureDocument.__name__:
                sections += _members(kind, schema["$defs"], f"`{spelled(name)}`", described)
    return [*sections, "## A failure\n", *_members(kind, schema["$defs"], "a failure", described)]


def _members(kind: str, definitions: dict[str, Any], where: str, described: dict[str, str]) -> list[str]:
    rows = [(f"`{path}`", *more) for path, *more in _rows(definitions[kind], definitions, where, described)]
    return [f"{definitions[kind]['description']}\n", _table("Field", "Type", "Meaning", rows)]


def _rows(
    definition: dict[str, Any], definitions: dict[str, Any], where: str, described: dict[str, str], path: str = ""
) -> Iterator[tuple[str, str, str]]:
    """The path, the type and the meaning of each member."""
    for name, member in definition["properties"].items():
        options = [option for option in member.get("anyOf", [member]) if option.get("type") != "null"]
        held = options[0].get("items", options[0])
        part = held.get("$ref", "").rpartition("/")[2]
        kind = "object" if "$ref" in options[0] else TYPES.get(options[0]["type"], options[0]["type"])
        below = f"{path}{name}{'[]' if kind == 'list' else ''}"
        meaning = member.get("description", "")
        values = [f"`{value}`" for value in held.get("enum", [held["const"]] if "const" in held else [])]
        if not all(value in meaning for value in values):
            meaning += f" ({', '.join(values)})"
        if described.get(part):
            meaning += f"; its fields: as in {described[part]}"
        kind += " or null" * (len(options) < len(member.get("anyOf", [member])))
        yield f"{path}{name}", kind if name in definition["required"] else f"{kind}, optional", meaning
        if part and not described.get(part):
            described[part] = f"{where}, `{below}`"
            yield from _rows(definitions[part], definitions, where, described, f"{below}.")


if __name__ == "__main__":
    (DOCS / "schema").mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
