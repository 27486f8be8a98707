"""The process that owns the server of a dump: `supervisor BINARY FILE`; and what that server's log says of the dump.

It prints the socket's path on one line, and on another why the server ended, where it did so by itself. The server sees
the dump by a link, writes nothing, and listens on a unix socket in a private directory only.
"""

import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from redis_oom_tui.demo.child import outlive_signals, private_directory
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


_POLL_SECONDS = 0.1
# A dump may use any database, and a server refuses the whole file for one that it does not have.
_DATABASES = "1024"


def main(binary: str, file: str) -> int:
    """Serve until standard input ends, SIGTERM comes, or the server ends."""
    outlive_signals()
    directory = private_directory("oom-rdb-")
    process: subprocess.Popen[bytes] | None = None
    try:
        (directory / "dump.rdb").symlink_to(file)
        with (directory / LOG).open("wb") as log:
            process = subprocess.Popen(_command(binary, directory), stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603
        print(directory / "s", flush=True)  # noqa: T201 - how the parent learns where it is
        if _ended_first(process):
            print(why_ended(directory / LOG), flush=True)  # noqa: T201 - the parent reads it
            return 1
    except OSError as error:
        print(f"error: {error.strerror}", flush=True)  # noqa: T201 - the parent reads it
        return 1
    finally:
        # Once more SIGTERM must not interrupt the cleaning.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if process is not None:
            process.kill()
            process.wait()
        shutil.rmtree(directory, ignore_errors=True)
    return 0


def _command(binary: str, directory: Path) -> list[str]:
    """Port 0: no TCP at all. Nothing is saved, so the server can be killed at any time."""
    options = {
        "--port": "0",
        "--unixsocket": str(directory / "s"),
        "--unixsocketperm": "700",
        "--dir": str(directory),
        "--dbfilename": "dump.rdb",
        "--save": "",
        "--appendonly": "no",
        "--databases": _DATABASES,
    }
    return [binary, *(word for pair in options.items() for word in pair)]


def _ended_first(process: subprocess.Popen[bytes]) -> bool:
    """Wait for the parent to leave or the server to end; whether it was the server."""
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        while process.poll() is None:
            if selector.select(_POLL_SECONDS) and not os.read(sys.stdin.fileno(), 1):
                return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
