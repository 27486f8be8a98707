"""A failover while the screen is open: no question names a server on which nothing would be done."""

from pathlib import Path

import pytest

from redis_oom_tui.actions.deployment import Standalone
from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.models.config import ScreenOptions
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.tui.app import TriageApp
from redis_oom_tui.tui.dialogs.base import Dialog
from tests.support.sentinel import failed_over, watched
from tests.tui.support import screen_text, until
from tests.tui.test_dialogs_live import planned, yes

pytestmark = pytest.mark.usefixtures("listening_at_once")


async def test_a_plan_of_the_former_primary_is_not_asked_about(tmp_path: Path) -> None:
    with watched("valkey") as them:
        with them.master.client() as client:
            client.mset({f"cache:{number}": "v" for number in range(20)})
            client.wait(1, 5000)
        source = LiveServer(them.connection)
        operator = LiveOperator(Standalone(source), folder=tmp_path)
        app = TriageApp(source, operator=operator, options=ScreenOptions(interval_seconds=0.1))
        async with app.run_test(size=(100, 24)) as pilot:
            await planned(pilot, "cache:*")
            failed_over(them)
            now = f"127.0.0.1:{them.replica_port}"
            await until(pilot, lambda: now in screen_text(app).splitlines()[0])
            await pilot.press("x")
            await until(pilot, lambda: "make the plan again" in " ".join(screen_text(app).split()))
            said = " ".join(screen_text(app).split())
            assert f"{now} is not the server of this plan (127.0.0.1:{them.master_port})" in said
            assert "(Esc, then x)" in said
            assert not isinstance(app.screen, Dialog)
            await pilot.press("escape", "x")
            await until(pilot, lambda: "To delete: 20 keys" in screen_text(app))
            await pilot.press("x")
            await until(pilot, lambda: isinstance(app.screen, Dialog) and f"database 0 of {now}" in screen_text(app))


async def test_what_was_done_on_the_former_primary_is_listed_and_can_be_undone(tmp_path: Path) -> None:
    with watched("valkey") as them:
        with them.master.client() as client:
            client.mset({f"{kind}:{number}": "v" for kind in ("cache", "user") for number in range(200)})
        source = LiveServer(them.connection)
        operator = LiveOperator(Standalone(source), folder=tmp_path)
        app = TriageApp(source, operator=operator, options=ScreenOptions(interval_seconds=0.1))
        async with app.run_test(size=(100, 24)) as pilot:
            await planned(pilot, "cache:1[0-4]")
            await pilot.press("x")
            await yes(pilot, "Delete 5 keys?")
            await until(pilot, lambda: "Deleted 5 of 5 keys" in screen_text(app))
            with them.replica.client() as client:
                await until(pilot, lambda: client.dbsize() == 395)
            failed_over(them)
            await until(pilot, lambda: f"127.0.0.1:{them.replica_port}" in screen_text(app).splitlines()[0])
            await pilot.press("5")
            await until(pilot, lambda: f":{them.master_port}  Deleted 5" in screen_text(app))
            assert "Failover: " in screen_text(app)
            await pilot.press("U")
            await until(pilot, lambda: "restore 5 keys" in screen_text(app))
            await pilot.press("enter")
            await yes(pilot, f"127.0.0.1:{them.replica_port} (primary")
            await until(pilot, lambda: "Restored 5 of 5 keys" in screen_text(app))
        with them.replica.client() as client:
            assert client.dbsize() == 400
