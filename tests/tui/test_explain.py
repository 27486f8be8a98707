"""F1 explains what has the focus, from one file, and leaves what is below as it is."""

import re

import pytest
from textual.widget import Widget
from textual.widgets import Input

from redis_oom_tui.formatting.columns import key_columns
from redis_oom_tui.formatting.pattern_columns import pattern_columns
from redis_oom_tui.models.scan import ScanState
from redis_oom_tui.rules.tuning import SETTINGS
from redis_oom_tui.tui import messages
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.dialogs.change import ChangeDialog
from redis_oom_tui.tui.dialogs.questions import KeepDialog
from redis_oom_tui.tui.header_model import PANES
from redis_oom_tui.tui.panes.cleanup_form import ENTRIES
from redis_oom_tui.tui.screens.reader import ExplainScreen, explanation, text_for, texts
from redis_oom_tui.tui.terminal.app import ActionPalette
from redis_oom_tui.tui.widgets.fields import Toggle
from tests.support.scripted import FakeClock, ScriptedSource, a_view
from tests.support.scripted_operator import ScriptedOperator
from tests.test_vocabulary import _BANNED, _LONGEST
from tests.tui.support import an_app, screen_text, until


async def asked(pilot, kind, request):
    app = pilot.app
    await until(pilot, lambda: app.session.state is not None and app.session.state.snapshot is not None)
    app.post_message(request)
    await until(pilot, lambda: isinstance(app.screen, kind) and not app.screen.guarded and app.focused is not None)
    return app.screen


async def explained(pilot, words):
    await pilot.press("f1")
    await until(pilot, lambda: isinstance(pilot.app.screen, ExplainScreen) and words in screen_text(pilot.app))


def test_there_is_a_text_for_each_column_each_line_of_the_form_and_each_dialog():
    columns = [f"keys.{column.id}" for column in key_columns()]
    columns += [f"patterns.{column.id}" for column in pattern_columns(partial=True) if column.title]
    entries = [f"form.{entry.field}" for entry in ENTRIES]
    assert [name for name in (*columns, *entries) if name not in texts()] == []
    generic = {"ConfirmDialog", "PickDialog", "PathDialog", "ExportDialog", "ShrinkChoiceDialog"}
    dialogs = {kind.__name__ for kind in _below(Dialog) if not kind.__subclasses__()}
    assert dialogs - texts().keys() - generic == set()


def _below(kind):
    return [one for below in kind.__subclasses__() for one in (below, *_below(below))]


@pytest.mark.parametrize("name", sorted(texts()))
def test_its_words_are_those_of_the_rest_of_the_product(name):
    title, text = texts()[name]
    assert not [word for word in _BANNED if re.search(rf"\b({word})\b", f"{title} {text}", re.IGNORECASE)]
    assert max(len(sentence.split()) for sentence in re.split(r"(?<=[.:;?!])\s", text)) <= _LONGEST


async def test_what_has_the_focus_on_each_pane_is_explained_with_its_columns_and_its_line():
    app = an_app(ScriptedSource(views=[a_view(ScanState.COMPLETE)]), operator=ScriptedOperator())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state is not None and app.session.state.snapshot is not None)
        explained_on = {}
        for number, pane in enumerate(PANES, 1):
            await pilot.press(str(number))
            await until(pilot, lambda pane=pane: app.main.pane == pane and app.focused is not None)
            focusable = [one for one in app.main.active_pane.query(Widget) if one.can_focus]
            assert [one for one in focusable if text_for(one, app.screen) is None] == []
            explained_on[pane] = dict(explanation(app.screen))
        assert "IDLE" in explained_on["hogs"]
        assert "Key pattern" in explained_on["cleanup"]
        await pilot.press("3")
        await until(pilot, lambda: app.session.actions.limits.limits is not None)
        assert SETTINGS["maxmemory-policy"].sentence in dict(explanation(app.screen)).values()
        await explained(pilot, "Limits")
        assert "? lists all keys" in screen_text(app)
        await pilot.press("f1")
        await until(pilot, lambda: app.screen is app.main)


@pytest.mark.parametrize("size", [(60, 20), (120, 36)])
async def test_a_dialog_is_as_it_was_when_its_explanation_is_closed(size, monkeypatch):
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=size) as pilot:
        dialog = await asked(pilot, ChangeDialog, messages.ChangeSetting("maxmemory-policy", "allkeys-lru"))
        assert "F1: help" in screen_text(app)
        dialog.set_focus(dialog.query_one("#revert"))
        await pilot.press("space")
        await until(pilot, lambda: "[x] revert" in screen_text(app))
        before = screen_text(app)
        monkeypatch.setattr(ChangeDialog, "GUARD_SECONDS", 60.0)
        await explained(pilot, "revert automatically in 60s")
        assert "CONFIG SET" in screen_text(app)
        assert SETTINGS["maxmemory-policy"].sentence in dict(explanation(dialog)).values()
        # The Enter that closes it, pressed twice, does nothing to the question below.
        await pilot.press("enter", "enter")
        await until(pilot, lambda: app.screen is dialog and dialog.guarded)
        await until(pilot, lambda: screen_text(app) == before)
        assert dialog.query_one("#revert", Toggle).value
        assert app.focused is dialog.query_one("#revert")
        assert operator.calls == []


async def test_what_lies_over_a_dialog_at_once_leaves_it_deaf_when_it_is_back():
    app = an_app(operator=ScriptedOperator())
    async with app.run_test(size=(120, 36)) as pilot:
        dialog = await asked(pilot, ChangeDialog, messages.ChangeSetting("maxmemory-policy", "allkeys-lru"))
        # As if it had been covered before its first moment was over.
        dialog.on_screen_resume()
        dialog.on_screen_suspend()
        passed: list[bool] = []
        app.set_timer(2 * ChangeDialog.GUARD_SECONDS, lambda: passed.append(True))
        await until(pilot, lambda: passed)
        assert dialog.guarded
        dialog.on_screen_resume()
        await until(pilot, lambda: not dialog.guarded)


async def test_the_palette_is_explained_and_keeps_what_was_typed():
    app = an_app(operator=ScriptedOperator())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state is not None and app.session.state.snapshot is not None)
        await pilot.press(":")
        await until(pilot, lambda: isinstance(app.screen, ActionPalette))
        await pilot.press(*"evict")
        await until(pilot, lambda: "Change maxmemory-policy" in screen_text(app))
        await explained(pilot, "The palette")
        assert "? lists" not in screen_text(app)
        await pilot.press("escape")
        await until(
            pilot, lambda: isinstance(app.screen, ActionPalette) and "Change maxmemory-policy" in screen_text(app)
        )
        assert app.screen.query_one(Input).value == "evict"
        assert app.focused is app.screen.query_one(Input)


async def test_a_time_that_is_up_ends_the_question_under_its_explanation():
    operator, clock = ScriptedOperator(), FakeClock()
    app = an_app(ScriptedSource(clock=clock), operator=operator, clock=clock)
    async with app.run_test(size=(80, 24)) as pilot:
        dialog = await asked(pilot, ChangeDialog, messages.ChangeSetting("maxmemory-policy", "allkeys-lru"))
        dialog.query_one("#revert").focus()
        await pilot.press("space")
        dialog.query_one("#act").focus()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, KeepDialog) and not app.screen.guarded)
        await explained(pilot, "The old value returns: now")
        clock.move(61)
        await until(pilot, lambda: app.screen is app.main)
        await until(pilot, lambda: "reverted to noeviction" in app.session.actions.limits.notice)
