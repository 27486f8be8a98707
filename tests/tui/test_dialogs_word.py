"""A word that must be typed: wherever the focus is, whole, and never by a split sequence."""

import pytest

from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.dialogs.questions import ConfirmDialog, Question
from tests.support.scripted_runs import some_keys
from tests.tui.support import an_app, screen_text, until
from tests.tui.test_dialogs import a_plan_dialog, opened

# What a terminal's replies, arrows, mouse reports and pastes come apart into when the link splits them.
SPLIT = (
    ("[", "B"),
    ("[", "D"),
    ("[", "question_mark", "2", "0", "2", "6", "semicolon", "2", "dollar_sign", "y"),
    ("[", "less_than_sign", "0", "semicolon", "1", "0", "semicolon", "5", "M"),
    ("[", "2", "0", "1", "tilde"),
)


pytestmark = pytest.mark.usefixtures("listening_at_once")


async def test_a_word_must_be_typed_whole():
    app = an_app()
    async with app.run_test() as pilot:
        answers = await opened(pilot, ConfirmDialog(Question("Delete?", ("All.",), "Delete", word="delete")))
        await pilot.press("tab")
        assert app.focused.id == "word"
        await pilot.press(*"delet", "enter")
        await pilot.pause()
        assert answers == []
        await pilot.press("tab")
        assert app.focused.id == "cancel", "what acts cannot be reached before the word is there"
        await pilot.press("tab", "e", "enter")
        await until(pilot, lambda: answers == [True])


def asks_for_a_word():
    return ConfirmDialog(Question("Delete?", ("All.",), "Delete", word="delete"))


@pytest.mark.parametrize("focus", ["cancel", "backup"])
async def test_the_word_may_be_typed_wherever_the_focus_is(focus):
    app = an_app()
    async with app.run_test() as pilot:
        dialog = a_plan_dialog(some_keys(1001))
        answers = await opened(pilot, dialog)
        assert "Type delete to confirm:" in screen_text(app)
        assert 'Type "delete" and press Enter' in screen_text(app)
        dialog.query_one(f"#{focus}").focus()
        await until(pilot, lambda: app.focused.id == focus)
        await pilot.press(*"delete")
        assert app.focused.id == "word"
        assert app.focused.value == "delete"
        await pilot.press("enter")
        await until(pilot, lambda: answers == [BackupChoice()])


async def test_a_word_half_typed_goes_on_where_it_was_left_after_a_choice_was_turned():
    app = an_app()
    async with app.run_test() as pilot:
        dialog = a_plan_dialog(some_keys(1001))
        answers = await opened(pilot, dialog)
        await pilot.press(*"del", "shift+tab")
        assert app.focused.id == "backup"
        await pilot.press("space", *"ete", "enter")
        await until(pilot, lambda: answers == [BackupChoice(wanted=False)])


@pytest.mark.parametrize("keys", SPLIT)
async def test_what_a_split_sequence_leaves_does_not_get_into_the_word(keys):
    app = an_app()
    async with app.run_test() as pilot:
        dialog = asks_for_a_word()
        answers = await opened(pilot, dialog)
        await pilot.press(*keys)
        assert dialog.query_one("#word").value == ""
        assert answers == []
        assert app.focused.id == "cancel"


async def test_a_word_typed_before_the_question_can_have_been_read_is_not_heard(monkeypatch):
    monkeypatch.setattr(Dialog, "GUARD_SECONDS", 30.0)
    app = an_app()
    async with app.run_test() as pilot:
        dialog = asks_for_a_word()
        await opened(pilot, dialog)
        await pilot.press(*"delete")
        assert dialog.query_one("#word").value == ""
