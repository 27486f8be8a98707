"""Log: actions and alerts, newest first, and the incident report."""

import pytest

from redis_oom_tui.models.action import AuditEntry
from redis_oom_tui.models.config import Profile, WatchSettings
from redis_oom_tui.models.errors import ServerUnreachable
from redis_oom_tui.models.settings import Change, ChangeResult
from redis_oom_tui.models.verdict import Thresholds
from redis_oom_tui.tui import messages
from redis_oom_tui.tui.dialogs.plan import PlanDialog
from redis_oom_tui.tui.drawing import clock_time
from tests.support.scripted import FakeClock, ScriptedSource, a_snapshot
from tests.support.scripted_operator import ScriptedOperator
from tests.support.scripted_runs import a_plan, some_keys
from tests.tui.support import an_app, rows, screen_text, until

MIB = 1024 * 1024


NOW = 1_760_000_000.0


pytestmark = pytest.mark.usefixtures("listening_at_once")


def an_entry(n=1, **changes):
    facts = {
        "at": NOW - 60 * n,
        "id": f"id{n}",
        "action": "delete",
        "server": "127.0.0.1:6379",
        "who": "sre@bastion",
        "what": f"delete {n} keys",
        "ended": NOW - 60 * n + 2,
        "result": f"Deleted {n} of {n} keys",
        "ok": True,
        "undo": f"/state/backups/{n}.jsonl",
    }
    return AuditEntry(**(facts | changes))


async def on_log(pilot, words):
    await until(pilot, lambda: pilot.app.session.state.snapshot is not None)
    await pilot.press("5")
    await until(pilot, lambda: words in screen_text(pilot.app))


async def test_an_action_on_this_server_under_another_address_says_so():
    operator = ScriptedOperator()
    run_id = a_snapshot().server.run_id
    operator.entries = [an_entry(1, server="10.0.0.1:6379", run_id=run_id), an_entry(2, server="10.0.0.2:6379")]
    app = an_app(operator=operator)
    async with app.run_test(size=(100, 24)) as pilot:
        await on_log(pilot, "delete     10.0.0.1:6379 = here  1 keys")
        assert "10.0.0.2" not in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: "This server, by its run_id, under another address." in screen_text(app))


async def test_an_empty_log_says_so_in_whole_words():
    app = an_app(ScriptedSource([a_snapshot(used=MIB, refused=0)]), operator=ScriptedOperator())
    async with app.run_test(size=(60, 20)) as pilot:
        await on_log(pilot, "Nothing has happened yet")
        assert "events and actions are listed here." in " ".join(screen_text(app).split())


async def test_actions_of_this_server_newest_first_and_others_on_demand():
    operator = ScriptedOperator()
    operator.entries = [an_entry(1), an_entry(2), an_entry(3, server="10.0.0.1:6379")]
    app = an_app(operator=operator)
    async with app.run_test(size=(100, 24)) as pilot:
        await on_log(pilot, "delete     1 keys")
        text = screen_text(app)
        assert text.index("delete     1 keys") < text.index("delete     2 keys")
        assert "delete     3 keys" not in text
        await pilot.press("w")
        await until(pilot, lambda: "delete     10.0.0.1:6379  3 keys" in screen_text(app))
        assert "delete     127.0.0.1:6379  1 keys" in screen_text(app)
        assert "Actions on all servers" in screen_text(app)
        await pilot.press("w")
        await until(pilot, lambda: "Actions on this server alone" in screen_text(app))


async def test_an_action_whose_end_was_never_written_says_so():
    operator = ScriptedOperator()
    operator.entries = [an_entry(1, ended=None, result="", ok=None)]
    app = an_app(operator=operator)
    async with app.run_test(size=(100, 24)) as pilot:
        await on_log(pilot, "no end recorded")


def taken(app):
    """When the figures were read that the screen shows."""
    return (
        None
        if app.session.state is None or app.session.state.answer is None
        else app.session.state.answer.taken_monotonic
    )


