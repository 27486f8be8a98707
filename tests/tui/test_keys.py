"""Every action has a key that is in the help and in the palette, and no letter or digit does harm."""

import pytest
from textual.command import CommandPalette

from redis_oom_tui.models.config import Profile, ScreenOptions
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.tui.app import TriageApp
from redis_oom_tui.tui.commands import check_keymap, is_move, live, title, words
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.header_model import PANES
from redis_oom_tui.tui.run import run_app
from redis_oom_tui.tui.screens.reader import sections
from redis_oom_tui.tui.terminal.environment import THEMES
from redis_oom_tui.tui.themes import SCREEN_THEMES
from redis_oom_tui.tui.widgets.cursor_list import CursorList
from tests.support.scripted import ScriptedSource
from tests.support.scripted_operator import ScriptedOperator
from tests.tui.support import an_app, screen_text, until


@pytest.mark.parametrize("pane", PANES)
async def test_every_binding_leads_to_an_action_and_stands_in_help_and_palette(pane):
    app = an_app()
    async with app.run_test(size=(100, 40)) as pilot:
        app.main.action_show_pane(pane)
        await pilot.pause()
        bindings = live(app.screen.active_bindings.values())
        assert len(bindings) > 8
        in_help = {text for _, entries in sections([active for active, _ in bindings]) for _, text in entries}
        in_palette = {command.title for command in app.get_system_commands(app.screen)}
        for active, _ in bindings:
            name = active.binding.action.split("(")[0]
            assert hasattr(active.node, f"action_{name}"), active.binding
            assert words(active) in in_help
            assert title(active) in in_palette or is_move(active) or not active.enabled


@pytest.mark.parametrize("pane", PANES)
async def test_tab_never_goes_where_the_arrow_keys_move_nothing(pane):
    app = an_app(operator=ScriptedOperator())
    async with app.run_test(size=(100, 40)) as pilot:
        app.main.action_show_pane(pane)
        await pilot.pause()
        for _ in range(3):
            await pilot.press("tab")
            assert isinstance(app.focused, CursorList)


@pytest.mark.parametrize("pane", PANES)
async def test_what_a_stray_reply_of_the_terminal_types_never_asks_the_operator_for_anything(pane):
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        app.main.action_show_pane(pane)
        await pilot.pause()
        for active, _ in live(app.screen.active_bindings.values()):
            key = active.binding.key
            if key in ("A", "B", "C", "D", "H", "F", "M", "R", "c", "u", "y", "tilde"):
                assert not active.binding.action.startswith(("delete", "run", "set", "kill"))


async def test_the_palette_does_what_its_line_says():
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2", "ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        await pilot.press(*"freez")
        await until(pilot, lambda: "Freeze the display" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.main.frozen)


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("evict", "Change maxmemory-policy"),
        ("maxmemory", "Change maxmemory"),
        ("delete", "Free memory"),
        ("polling continues", "Freeze"),
        ("backup", "Restore a backup"),
    ],
)
async def test_the_palette_finds_by_description_setting_and_key_word(typed, found):
    app = an_app(operator=ScriptedOperator())
    async with app.run_test(size=(100, 60)) as pilot:
        await until(pilot, lambda: app.session.state is not None and app.session.state.snapshot is not None)
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        await pilot.press(*("space" if letter == " " else letter for letter in typed))
        # It is the first: Enter takes it.
        await until(pilot, lambda: screen_text(app).split(typed, 1)[-1].strip("│┃▔▁▊▎ \n").startswith(found))


async def test_a_setting_is_changed_from_the_palette_after_a_question():
    app = an_app(operator=ScriptedOperator())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state is not None and app.session.state.snapshot is not None)
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        await pilot.press(*"maxmemory-policy")
        await until(pilot, lambda: "Change maxmemory-policy" in screen_text(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, Dialog))


async def test_a_theme_is_in_use_at_once():
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        for theme in SCREEN_THEMES:
            app.set_theme(theme)
            await pilot.pause()
            assert app.screen_theme is SCREEN_THEMES[theme]


async def test_keys_can_be_bound_anew_by_their_ids():
    app = an_app(keymap={"freeze": "F", "hogs.scan": "ctrl+r"})
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("F")
        await pilot.pause()
        assert app.main.frozen
        await until(pilot, lambda: "F unfreeze" in screen_text(app))
        await pilot.press("F")
        await until(pilot, lambda: "F freeze" in screen_text(app))
        await pilot.press("f", "2", "ctrl+r")
        await pilot.pause()
        assert app.session.source.scans


def test_a_keymap_for_what_is_not_there_is_one_sentence():
    check_keymap({"freeze": "F", "table.sort": "o"}, TriageApp)
    with pytest.raises(BadInput, match=r"\[keys\] names 'freze', and nothing is called that; .*freeze"):
        check_keymap({"freze": "F"}, TriageApp)


async def test_a_production_server_cannot_be_overlooked():
    app = an_app(profile=Profile("cache-eu", production=True, read_only=True))
    async with app.run_test(size=(100, 24)) as pilot:
        await pilot.pause()
        assert "cache-eu PRODUCTION" in screen_text(app).splitlines()[0]
        assert "read-only" in screen_text(app).splitlines()[0]


def test_the_themes_that_may_be_named_are_those_there_are():
    assert set(THEMES) == set(SCREEN_THEMES)


def test_an_unknown_theme_is_one_sentence():
    with pytest.raises(BadInput, match="'pink' is not a theme"):
        run_app(ScriptedSource(), options=ScreenOptions(theme="pink"))
