"""Limits: a setting that reverts by itself, counted down, kept or back."""

import pytest

from redis_oom_tui.models.structs import replace
from redis_oom_tui.tui.dialogs.questions import ConfirmDialog, KeepDialog
from redis_oom_tui.tui.flows.late_escape import LateEscape
from redis_oom_tui.tui.messages import ChangeSetting
from tests.support.scripted import FakeClock, ScriptedSource, a_snapshot
from tests.support.scripted_operator import ScriptedOperator
from tests.tui.support import an_app, rows, screen_text, until
from tests.tui.test_limits import on_limits, to_dialog

pytestmark = pytest.mark.usefixtures("listening_at_once")


async def change_for_a_minute(pilot) -> None:
    """To allkeys-lru, to go back by itself unless kept."""
    await on_limits(pilot)
    await pilot.press("down", "enter")
    await to_dialog(pilot)
    for widget in ("#revert", "#act"):
        pilot.app.screen.query_one(widget).focus()
        await pilot.press("enter")
    await to_dialog(pilot, KeepDialog)


async def test_a_timed_return_counts_down_and_can_be_kept():
    clock = FakeClock()
    operator = ScriptedOperator()
    app = an_app(ScriptedSource(clock=clock), operator=operator, clock=clock)
    async with app.run_test(size=(80, 24)) as pilot:
        await change_for_a_minute(pilot)
        assert "Reverts to noeviction in 60s" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: "s: keep" in screen_text(app))
        clock.move(20)
        await until(pilot, lambda: "in 40s; s: keep" in screen_text(app))
        for pane in ("1", "2", "4", "5"):
            await pilot.press(pane)
            await until(pilot, lambda: "maxmemory-policy back in 40s" in rows(app)[1])
        await pilot.resize_terminal(60, 16)
        await until(pilot, lambda: "back in 40s" in rows(app)[0])
        await pilot.press("3", "s")
        await until(pilot, lambda: "keep maxmemory-policy" in operator.calls)
        assert "stays allkeys-lru" in screen_text(app)
        await until(pilot, lambda: "back in" not in screen_text(app))


async def test_an_escape_that_comes_as_the_time_is_up_does_nothing_else(monkeypatch):
    monkeypatch.setattr(LateEscape, "SECONDS", 600.0)
    clock = FakeClock()
    app = an_app(ScriptedSource(clock=clock), operator=ScriptedOperator(), clock=clock)
    async with app.run_test(size=(80, 24)) as pilot:
        await change_for_a_minute(pilot)
        clock.move(60.5)
        await until(pilot, lambda: not isinstance(app.screen, KeepDialog))
        await pilot.press("escape")
        await until(pilot, lambda: "its time was up" in screen_text(app))


async def test_kept_is_said_only_of_a_value_that_was_read_back():
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await change_for_a_minute(pilot)
        operator.snapshot = a_snapshot(policy="volatile-ttl")
        await pilot.press("tab", "enter")
        sentence = "no longer reverts, but it is volatile-ttl now, not allkeys-lru: it was changed since"
        await until(pilot, lambda: sentence in " ".join(screen_text(app).split()))
        assert "stays allkeys-lru" not in screen_text(app)


async def test_what_a_timed_return_would_cost_is_said_where_it_is_chosen_and_while_it_waits():
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 30)) as pilot:
        await on_limits(pilot)
        app.post_message(ChangeSetting("maxmemory", "1gb"))
        await to_dialog(pilot)
        assert "When it reverts" not in screen_text(app)
        app.screen.query_one("#revert").focus()
        await pilot.press("enter")
        warning = "When it reverts to 512.0 MiB while more is in use, every"
        await until(pilot, lambda: warning in " ".join(screen_text(app).split()))
        app.screen.query_one("#act").focus()
        await pilot.press("enter")
        await to_dialog(pilot, KeepDialog)
        assert warning in " ".join(screen_text(app).split())


async def test_when_the_time_is_up_it_says_that_the_old_value_is_back():
    clock = FakeClock()
    operator = ScriptedOperator()
    app = an_app(ScriptedSource(clock=clock), operator=operator, clock=clock)
    async with app.run_test(size=(80, 24)) as pilot:
        await change_for_a_minute(pilot)
        await pilot.press("escape")
        clock.move(62)
        await until(pilot, lambda: "reverted to noeviction" in screen_text(app))
        assert app.session.actions.limits.changes == ()