async def test_what_happens_to_the_server_is_told_and_the_alert_stands_until_it_ends():
    clock = FakeClock()
    at_ease = a_snapshot(used=200 * MIB, refused=0)
    source = ScriptedSource([at_ease], clock=clock)
    app = an_app(source, operator=ScriptedOperator(), clock=clock)
    async with app.run_test(size=(100, 24)) as pilot:
        await on_log(pilot, "No active alert")
        for n in range(1, 6):
            source.script.append(a_snapshot(used=513 * MIB, refused=100 * n))
            seen = taken(app)
            clock.move(1)
            await until(pilot, lambda seen=seen: taken(app) != seen)
        await until(pilot, lambda: "OOM for" in screen_text(app))
        began = clock_time(app.session.timeline.standing().since)
        assert f" At {began}: Refusing writes at" in screen_text(app)
        assert any("OOM  " in line and "Refusing" in line for line in rows(app))
        await pilot.press("a")
        await until(pilot, lambda: "(seen)" in screen_text(app))
        assert "a ack" not in rows(app)[-1]


async def test_alerts_begin_and_end_as_the_configuration_says():
    """A level is told after `hold_seconds`, and taken back once it is below its threshold by the hysteresis."""
    clock = FakeClock()
    source = ScriptedSource([a_snapshot(used=200 * MIB, refused=0)], clock=clock)
    watch = WatchSettings(thresholds=Thresholds(0.5, 0.9), hysteresis=0.2, hold_seconds=40)
    app = an_app(source, operator=ScriptedOperator(), clock=clock, profile=Profile("", watch=watch))

    async def told_after(used, seconds):
        source.script.append(a_snapshot(used=used * MIB, refused=0))
        for _ in range(seconds // 10):
            seen = taken(app)
            clock.move(10)
            await until(pilot, lambda seen=seen: taken(app) != seen)
        return [event.kind.value for event in app.session.timeline.events]

    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: taken(app) is not None)
        assert await told_after(310, 30) == []
        assert await told_after(310, 30) == ["warning"]
        assert await told_after(200, 90) == ["warning"], "0.39 of the limit is below 0.5, but not by the hysteresis"
        assert await told_after(100, 90) == ["warning", "recovered"]


async def test_a_server_lost_for_long_is_an_event():
    clock = FakeClock()
    gone = ServerUnreachable("No answer from 127.0.0.1:6379.")
    source = ScriptedSource([a_snapshot(), gone], clock=clock)
    app = an_app(source, operator=ScriptedOperator(), clock=clock)
    async with app.run_test(size=(100, 24)) as pilot:
        await on_log(pilot, "active alert")
        await until(pilot, lambda: app.session.state.error is not None)
        clock.move(30)
        await until(pilot, lambda: "LOST for" in screen_text(app))


async def test_the_cursor_stays_on_its_entry_while_newer_ones_arrive():
    operator = ScriptedOperator()
    operator.entries = [an_entry(n) for n in range(1, 6)]
    app = an_app(operator=operator)
    async with app.run_test(size=(100, 24)) as pilot:
        await on_log(pilot, "delete     3 keys")
        view = app.main.panes["log"].view
        while view.current.entry is None or view.current.entry.id != "id3":
            await pilot.press("down")
        operator.entries.insert(0, an_entry(0, at=NOW + 5))
        app.main.active_pane.entered()
        await until(pilot, lambda: "delete     0 keys" in screen_text(app))
        assert view.current.entry.id == "id3"


