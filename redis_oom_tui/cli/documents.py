"""The one JSON document that a command with --json prints: its own, or else the one that says why there is none."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from redis_oom_tui.formatting import SCHEMA

if TYPE_CHECKING:
    from redis_oom_tui.formatting.documents.check import FailureDocument


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


def tells_a_status(given: Sequence[str], command: str) -> bool:
    """Whether standard output has a status in words, also on failure: monitoring reads nothing else."""
    return command == "check" and "--json" not in given


def print_failure(given: Sequence[str], command: str, sentence: str) -> None:
    """What a script reads on standard output where a command has failed before its document: with --json a document,
    of `check` in words the status; nothing for the others.
    """
    if PRINTED.document or not command:
        return
    if tells_a_status(given, command):
        from redis_oom_tui.formatting.plugin import plugin_lines
        from redis_oom_tui.models.verdict import Level

        with contextlib.suppress(OSError, ValueError):
            click.echo(plugin_lines(Level.UNKNOWN, sentence, (), ())[0])
    if "--json" not in given:
        return
    document: Mapping[str, object] = failure_document(sentence)
    if command == "hogs":
        from redis_oom_tui.formatting.hogs import hogs_document
        from redis_oom_tui.models.scan import ScanState, ScanView

        document = {**document, **hogs_document(ScanView(ScanState.FAILED, error=sentence))}
    # Where standard output is what failed, stderr has said it.
    with contextlib.suppress(OSError, ValueError):
        print_document(document)
