"""Hogs: the tables of keys and patterns, their columns, filters and marks."""

import pytest

from redis_oom_tui.models.keys import KeyDetails, KeyId, KeyRow
from redis_oom_tui.models.scan import PatternRow, ScanState
from redis_oom_tui.models.verdict import Remedy
from redis_oom_tui.tui.dialogs.questions import ConfirmDialog
from redis_oom_tui.tui.messages import ApplyRemedy, MakePlan
from redis_oom_tui.tui.panes.hogs_tables import Selection
from redis_oom_tui.tui.widgets.table_model import fitting
from tests.rules.scanned import scanned
from tests.support.scripted import FakeClock, ScriptedSource, a_snapshot, a_view, some_rows
from tests.tui.support import an_app, rows, screen_text, until

MIB = 1024 * 1024
HOSTILE = (
    b"[/x]",
    b"[red]k",
    b"\x1b]0;pwned\x07",
    b"\xff\xfe",
    b"",
    b"k" * 100_000,
    "\u202eevil".encode(),
    "\u732b:\u72ac".encode(),
)


async def scanning(pilot, *keys):
    await pilot.press("2", "r", *keys)
    await pilot.pause()


def hogs(app):
    return app.main.panes["hogs"]


async def test_the_cursor_stays_on_its_key_when_larger_ones_come():
    first = some_rows(10)
    larger = tuple(KeyRow(KeyId(0, f"new{n}".encode()), "string", 10**9 + n) for n in range(5))
    clock = FakeClock()
    source = ScriptedSource(views=[a_view(top=first), a_view(top=first), a_view(top=larger + first)], clock=clock)
    app = an_app(source, clock=clock)
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "j", "j")
        key = hogs(app).keys.model.current.id

        def fifteen():
            # Tables are drawn once a second by this clock, and a slow machine looks at the scan less often.
            clock.move(1)
            return len(hogs(app).keys.model.rows) == 15

        await until(pilot, fifteen)
        assert hogs(app).keys.model.current.id == key
        await pilot.press("enter")
        await pilot.pause()
        assert key.key.decode() in screen_text(app), "the key that is opened is the one that was under the cursor"


async def test_every_column_sorts_from_the_keyboard_and_by_a_click():
    app = an_app()
    async with app.run_test(size=(100, 24)) as pilot:
        await scanning(pilot)
        model = hogs(app).keys.model
        seen = [model.sort]
        for _ in range(5):
            await pilot.press("s")
            seen.append(model.sort)
        assert seen == ["size", "share", "type", "ttl", "idle", "key"]
        assert model.rows[0].id.key == min(row.id.key for row in model.rows)
        # Not the first of all keys by name, but of those that are kept.
        assert "of the 200 largest keys" in screen_text(app)
        await pilot.press("S")
        assert model.rows[0].id.key == max(row.id.key for row in model.rows)
        await pilot.click("#keys", offset=(5, 0))
        assert (model.sort, model.falling) == ("size", True)
        await until(pilot, lambda: "of the 200 largest keys" not in screen_text(app))
        await pilot.click("#keys", offset=(5, 0))
        assert (model.sort, model.falling) == ("size", False)


async def test_the_share_of_a_scan_that_has_ended_is_of_what_was_used_then():
    rows = tuple(KeyRow(KeyId(0, b"k%d" % n), "string", mib * MIB) for n, mib in enumerate((90, 9)))
    source = ScriptedSource([a_snapshot(used=100 * MIB)], views=[a_view(ScanState.COMPLETE, top=rows)])
    app = an_app(source)
    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: app.session.state is not None and app.session.state.snapshot is not None)
        await scanning(pilot)
        await until(pilot, lambda: "90.0" in screen_text(app))
        source.script.append(a_snapshot(used=10 * MIB))
        await until(pilot, lambda: app.session.state.snapshot.memory.used_bytes == 10 * MIB)
        hogs(app)._draw()
        assert [share for share in ("90.0", " 9.0", "900.0") if f"{share} string" in screen_text(app)] == [
            "90.0",
            " 9.0",
        ]