async def test_an_entry_in_full_with_a_settings_old_and_new_value():
    change = Change("maxmemory", str(512 * MIB), str(1024 * MIB))
    entry = an_entry(
        1, action="set", what="set maxmemory", change=ChangeResult(change, True, str(1024 * MIB)), undo=str(512 * MIB)
    )
    operator = ScriptedOperator()
    operator.entries = [entry]
    app = an_app(operator=operator)
    async with app.run_test(size=(100, 24)) as pilot:
        await on_log(pilot, "set        maxmemory")
        view = app.main.panes["log"].view
        while view.current.entry is None:
            await pilot.press("down")
        assert "z restore" not in rows(app)[-1], "an old value is no backup"
        await pilot.press("enter")
        await until(pilot, lambda: "1.0 GiB" in screen_text(app))
        assert "sre@bastion" in screen_text(app)
        assert "Number id1" in screen_text(app)


async def test_rows_of_settings_tell_sizes_for_people_also_where_the_file_has_plain_bytes():
    def row(action, old, new, *, ok=True):
        change = Change("maxmemory", str(old * MIB), str(new * MIB))
        fields = {"action": action, "what": f"maxmemory: {change.old} to {change.new}", "undo": ""}
        came = {"result": f"maxmemory is {change.new} now" if ok else "The server said no.", "ok": ok}
        return fields | came | {"change": ChangeResult(change, ok, change.new if ok else None)}

    operator = ScriptedOperator()
    operator.entries = [
        an_entry(1, **row("set", 100, 200, ok=False)),
        an_entry(2, **row("undo", 200, 100)),
        an_entry(3, **row("set", 100, 200)),
    ]
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_log(pilot, "set        maxmemory: 100.0 MiB → 200.0 MiB (209,715,200 bytes)")
        text = screen_text(app)
        assert "undo       maxmemory: 200.0 MiB → 100.0 MiB (104,857,600 bytes)" in text
        assert "set        The server said no. (maxmemory: 100.0 MiB → 200.0 MiB)" in text
        assert "209715200" not in text


async def test_lines_that_could_not_be_read_are_counted():
    operator = ScriptedOperator()
    operator.entries = [an_entry(1)]
    operator.skipped = 3
    app = an_app(operator=operator)
    async with app.run_test(size=(100, 24)) as pilot:
        await on_log(pilot, "3 lines of the audit log cannot be read and were skipped")


async def test_older_actions_that_are_not_listed_are_told():
    operator = ScriptedOperator()
    operator.entries = [an_entry(1)]
    operator.unread_before = 1_700_000_000.0
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_log(pilot, "Actions before 2023-11-14 22:13:20 are not listed: the audit log has them.")


async def test_hostile_words_in_the_audit_file_are_harmless():
    operator = ScriptedOperator()
    operator.entries = [
        an_entry(1, what="delete \x1b]0;x\x07[/red]", result="\u202e[@click=app.quit]x[/]", who="\x9b2J")
    ]
    app = an_app(operator=operator)
    async with app.run_test(size=(100, 24)) as pilot:
        await on_log(pilot, "[/red]")
        view = app.main.panes["log"].view
        while view.current.entry is None:
            await pilot.press("down")
        await pilot.press("enter")
        await until(pilot, lambda: "Event details" in screen_text(app))
        assert not any(odd in screen_text(app) for odd in ("\x1b", "\x9b", "\u202e"))


@pytest.mark.parametrize(("name", "begins"), [("report.md", "# Memory incident report"), ("report.json", "{")])
async def test_the_incident_report_is_written_to_a_new_file_and_only_there(tmp_path, name, begins):
    path = tmp_path / name
    operator = ScriptedOperator()
    operator.entries = [an_entry(1), an_entry(2, server="10.0.0.1:6379", what="delete what is elsewhere")]
    app = an_app(operator=operator)
    async with app.run_test(size=(100, 24)) as pilot:
        await on_log(pilot, "delete     1 keys")
        await pilot.press("e")
        await until(pilot, lambda: app.focused is not None and app.focused.id == "path")
        app.focused.value = str(path)
        await pilot.press("enter")
        await until(pilot, lambda: "Report saved to" in screen_text(app))
        text = path.read_text("utf-8")
        assert text.startswith(begins)
        assert "delete 1 keys" in text
        assert "elsewhere" not in text
        assert path.stat().st_mode & 0o077 == 0
        await pilot.press("e")
        await until(pilot, lambda: app.focused is not None and app.focused.id == "path")
        app.focused.value = str(path)
        await pilot.press("enter")
        await until(pilot, lambda: "exists already" in screen_text(app))
        assert path.read_text("utf-8") == text


