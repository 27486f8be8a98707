"""The command run, in this process or in one of its own, and what came of it."""

import contextlib
import io
import json
import subprocess
import sys
import tempfile
from typing import Any, NamedTuple

import pytest

from redis_oom_tui.cli import main as entry
from tests.support.cluster import RunningCluster
from tests.support.json_documents import document_of
from tests.support.servers import RunningServer


class Ran(NamedTuple):
    """What a command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


def ran(*words: str) -> Ran:
    """The command, run in this process: a process of its own takes a quarter of a second more.

    Its output goes to files, because `watch` writes by the handle.
    """
    with tempfile.TemporaryFile() as out_file, tempfile.TemporaryFile() as err_file:
        out, err = (io.TextIOWrapper(file, encoding="utf-8", write_through=True) for file in (out_file, err_file))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
            entry.main([*words])
        out_file.seek(0)
        err_file.seek(0)
        return Ran(int(ended.value.code or 0), out_file.read().decode(), err_file.read().decode())


class Tool:
    """The command on one server, run in this process."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server

    def __call__(self, *words: str, before: tuple[str, ...] = ()) -> Ran:
        """Run it with these words, `before` in front of them."""
        return ran("-s", self._server.socket_path, *before, *words)

    def json(self, *words: str) -> tuple[int, Any]:
        """Exit code, and the one JSON document on stdout."""
        code, out, _ = self(*words, "--json")
        return code, document_of(words[0], out)


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
