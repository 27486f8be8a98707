"""The tool itself is ended in the middle of a run: by a signal, or without a word."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from redis_oom_tui.actions.saving import Saver
from redis_oom_tui.files.backup_reading import read_records
from redis_oom_tui.files.plans import load_plan
from redis_oom_tui.formatting.sanitize import unescape_exact
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.plan import Criteria, Outcome
from tests.actions.test_interrupted import NAMES, agree
from tests.support.acting import NO_BACKUP, audited, fill, operating, planned, stepped
from tests.support.servers import RunningServer
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("gives_up_soon")

CACHE = Criteria(patterns=(b"cache:*",))


async def test_a_cancelled_run_is_written_down(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, NAMES)
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            run = await stepped(operator, plan, after=lambda number: number == 2 and task.cancel())
            task = asyncio.ensure_future(run.run())
            with pytest.raises(asyncio.CancelledError):
                await task
            entry = operator.history()[0]
        assert entry.ok is False
        assert "The tool ended" in entry.result
        agree(server, tmp_path, None)


async def test_keys_saved_but_not_deleted_by_a_run_that_was_cut_off_are_deleted_by_the_next(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saving is a use of the key where there is no NO-TOUCH: the next run knows it by its copy."""
    save = Saver.save

    async def cut_off(self: Saver, *arguments: Any) -> Any:
        await save(self, *arguments)
        raise asyncio.CancelledError

    with server.client() as client:
        fill(client, NAMES[:100])
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            with monkeypatch.context() as patched:
                patched.setattr(Saver, "save", cut_off)
                with pytest.raises(asyncio.CancelledError):
                    await operator.run(plan, backup=BackupChoice()).run()
            assert client.dbsize() == 100
            client.append(b"cache:5", b"changed since")
            run = operator.run(plan, backup=BackupChoice())
            view = await run.run()
        assert dict(view.counts) == {Outcome.DELETED: 99, Outcome.CHANGED: 1}
        assert client.keys() == [b"cache:5"]


def cleanup(
    server: RunningServer, state: Path, *options: str, run: Sequence[str] = ("-m", "redis_oom_tui")
) -> subprocess.Popen[bytes]:
    """The command itself, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, *run, "-s", server.socket_path, "cleanup", *options],
        env={**os.environ, "XDG_STATE_HOME": str(state)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [0, 3])
@pytest.mark.parametrize("flavour", ["valkey", "redis6"])
async def test_the_tool_is_killed_and_the_saved_plan_finishes_what_it_began(
    server: RunningServer, tmp_path: Path, number: int
) -> None:
    folder, plan = tmp_path / "redis-oom-tui", tmp_path / "plan"
    many = [*NAMES, *(b"cache:x%d" % n for n in range(3000))]
    with server.client() as client:
        fill(client, many)
        saved = cleanup(server, tmp_path, "--match", "cache:*", "--save-plan", str(plan))
        saved.communicate()
        backup = tmp_path / "backup"
        tool = cleanup(server, tmp_path, "--plan", str(plan), "--yes", "--backup", str(backup))
        audit = folder / "audit.jsonl"
        batches = (b'"phase":"batch"', b'"phase":"done"')[number % 2]
        until(
            lambda: tool.poll() is not None or (audit.exists() and audit.read_bytes().count(batches) > number // 2),
            "a batch or the end",
        )
        tool.send_signal(signal.SIGKILL)
        tool.communicate()
        there = set(client.scan_iter(b"cache:*", count=5000))
        said, in_doubt = audited(audit)
        deleted = {name for name, letter in said.items() if letter == "d"}
        gone = set(many) - there
        assert deleted <= gone <= deleted | in_doubt
        assert gone <= {record.key for record in read_records(backup) if record is not None}
        again = cleanup(
            server, tmp_path, "--plan", str(plan), "--yes", "--no-backup", "--hash", load_plan(plan).hash[:8], "--json"
        )
        output = again.communicate()
        assert again.returncode == 0, output
        came_to = {unescape_exact(key["key"]): key for key in json.loads(output[0])["keys"]}
        assert {name for name, key in came_to.items() if key["outcome"] == "in doubt"} == gone - deleted
        assert all(came_to[name]["detail"] == "an earlier run of this plan deleted it" for name in deleted)
        left = set(client.scan_iter(b"cache:*", count=5000))
        if server.flavour == "valkey":
            assert not left
        # Without NO-TOUCH, a key that was being saved when the tool was killed looks used, and is kept.
        assert left <= in_doubt
        async with operating(server.connection, tmp_path) as operator:
            await operator.run(await planned(operator, Criteria(patterns=(b"*",))), backup=NO_BACKUP).run()
        assert client.dbsize() == 0


HELD = """
import runpy, sys, time
from pathlib import Path
from redis_oom_tui.files.audit import AuditFile
done, go = AuditFile.done, Path(sys.argv.pop(1))
def held(self, action_id, number, *rest):
    done(self, action_id, number, *rest)
    while not go.exists():
        time.sleep(0.01)
AuditFile.done = held
runpy.run_module("redis_oom_tui", run_name="__main__")
"""
"""The command itself, standing still behind its first batch until there is a file by the name of its first argument."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_stops_at_the_edge_of_a_batch(valkey: RunningServer, tmp_path: Path, number: int) -> None:
    many = [b"cache:%d" % n for n in range(20_000)]
    with valkey.client() as client:
        fill(client, many)
        go = tmp_path / "go"
        tool = cleanup(valkey, tmp_path, "--match", "cache:*", "--yes", "--no-backup", run=("-c", HELD, str(go)))
        audit = tmp_path / "redis-oom-tui" / "audit.jsonl"
        try:
            until(lambda: audit.exists() and b'"phase":"done"' in audit.read_bytes(), "the first batch")
            tool.send_signal(number)
        finally:
            go.touch()
            output, _ = tool.communicate(timeout=60)
        assert tool.returncode == 130
        assert b"Interrupted. Deleted" in output
        said, in_doubt = audited(audit)
        assert not in_doubt
        assert set(client.scan_iter(b"cache:*", count=5000)) == {name for name in many if said.get(name) != "d"}
