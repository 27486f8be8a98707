"""Finished work for a sentence: the command that plans its cleanup, and what of it was not read."""

import shlex
from collections.abc import Iterable

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.application import FinishedWork
from redis_oom_tui.models.recognition import Recognition, Recognized
from redis_oom_tui.models.scan import PatternRow


def finished_options(one: Recognized, state: str, instances: Iterable[bytes | None]) -> tuple[str, ...]:
    """The options by which `cleanup` takes such jobs: of one queue where all are of it, else of all."""
    names = list(dict.fromkeys(instances))
    plain = len(names) == 1 and names[0] is not None and names[0].isascii() and bytes(1) not in names[0]
    queue = f":{safe_text(names[0], 100)}" if plain and names[0] is not None else ""
    return ("--finished", f"{one.application.name.lower()}{queue}", "--state", state, "--older-than", "1d")


def finished_command(one: Recognized, state: str, instances: Iterable[bytes | None]) -> str:
    """What plans a cleanup of such jobs."""
    place = ["-n", str(one.db)] if one.db else []
    return shlex.join(["redis-oom-tui", *place, "cleanup", *finished_options(one, state, instances)])


def application_options(row: PatternRow, recognition: Recognition) -> tuple[str, ...]:
    """The options by which `cleanup` takes what may go of an application's keys by its own lists; () where none do."""
    for one in recognition.found:
        for kind_id in (kind for kind, rows in one.rows.items() if row in rows):
            labels = [label for label in recognition.of(row) if label.application is one.application]
            for work in one.application.finished:
                if kind_id in (work.job, work.index, *work.belongs):
                    return finished_options(one, work.state, [label.instance for label in labels])
            if any(orphans.keys == kind_id for orphans in one.application.orphans):
                return ("--orphans", one.application.name.lower())
    return ()


def application_command(one: Recognized, row: PatternRow, recognition: Recognition) -> str:
    """What plans a cleanup of what may go of `row`, a pattern of that application."""
    place = ["-n", str(one.db)] if one.db else []
    return shlex.join(["redis-oom-tui", *place, "cleanup", *application_options(row, recognition)])


def unread_work(one: Recognized) -> tuple[FinishedWork, ...]:
    """Work that is listed as done, where it was not read how much that is (CLIENT NO-TOUCH is missing)."""
    told = {jobs.state for jobs in one.finished}
    return tuple(
        work
        for work in one.application.finished
        if work.state not in told and work.job in one.rows and work.index in one.rows
    )
