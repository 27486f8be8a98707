"""The line below the patterns of `hogs` that plans a cleanup of the largest."""

from collections.abc import Sequence

from redis_oom_tui.formatting import pattern_text
from redis_oom_tui.formatting.sanitize import escape_exact, glob_text
from redis_oom_tui.formatting.server import command_line, database_args
from redis_oom_tui.formatting.sizes import count
from redis_oom_tui.models.application import Loss, Recognition
from redis_oom_tui.models.keys import KeyRow
from redis_oom_tui.models.scan import PatternRow, ScanOptions, ScanView
from redis_oom_tui.rules.applications import application_options
from redis_oom_tui.rules.applications.losses import loss_of
from redis_oom_tui.rules.key_patterns import contains, matcher

_KEEP_LAST = 1000


def way_to_plan(
    view: ScanView, recognition: Recognition, options: ScanOptions, connection_args: Sequence[str]
) -> list[str]:
    """A line to copy that plans a cleanup of what may go of the largest pattern; none where its loss loses work."""
    row = _largest(view, recognition)
    if row is None or row.select is None:
        return []
    db = row.db if len(view.databases) > 1 else None
    way = (*connection_args, *database_args(db if options.databases is None else options.databases[0]))
    if of_application := application_options(row, recognition):
        what = f"what {recognition.of(row)[0].application.name} no longer needs"
        return [
            "",
            f"To plan a cleanup of {what} (nothing is deleted yet):",
            command_line(way, "cleanup", *of_application),
        ]
    if recognition.of(row) and loss_of(row, recognition) is not Loss.HARMLESS:
        return []
    if (key := _one_key(view, row)) is not None:
        shrink = ("--shrink", escape_exact(key.id.key), "--keep-last", str(_KEEP_LAST))
        return [
            "",
            f"To plan that only its newest {count(_KEEP_LAST)} elements stay (nothing is deleted yet):",
            command_line(way, "cleanup", *shrink),
        ]
    whole = options.pattern if options.pattern is not None and contains(row.select, options.pattern) else row.select
    words = pattern_text.cleanup_options(whole)
    if not words:
        return []
    # What the scan did not look at was not counted either.
    words += [] if options.match is None else ["--match", glob_text(options.match)]
    words += [] if options.type is None else ["--type", options.type]
    return [
        "",
        "To plan a cleanup of exactly the keys of a pattern (nothing is deleted yet):",
        command_line(way, "cleanup", *words),
    ]


def _largest(view: ScanView, recognition: Recognition) -> PatternRow | None:
    """The largest pattern; of an application that of one kind of key, which others do not divide."""
    parents = {(row.db, row.parent) for row in view.patterns}
    leaf = next((row for row in view.patterns if (row.db, row.pattern) not in parents), None)
    return leaf if leaf is not None and recognition.of(leaf) else next(iter(view.patterns), None)


def _one_key(view: ScanView, row: PatternRow) -> KeyRow | None:
    """The key that is all of a pattern, where it has elements in an order."""
    if row.keys != 1 or row.select is None:
        return None
    held = matcher(row.select)
    return next((key for key in view.top if key.type in ("stream", "zset") and any(held.held([key.id.key]))), None)
