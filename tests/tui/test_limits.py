"""Limits: policies and settings, changed after a question and read back."""

import pytest

from redis_oom_tui.models.action import Action, Limits, PolicyView, WriteStep
from redis_oom_tui.models.errors import PermissionRefused
from redis_oom_tui.models.scan import ScanOptions, ScanState
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Remedy
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.dialogs.change import ChangeDialog
from redis_oom_tui.tui.drawing import DrawStyle
from redis_oom_tui.tui.messages import ApplyRemedy, ChangeSetting, StartScan
from redis_oom_tui.tui.panes.limits_draw import POLICY, Row, beside
from tests.support.scripted import ScriptedSource, a_snapshot, a_view
from tests.support.scripted_operator import ScriptedOperator
from tests.tui.support import an_app, rows, screen_text, until

MIB = 1024 * 1024


pytestmark = pytest.mark.usefixtures("listening_at_once")


async def on_limits(pilot, words="allkeys-lru"):
    await pilot.press("3")
    await until(pilot, lambda: words in screen_text(pilot.app))


async def to_dialog(pilot, kind=ChangeDialog):
    await until(pilot, lambda: isinstance(pilot.app.screen, kind) and pilot.app.focused is not None)
    await until(pilot, lambda: screen_text(pilot.app).strip() != "")


async def test_every_policy_with_what_it_may_evict_and_the_current_one_marked():
    app = an_app(operator=ScriptedOperator())
    async with app.run_test(size=(80, 24)) as pilot:
        await on_limits(pilot)
        lines = rows(app)
        assert any("●" in line and "noeviction" in line and "nothing" in line for line in lines)
        assert any("allkeys-lru" in line and "413,200" in line for line in lines)
        assert any("volatile-ttl" in line and "60,000" in line for line in lines)
        assert "What happens to a write now" in screen_text(app)


async def test_of_a_cluster_it_says_whose_settings_are_shown():
    snapshot = a_snapshot()
    operator = ScriptedOperator(snapshot=replace(snapshot, server=replace(snapshot.server, node="127.0.0.1:7001")))
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_limits(pilot)
        assert " 127.0.0.1:7001 is shown. A change is for all nodes, or for this one: it asks." in screen_text(app)


async def test_a_policy_that_can_evict_nothing_says_that_it_equals_noeviction():
    snapshot = a_snapshot()
    bare = type(snapshot)(
        **{
            **{name: getattr(snapshot, name) for name in snapshot.__slots__},
            "databases": (type(snapshot.databases[0])(0, 500, 0),),
        }
    )
    app = an_app(operator=ScriptedOperator(snapshot=bare))
    async with app.run_test(size=(100, 30)) as pilot:
        await on_limits(pilot, "volatile-lru")
        await pilot.press(*["down"] * 4)
        await until(pilot, lambda: "behaves like" in screen_text(app))
        assert any("!" in line and "volatile-lru" in line and "nothing" in line for line in rows(app))


async def test_a_refused_write_is_the_lit_branch():
    app = an_app(ScriptedSource(snapshots=[a_snapshot(used=513 * MIB)]), operator=ScriptedOperator())
    async with app.run_test(size=(100, 30)) as pilot:
        await on_limits(pilot)
        assert "513.0 MiB in use" in screen_text(app), "by the poll of the header"
        lit = [piece for line in app.main.panes["limits"].view._drawn for piece in line if piece[1] == "crit"]
        assert any("refused with OOM" in text for text, _ in lit)


async def test_choosing_a_policy_asks_then_sets_then_tells_what_was_read_back():
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_limits(pilot)
        await pilot.press("down", "enter")
        await to_dialog(pilot)
        assert "noeviction → allkeys-lru" in screen_text(app)
        assert app.focused.id == "cancel"
        await pilot.press("tab", "enter")
        await until(pilot, lambda: operator.calls == ["set maxmemory-policy=allkeys-lru persist=False revert=None"])
        await until(pilot, lambda: "noeviction → allkeys-lru, read back" in screen_text(app))


@pytest.mark.parametrize(("typed", "word_due"), [("evict", True), ("yes", True), ("", False)])
async def test_a_policy_that_evicts_at_once_wants_a_typed_word(typed, word_due):
    used = (513 if word_due else 300) * MIB
    operator = ScriptedOperator(snapshot=a_snapshot(used=used))
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_limits(pilot)
        await pilot.press("down", "enter")
        await to_dialog(pilot)
        assert ("would be evicted at once" in screen_text(app).replace("\n", " ")) == word_due
        await pilot.press(*typed, *(() if word_due else ("tab",)), "enter")
        await pilot.pause()
        done = typed == "evict" or not word_due
        assert operator.calls == (["set maxmemory-policy=allkeys-lru persist=False revert=None"] if done else [])


