"""The acting panes on a live server: what the screen says was done is what the server says."""

import re
from pathlib import Path

import pytest

from redis_oom_tui.actions.deployment import Standalone
from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.models.config import ScreenOptions
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.tui.app import TriageApp
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.flows.state import Stage
from redis_oom_tui.tui.host import is_live
from redis_oom_tui.tui.messages import ChangeSetting, PurgeMemory, ReapExpired
from tests.support.acting import fill, settled
from tests.support.scripted_runs import HOSTILE
from tests.tui.support import screen_text, until

pytestmark = pytest.mark.usefixtures("listening_at_once")


def live_app(server, folder: Path, *, read_only: bool = False) -> TriageApp:
    source = LiveServer(replace(server.connection, read_only=read_only))
    operator = LiveOperator(Standalone(source), folder=folder)
    return TriageApp(source, operator=operator, options=ScreenOptions(interval_seconds=0.1))


async def yes(pilot, words):
    app = pilot.app
    await until(pilot, lambda: isinstance(app.screen, Dialog) and words in screen_text(app) and app.focused is not None)
    app.screen.query_one("#act").focus()
    await pilot.press("enter")
    await until(pilot, lambda: not isinstance(app.screen, Dialog))


def is_ready(app: TriageApp) -> bool:
    """Whether its server was polled and its settings were read."""
    session = app.session
    return session.state.snapshot is not None and session.actions.limits.limits is not None


async def planned(pilot, pattern):
    app = pilot.app
    await until(pilot, lambda: is_ready(app))
    await pilot.press("4", "enter", *pattern, "enter", "x")
    await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.PREVIEW and "To " in screen_text(app))


async def test_hostile_names_are_deleted_exactly_and_come_back_exactly(server, tmp_path):
    with server.client() as client:
        client.mset(dict.fromkeys(HOSTILE, b"v" * 50))
        client.mset({b"user:%d" % n: b"stay" for n in range(200)})
        before = {name: client.get(name) for name in client.keys("*")}
        app = live_app(server, tmp_path)
        async with app.run_test(size=(80, 24)) as pilot:
            await planned(pilot, "\\\\[*,n*")
            await pilot.press("x")
            await yes(pilot, "Delete 3 keys?")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.REPORT)
            assert "Deleted 3 of 3 keys" in screen_text(app)
            assert set(before) - set(client.keys("*")) == {b"[/x]", b"[red]k[/red]", b"n" * 100_000}
            await pilot.press("z")
            await yes(pilot, "Restore this backup?")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.RESTORED)
            assert {name: client.get(name) for name in client.keys("*")} == before
            await pilot.press("5")
            await until(
                pilot, lambda: "restore" in screen_text(app) and "delete     Deleted 3 of 3 keys" in screen_text(app)
            )


async def test_a_key_that_changed_since_it_was_shown_is_left_alone_and_named(server, tmp_path):
    with server.client() as client:
        client.mset({b"old:%d" % n: b"x" * 100 for n in range(20)})
        client.mset({b"user:%d" % n: b"x" for n in range(300)})
        app = live_app(server, tmp_path)
        async with app.run_test(size=(80, 24)) as pilot:
            await planned(pilot, "old:*")
            client.delete("old:7")
            client.rpush("old:7", "another type now")
            await pilot.press("x")
            await yes(pilot, "Delete 20 keys?")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.REPORT)
            text = screen_text(app)
            assert "changed 1" in text
            assert '"old:7"' in text
            assert client.keys("old:*") == [b"old:7"]


async def test_a_policy_is_changed_read_back_and_put_back(server, tmp_path):
    with server.client() as client:
        app = live_app(server, tmp_path)
        async with app.run_test(size=(100, 30)) as pilot:
            await until(pilot, lambda: app.session.state.snapshot is not None)
            await pilot.press("3")
            await until(pilot, lambda: "allkeys-random" in screen_text(app))
            app.main.panes["limits"]._point_at("allkeys-random")
            await pilot.press("enter")
            await yes(pilot, "noeviction → allkeys-random")
            await until(pilot, lambda: "read back" in screen_text(app))
            assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "allkeys-random"
            await pilot.press("z")
            await yes(pilot, "allkeys-random → noeviction")
            await until(pilot, lambda: app.session.actions.limits.changes == ())
            assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"


async def test_a_timed_change_that_nobody_keeps_is_taken_back_when_the_screen_is_left(valkey, tmp_path):
    with valkey.client() as client:
        app = live_app(valkey, tmp_path)
        async with app.run_test(size=(100, 30)) as pilot:
            await until(pilot, lambda: app.session.state.snapshot is not None)
            await pilot.press("3")
            await until(pilot, lambda: "allkeys-lru" in screen_text(app))
            app.main.panes["limits"]._point_at("allkeys-lru")
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, Dialog) and app.focused is not None)
            app.screen.query_one("#revert").focus()
            await pilot.press("enter")
            app.screen.query_one("#act").focus()
            await pilot.press("enter")
            await until(pilot, lambda: "Reverts to noeviction" in screen_text(app))
            assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "allkeys-lru"
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"


