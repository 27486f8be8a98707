"""A pattern of Hogs, planned with `x` or entered with Enter, is exactly the keys that its row counts."""

from redis_oom_tui.models.scan import ScanOptions, ScanState
from redis_oom_tui.rules.findings import find
from redis_oom_tui.tui.flows.state import Stage
from tests.tui.support import until
from tests.tui.test_dialogs_live import is_ready, live_app


async def test_x_on_a_pattern_plans_exactly_its_keys(server, tmp_path):
    with server.client() as client:
        names = [b"user:%d" % n for n in range(600)] + [b"user:billing:%d" % n for n in range(100)]
        names += [b"user:%d:session" % n for n in range(100)] + [b"app[12]:v*", b"app[12]:vx"]
        client.mset(dict.fromkeys(names, b"v" * 100))
        app = live_app(server, tmp_path)
        async with app.run_test(size=(100, 30)) as pilot:
            await until(
                pilot,
                lambda: is_ready(app),
            )
            await pilot.press("2", "r")
            await until(pilot, lambda: app.session.scan is not None and app.session.scan.state is ScanState.COMPLETE)
            tables = app.main.active_pane.tables
            if not app.main.active_pane.has_class("-patterns"):
                await pilot.press("tab")
            await until(pilot, lambda: tables.patterns.model.rows)
            for row in app.session.scan.patterns:
                tables.selection = type(tables.selection)(pattern=row)
                wish = tables.plan_request(in_patterns=False)
                planning = app.session.actions.operator.plan(wish.criteria)
                view = await planning.run()
                assert view.matched_keys == row.keys, row
                assert len(tables.selection.keys(app.session.scan)) == row.keys
            row = next(row for row in app.session.scan.patterns if row.pattern == b"user:<id>")
            tables.selection = type(tables.selection)(pattern=row)
            app.main.active_pane.post_message(tables.plan_request(in_patterns=False))
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.PREVIEW)
            plan = app.session.actions.cleanup.plan
            assert {key.id.key for key in plan.keys} == {b"user:%d" % n for n in range(600)}
            form = app.main.active_pane.form_view.form
            assert form.pattern == "user:<id>"


async def test_the_filter_of_a_saved_scan_goes_along(server, tmp_path):
    """A row of a scan of lists alone counts lists alone."""
    with server.client() as client:
        client.mset({b"user:%d" % n: b"v" for n in range(50)})
        for number in range(7):
            client.rpush(b"user:list%d" % number, b"v")
        app = live_app(server, tmp_path)
        async with app.run_test(size=(100, 30)) as pilot:
            await until(
                pilot,
                lambda: is_ready(app),
            )
            app.session.scanner.start(ScanOptions(type="list"))
            await until(pilot, lambda: app.session.scan is not None and app.session.scan.state is ScanState.COMPLETE)
            (row,) = app.session.scan.patterns
            assert row.keys == 7
            await pilot.press("2")
            tables = app.main.active_pane.tables
            tables.selection = type(tables.selection)(pattern=row)
            view = await app.session.actions.operator.plan(tables.plan_request(in_patterns=False).criteria).run()
            assert view.matched_keys == 7


async def test_a_finding_fills_in_exactly_the_keys_it_counts(server, tmp_path):
    with server.client() as client:
        pipe = client.pipeline(transaction=False)
        for number in range(1500):
            pipe.set(b"session:%d" % number, b"v" * 400, **({"ex": 9999} if number % 5 else {}))
        pipe.set(b"session:keep", b"v")
        pipe.execute()
        app = live_app(server, tmp_path)
        async with app.run_test(size=(100, 30)) as pilot:
            await until(
                pilot,
                lambda: is_ready(app),
            )
            await pilot.press("2", "r")
            await until(pilot, lambda: app.session.scan is not None and app.session.scan.state is ScanState.COMPLETE)
            await pilot.press("4")
            finding = next(
                one for one in find(app.session.state.snapshot, app.session.scan) if one.id == "no-ttl-stragglers"
            )
            app.main.active_pane.show_remedy(finding.remedy)
            app.main.active_pane.action_preview()
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.PREVIEW)
            assert len(app.session.actions.cleanup.plan.keys) == 300