@pytest.mark.parametrize("keys", [("enter",), ("escape",), ("y",), ("1", "escape"), ("tab", "escape")])
async def test_nothing_is_set_unconfirmed(keys):
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_limits(pilot)
        await pilot.press("down", "enter")
        await to_dialog(pilot)
        await pilot.press(*keys)
        await pilot.pause()
        assert operator.calls == []


async def test_persisting_warns_of_all_else_that_it_freezes_and_shows_the_servers_answer():
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_limits(pilot)
        await pilot.press("down", "enter")
        await to_dialog(pilot)
        app.screen.query_one("#persist").focus()
        await pilot.press("enter")
        await until(pilot, lambda: "writes every setting" in screen_text(app))
        app.screen.query_one("#act").focus()
        await pilot.press("enter")
        await until(pilot, lambda: "Permission denied" in screen_text(app))
        assert operator.calls == ["set maxmemory-policy=allkeys-lru persist=True revert=None"]


async def test_maxmemory_is_typed_as_people_write_it_and_nonsense_is_a_sentence():
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_limits(pilot)
        await pilot.press(*["down"] * 8, "enter")
        await until(pilot, lambda: app.focused is not None and app.focused.id == "value")
        await pilot.press(*"50%", "enter")
        await until(pilot, lambda: "is not a size" in screen_text(app))
        await pilot.press(*["backspace"] * 3, *"1gb", "enter")
        await to_dialog(pilot)
        assert "512.0 MiB (536,870,912 bytes) → 1.0 GiB (1,073,741,824 bytes)" in screen_text(app)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: operator.calls == ["set maxmemory=1073741824 persist=False revert=None"])


async def test_keys_that_find_nothing_to_undo_or_to_keep_say_so():
    app = an_app(operator=ScriptedOperator())
    async with app.run_test(size=(80, 24)) as pilot:
        await on_limits(pilot)
        for key, words in (("z", "Nothing to undo: no setting was changed here yet"), ("s", "No change is about to")):
            await pilot.press(key)
            await until(pilot, lambda words=words: words in screen_text(app))
        await pilot.press("5", "a")
        await until(pilot, lambda: "No alert that is not quiet already" in screen_text(app))
        await pilot.press("2", "p")
        await until(pilot, lambda: "No scan is running" in screen_text(app))
        await pilot.press("minus")
        await until(pilot, lambda: "Pace of the next scan: gentle" in screen_text(app))


async def test_a_yes_or_no_is_picked_from_a_list():
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_limits(pilot)
        app.main.panes["limits"]._point_at("lazyfree-lazy-eviction")
        await pilot.press("enter")
        await until(pilot, lambda: "New value of lazyfree" in screen_text(app))
        await pilot.press("up", "enter")
        await to_dialog(pilot)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: operator.calls == ["set lazyfree-lazy-eviction=yes persist=False revert=None"])


async def test_undo_asks_and_puts_the_old_value_back():
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_limits(pilot)
        await pilot.press("down", "enter")
        await to_dialog(pilot)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: len(app.session.actions.limits.changes) == 1)
        await pilot.press("z")
        await to_dialog(pilot)
        assert "Undo maxmemory-policy?" in screen_text(app)
        assert "allkeys-lru → noeviction" in screen_text(app)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: operator.calls[-1] == "undo maxmemory-policy=noeviction")
        await until(pilot, lambda: app.session.actions.limits.changes == ())


async def test_where_config_is_refused_the_reason_stands_there_and_the_key_is_dead():
    reason = "CONFIG is renamed away here: change the parameter group of the service instead"
    operator = ScriptedOperator(refusals={Action.SET: reason})
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_limits(pilot)
        assert "CONFIG is renamed away here" in screen_text(app)
        assert not app.screen.active_bindings["enter"].enabled
        await pilot.press("down", "enter")
        await until(pilot, lambda: "CONFIG" in screen_text(app))
        assert not isinstance(app.screen, Dialog)
        titles = [command.title for command in app.get_system_commands(app.screen)]
        assert "Undo the last setting change" not in titles
        assert operator.calls == []


async def test_without_an_operator_it_only_looks():
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await on_limits(pilot, "it is read-only")
        await pilot.press("enter")
        await pilot.pause()
        assert not isinstance(app.screen, Dialog)


async def test_settings_that_cannot_be_read_are_an_error_not_a_blank():
    operator = ScriptedOperator()
    operator.error = PermissionRefused("This user may not run CONFIG GET.")
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_limits(pilot, "may not run CONFIG GET")