async def test_a_report_can_be_written_where_nothing_can_be_changed(tmp_path):
    app = an_app()
    async with app.run_test(size=(100, 24)) as pilot:
        await on_log(pilot, "active alert")
        await pilot.press("e")
        await until(pilot, lambda: app.focused is not None and app.focused.id == "path")
        app.focused.value = str(tmp_path / "missing" / "report.md")
        await pilot.press("enter")
        await until(pilot, lambda: "This folder does not exist: give another" in screen_text(app))
        app.focused.value = str(tmp_path / "report.md")
        await pilot.press("enter")
        await until(pilot, lambda: "Report saved to" in screen_text(app))


async def test_a_row_that_did_not_succeed_says_so_before_it_is_cut():
    entry = an_entry(
        action="restore", what="restore: put back 3 keys of a backup", ok=False, result="0 of 3 keys put back: at OOM"
    )
    operator = ScriptedOperator()
    operator.entries = [entry]
    app = an_app(operator=operator)
    async with app.run_test(size=(60, 24)) as pilot:
        await on_log(pilot, "restore")
        assert "0 of 3 keys put back" in screen_text(app)


async def test_who_looks_at_the_log_while_a_cleanup_ends_sees_its_end():
    operator = ScriptedOperator(hurry=False)
    operator.entries = [an_entry(1, ended=None, result="", ok=None)]
    app = an_app(operator=operator)
    async with app.run_test(size=(100, 24)) as pilot:
        await on_log(pilot, "no end recorded")
        app.post_message(messages.RunPlan(a_plan(some_keys(3))))
        await until(pilot, lambda: isinstance(app.screen, PlanDialog) and screen_text(app).strip() != "")
        await pilot.press("tab", "enter")
        await until(pilot, lambda: operator.runs)
        operator.entries = [an_entry(1)]
        operator.runs[0].finish()
        await until(pilot, lambda: "Deleted 1 of 1 keys" in screen_text(app))


async def test_a_setting_that_was_to_go_back_and_did_not_says_so():
    change = ChangeResult(Change("maxmemory", str(64 * MIB), str(96 * MIB)), took=True, now=str(96 * MIB))
    facts = {"action": "set", "what": "maxmemory", "change": change, "result": "maxmemory is 96 MiB now", "undo": ""}
    clock = FakeClock()
    operator = ScriptedOperator()
    operator.entries = [an_entry(1, at=clock.wall() - 300, returns_at=clock.wall() - 240, **facts)]
    app = an_app(ScriptedSource(clock=clock), operator=operator, clock=clock)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_log(pilot, "set        not reverted; maxmemory: 64.0 MiB → 96.0 MiB")
        await pilot.press("home", "down", "up", "enter")
        await until(pilot, lambda: "No record that it was reverted or kept" in screen_text(app))


async def test_what_was_done_gives_way_whole_to_what_came_of_it():
    said = "Deleted 3,000 of 3,000 keys; used memory fell by 823.4 KiB."
    operator = ScriptedOperator()
    closed = "Client 49 (10.0.0.9:5123, reports) was closed"
    operator.entries = [
        an_entry(1, what="delete 3,000 keys (820.3 KiB)", result=said),
        an_entry(2, action="kill-client", what="kill client 49 (10.0.0.9:5123, reports)", result=closed),
    ]
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_log(pilot, "delete     Deleted 3,000 of 3,000 keys; used memory fell")
        assert f"kill       {closed}" in screen_text(app)
