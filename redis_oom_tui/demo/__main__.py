"""`python -m redis_oom_tui.demo`: the demo server alone, until Ctrl+C, SIGTERM or the end of standard input."""

import argparse
import signal
import sys
import time

from redis_oom_tui.demo.server import KEYS, DemoServer
from redis_oom_tui.models.errors import TriageError


def main() -> int:
    """Print the socket's path on standard output and wait."""
    parser = argparse.ArgumentParser(prog="python -m redis_oom_tui.demo", description=__doc__)
    parser.add_argument("--keys", type=int, default=KEYS, help="about how many keys to load (default: %(default)s)")
    parser.add_argument("--quiet-server", action="store_true", help="no clients: nothing reads or writes")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    began = time.monotonic()
    try:
        with DemoServer() as server:
            server.start(keys=options.keys, traffic=not options.quiet_server)
            print(f"filled in {time.monotonic() - began:.1f}s", file=sys.stderr)  # noqa: T201 - the command's output
            print(server.socket_path, flush=True)  # noqa: T201 - the command's output
            sys.stdin.buffer.read()
    except KeyboardInterrupt:
        return 0
    except TriageError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the command's output
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