async def test_read_only_sends_no_writing_command(valkey, tmp_path):
    with valkey.client() as client:
        client.mset({b"old:%d" % n: b"x" for n in range(20)})
        client.config_resetstat()
        app = live_app(valkey, tmp_path, read_only=True)
        async with app.run_test(size=(80, 24)) as pilot:
            await planned(pilot, "old:*")
            await pilot.press("x")
            await until(pilot, lambda: "The tool runs with --read-only" in screen_text(app))
            for key in ("3", "enter", "z", "E", "4", "e", "z", "5", "b", "1", "c"):
                await pilot.press(key)
            assert not isinstance(app.screen, Dialog)
        sent = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
        writing = {
            "unlink",
            "del",
            "eval",
            "evalsha",
            "restore",
            "pexpireat",
            "config|set",
            "config|rewrite",
            "client|kill",
        }
        assert not sent & (writing | {"memory|purge", "script|load"})
        assert client.dbsize() == 20


async def test_a_pattern_of_one_database_is_planned_and_deleted_there_alone(server, tmp_path):
    """The same names in three databases: what is planned from a row of one leaves the others alone."""
    with server.client() as client:
        client.mset({f"stay:{n}": b"x" for n in range(600)})
        names = {f"user:{n}": b"x" * 100 for n in range(60)}
        for db in (0, 1, 5):
            client.select(db)
            client.mset(names)
        app = live_app(server, tmp_path)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(
                pilot,
                lambda: is_ready(app),
            )
            await pilot.press("2", "r", "tab")
            patterns = app.main.panes["hogs"].patterns
            await until(
                pilot,
                lambda: app.session.scan is not None and app.session.scan.complete and len(patterns.model.rows) == 4,
            )
            while patterns.model.current.db != 1:
                await pilot.press("j")
            await pilot.press("x")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.PREVIEW and "To " in screen_text(app))
            assert {key.id.db for key in app.session.actions.cleanup.plan.keys} == {1}
            assert "(user:<id>, db 1)" in screen_text(app)
            await pilot.press("x")
            await yes(pilot, "Delete 60 keys?")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.REPORT)
        left = {}
        for db in (0, 1, 5):
            client.select(db)
            left[db] = client.dbsize()
        assert left == {0: 660, 1: 0, 5: 60}


def flat(app):
    """The text without the frame of a dialog and its line ends."""
    return " ".join(screen_text(app).replace("│", " ").split())


async def test_while_the_server_is_silent_a_value_and_a_policy_say_that_they_wait_and_escape_leaves(server, tmp_path):
    with server.client() as client:
        client.config_set("maxmemory", 2**30)
        client.mset({b"old:%d" % n: b"x" * 100 for n in range(20)})
    app = live_app(server, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await planned(pilot, "old:*")
        await pilot.press("3")
        app.main.panes["limits"]._point_at("maxmemory")
        await pilot.press("enter")
        await until(pilot, lambda: app.focused is not None and app.focused.id == "value")
        with server.frozen():
            await pilot.press(*"20mb", "enter")
            await until(
                pilot, lambda: "Waiting for the server: it has 3s for each reply. Esc leaves" in screen_text(app)
            )
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(app.screen, Dialog))
            await pilot.press("4")
            await until(pilot, lambda: re.search(r"By its last answer, at [\d:]{8}: It is below 80%", flat(app)))
            for request, figure in ((PurgeMemory(), "RSS is"), (ReapExpired(), "0 of 20 keys have a TTL")):
                app.post_message(request)
                await until(pilot, lambda what=figure: re.search(rf"last answer, at [\d:]{{8}}: {what}", flat(app)))
                await pilot.press("escape")
                await until(pilot, lambda: not isinstance(app.screen, Dialog))
            await pilot.press("3")
            app.post_message(ChangeSetting("maxmemory-policy", "allkeys-lru"))
            await until(pilot, lambda: "Waiting for the server: it has 3s for each reply." in screen_text(app))
        await until(pilot, lambda: "Change maxmemory-policy?" in screen_text(app))
        assert "Waiting for the server" not in screen_text(app)


async def test_below_the_target_a_lower_one_is_proposed_and_a_silent_server_is_asked_nothing(valkey, tmp_path):
    with valkey.client() as client:
        fill(client, [b"old:%d" % n for n in range(1000)], b"x" * 3000, idle=40 * 86400)
        client.config_set("maxmemory", settled(client) * 100 // 65)
        app = live_app(valkey, tmp_path)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: is_ready(app))
            await pilot.press("1", "x")
            await until(pilot, lambda: app.focused is not None and app.focused.id == "target")
            assert "It is at " in screen_text(app)
            assert "80%" not in screen_text(app)
            with valkey.frozen():
                await until(pilot, lambda: "When it last answered, it was at " in screen_text(app))
                await pilot.press("escape", "x")
                await until(pilot, lambda: "The server does not answer now" in screen_text(app))
            await until(pilot, lambda: is_live(app.session))
            await pilot.press("x")
            await until(pilot, lambda: app.focused is not None and app.focused.id == "target")
            await pilot.press("enter")
            await until(pilot, lambda: app.session.actions.target < 0.8)
