"""Pane 4: a plan from the form, from marks or from a finding, its list, its one confirmation, its run and its undo."""

import re
from pathlib import Path

import pytest

from redis_oom_tui.models.action import Action, Backup
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.errors import ServerUnreachable
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Operation, Order, TtlFilter
from redis_oom_tui.models.snapshot import Memory, Server, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Remedy
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.dialogs.plan import PlanDialog
from redis_oom_tui.tui.dialogs.questions import ConfirmDialog, restore_question
from redis_oom_tui.tui.flows.state import Stage
from redis_oom_tui.tui.messages import ApplyRemedy, MakePlan
from tests.support.scripted_operator import HOSTILE, ScriptedOperator, a_plan, some_keys
from tests.tui.support import an_app, rows, screen_text, until

pytestmark = pytest.mark.usefixtures("listening_at_once")


def enabled_keys(app):
    return {key for key, active in app.screen.active_bindings.items() if active.enabled}


MARKS = {Stage.PREVIEW: "To ", Stage.REPORT: "used before", Stage.RESTORED: "Restored from"}


async def at(pilot, stage):
    """The cleanup is at that stage, and the screen shows it."""
    app = pilot.app
    await until(pilot, lambda: app.session.actions.cleanup.stage is stage and MARKS[stage] in screen_text(app))


async def to_preview(pilot, *, pattern="session:*"):
    await until(pilot, lambda: pilot.app.session.state.snapshot is not None)
    await pilot.press("4", "enter", *pattern, "enter", "x")
    await at(pilot, Stage.PREVIEW)


async def to_dialog(pilot, kind=PlanDialog):
    await until(pilot, lambda: isinstance(pilot.app.screen, kind) and pilot.app.focused is not None)
    await until(pilot, lambda: screen_text(pilot.app).strip() != "")


async def run_it(pilot):
    await to_preview(pilot)
    await pilot.press("x")
    await to_dialog(pilot)
    await pilot.press("tab", "enter")


async def test_a_plan_from_the_form_to_the_report():
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await to_preview(pilot)
        assert operator.criteria == [Criteria(patterns=(b"session:*",))]
        assert "40 keys" in screen_text(app)
        assert '"session:000000"' in screen_text(app)
        assert "To reach 80%" in screen_text(app)
        await pilot.press("x")
        await to_dialog(pilot)
        assert app.focused.id == "cancel"
        await pilot.press("tab", "enter")
        await at(pilot, Stage.REPORT)
        assert operator.calls == ["plan delete", "run delete 40 backup=True"]
        text = screen_text(app)
        for words in (
            "deleted 36",
            "changed 4",
            "backup   /state/backups/one.oomb",
            "509.0 MiB used before",
            "99.4 MiB more to reach 80%",
            '"session:000009"',
        ):
            assert words in text, words


@pytest.mark.parametrize("keys", [("enter",), ("escape",), ("y",), ("1",), ("d",), ("tab", "escape"), ("tab", "y")])
async def test_nothing_runs_unconfirmed(keys):
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await to_preview(pilot)
        await pilot.press("x")
        await to_dialog(pilot)
        await pilot.press(*keys)
        await pilot.pause()
        assert operator.calls == ["plan delete"]


async def test_tab_keeps_what_was_typed_and_never_leaves_an_open_line():
    app = an_app(operator=ScriptedOperator())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state.snapshot is not None)
        await pilot.press("4", "enter", *"tmp:*", "tab")
        form = app.main.panes["cleanup"]
        await until(pilot, lambda: form.form_view.form.match == "tmp:*" and not form.edit.is_open)
        assert app.focused is form.form_view


async def test_what_runs_is_the_plan_that_was_shown():
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await to_preview(pilot)
        shown = app.session.actions.cleanup.plan
        await pilot.press("x")
        await to_dialog(pilot)
        operator.a_plan = a_plan(some_keys(3))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: operator.runs)
        assert operator.runs[0].plan is shown


async def test_marked_rows_of_hogs_are_planned_by_identity_and_the_hidden_ones_are_told():
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    marks = tuple(KeyId(0, name) for name in HOSTILE)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state.snapshot is not None)
        app.post_message(MakePlan(Criteria(keys=marks), "8 marked in Hogs", hidden=3))
        await at(pilot, Stage.PREVIEW)
        assert app.main.pane == "cleanup"
        assert operator.criteria == [Criteria(keys=marks)]
        assert "3 of them are marked rows" in screen_text(app)
        await pilot.press("x")
        await to_dialog(pilot)
        assert "3 of them are marked rows" in screen_text(app)


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


