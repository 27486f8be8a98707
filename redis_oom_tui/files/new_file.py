"""Writing a file that must not exist yet, for its owner's eyes only."""

from pathlib import Path

from redis_oom_tui.files.durable import write_whole
from redis_oom_tui.files.reading import shown
from redis_oom_tui.models.errors import BadInput


def write_new(path: Path, text: str) -> None:
    """Write `text` to a new file at `path`; raises BadInput where one stands there, or none can be made."""
    try:
        write_whole(path, [text.encode("utf-8")])
    except OSError as error:
        raise BadInput(f"{shown(path)} cannot be written as a new file: {error.strerror or error}") from None
