"""Finished work for a sentence: the command that plans its cleanup, and what of it was not read."""

import shlex
from collections.abc import Iterable

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.application import FinishedWork
from redis_oom_tui.models.recognition import Recognized


def finished_command(one: Recognized, state: str, instances: Iterable[bytes | None]) -> str:
    """What plans a cleanup of such jobs: of one queue where all are of it, else of all."""
    names = list(dict.fromkeys(instances))
    plain = len(names) == 1 and names[0] is not None and names[0].isascii() and bytes(1) not in names[0]
    queue = f":{safe_text(names[0], 100)}" if plain and names[0] is not None else ""
    place = ["-n", str(one.db)] if one.db else []
    chosen = ["--finished", f"{one.application.name.lower()}{queue}", "--state", state, "--older-than", "1d"]
    return shlex.join(["redis-oom-tui", *place, "cleanup", *chosen])


def unread_work(one: Recognized) -> tuple[FinishedWork, ...]:
    """Work that is listed as done, where it was not read how much that is (CLIENT NO-TOUCH is missing)."""
    told = {jobs.state for jobs in one.finished}
    return tuple(
        work
        for work in one.application.finished
        if work.state not in told and work.job in one.rows and work.index in one.rows
    )
