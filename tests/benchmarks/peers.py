"""redis-cli's own scans, and how the benchmarks start a scan of either kind."""

import json
import subprocess
import sys
from typing import Any

from tests.support.servers import RunningServer

ONE_SCAN = [sys.executable, "-m", "tests.benchmarks.one_scan"]


def peers(server: RunningServer, clis: list[str]) -> dict[str, list[str]]:
    """What each of `clis` can do, by a name for the table; --keystats came with redis-cli 7.4."""
    found: dict[str, list[str]] = {}
    for cli in clis:
        base = [cli, "-p", tcp(server).rpartition(":")[2]]
        version = _said(cli, "--version").split()[1]
        if not found:
            found["redis-cli --memkeys"] = [*base, "--memkeys"]
            found["redis-cli --bigkeys"] = [*base, "--bigkeys"]
        if "--keystats" in help_of(cli):
            found[f"redis-cli {version} --keystats --count 1000"] = [*base, "--keystats", "--count", "1000"]
    return found


def tcp(server: RunningServer) -> str:
    """Where it listens: the peers are compared over the same kind of connection."""
    with server.client() as client:
        return f"127.0.0.1:{int(client.config_get('port')['port'])}"


def whole_scan(where: str, *arguments: str) -> dict[str, Any]:
    """One scan to its end in a process of its own, and what it cost."""
    done = subprocess.run([*ONE_SCAN, where, *arguments], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    if found["state"] != "complete":
        raise RuntimeError(found["error"])
    return found


def help_of(cli: str) -> str:
    """What a redis-cli says of its options."""
    return _said(cli, "--help")


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
