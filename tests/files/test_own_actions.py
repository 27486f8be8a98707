"""Whether this tool itself moves a server's memory is read from the audit file, as it is written."""

from pathlib import Path

import pytest

from redis_oom_tui.files.audit import AuditFile
from redis_oom_tui.files.own_actions import OwnActions
from redis_oom_tui.models.action import RestoreOutcome
from redis_oom_tui.models.structs import replace
from tests.rules.snapshots import snapshot_of


class Clock:
    """Stands still until it is set."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


HERE = snapshot_of()


def begun(audit: AuditFile, action: str = "restore", server: str = str(HERE.server.address)) -> str:
    return audit.intent(action, server=server, who="me", what="it")


def test_an_action_is_told_while_it_runs_and_once_more_when_it_has_ended(tmp_path: Path) -> None:
    clock = Clock()
    audit, own = AuditFile(tmp_path / "a", wall=clock), OwnActions(tmp_path / "a", clock)
    assert not own.since_last(HERE)
    name = begun(audit)
    assert [own.since_last(HERE), own.since_last(HERE)] == [True, True]
    audit.batch(name, 1, [(0, b"k" * 2_000_000)])
    audit.done(name, 1, [RestoreOutcome.RESTORED], {})
    assert own.since_last(HERE)
    audit.result(name, ok=True, result="done")
    assert [own.since_last(HERE), own.since_last(HERE)] == [True, False]
    audit.result(begun(audit, "delete"), ok=True, result="done")
    assert [own.since_last(HERE), own.since_last(HERE)] == [True, False]


@pytest.mark.parametrize(("action", "server"), [("set", str(HERE.server.address)), ("restore", "elsewhere:6379")])
def test_what_moves_no_memory_here_is_not_told(tmp_path: Path, action: str, server: str) -> None:
    clock = Clock()
    audit, own = AuditFile(tmp_path / "a", wall=clock), OwnActions(tmp_path / "a", clock)
    assert not own.since_last(HERE)
    name = begun(audit, action, server)
    assert not own.since_last(HERE)
    audit.result(name, ok=True, result="done")
    assert not own.since_last(HERE)


def test_one_under_another_address_is_known_by_the_run_id(tmp_path: Path) -> None:
    run_id = "ab" * 20
    here = replace(HERE, server=replace(HERE.server, run_id=run_id))
    audit, own = AuditFile(tmp_path / "a", wall=Clock()), OwnActions(tmp_path / "a", Clock())
    audit.intent("restore", server="elsewhere:6379", who="me", what="it", run_id=run_id)
    assert [own.since_last(here), own.since_last(HERE)] == [True, False]


def test_what_ended_before_anybody_looked_is_not_told_and_what_runs_is(tmp_path: Path) -> None:
    clock = Clock()
    audit = AuditFile(tmp_path / "a", wall=clock)
    audit.result(begun(audit), ok=True, result="done")
    assert not OwnActions(tmp_path / "a", clock).since_last(HERE)
    name = begun(audit)
    audit.batch(name, 1, [(0, b"k")])
    assert OwnActions(tmp_path / "a", clock).since_last(HERE)


def test_one_that_was_killed_is_not_told_for_ever(tmp_path: Path) -> None:
    clock = Clock()
    audit, own = AuditFile(tmp_path / "a", wall=clock), OwnActions(tmp_path / "a", clock)
    name = begun(audit)
    clock.now += 50
    audit.batch(name, 1, [(0, b"k")])
    clock.now += 50
    assert own.since_last(HERE)
    clock.now += 20
    assert not own.since_last(HERE)


def test_a_file_that_is_unreadable_or_cut_tells_nothing(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "a"
    own = OwnActions(path, clock)
    path.mkdir()
    assert not own.since_last(HERE)
    path.rmdir()
    begun(AuditFile(path, wall=clock))
    path.write_bytes(path.read_bytes()[:-20])
    assert not own.since_last(HERE)
    path.write_bytes(b"no JSON\n\xff\n" + path.read_bytes() + b"\n")
    assert not own.since_last(HERE)
