"""What is typed into the form of a cleanup, and what fills it in."""

import re

import pytest

from redis_oom_tui.models.plan import Criteria, Operation, Order, TtlFilter
from redis_oom_tui.models.verdict import Remedy
from redis_oom_tui.tui.flows.state import Stage
from redis_oom_tui.tui.messages import ApplyRemedy
from tests.support.scripted_operator import ScriptedOperator
from tests.tui.support import an_app, screen_text, until
from tests.tui.test_cleanup import at, to_dialog

pytestmark = pytest.mark.usefixtures("listening_at_once")


async def test_tab_keeps_what_was_typed_and_never_leaves_an_open_line():
    app = an_app(operator=ScriptedOperator())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state.snapshot is not None)
        await pilot.press("4", "enter", *"tmp:*", "tab")
        form = app.main.panes["cleanup"]
        await until(pilot, lambda: form.form_view.form.match == "tmp:*" and not form.edit.is_open)
        assert app.focused is form.form_view


async def test_a_finding_fills_in_the_form_and_looks_for_nothing_yet():
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state.snapshot is not None)
        app.post_message(ApplyRemedy(Remedy("cleanup", match=b"cache:\\[x\\]:*")))
        await until(pilot, lambda: app.main.pane == "cleanup")
        await until(pilot, lambda: "cache:" in screen_text(app))
        assert operator.calls == []
        await pilot.press("x")
        await until(pilot, lambda: operator.criteria == [Criteria(patterns=(b"cache:\\[x\\]:*",))])


async def test_the_whole_form_is_what_is_looked_for():
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4", "enter", *"a:*,b:*", "enter", "right", "down")
        await pilot.press("enter", *"0,3", "enter", "enter", *"30d", "enter", "right", "right", "down")
        await pilot.press("enter", *"1mb", "enter", "enter", *"500", "enter", "enter", *"2gb", "enter", "right", "x")
        await until(pilot, lambda: operator.criteria)
        assert operator.criteria[0] == Criteria(
            patterns=(b"a:*", b"b:*"),
            types=("string",),
            databases=(0, 3),
            idle_over_seconds=30 * 86400,
            ttl=TtlFilter.WITHOUT,
            larger_than_bytes=1024**2,
            max_keys=500,
            max_bytes=2 * 1024**3,
            order=Order.OLDEST,
        )


async def test_expire_in_place_of_delete():
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4", "enter", *"a:*", "enter")
        view = app.main.panes["cleanup"].form_view
        view.go_to([entry.field for entry in _entries(view.form)].index("operation"))
        await pilot.press("right", "down", "enter")
        await pilot.press(*["backspace"] * 3, *"1h", "enter", "x")
        await at(pilot, Stage.PREVIEW)
        plan = app.session.actions.cleanup.plan
        assert (plan.operation, plan.expire_seconds) == (Operation.EXPIRE, 3600)
        assert "To expire within 1h00m" in screen_text(app)
        await pilot.press("x")
        await to_dialog(pilot)
        assert "Expire 40 keys?" in screen_text(app)


def _entries(form):
    from redis_oom_tui.tui.panes.cleanup_form import entries

    return entries(form)


@pytest.mark.parametrize(
    ("line", "typed", "sentence"),
    [
        (0, "\\q", "backslash"),
        (2, "x", "not a whole number"),
        (3, "soon", "not a length of time"),
        (5, "50%", "not a size"),
    ],
)
async def test_what_means_nothing_is_told_at_once_and_stays_to_be_mended(line, typed, sentence):
    app = an_app(operator=ScriptedOperator())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4", *["down"] * line, "enter", *typed, "enter")
        await until(pilot, lambda: sentence in screen_text(app))
        assert app.focused.id == "edit"
        await pilot.press("escape")
        await until(pilot, lambda: sentence not in screen_text(app))


async def test_an_empty_form_is_refused_in_a_sentence():
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4", "x")
        await until(pilot, lambda: "Nothing was asked for" in screen_text(app))
        assert app.session.actions.cleanup.stage is Stage.FORM


async def test_a_finding_about_one_database_fills_in_that_one():
    app = an_app(operator=ScriptedOperator())
    async with app.run_test(size=(80, 24)) as pilot:
        app.post_message(ApplyRemedy(Remedy("cleanup", match=b"session:*", db=3)))
        await until(pilot, lambda: re.search(r"Database +3", screen_text(app)) is not None)
        assert "Key pattern      session:*" in screen_text(app)
