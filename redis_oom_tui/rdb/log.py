"""What a server's log says of the dump that it loaded, or why it could not."""

import re
from pathlib import Path

from redis_oom_tui.formatting.sanitize import safe_text

LOG = "log"
OTHER_FORMAT = "cannot load this format"
_KEYS = re.compile(r"keys loaded: (\d+), keys expired: (\d+)")
_READ = re.compile(r"\[info\] (\d+) keys read")
_REASONS = (
    (("RDB format version", "Wrong signature"), OTHER_FORMAT),
    (("Unexpected EOF", "Short read"), "the file ends too early: it is incomplete, or still being written"),
    (("CRC error", "checksum", "Internal error in RDB", "Unknown RDB", "RDB ERROR"), "the file is damaged"),
    (("module",), "the file holds keys of a module that this server does not have"),
    (("number of databases", "DB number"), "the file uses more databases than the server takes"),
)
_MOST_BYTES = 1 << 20


def counts(log: Path) -> tuple[int | None, int | None]:
    """How many keys were loaded, and how many had expired and were left out; None where the log does not say.

    >>> _counts("1:M * Done loading RDB, keys loaded: 2000, keys expired: 300.")
    (2000, 300)
    """
    return _counts(_text(log))


def _counts(text: str) -> tuple[int | None, int | None]:
    found = _KEYS.search(text)
    return (None, None) if found is None else (int(found[1]), int(found[2]))


def why_ended(log: Path) -> str:
    """Why the server ended, in a few words.

    >>> _why("[offset 47276] Unexpected EOF reading RDB file\\n[info] 2075 keys read")
    'the file ends too early: it is incomplete, or still being written (after 2,075 keys)'
    """
    return _why(_text(log))


def _why(text: str) -> str:
    read = _READ.search(text)
    after = f" (after {int(read[1]):,} keys)" if read else ""
    for signs, words in _REASONS:
        if any(sign in text for sign in signs):
            return words if words is OTHER_FORMAT else words + after
    lines = [line for line in text.splitlines() if " # " in line] or text.splitlines() or ["it said nothing"]
    return f"the server ended: {safe_text(lines[-1].rpartition(' # ')[2], 200)}"


def _text(log: Path) -> str:
    try:
        with log.open("rb") as file:
            return file.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
