"""Dialogs: the safe answer has the focus, nothing that a slow link may type acts, Tab and Enter do."""

from functools import partial
from pathlib import Path

import pytest
from textual import events

from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import PlannedKey
from redis_oom_tui.models.settings import Change
from redis_oom_tui.models.verdict import Remedy
from redis_oom_tui.rules import budget
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.dialogs.change import ChangeDialog
from redis_oom_tui.tui.dialogs.pick import Option, PickDialog
from redis_oom_tui.tui.dialogs.plan import PlanDialog
from redis_oom_tui.tui.dialogs.questions import ConfirmDialog, Question, kill_question
from redis_oom_tui.tui.dialogs.reader import ReadDialog, paragraphs
from redis_oom_tui.tui.dialogs.shrink import ShrinkChoiceDialog
from redis_oom_tui.tui.dialogs.typed import ExportDialog, PathDialog
from redis_oom_tui.tui.messages import ApplyRemedy
from tests.support.scripted import ScriptedSource
from tests.support.scripted_operator import HOSTILE, ScriptedOperator, a_plan, some_keys
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


async def test_a_plan_names_what_it_does_where_and_how_to_undo():
    app = an_app()
    async with app.run_test(size=(80, 30)) as pilot:
        await opened(pilot, a_plan_dialog(hidden=3, budget="To reach 80%, free 1 MiB."))
        text = screen_text(app)
        for words in ("Delete 40 keys", "127.0.0.1:6379", "primary", "database 0", "session:000000", "backup"):
            assert words in text, words
        assert "3 of them are marked rows" in text
        assert "free 1 MiB" in text


async def test_a_large_plan_wants_its_word():
    app = an_app()
    async with app.run_test() as pilot:
        answers = await opened(pilot, a_plan_dialog(some_keys(1001)))
        assert app.screen.query_one("#act").disabled
        await pilot.press("tab", *"delete", "enter")
        await until(pilot, lambda: answers == [BackupChoice()])


async def test_without_a_backup_it_says_that_nothing_comes_back():
    app = an_app()
    async with app.run_test() as pilot:
        answers = await opened(pilot, a_plan_dialog())
        app.screen.query_one("#backup").focus()
        await pilot.press("enter")
        await until(pilot, lambda: "cannot be undone" in screen_text(app))
        assert "Delete 40 keys, no backup" in screen_text(app)
        assert app.screen.query_one("#act").disabled
        await pilot.press(*"delet", "enter")
        await pilot.pause()
        assert answers == []
        await pilot.press("e", "enter")
        await until(pilot, lambda: answers == [BackupChoice(wanted=False)])


async def test_the_word_goes_with_the_backup_that_makes_it_needless():
    app = an_app()
    async with app.run_test() as pilot:
        answers = await opened(pilot, a_plan_dialog())
        app.screen.query_one("#backup").focus()
        await pilot.press("enter")
        await until(pilot, lambda: "Type delete" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "Type delete" not in screen_text(app))
        assert "no backup" not in screen_text(app)
        app.screen.query_one("#act").focus()
        await pilot.press("enter")
        await until(pilot, lambda: answers == [BackupChoice()])


def a_giant(size):
    return PlannedKey(KeyId(0, b"hog"), "hash", size)


@pytest.mark.parametrize("size", [(80, 24), (40, 12)])
async def test_what_no_backup_can_hold_wants_the_word_and_says_so_on_the_button(size):
    app = an_app()
    async with app.run_test(size=size) as pilot:
        answers = await opened(pilot, a_plan_dialog([a_giant(400_000_000)]))
        text = screen_text(app)
        assert ("Delete 1 key, no backup possible" if size[0] == 80 else "Delete, no backup") in text
        assert "[x]" not in text
        await pilot.press("tab", "enter")
        await pilot.pause()
        assert answers == []
        await pilot.press(*"delete", "enter")
        await until(pilot, lambda: answers == [BackupChoice()])


async def test_some_that_no_backup_can_hold_are_counted_on_the_button():
    app = an_app()
    async with app.run_test() as pilot:
        await opened(pilot, a_plan_dialog([a_giant(400_000_000), PlannedKey(KeyId(0, b"k"), "string", 90)]))
        assert "Delete 2 keys, 1 without backup" in screen_text(app)
        assert "[x] write each key to a backup first, but for 1" in screen_text(app)
        assert "Type delete" in screen_text(app)


async def test_what_has_no_room_to_be_read_wants_the_word_as_well():
    app = an_app()
    async with app.run_test() as pilot:
        await opened(pilot, a_plan_dialog([a_giant(4_000_000)], room_bytes=1_000_000))
        assert "Delete 1 key, no backup possible" in screen_text(app)
        assert "Type delete" in screen_text(app)


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_names_are_shown_exactly_and_harmlessly(name):
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, a_plan_dialog(some_keys(0, hostile=True)[HOSTILE.index(name) :][:1]))
        text = screen_text(app)
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "\x9b" not in text
        assert "[ Cancel ]" in text
        assert "Delete 1 key" in text
        if name == b"two  spaces ":
            assert '"two  spaces "' in text


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