async def test_escape_stops_the_search_and_what_was_found_is_a_plan_that_says_so():
    operator = ScriptedOperator(hurry=False)
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4", "enter", *"s*", "enter", "x")
        await until(pilot, lambda: "200,000 of 413,200" in screen_text(app))
        await pilot.press("escape")
        await at(pilot, Stage.PREVIEW)
        assert "The search ended early" in screen_text(app)


async def test_a_run_shows_how_far_it_is_and_stops_at_an_edge():
    operator = ScriptedOperator(hurry=False)
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4", "enter", *"s*", "enter", "x")
        await until(pilot, lambda: operator.plannings)
        operator.plannings[0].done.set()
        await at(pilot, Stage.PREVIEW)
        await pilot.press("x")
        await to_dialog(pilot)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: operator.runs)
        run = operator.runs[0]
        run.step(10)
        run.words = "throttled: the server answers in 40 ms"
        await until(pilot, lambda: "10 of 40 keys" in screen_text(app))
        assert "throttled: the server answers in 40 ms" in screen_text(app)
        await pilot.press("1", "4")
        await pilot.press("escape")
        await at(pilot, Stage.REPORT)
        assert "Stopped by you" in screen_text(app)
        assert "not attempted 30" in screen_text(app)


async def test_leaving_in_the_middle_of_a_run_asks_and_then_waits_for_its_edge():
    operator = ScriptedOperator(hurry=False)
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4", "enter", *"s*", "enter", "x")
        await until(pilot, lambda: operator.plannings)
        operator.plannings[0].done.set()
        await at(pilot, Stage.PREVIEW)
        await pilot.press("x")
        await to_dialog(pilot)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.RUNNING)
        await pilot.press("q")
        await until(pilot, lambda: "Stop it and quit?" in screen_text(app))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: not app.is_running)
    assert operator.runs[0].ended == "Stopped by you at the edge of a batch."


async def test_undo_of_a_run_asks_and_puts_its_backup_back():
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await run_it(pilot)
        await at(pilot, Stage.REPORT)
        await pilot.press("z")
        await to_dialog(pilot, ConfirmDialog)
        assert "never overwritten" in screen_text(app)
        await pilot.press("enter")
        await pilot.pause()
        assert operator.restores[0].done.is_set()
        assert app.session.actions.cleanup.stage is Stage.REPORT, "Cancel had the focus: nothing was put back"
        await pilot.press("z")
        await to_dialog(pilot, ConfirmDialog)
        await pilot.press("tab", "enter")
        await at(pilot, Stage.RESTORED)
        assert "38 of 40 keys are back" in screen_text(app)
        assert operator.restores[-1].path == Path("/state/backups/one.oomb")


def test_the_restore_dialog_warns_of_a_server_that_takes_no_key_back():
    full = Snapshot(0.0, 0.0, Server("redis", "7", "master", Address()), Memory(used_bytes=130, maxmemory_bytes=100))
    asked = restore_question("one.oomb", "cache-1", None, full)
    assert any("over maxmemory, at 130% of maxmemory. Nothing is restored" in warning for warning in asked.warnings)
    roomy = replace(full, memory=replace(full.memory, used_bytes=50))
    asked = restore_question("one.oomb", "cache-1", None, roomy)
    assert (asked.warnings, "There is room for 50 B below maxmemory." in asked.lines) == ((), True)


def test_the_restore_dialog_knows_the_cluster_that_a_backup_is_of():
    backup = Backup("one.oomb", 0.0, "the cluster behind 10.0.0.1:7000", "valkey", "9", 5, 500)
    asked = restore_question("one.oomb", "the cluster of 10.0.0.1:7000 (3 primaries)", backup, None)
    assert not any("different address" in warning for warning in asked.warnings)
    asked = restore_question("one.oomb", "the cluster of 10.0.0.2:7000 (3 primaries)", backup, None)
    assert any("different address" in warning for warning in asked.warnings)


async def test_the_list_scrolls_to_every_key_and_shows_a_long_name_whole():
    operator = ScriptedOperator(plan=a_plan(some_keys(100, hostile=True)))
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await to_preview(pilot)
        assert '"[/x]"' in screen_text(app)
        await pilot.press("end")
        await until(pilot, lambda: '"session:000099"' in screen_text(app))
        await pilot.press("home", *["down"] * 7, "enter")
        await until(pilot, lambda: "100,000 bytes long" in screen_text(app))
        assert "up and down show the rest" in screen_text(app)


async def test_hostile_names_come_through_every_stage():
    operator = ScriptedOperator(plan=a_plan(some_keys(0, hostile=True)))
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await to_preview(pilot)
        texts = [screen_text(app)]
        await pilot.press("x")
        await to_dialog(pilot)
        texts.append(screen_text(app))
        await pilot.press("tab", "enter")
        await at(pilot, Stage.REPORT)
        texts.append(screen_text(app))
        assert not any(odd in text for text in texts for odd in ("\x1b", "\x9b", "\u202e", "\x07"))
        assert "[red]k[/red]" in texts[0]


