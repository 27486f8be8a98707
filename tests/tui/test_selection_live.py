"""A pattern of Hogs, planned with `x` or entered with Enter, is exactly the keys that its row counts."""

from redis_oom_tui.models.scan import ScanState
from redis_oom_tui.tui.acting.state import Stage
from tests.tui.support import until
from tests.tui.test_dialogs_live import live_app


async def test_x_on_a_pattern_plans_exactly_its_keys(server, tmp_path):
    with server.client() as client:
        names = [b"user:%d" % n for n in range(600)] + [b"user:billing:%d" % n for n in range(100)]
        names += [b"user:%d:session" % n for n in range(100)] + [b"app[12]:v*", b"app[12]:vx"]
        client.mset(dict.fromkeys(names, b"v" * 100))
        app = live_app(server, tmp_path)
        async with app.run_test(size=(100, 30)) as pilot:
            await until(pilot, lambda: app.reading.snapshot is not None and app.deeds.limits.limits is not None)
            await pilot.press("2", "r")
            await until(pilot, lambda: app.scan is not None and app.scan.state is ScanState.COMPLETE)
            tables = app.active_pane.tables
            if not app.active_pane.has_class("-patterns"):
                await pilot.press("tab")
            await until(pilot, lambda: tables.patterns.model.rows)
            for row in app.scan.patterns:
                tables.selection = type(tables.selection)(family=row)
                wish = tables.wish(in_patterns=False)
                planning = app.deeds.operator.plan(wish.criteria)
                view = await planning.run()
                assert view.matched_keys == row.keys, row
                assert len(tables.selection.keys(app.scan)) == row.keys
            row = next(row for row in app.scan.patterns if row.pattern == b"user:<id>")
            tables.selection = type(tables.selection)(family=row)
            app.active_pane.post_message(tables.wish(in_patterns=False))
            await until(pilot, lambda: app.deeds.cleanup.stage is Stage.PREVIEW)
            plan = app.deeds.cleanup.plan
            assert {key.id.key for key in plan.keys} == {b"user:%d" % n for n in range(600)}
            form = app.active_pane.form_view.form
            assert form.pattern == "user:<id>"
