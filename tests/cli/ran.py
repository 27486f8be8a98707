"""The command run, in this process or in one of its own, and what came of it."""

import json
import subprocess
import sys
from typing import Any

import pytest

from redis_oom_tui.cli import main as entry
from tests.support.cluster import RunningCluster
from tests.support.servers import RunningServer


def on_cluster(cluster: RunningCluster, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    """Its exit code and its document, on a cluster by one of its nodes."""
    with pytest.raises(SystemExit) as ended:
        entry.main(["-c", "-p", str(cluster.primaries[0].port), *words, "--json"])
    return int(ended.value.code or 0), json.loads(capsys.readouterr().out)


def place_among_processes(server: RunningServer, *words: str) -> int:
    """The niceness that a process of its own ended with, in which the command ran to its end."""
    script = "import os, sys; from redis_oom_tui.cli.main import main\n"
    script += "try: main(sys.argv[1:])\nfinally: print(os.nice(0), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script, "-s", server.socket_path, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stderr.split()[-1])
