"""A cleanup on the screen: from the form to the report, and nothing unconfirmed."""

import pytest

from redis_oom_tui.models.action import Action, BackupChoice
from redis_oom_tui.models.errors import ServerUnreachable
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Outcome, TtlFilter
from redis_oom_tui.models.scan import ScanState
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Remedy
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.dialogs.plan import PlanDialog
from redis_oom_tui.tui.flows.state import CleanupState, Stage
from redis_oom_tui.tui.messages import MakePlan
from tests.support.scripted import ScriptedSource, a_view
from tests.support.scripted_operator import ScriptedOperator
from tests.support.scripted_runs import HOSTILE, ScriptedRun, a_plan, some_keys
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


async def test_what_a_scan_told_before_a_cleanup_is_old_after_it():
    operator = ScriptedOperator()
    app = an_app(ScriptedSource(views=[a_view(ScanState.COMPLETE)]), operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state.snapshot is not None)
        await pilot.press("2", "r")
        await until(pilot, lambda: "COMPLETE" in screen_text(app))
        await to_preview(pilot)
        assert not app.session.scanner.outdated
        await pilot.press("x")
        await to_dialog(pilot)
        await pilot.press("tab", "enter")
        await at(pilot, Stage.REPORT)
        await pilot.press("2")
        await until(pilot, lambda: "OLD: keys changed since" in screen_text(app))
        await pilot.press("1")
        await until(pilot, lambda: any("Findings" in row and "OLD scan" in row for row in rows(app)))
        await pilot.press("2", "r")
        await to_dialog(pilot, Dialog)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: "COMPLETE" in screen_text(app) and "OLD" not in screen_text(app))


@pytest.mark.parametrize(
    "outcome", [Outcome.DELETED, Outcome.EXPIRING, Outcome.IN_DOUBT, Outcome.GONE, Outcome.CHANGED]
)
def test_keys_that_may_be_gone_make_a_scan_old(outcome):
    run = replace(ScriptedRun(a_plan(), BackupChoice()).view(), counts={outcome: 1})
    assert CleanupState(Stage.REPORT, run=run).changed_keys is (outcome is not Outcome.CHANGED)


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
        # Nobody marked those that a finding or one row named.
        assert "(8 keys by name)" in " ".join(screen_text(app).split())
        assert "3 of them are marked rows" in screen_text(app)
        await pilot.press("x")
        await to_dialog(pilot)
        assert "3 of them are marked rows" in screen_text(app)


async def test_no_key_of_a_search_that_missed_some_is_said_with_what_was_missed():
    operator = ScriptedOperator()
    missing = "SCAN ended after 16 keys, and the server counts 97,998: keys are missing."
    unread = replace(a_plan(()), complete=False, flags=(missing,))
    operator.plan = lambda *_, **__: operator._planning(unread)
    app = an_app(operator=operator)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: app.session.state.snapshot is not None)
        await pilot.press("4", "enter", *"s*", "enter", "x")
        await until(pilot, lambda: "No key matches" in screen_text(app))
        assert missing in " ".join(screen_text(app).split())


async def test_escape_stops_the_search_and_what_was_found_is_a_plan_that_says_so():
    operator = ScriptedOperator(hurry=False)
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4", "enter", *"s*", "enter", "x")
        await until(pilot, lambda: "200,000 of 413,200" in screen_text(app))
        await pilot.press("escape")
        await at(pilot, Stage.PREVIEW)
        assert "The search ended early" in screen_text(app)


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


async def test_a_finding_on_keys_without_a_ttl_fills_in_an_expiry():
    app = an_app(operator=ScriptedOperator())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        pane = app.main.active_pane
        pane.show_remedy(Remedy("cleanup", match=b"cache:*", ttl=TtlFilter.WITHOUT, expire_seconds=86_400))
        await until(pilot, lambda: "a finding of Triage" in screen_text(app))
        assert (pane.form_view.form.operation, pane.form_view.form.within) == ("expire", "1d")
