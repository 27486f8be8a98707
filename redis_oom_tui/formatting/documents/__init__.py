"""The JSON documents, described once: the builders are checked against these types, and the schemas come from them.

Nothing of this is imported where a document is printed: `check` must start fast.
"""

from typing import Any

import msgspec

from redis_oom_tui.formatting.documents import check, cleanup, hogs, report, settings, watch
from redis_oom_tui.formatting.documents.check import CheckAllDocument, CheckDocument, FailureDocument
from redis_oom_tui.formatting.documents.cleanup import (
    CleanupDocument,
    FinishedDocument,
    RestoreDocument,
    ShrinkDocument,
)
from redis_oom_tui.formatting.documents.hogs import HogsDocument, HotKeysDocument, KeySizesDocument
from redis_oom_tui.formatting.documents.report import ReportDocument
from redis_oom_tui.formatting.documents.settings import ConfigDocument, LimitsDocument
from redis_oom_tui.formatting.documents.watch import (
    EmergencyLine,
    EndLine,
    EventLine,
    HookLine,
    MissingLine,
    NoteLine,
    ScanLine,
    TickLine,
)

DOCUMENTS: dict[str, tuple[type, ...]] = {
    "check": (CheckDocument, CheckAllDocument, FailureDocument),
    "hogs": (HogsDocument, KeySizesDocument, HotKeysDocument),
    "limits": (LimitsDocument, FailureDocument),
    "cleanup": (CleanupDocument, ShrinkDocument, FinishedDocument, FailureDocument),
    "restore": (RestoreDocument, FailureDocument),
    "watch": (
        *(TickLine, EventLine, HookLine, EmergencyLine, ScanLine, NoteLine, MissingLine, EndLine),
        FailureDocument,
    ),
    "report": (ReportDocument, FailureDocument),
    "config": (ConfigDocument, FailureDocument),
}
"""Of each command, the documents that it may print; `config` stands for `config check`."""


def json_schema(command: str) -> dict[str, Any]:
    """The JSON Schema of what the command prints with --json; of `watch`, of each line."""
    references, definitions = msgspec.json.schema_components(DOCUMENTS[command], ref_template="#/$defs/{name}")
    # msgspec sorts names; here they stand as they are declared, and so as they are printed.
    modules = (check, hogs, settings, cleanup, watch, report)
    kinds = {name: kind for module in modules for name, kind in vars(module).items()}
    for name, definition in definitions.items():
        order = list(kinds[name].__annotations__)
        definition["properties"] = {field: definition["properties"][field] for field in order}
        definition["required"] = sorted(definition["required"], key=order.index)
    what = "each line of `watch --json`" if command == "watch" else f"`{spelled(command)} --json`"
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"redis-oom-tui: {what}",
        "anyOf": list(references),
        "$defs": definitions,
    }


def spelled(command: str) -> str:
    """The command as it is typed."""
    return "config check" if command == "config" else command
