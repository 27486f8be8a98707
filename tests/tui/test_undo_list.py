"""The undo list: from any pane, in order of time, into the question that undoes; by itself it undoes nothing."""

from pathlib import Path

import pytest

from redis_oom_tui.actions.deployment import Standalone
from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.models.action import Action, Backup, BackupChoice
from redis_oom_tui.models.config import ScreenOptions
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.models.settings import Change, ChangeResult
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.tui.app import TriageApp
from redis_oom_tui.tui.dialogs.answers import PickDialog
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.flows.state import Stage
from tests.support.scripted import a_snapshot
from tests.support.scripted_operator import ScriptedOperator
from tests.tui.support import an_app, screen_text, until
from tests.tui.test_dialogs_live import yes
from tests.tui.test_log import NOW, an_entry

pytestmark = pytest.mark.usefixtures("listening_at_once")


def a_change(n, old, new, name="maxmemory-samples"):
    return an_entry(
        n, action="set", undo="", change=ChangeResult(Change(name, old, new), took=True, now=new, persisted="OK")
    )


async def on_list(pilot, words="Newest first"):
    app = pilot.app
    await until(pilot, lambda: app.session.state is not None and app.session.state.snapshot is not None)
    await pilot.press("U")
    await until(pilot, lambda: isinstance(app.screen, PickDialog) and words in screen_text(app))


async def test_a_policy_and_deleted_keys_come_back_from_the_list(server, tmp_path, monkeypatch):
    with server.client() as client:
        client.mset({b"old:%d" % n: b"x" * 100 for n in range(20)})
        source = LiveServer(server.connection)
        operator = LiveOperator(Standalone(source), folder=tmp_path)
        await source.open()
        plan = (await operator.plan(Criteria(patterns=(b"old:*",))).run()).plan
        # A path as it is typed, from the folder of that moment.
        monkeypatch.chdir(tmp_path)
        await operator.run(plan, backup=BackupChoice(path=Path("mine.backup"))).run()
        monkeypatch.chdir("/")
        await operator.settings.apply(await operator.settings.propose("maxmemory-policy", "allkeys-lru"))
        assert client.dbsize() == 0
        app = TriageApp(source, operator=operator, options=ScreenOptions(interval_seconds=0.1))
        async with app.run_test(size=(80, 24)) as pilot:
            await on_list(pilot)
            text = screen_text(app)
            assert text.index("set maxmemory-policy back to noeviction") < text.index("restore 20 keys")
            await pilot.press("enter")
            await yes(pilot, "allkeys-lru → noeviction")
            await until(pilot, lambda: client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction")
            await until(pilot, lambda: "read back" in screen_text(app))
            await on_list(pilot)
            assert "set maxmemory-policy" not in screen_text(app)
            await pilot.press("enter")
            await yes(pilot, "Restore this backup?")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.RESTORED)
            assert client.dbsize() == 20
            await on_list(pilot)
            assert "restored " in screen_text(app)


@pytest.mark.parametrize(("size", "panes"), [((60, 20), "12"), ((80, 24), "3"), ((120, 36), "4"), ((200, 60), "5")])
async def test_each_row_is_whole_at_each_size_and_opens_from_every_pane(size, panes):
    operator = ScriptedOperator(snapshot=a_snapshot(used=100 * 2**20))
    operator.entries = [a_change(1, "3", "5"), an_entry(2, undo="", counts={"deleted": 2})]
    app = an_app(operator=operator)
    async with app.run_test(size=size) as pilot:
        for pane in panes:
            await pilot.press(pane)
            await on_list(pilot)
            text = " ".join(screen_text(app).replace("│", " ").split())
            assert "1m00s ago set maxmemory-samples back to 3 It was set to 5. It needs no memory." in text
            assert "not now ! No copy was made: it cannot be undone." in text
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(app.screen, Dialog))
        assert operator.calls == []


async def test_an_undo_from_the_list_takes_the_change_off_that_limits_would_undo_next():
    operator = ScriptedOperator()
    operator.entries = [a_change(1, "3", "5")]
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state.snapshot is not None)
        kept = ChangeResult(Change("hz", "1", "2"), took=True, now="2")
        actions = app.session.actions
        actions.show_limits(type(actions.limits)(changes=(operator.entries[0].change, kept), reverting=kept))
        await on_list(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "It was also written to the config file" in screen_text(app))
        await yes(pilot, "Undo maxmemory-samples?")
        await until(pilot, lambda: operator.calls == ["undo maxmemory-samples=3"])
        await until(pilot, lambda: actions.limits.changes == (kept,))
        assert actions.limits.reverting is kept


async def test_nothing_to_undo_is_said_in_a_sentence_and_what_is_refused_says_why():
    operator = ScriptedOperator(refusals={Action.SET: "The tool runs with --read-only"})
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_list(pilot, "Nothing to undo here")
        await pilot.press("enter")
        assert isinstance(app.screen, PickDialog)
        await pilot.press("escape")
        operator.entries = [a_change(1, "3", "5")]
        operator.some_backups = (Backup("/b/1", NOW, "localhost:6379", "valkey", "9.1.2", 5, 99),)
        await on_list(pilot)
        text = " ".join(screen_text(app).replace("│", " ").split())
        assert "1 backup of other addresses: b in the Log lists them." in text
        assert "! The tool runs with --read-only" in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(app.screen, Dialog) and "--read-only" in screen_text(app))
        assert operator.calls == []
