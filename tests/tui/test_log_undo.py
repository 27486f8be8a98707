"""Log: an action is undone after a question, from its backup or any other."""

from pathlib import Path

import pytest

from redis_oom_tui.models.action import Action, AuditEntry, Backup, BackupInspection
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.dialogs.questions import ConfirmDialog
from redis_oom_tui.tui.panes.log_draw import LogEntry, in_full
from tests.support.scripted_operator import ScriptedOperator
from tests.tui.support import an_app, screen_text, until
from tests.tui.test_log import NOW, an_entry, on_log

MIB = 1024 * 1024


pytestmark = pytest.mark.usefixtures("listening_at_once")


async def test_an_entry_is_undone_after_a_question():
    operator = ScriptedOperator()
    operator.entries = [an_entry(1)]
    app = an_app(operator=operator)
    async with app.run_test(size=(100, 24)) as pilot:
        await on_log(pilot, "delete     1 keys")
        view = app.main.panes["log"].view
        while view.current.entry is None:
            await pilot.press("down")
        await pilot.press("z")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog) and screen_text(app).strip() != "")
        assert "/state/backups/1.jsonl" in screen_text(app)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: "38 of 40 keys are back" in screen_text(app))
        assert operator.restores[0].path == Path("/state/backups/1.jsonl")


async def test_a_damaged_backup_is_restored_only_as_far_as_it_can_be_read_and_the_button_says_so():
    operator = ScriptedOperator()
    operator.entries = [an_entry(1)]
    path = Path("/state/backups/1.jsonl")
    operator.inspections[path] = BackupInspection(
        Backup(str(path), NOW, "127.0.0.1:6379", "valkey", "9.1.2", 120, 99),
        119,
        expected=120,
        damaged=True,
        note="It is damaged: 119 of 120 keys.",
    )
    app = an_app(operator=operator)
    async with app.run_test(size=(100, 24)) as pilot:
        await on_log(pilot, "delete     1 keys")
        view = app.main.panes["log"].view
        while view.current.entry is None:
            await pilot.press("down")
        await pilot.press("z")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog) and "119 of 120" in screen_text(app))
        assert "Restore what can be read" in screen_text(app)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: "38 of 40 keys are back" in screen_text(app))
        assert operator.calls[-1] == f"restore {path} damaged"


async def test_any_backup_can_be_picked():
    operator = ScriptedOperator()
    operator.some_backups = (
        Backup("/b/new.jsonl", NOW, "127.0.0.1:6379", "valkey", "9.1.2", 40, 12 * MIB),
        Backup("/b/old.jsonl", NOW - 9999, "127.0.0.1:6379", "valkey", "9.1.2", 7, MIB),
    )
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_log(pilot, "active alert")
        await pilot.press("b")
        await until(pilot, lambda: "Which backup?" in screen_text(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog) and screen_text(app).strip() != "")
        assert "/b/old.jsonl" in screen_text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert [str(one.path) for one in operator.restores if one.done.is_set()] == ["/b/old.jsonl"]
        assert app.main.pane == "log", "nothing was put back"


async def test_without_the_right_to_restore_the_keys_say_why():
    operator = ScriptedOperator(refusals={Action.RESTORE: "The tool runs with --read-only"})
    operator.entries = [an_entry(1)]
    app = an_app(operator=operator)
    async with app.run_test(size=(40, 12)) as pilot:
        await until(pilot, lambda: app.session.state.snapshot is not None)
        await pilot.press("5", "b")
        await until(pilot, lambda: "--read-only" in screen_text(app))
        assert not isinstance(app.screen, Dialog)


@pytest.mark.parametrize(("action", "named"), [("restore", "The backup: "), ("delete", "To undo: ")])
def test_a_backup_that_was_put_back_is_not_said_to_take_that_back(action: str, named: str) -> None:
    entry = AuditEntry(10.0, "a", action, "n:1", "sre", "5 keys", 12.0, "Done.", True, undo="/backups/a.jsonl")
    texts = [text for text, _ in in_full(LogEntry(10.0, entry=entry))]
    assert f"{named}/backups/a.jsonl" in texts
