"""Writing a file that must not exist yet, for its owner's eyes only."""

import os
from pathlib import Path

from redis_oom_tui.models.errors import BadInput


def write_new(path: Path, text: str) -> None:
    """Write `text` to a new file at `path`; raises BadInput where one stands there, or none can be made."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise BadInput(f"{path} cannot be written as a new file: {error.strerror or error}") from None
