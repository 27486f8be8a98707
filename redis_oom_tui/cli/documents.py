"""The one JSON document that a command with --json prints: its own, or else the one that says why there is none."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from redis_oom_tui.formatting import SCHEMA

if TYPE_CHECKING:
    from redis_oom_tui.formatting.documents.terms import FailureDocument


class Printed:
    """Whether the document of this run is out."""

    def __init__(self) -> None:
        self.document = False


PRINTED = Printed()


def print_document(document: Mapping[str, object], *, indent: int | None = None) -> None:
    """Print the command's document."""
    PRINTED.document = True
    click.echo(json.dumps(document, indent=indent))


def failure_document(sentence: str) -> "FailureDocument":
    """What stands in place of a command's own document; `sentence` says why."""
    return {"schema": SCHEMA, "verdict": "unknown", "reason": sentence, "error": sentence}


def print_failure(given: Sequence[str], command: str, sentence: str) -> None:
    """What a script reads where a command given --json has failed before its document; nothing for the others."""
    if PRINTED.document or "--json" not in given or not command:
        return
    document: Mapping[str, object] = failure_document(sentence)
    if command == "hogs":
        from redis_oom_tui.formatting.hogs import hogs_document
        from redis_oom_tui.models.scan import ScanState, ScanView

        document = {**document, **hogs_document(ScanView(ScanState.FAILED, error=sentence))}
    # Where standard output is what failed, stderr has said it.
    with contextlib.suppress(OSError, ValueError):
        print_document(document)