async def test_forty_columns_show_the_form_the_list_and_the_question():
    operator = ScriptedOperator(plan=a_plan(some_keys(1200)))
    app = an_app(operator=operator)
    async with app.run_test(size=(40, 12)) as pilot:
        await to_preview(pilot)
        assert "x run…" in rows(app)[-1]
        assert '"session:' in screen_text(app)
        await pilot.press("x")
        await to_dialog(pilot)
        assert "[ Cancel ]" in screen_text(app)
        await pilot.press("tab", *"delete", "enter")
        await at(pilot, Stage.REPORT)
        assert "deleted 1,080" in screen_text(app)


async def test_where_deleting_is_refused_the_keys_are_dead_and_say_why():
    reason = "This user may not run UNLINK"
    operator = ScriptedOperator(refusals={Action.DELETE: reason, Action.RESTORE: reason, Action.EMERGENCY: reason})
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state.snapshot is not None)
        await pilot.press("4")
        await until(pilot, lambda: "Nothing can be deleted: This user may not run UNLINK" in screen_text(app))
        await pilot.press("enter", *"s*", "enter", "x")
        await at(pilot, Stage.PREVIEW)
        assert "x" not in enabled_keys(app)
        await pilot.press("x")
        await until(pilot, lambda: f"{reason}" in screen_text(app))
        await pilot.press("E")
        await pilot.pause()
        assert operator.calls == ["plan delete"]
        assert not isinstance(app.screen, Dialog)


async def test_the_emergency_plan_is_looked_for_shown_and_asked_about():
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state.snapshot is not None)
        await pilot.press("E")
        await until(pilot, lambda: "No emergency cleanup is configured" in screen_text(app))
        operator.armed = True
        await pilot.press("escape")
        app.screen.refresh_bindings()
        await until(pilot, lambda: "E emergency" in screen_text(app))
        await pilot.press("E")
        await at(pilot, Stage.PREVIEW)
        assert app.main.pane == "cleanup"
        await pilot.press("x")
        await to_dialog(pilot)
        await pilot.press("escape")
        await pilot.pause()
        assert operator.calls == ["plan emergency"]


async def test_a_search_that_fails_is_a_sentence():
    operator = ScriptedOperator()
    operator.error = ServerUnreachable("No answer from 127.0.0.1:6379 within 3 s.")
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4", "enter", *"s*", "enter", "x")
        await until(pilot, lambda: "No answer from 127.0.0.1:6379" in screen_text(app))
        assert app.session.actions.cleanup.stage is Stage.FORM


async def test_a_run_that_crashes_is_told_and_leaves_a_report():
    operator = ScriptedOperator()
    operator.crash = RuntimeError("a defect [/red]")
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await run_it(pilot)
        await until(pilot, lambda: "a defect [/red]" in screen_text(app))
        await at(pilot, Stage.REPORT)
        await pilot.press("down")
        await until(pilot, lambda: "The run was interrupted" in screen_text(app))


async def test_expired_keys_are_reaped_only_after_a_question():
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state.snapshot is not None)
        await pilot.press("4", "e")
        await until(pilot, lambda: "Remove expired keys now?" in screen_text(app) and app.focused is not None)
        await pilot.press("enter")
        await pilot.pause()
        assert operator.calls == []
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, Dialog) and app.focused is not None)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: operator.calls == ["reap"])
        await until(pilot, lambda: "312 expired keys were removed" in screen_text(app))


async def test_a_plan_that_was_left_can_be_seen_again_until_another_is_looked_for():
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await to_preview(pilot)
        plan = app.session.actions.cleanup.plan
        await pilot.press("escape")
        await until(pilot, lambda: "v last plan" in screen_text(app))
        await pilot.press("v")
        await at(pilot, Stage.PREVIEW)
        assert app.session.actions.cleanup.plan is plan
        await pilot.press("n")
        await until(
            pilot,
            lambda: app.session.actions.cleanup.stage is Stage.FORM and "Preview matching keys" in screen_text(app),
        )
        assert "v" not in enabled_keys(app)


async def test_a_finding_about_one_database_fills_in_that_one():
    app = an_app(operator=ScriptedOperator())
    async with app.run_test(size=(80, 24)) as pilot:
        app.post_message(ApplyRemedy(Remedy("cleanup", match=b"session:*", db=3)))
        await until(pilot, lambda: re.search(r"Database +3", screen_text(app)) is not None)
        assert "Key pattern      session:*" in screen_text(app)
