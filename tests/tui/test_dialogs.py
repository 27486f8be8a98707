"""Dialogs: the safe answer has the focus, nothing that a slow link may type acts, Tab and Enter do."""

from functools import partial
from pathlib import Path

import pytest
from textual import events

from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.settings import Change
from redis_oom_tui.rules import budget
from redis_oom_tui.tui.dialogs.answers import ExportDialog, Option, PathDialog, PickDialog
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.dialogs.change import ChangeDialog
from redis_oom_tui.tui.dialogs.plan import PlanDialog, ShrinkChoiceDialog
from redis_oom_tui.tui.dialogs.questions import ConfirmDialog, Question, ReadDialog, paragraphs
from tests.support.scripted_runs import a_plan, some_keys
from tests.tui.support import an_app, screen_text, until

QUESTION = Question("Delete it?", ("One sentence.",), "Delete", warnings=("Beware.",))


# What a terminal's replies, arrows, mouse reports and pastes come apart into when the link splits them.
SPLIT = (
    ("[", "B"),
    ("[", "D"),
    ("[", "question_mark", "2", "0", "2", "6", "semicolon", "2", "dollar_sign", "y"),
    ("[", "less_than_sign", "0", "semicolon", "1", "0", "semicolon", "5", "M"),
    ("[", "2", "0", "1", "tilde"),
)


pytestmark = pytest.mark.usefixtures("listening_at_once")


def shown(app, dialog):
    answers = []
    app.push_screen(dialog, answers.append)
    return answers


async def opened(pilot, dialog):
    answers = shown(pilot.app, dialog)
    await until(pilot, lambda: pilot.app.screen is dialog and pilot.app.focused is not None)
    await until(pilot, lambda: screen_text(pilot.app).strip() != "")
    return answers


def a_plan_dialog(keys=None, **changes):
    plan = a_plan(keys)
    return PlanDialog(plan, lambda choice: budget.consent(plan, choice), word=budget.confirm_word(plan), **changes)


@pytest.mark.parametrize("size", [(80, 24), (40, 12)])
@pytest.mark.parametrize("make", [lambda: ConfirmDialog(QUESTION), a_plan_dialog])
async def test_cancel_has_the_focus_and_enter_on_it_changes_nothing(make, size):
    app = an_app()
    async with app.run_test(size=size) as pilot:
        answers = await opened(pilot, make())
        assert app.focused.id == "cancel"
        assert "[ Cancel ]" in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: answers == [None])


async def test_tab_and_enter_act():
    app = an_app()
    async with app.run_test() as pilot:
        answers = await opened(pilot, ConfirmDialog(QUESTION))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: answers == [True])


@pytest.mark.parametrize(("keys", "answer"), [(("tab", "enter"), True), (("tab", "shift+tab", "enter"), None)])
async def test_keys_that_arrive_in_one_packet_are_taken_in_their_order(keys, answer):
    app = an_app()
    async with app.run_test() as pilot:
        answers = await opened(pilot, ConfirmDialog(QUESTION))
        for key in keys:
            app.post_message(events.Key(key, None))
        await until(pilot, lambda: answers == [answer])


async def test_the_focus_is_seen_where_it_is():
    app = an_app()
    async with app.run_test() as pilot:
        await opened(pilot, ConfirmDialog(QUESTION))
        await until(pilot, lambda: "[ Cancel ]" in screen_text(app))
        await pilot.press("tab")
        await until(pilot, lambda: "[ Delete ]" in screen_text(app))
        assert "[ Cancel ]" not in screen_text(app)


async def test_a_choice_with_the_focus_is_marked_by_more_than_color():
    app = an_app()
    async with app.run_test() as pilot:
        await opened(pilot, a_plan_dialog())
        assert " [x] write each key" in screen_text(app)
        app.screen.query_one("#backup").focus()
        await until(pilot, lambda: f"{app.style.glyphs.cursor}[x] write each key" in screen_text(app))


@pytest.mark.parametrize(
    ("make", "stops"),
    [
        (lambda: ConfirmDialog(QUESTION), 2),
        (a_plan_dialog, 3),
        (lambda: ChangeDialog(Change("maxmemory", "1", "2"), where="here"), 4),
        (lambda: ExportDialog(Path("report.md")), 4),
        (lambda: PathDialog("Open", "A scan.", None, act="Open", new=False), 3),
        (lambda: ShrinkChoiceDialog(KeyId(0, b"a"), "list"), 3),
        (lambda: PickDialog("Which?", "One.", [Option("1", "one"), Option("2", "two")]), 2),
    ],
)
async def test_tab_goes_through_a_dialog_as_it_is_read_and_back(make, stops):
    app = an_app()
    async with app.run_test() as pilot:
        await opened(pilot, make())
        first, seen = app.focused, [app.focused]
        await pilot.press("tab")
        while app.focused is not first:
            seen.append(app.focused)
            await pilot.press("tab")
        assert len(seen) == stops
        places = [(widget.region.y, widget.region.x) for widget in seen]
        top = places.index(min(places))
        assert places[top:] + places[:top] == sorted(places)
        await pilot.press("shift+tab")
        assert app.focused is seen[-1]


async def test_escape_leaves():
    app = an_app()
    async with app.run_test() as pilot:
        answers = await opened(pilot, ConfirmDialog(QUESTION))
        await pilot.press("tab", "escape")
        await until(pilot, lambda: answers == [None])


