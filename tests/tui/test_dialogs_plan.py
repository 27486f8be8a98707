"""The question before a plan runs: what it does, how to undo it, and when it requires a typed word."""

import pytest

from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import PlannedKey
from redis_oom_tui.rules import budget
from redis_oom_tui.tui.dialogs.plan import PlanDialog
from tests.support.scripted_runs import HOSTILE, a_plan, some_keys
from tests.tui.support import an_app, screen_text, until
from tests.tui.test_dialogs import a_plan_dialog, opened

pytestmark = pytest.mark.usefixtures("listening_at_once")


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


def test_no_key_that_the_screen_counts_as_freed_is_kept_for_want_of_a_copy():
    """What a plan frees is summed over all of its keys: so none of them may be one that the run would keep."""
    large = PlannedKey(KeyId(0, b"large"), "hash", 90 << 20)
    dialog = a_plan_dialog([large, *some_keys(3)])
    assert dialog.choice.wanted
    assert not dialog.choice.keep_unsaved
    assert budget.of_what_goes(dialog.plan, dialog.choice) is dialog.plan
    assert "kept" not in " ".join(budget.consent(dialog.plan, dialog.choice))