async def test_an_order_by_what_no_row_has_is_said():
    rows = tuple(KeyRow(KeyId(0, b"k%d" % n), "string", 1000 - n) for n in range(5))
    app = an_app(ScriptedSource(views=[a_view(top=rows)]))
    async with app.run_test(size=(100, 24)) as pilot:
        await scanning(pilot, "s", "s", "s", "s")
        assert [row.size for row in hogs(app).keys.model.rows] == [1000, 999, 998, 997, 996]
        assert "IDLE?" in screen_text(app)
        assert "No row has a value in IDLE: the order stays" in screen_text(app)
        await pilot.press("s")
        assert "KEY?" not in screen_text(app)


async def test_a_filter_narrows_and_escape_gives_back():
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "slash", *"QUEUE")
        assert {row.id.key[:5] for row in hogs(app).keys.model.rows} == {b"queue"}
        await pilot.press("enter")
        found = len(hogs(app).keys.model.rows)
        assert f"/QUEUE  {found} of the 200 largest keys" in screen_text(app)
        await pilot.press("j", "escape")
        assert len(hogs(app).keys.model.rows) == 200


async def test_a_finding_shows_the_keys_that_it_is_about():
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "slash", *"QUEUE", "enter")
        pane = hogs(app)
        await until(pilot, lambda: pane._view is not None and pane._view.patterns)
        row = pane._view.patterns[0]
        await pilot.press("1")
        app.post_message(ApplyRemedy(Remedy("hogs", match=row.match, db=row.db, pattern=row.select)))
        await until(pilot, lambda: pane.tables.selection.pattern == row)
        assert app.main.pane == "hogs"
        assert (pane.tables.selection.text, pane.filter_line.value) == ("", "")
        assert pane.keys.model.rows == pane.tables.selection.keys(pane._view)

        app.post_message(ApplyRemedy(Remedy("hogs", match=b"queue:*")))
        await until(pilot, lambda: pane.tables.selection.pattern is None or pane.tables.selection.pattern != row)
        assert {row.id.key[:5] for row in pane.keys.model.rows} == {b"queue"}

        app.post_message(ApplyRemedy(Remedy("hogs", match=b"\xff\xfe")))
        await until(pilot, lambda: pane.tables.selection == Selection())


async def test_a_filter_that_finds_nothing_says_where_it_looked():
    app = an_app()
    async with app.run_test(size=(100, 24)) as pilot:
        await scanning(pilot, "slash", *"nowhere")
        await pilot.pause()
        assert "No match of the 200 largest keys" in screen_text(app)
        await pilot.press("enter", "e", "r")
        await pilot.pause()
        assert [options.match for options, _ in app.session.source.scans] == [None, b"*[nN][oO][wW][hH][eE][rR][eE]*"]
        assert app.session.scanner.options.match is None, "the next scan walks all again"


async def test_digits_typed_into_the_filter_do_not_switch_panes():
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "slash", "1", "q")
        assert app.main.pane == "hogs"
        assert hogs(app).filter_line.value == "1q"


async def plan_of(keys):
    app = an_app()
    plans = []
    async with app.run_test(
        size=(80, 24), message_hook=lambda m: plans.append(m) if isinstance(m, MakePlan) else None
    ) as pilot:
        await scanning(pilot, *keys, "x")
        await pilot.pause()
        assert app.main.pane == "cleanup"
    return plans[0].criteria


async def test_x_plans_the_marked_keys_before_all_else():
    criteria = await plan_of(["space", "j", "space"])
    top = some_rows()
    assert criteria.keys == (top[0].id, top[2].id)


async def test_x_on_a_pattern_plans_its_glob():
    criteria = await plan_of(["tab", "j"])
    assert criteria.patterns == (b"cart:*:items",)
    assert not criteria.keys


async def test_x_plans_the_key_under_the_cursor():
    assert (await plan_of(["j"])).keys == (some_rows()[1].id,)


