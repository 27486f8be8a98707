"""The command run in this process, and what it printed."""

import json
from typing import Any

import pytest

from redis_oom_tui.cli import main as entry
from tests.support.cluster import RunningCluster


def on_cluster(cluster: RunningCluster, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    """Its exit code and its document, on a cluster by one of its nodes."""
    with pytest.raises(SystemExit) as ended:
        entry.main(["-c", "-p", str(cluster.primaries[0].port), *words, "--json"])
    return int(ended.value.code or 0), json.loads(capsys.readouterr().out)