async def test_of_a_delete_question_with_many_warnings_what_decides_is_in_view_at_80x24():
    flags = tuple(f"Warning {n}: {'what it warns of, in some more words ' * 3}".strip() for n in range(4))
    plan = a_plan(some_keys(2000, hostile=True), flags=flags, complete=False)
    budgeted = "To reach 80%, free 99.4 MiB; this plan frees 4.6 MiB, from 99.4% to about 98.5%: 94.8 MiB short."
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        dialog = PlanDialog(plan, lambda choice: budget.consent(plan, choice), word="delete", budget=budgeted)
        await opened(pilot, dialog)
        text = " ".join(screen_text(app).replace("│", " ").split())
        for words in ("Delete 2,008 keys (7.7 GiB)", "written to the backup", budgeted, "! Warning 3", "Type delete"):
            assert words in text
        assert text.count("search ended early") == 1
        assert '"[red]k[/red]"' in text
        assert "and 2,00" in text, "all of it is in view: fewer names, and no scrolling"


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
        told = " ".join(screen_text(app).replace("│", " ").split())
        assert " ".join(label.split()) in told
        assert "none of it" in told


async def test_closing_a_client_names_it_by_what_it_is():
    client = ClientBuffer(
        id=77, address="10.0.0.9:5123", name=b"\x1b[2Jreports", command=b"monitor", flags="O", total_bytes=9 * 1024**2
    )
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, ConfirmDialog(kill_question(client, "127.0.0.1:6379 (primary)")))
        text = screen_text(app)
        for words in ("client 77", "10.0.0.9:5123", "\\x1b[2Jreports", "9.0 MiB", "127.0.0.1:6379"):
            assert words in text, words


async def test_a_client_is_picked_asked_about_and_closed_by_its_id():
    clients = [ClientBuffer(id=n, address=f"10.0.0.{n}:5000", total_bytes=n * 1024**2) for n in range(1, 4)]
    operator = ScriptedOperator()
    app = an_app(ScriptedSource(clients=clients), operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state.clients)
        await pilot.press("c")
        await until(pilot, lambda: "Which client?" in screen_text(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog) and screen_text(app).strip() != "")
        await pilot.press("enter")
        await pilot.pause()
        assert operator.calls == []
        app.post_message(ApplyRemedy(Remedy("triage", client_id=3)))
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog) and "10.0.0.3:5000" in screen_text(app))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: operator.calls == ["kill 3"])


async def test_a_client_that_has_gone_is_told():
    app = an_app(operator=ScriptedOperator())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state.snapshot is not None)
        app.post_message(ApplyRemedy(Remedy("triage", client_id=99)))
        await until(pilot, lambda: "Client 99 has already disconnected" in screen_text(app))


async def test_without_an_operator_the_key_is_grey_and_says_why():
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state.snapshot is not None)
        await pilot.press("c")
        await until(pilot, lambda: "Nothing can be changed" in screen_text(app))


async def test_memory_is_purged_from_the_palette_after_a_question():
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state.snapshot is not None)
        commands = {command.title: command for command in app.get_system_commands(app.screen)}
        commands["Purge free memory"].callback()
        await until(pilot, lambda: "Run MEMORY PURGE?" in screen_text(app) and app.focused is not None)
        assert "never used_memory" in screen_text(app)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: operator.calls == ["purge"])


async def test_the_wheel_scrolls_the_text():
    app = an_app()
    async with app.run_test(size=(60, 14)) as pilot:
        await opened(pilot, ReadDialog("Long", partial(paragraphs, [(f"line {n}", "text") for n in range(60)])))
        await until(pilot, lambda: "line 0" in screen_text(app))
        text = app.screen.query_one("DialogText")
        text.post_message(events.MouseScrollDown(text, 1, 1, 0, 1, 0, False, False, False))
        await until(pilot, lambda: "line 0" not in screen_text(app) and "line 3" in screen_text(app))


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


def test_no_key_that_the_screen_counts_as_freed_is_kept_for_want_of_a_copy():
    """What a plan frees is summed over all of its keys: so none of them may be one that the run would keep."""
    large = PlannedKey(KeyId(0, b"large"), "hash", 90 << 20)
    dialog = a_plan_dialog([large, *some_keys(3)])
    assert dialog.choice.wanted
    assert not dialog.choice.keep_unsaved
    assert budget.of_what_goes(dialog.plan, dialog.choice) is dialog.plan
    assert "kept" not in " ".join(budget.consent(dialog.plan, dialog.choice))