@pytest.mark.parametrize("size", [(80, 24), (160, 24), (40, 12)])
async def test_hostile_names_are_harmless_everywhere(size):
    top = tuple(KeyRow(KeyId(0, name), "string", 1000 - n) for n, name in enumerate(HOSTILE))
    patterns = tuple(PatternRow(name, name, 1, 1000 - n, 0.1, 0) for n, name in enumerate(HOSTILE))
    source = ScriptedSource(
        views=[a_view(top=top, patterns=patterns)],
        details=lambda key: KeyDetails(KeyRow(key, "string", 10), preview=HOSTILE[:7]),
    )
    app = an_app(source)
    async with app.run_test(size=size) as pilot:
        await scanning(pilot)
        assert any(line.endswith('""') or ' "" ' in line for line in rows(app)), "a name of no bytes is seen as well"
        for _ in range(len(HOSTILE)):
            await pilot.press("enter")
            await pilot.pause()
            assert all(char.isprintable() for line in rows(app) for char in line)
            await pilot.press("escape", "j")
        await pilot.press("tab", "enter")
        await pilot.pause()
        for line in rows(app):
            assert all(char.isprintable() and char != "\u202e" for char in line)


async def test_details_show_the_exact_bytes_and_say_when_a_key_is_gone():
    top = (KeyRow(KeyId(3, b"a\\b\xff"), "string", 1000),)
    app = an_app(ScriptedSource(views=[a_view(top=top)], details=lambda key: None))
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "enter")
        await until(pilot, lambda: "It is gone" in screen_text(app))
        assert "a\\\\b\\xff" in screen_text(app)
        assert "database 3" in screen_text(app)


@pytest.mark.parametrize(
    ("facts", "reset"),
    [
        ({"idle_seconds": 7200}, "Its idle time (2h00m now) is reset to 0"),
        ({"frequency": 12}, "frequency (12 of 255 now) may rise"),
        ({}, "is reset: its idle time, or its access frequency"),
    ],
)
async def test_a_value_is_read_anyway_only_after_it_was_said_what_that_resets(facts, reset, listening_at_once):
    row = KeyRow(KeyId(0, b"cold"), "list", 1000, **facts)
    withheld = KeyDetails(row, preview_withheld="reading would reset", touchable=True)
    source = ScriptedSource(views=[a_view(top=(row,))])
    source.some_details = lambda key: KeyDetails(row, preview=(b"first",)) if source.touched else withheld
    app = an_app(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "enter")
        await until(pilot, lambda: "read anyway" in screen_text(app))
        for answer in ("escape", "tab"):
            await pilot.press("r")
            await until(pilot, lambda: isinstance(app.screen, ConfirmDialog) and app.focused is not None)
            assert reset in " ".join(screen_text(app).replace("│", " ").split())
            assert source.touched == []
            await pilot.press(answer)
        await pilot.press("enter")
        await until(pilot, lambda: "Value (start)" in screen_text(app))
        assert source.touched == [row.id]
        text = screen_text(app)
        assert "are from before that" in text
        assert "read anyway" not in text


async def test_details_say_what_a_key_is_to_its_application():
    names = ("meta", "hash", 50), ("events", "stream", 50), ("completed", "zset", 90_000), ("1", "hash", 500)
    view = scanned([(f"bull:mail:{name}", kind, size) for name, kind, size in names])
    app = an_app(ScriptedSource(views=[view], details=lambda key: KeyDetails(view.top[0])))
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "enter")
        await until(pilot, lambda: "BullMQ: completed; its loss is harmless." in screen_text(app))


async def test_what_the_figures_leave_out_stands_beside_the_totals():
    view = a_view(ScanState.COMPLETE, notes=("MEMORY USAGE is refused here: sizes are unknown",), types=())
    app = an_app(ScriptedSource(views=[view]))
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot)
        await until(pilot, lambda: "MEMORY USAGE is refused here: sizes are unknown" in screen_text(app))


async def test_with_more_room_each_table_has_at_least_the_columns_of_80():
    def columns(table):
        return {column.title for column, _ in fitting(table.model.columns, table.size.width - 2)}

    seen = {}
    for size in ((80, 24), (120, 36), (200, 60)):
        app = an_app()
        async with app.run_test(size=size) as pilot:
            await scanning(pilot)
            keys = columns(hogs(app).keys)
            await pilot.press("tab")
            await pilot.pause()
            seen[size] = keys, columns(hogs(app).patterns)
            assert hogs(app).keys.display == (size[0] > 80), "where there is room, both are shown"
    for size in ((120, 36), (200, 60)):
        for small, large in zip(seen[80, 24], seen[size], strict=True):
            assert small <= large, size
