"""`x` on Triage: what may go is proposed, and becomes a plan like any other."""

import pytest

from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.flows.state import Stage
from tests.support.acting import fill, settled
from tests.tui.support import screen_text, until
from tests.tui.test_dialogs_live import is_ready, live_app

pytestmark = pytest.mark.usefixtures("listening_at_once")


@pytest.mark.parametrize("size", [(80, 24), (60, 20)], ids=str)
async def test_what_may_go_is_proposed_and_becomes_a_plan(valkey, tmp_path, size):
    with valkey.client() as client:
        fill(client, [b"old:%d" % n for n in range(1000)], b"x" * 3000, idle=40 * 86400)
        fill(client, [b"app:cache:%d" % n for n in range(1000)], b"x" * 3000, idle=60)
        client.config_set("maxmemory", settled(client))
        app = live_app(valkey, tmp_path)
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: is_ready(app))
            await pilot.press("1", "x")
            await until(pilot, lambda: "Scan all keys first" in screen_text(app))
            await pilot.press("2", "r")
            await until(pilot, lambda: app.session.scan is not None and app.session.scan.complete)
            client.config_set("maxmemory", settled(client) // 2)
            await until(pilot, lambda: app.session.reading.snapshot.memory.pressure > 1.5)
            await pilot.press("1", "x")
            await until(pilot, lambda: isinstance(app.screen, Dialog) and "What may go?" in screen_text(app))
            assert "caches without a TTL: app:cache:" in screen_text(app)
            await pilot.press("enter")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.PREVIEW)
            assert "To delete: " in screen_text(app)
            await pilot.press("x")
            await until(pilot, lambda: isinstance(app.screen, Dialog) and app.focused is not None)
            await pilot.press(*"delete", "enter")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.REPORT)
            assert client.dbsize() < 1000


async def test_a_part_fills_in_the_form_and_is_previewed(valkey, tmp_path):
    with valkey.client() as client:
        fill(client, [b"old:%d" % n for n in range(1000)], b"x" * 3000, idle=40 * 86400)
        app = live_app(valkey, tmp_path)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: is_ready(app))
            await pilot.press("1", "x")
            await until(pilot, lambda: "No limit is known here" in screen_text(app))
            await pilot.press("2", "r")
            await until(pilot, lambda: app.session.scan is not None and app.session.scan.complete)
            client.config_set("maxmemory", settled(client) // 2)
            await until(pilot, lambda: (app.session.reading.snapshot.memory.pressure or 0) > 1.5)
            await pilot.press("1", "x")
            await until(pilot, lambda: "keys that nobody used for 30 days: old:" in screen_text(app))
            await pilot.press("enter")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.PREVIEW)
            assert "idle over 2,592,000 s" in screen_text(app)
            await pilot.press("escape")
            await until(pilot, lambda: "Idle longer than" in screen_text(app))
            assert client.dbsize() == 1000