async def test_a_finding_leads_to_its_setting_with_the_value_proposed():
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state.snapshot is not None)
        app.post_message(ApplyRemedy(Remedy("limits", setting="maxmemory-policy", value="allkeys-lru")))
        await to_dialog(pilot)
        assert "noeviction → allkeys-lru" in screen_text(app)
        assert operator.calls == []


async def test_forty_columns_show_every_row_and_what_it_means():
    app = an_app(operator=ScriptedOperator())
    async with app.run_test(size=(40, 12)) as pilot:
        await on_limits(pilot)
        seen = ""
        for _ in range(18):
            seen += screen_text(app)
            await pilot.press("down")
            await pilot.pause()
        for name in ("volatile-ttl", "maxmemory ", "maxmemory-eviction-tenacity", "activedefrag", "Enter change"):
            assert name in seen, name
        await pilot.press("i")
        await until(pilot, lambda: "What this means here" in screen_text(app))


async def test_a_policy_that_somebody_else_changes_is_read_at_once():
    operator = ScriptedOperator()
    source = ScriptedSource()
    app = an_app(source, operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_limits(pilot)
        changed = a_snapshot(policy="allkeys-lru")
        operator.snapshot = changed
        source.script[:] = [changed]
        await until(pilot, lambda: any("●" in line and "allkeys-lru" in line for line in rows(app)))


async def test_undoing_what_went_into_the_file_says_that_it_stays_there():
    operator = ScriptedOperator()
    operator.rewrite_answer = "OK"
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_limits(pilot)
        await pilot.press("down", "enter")
        await to_dialog(pilot)
        app.screen.query_one("#persist").focus()
        await pilot.press("enter")
        app.screen.query_one("#act").focus()
        await pilot.press("enter")
        await until(pilot, lambda: len(app.session.actions.limits.changes) == 1)
        await pilot.press("z")
        await to_dialog(pilot)
        await until(pilot, lambda: "also written to the config file" in screen_text(app))


async def test_one_question_at_a_time_however_fast_the_keys_come():
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_limits(pilot)
        for _ in range(3):
            app.post_message(ChangeSetting("maxmemory-policy", "allkeys-lru"))
        await to_dialog(pilot)
        await pilot.pause()
        assert len(app.screen_stack) == 2
        await pilot.press("tab", "enter")
        await until(pilot, lambda: len(operator.calls) == 1)
        await pilot.pause()
        assert not isinstance(app.screen, Dialog)


async def test_a_scan_that_ends_brings_bytes_and_shares_at_once():
    source = ScriptedSource(views=[a_view(ScanState.COMPLETE)])
    app = an_app(source, operator=ScriptedOperator())
    async with app.run_test(size=(80, 24)) as pilot:
        await on_limits(pilot)
        assert "BYTES: SCAN" in screen_text(app)
        app.post_message(StartScan(ScanOptions()))
        await until(pilot, lambda: source.scans)
        source.scans[0][1].finish()
        await until(pilot, lambda: any("volatile-lru" in line and "11%" in line for line in rows(app)))
        assert "BYTES: SCAN" not in screen_text(app)


async def test_a_long_refusal_is_shown_whole_on_demand():
    reason = "CONFIG SET is refused here: " + " ".join(f"word{n}" for n in range(60))
    app = an_app(operator=ScriptedOperator(refusals={Action.SET: reason}))
    async with app.run_test(size=(80, 24)) as pilot:
        await on_limits(pilot)
        assert "i shows all of this" in screen_text(app)
        assert "z undo" not in rows(app)[-1], "there is nothing to undo, so there is no greyed key for it"
        await pilot.press("i")
        await until(pilot, lambda: "word59" in screen_text(app))


def test_the_way_of_a_write_says_what_it_does_not_reach_and_keeps_a_question_with_its_answer():
    steps = (
        WriteStep("Is a limit set?", "yes: 8.0 MiB"),
        WriteStep("Is it over the limit?", "no (1.1 MiB in use, 13.4%): the write is accepted", end=True),
        WriteStep("Which policy?", "noeviction: the write is refused with OOM", lit=False, end=True),
    )
    limits = Limits(None, "noeviction", path=steps)
    row = Row(POLICY, policy=PolicyView("noeviction", "Nothing is evicted."))

    def drawn(height: int, *, live: bool = True) -> list[str]:
        lines = beside(limits, row, 33, height, DrawStyle(), estimated=False, live=live)
        return ["".join(text for text, _ in line) for line in lines]

    assert sum(line.startswith("→") for line in drawn(30)) == 1
    assert any("not reached: Which policy?" in line for line in drawn(30))
    low = drawn(8)
    assert low[0] == "What happens to a write now"
    assert low[1] == "• Is it over the limit?"
    assert "not reached" not in "".join(low)
    assert drawn(30, live=False)[:2] == ["What happened to a write when the", "server last answered"]