async def test_no_letter_digit_or_sign_answers_wherever_the_focus_is():
    app = an_app()
    async with app.run_test() as pilot:
        dialog = ConfirmDialog(QUESTION)
        answers = await opened(pilot, dialog)
        for focus in ("cancel", "act"):
            dialog.query_one(f"#{focus}").focus()
            await pilot.press(*"yYnNdDABCFHMRcuo019", "space", "tilde", "dollar_sign")
        await pilot.pause()
        assert answers == []
        assert app.screen is dialog


@pytest.mark.parametrize("keys", SPLIT)
async def test_a_split_sequence_does_not_act(keys):
    app = an_app()
    async with app.run_test() as pilot:
        dialog = ConfirmDialog(QUESTION)
        answers = await opened(pilot, dialog)
        dialog.query_one("#act").focus()
        await pilot.press(*keys)
        await pilot.pause()
        assert answers == []


async def test_keys_meant_for_what_was_there_before_are_ignored(monkeypatch):
    monkeypatch.setattr(Dialog, "GUARD_SECONDS", 30.0)
    app = an_app()
    async with app.run_test() as pilot:
        dialog = ConfirmDialog(QUESTION)
        answers = await opened(pilot, dialog)
        await pilot.press("tab", "enter", "escape", "enter")
        await pilot.click("#act")
        await pilot.pause()
        assert answers == []
        assert app.focused.id == "cancel"
        dialog._listen()
        await pilot.press("tab", "enter")
        await until(pilot, lambda: answers == [True])


@pytest.mark.parametrize("size", [(80, 24), (40, 12), (30, 10)])
async def test_small_terminals_cut_off_no_button(size):
    app = an_app()
    async with app.run_test(size=size) as pilot:
        dialog = a_plan_dialog(some_keys(2000, hostile=True), hidden=5)
        await opened(pilot, dialog)
        await pilot.pause()
        for button in ("cancel", "act"):
            region = dialog.query_one(f"#{button}").region
            assert region.bottom <= size[1]
            assert region.x >= 0
            assert region.height == 1
        assert dialog.query_one("#word").region.bottom <= size[1]
        if size[1] < 24:
            before = screen_text(app)
            await pilot.press("pagedown")
            await until(pilot, lambda: screen_text(app) != before)


async def test_text_longer_than_the_screen_says_so_and_scrolls_to_its_end():
    app = an_app()
    async with app.run_test(size=(60, 14)) as pilot:
        await opened(pilot, ReadDialog("Long", partial(paragraphs, [(f"line {n}", "text") for n in range(60)])))
        await until(pilot, lambda: "up and down show the rest" in screen_text(app))
        for _ in range(12):
            await pilot.press("pagedown")
        await until(pilot, lambda: "line 59" in screen_text(app))


async def test_what_may_be_picked_is_read_to_its_end():
    label = "4.2 MiB  results of finished tasks not used for an hour: celery-task-meta-* and whatever else there is"
    app = an_app()
    async with app.run_test(size=(60, 20)) as pilot:
        await opened(pilot, PickDialog("What may go?", "It must go.", [Option("1", label), Option("2", "none of it")]))
        text = " ".join(screen_text(app).replace("│", " ").split())
        assert " ".join(label.split()) in text
        assert "none of it" in text


@pytest.mark.parametrize("size", [(20, 5), (40, 12)])
async def test_what_enter_picks_is_seen_on_the_smallest_screen(size):
    options = [Option(str(n), f"choice {n}", "what it is good for") for n in range(9)]
    app = an_app()
    async with app.run_test(size=size) as pilot:
        await opened(pilot, PickDialog("Which?", "A long introduction, which is of several lines here. " * 2, options))
        assert "choice 0" in screen_text(app)
        await pilot.press("down", "down")
        await until(pilot, lambda: f"{app.style.glyphs.cursor} choice 2" in screen_text(app))


async def test_the_wheel_scrolls_the_text():
    app = an_app()
    async with app.run_test(size=(60, 14)) as pilot:
        await opened(pilot, ReadDialog("Long", partial(paragraphs, [(f"line {n}", "text") for n in range(60)])))
        await until(pilot, lambda: "line 0" in screen_text(app))
        text = app.screen.query_one("DialogText")
        text.post_message(events.MouseScrollDown(text, 1, 1, 0, 1, 0, False, False, False))
        await until(pilot, lambda: "line 0" not in screen_text(app) and "line 3" in screen_text(app))


async def test_up_and_down_reach_the_choices_and_cancel_but_never_what_acts():
    app = an_app()
    async with app.run_test(size=(80, 40)) as pilot:
        dialog = a_plan_dialog(some_keys(3))
        await opened(pilot, dialog)
        for key, focus in (("up", "backup"), ("up", "cancel"), ("down", "backup"), ("down", "cancel")):
            await pilot.press(key)
            assert app.focused.id == focus
        dialog.query_one("#act").focus()
        await until(pilot, lambda: app.focused.id == "act")
        await pilot.press("up")
        assert app.focused.id == "backup"


async def test_up_and_down_scroll_where_there_is_more_to_read():
    app = an_app()
    async with app.run_test(size=(40, 12)) as pilot:
        await opened(pilot, a_plan_dialog(some_keys(40)))
        before = screen_text(app)
        await pilot.press("down")
        await until(pilot, lambda: screen_text(app) != before)
        assert app.focused.id == "cancel"