async def test_an_old_value_that_did_not_return_is_not_said_to_be_back():
    clock = FakeClock()
    operator = ScriptedOperator()
    operator.stuck = "cache-1:6379 closed the connection"
    app = an_app(ScriptedSource(clock=clock), operator=operator, clock=clock)
    async with app.run_test(size=(80, 24)) as pilot:
        await change_for_a_minute(pilot)
        await pilot.press("escape")
        clock.move(62)
        await until(pilot, lambda: "did not revert to noeviction (cache-1:6379 closed" in screen_text(app))
        assert app.session.actions.limits.went_wrong
        assert len(app.session.actions.limits.changes) == 1, "it can still be undone"


async def test_who_keeps_it_too_late_is_told_how_it_ended():
    clock = FakeClock()
    operator = ScriptedOperator()
    operator.in_time = False
    app = an_app(ScriptedSource(clock=clock), operator=operator, clock=clock)
    async with app.run_test(size=(80, 24)) as pilot:
        await change_for_a_minute(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: "s: keep" in screen_text(app))
        await pilot.press("s")
        await until(pilot, lambda: "reverted to noeviction" in screen_text(app))


async def test_what_goes_back_by_itself_is_not_written_to_the_file():
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_limits(pilot)
        await pilot.press("down", "enter")
        await to_dialog(pilot)
        for toggle in ("persist", "revert"):
            app.screen.query_one(f"#{toggle}").focus()
            await pilot.press("enter")
        await until(pilot, lambda: "[ ] persist with" in screen_text(app) and "[x] revert auto" in screen_text(app))
        app.screen.query_one("#act").focus()
        await pilot.press("enter")
        await until(pilot, lambda: operator.calls == ["set maxmemory-policy=allkeys-lru persist=False revert=60.0"])


async def test_it_is_told_in_any_pane_that_the_old_value_is_back():
    clock = FakeClock()
    app = an_app(ScriptedSource(clock=clock), operator=ScriptedOperator(), clock=clock)
    async with app.run_test(size=(80, 24)) as pilot:
        await change_for_a_minute(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: "s: keep" in screen_text(app))
        await pilot.press("1")
        await until(pilot, lambda: "memory by use" in screen_text(app))
        clock.move(62)
        await until(pilot, lambda: "maxmemory-policy reverted to noeviction" in screen_text(app))


async def test_leaving_while_a_setting_waits_to_go_back_asks():
    clock = FakeClock()
    app = an_app(ScriptedSource(clock=clock), operator=ScriptedOperator(), clock=clock)
    async with app.run_test(size=(80, 24)) as pilot:
        await change_for_a_minute(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: "s: keep" in screen_text(app))
        await pilot.press("q")
        await to_dialog(pilot, ConfirmDialog)
        assert "maxmemory-policy will revert to noeviction now" in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: "s: keep" in screen_text(app))
        await pilot.press("q")
        await to_dialog(pilot, ConfirmDialog)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: app.return_code == 0)


async def test_what_did_not_go_back_as_the_tool_was_killed_is_told_first():
    sentence = (
        "maxmemory was to revert to 1.0 GiB 4 minutes ago, and the tool was killed before that: it is still 2.0 GiB"
    )

    class Killed(ScriptedOperator):
        async def limits(self, scan=None):
            return replace(await super().limits(scan), unreturned=(sentence,))

    app = an_app(operator=Killed())
    async with app.run_test(size=(80, 24)) as pilot:
        await on_limits(pilot, "! maxmemory was to revert to 1.0 GiB 4 minutes ago")


async def test_a_return_that_others_have_forestalled_is_not_counted_down():
    clock = FakeClock()
    operator = ScriptedOperator()
    app = an_app(ScriptedSource(clock=clock), operator=operator, clock=clock)
    words = "maxmemory-policy is volatile-ttl now, not allkeys-lru: it was changed elsewhere, and does not revert"

    def text() -> str:
        return " ".join(screen_text(app).replace("│", " ").split())

    async with app.run_test(size=(80, 24)) as pilot:
        await change_for_a_minute(pilot)
        operator.snapshot = a_snapshot(policy="volatile-ttl")
        clock.move(3)
        await until(pilot, lambda: words in text())
        assert "Reverts to" not in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: f"{words}; s: keep" in text())
        assert "reverts to" not in screen_text(app)
        await pilot.press("1")
        await until(pilot, lambda: "Limits" in screen_text(app) and "back in" not in rows(app)[1])
        # Where it is set to that again, it reverts after all.
        operator.snapshot = a_snapshot(policy="allkeys-lru")
        clock.move(3)
        await until(pilot, lambda: "maxmemory-policy back in 5" in rows(app)[1])
