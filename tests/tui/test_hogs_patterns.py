"""Hogs: patterns, level by level, with their databases and applications."""

import re

import pytest

from redis_oom_tui.models.keys import KeyId, KeyRow
from redis_oom_tui.models.scan import Interval, PatternRow, ScanState
from redis_oom_tui.tui.messages import MakePlan
from tests.rules.scanned import scanned
from tests.support.scripted import ScriptedSource, a_view, some_rows
from tests.tui.support import an_app, screen_text, until
from tests.tui.test_hogs import hogs, scanning


async def test_a_pattern_leads_to_its_keys_and_escape_leads_back():
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "tab")
        assert "cart:*:items" in screen_text(app)
        await pilot.press("j", "enter")
        await pilot.pause()
        assert "in cart:*:items" in screen_text(app)
        assert {row.id.key[:5] for row in hogs(app).keys.model.rows} == {b"cart:"}
        await pilot.press("escape")
        await pilot.pause()
        assert hogs(app).main_widget is hogs(app).patterns


async def test_patterns_open_level_by_level():
    tree = (
        PatternRow(b"user:*", b"user:*", 100, 9000, 0.9, 0, db=0),
        PatternRow(b"user:*:cart", b"user:*:cart", 60, 6000, 0.6, 0, db=0, level=2, parent=b"user:*"),
        PatternRow(b"other", b"other", 1, 1000, 0.1, 0, db=0),
    )
    app = an_app(ScriptedSource(views=[a_view(patterns=tree)]))
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "tab")
        model = hogs(app).patterns.model
        assert [row.pattern for row in model.rows] == [b"user:*", b"other"]
        assert "user:* +" in screen_text(app), "what can be opened is marked"
        assert "other +" not in screen_text(app)
        await pilot.press("l")
        assert [row.pattern for row in model.rows] == [b"user:*:cart"]
        await pilot.press("l", "h")
        assert model.current.pattern == b"user:*"


async def test_while_the_scan_is_partial_patterns_say_what_the_whole_may_be():
    row = PatternRow(
        b"user:*", b"user:*", 100, 9 * 2**20, 0.9, 0, estimated_bytes=Interval(20 * 2**20, 18 * 2**20, 23 * 2**20)
    )
    source = ScriptedSource(views=[a_view(patterns=(row,))])
    app = an_app(source)
    async with app.run_test(size=(90, 24)) as pilot:
        await scanning(pilot, "tab")
        await until(pilot, lambda: "20.0M +-15%" in screen_text(app))
        source.scans[0][1].finish()
        await until(pilot, lambda: "COMPLETE" in screen_text(app))
        assert "EST. TOTAL" not in screen_text(app)


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (120, 36), (200, 60)])
async def test_the_application_of_a_pattern_stands_beside_it(size):
    names = ("meta", "hash"), ("events", "stream"), ("completed", "zset"), ("1", "hash"), ("2", "hash")
    view = scanned([*((f"bull:mail:{name}", kind, 9000) for name, kind in names), ("page:1", "string", 50)])
    app = an_app(ScriptedSource(views=[view]))
    async with app.run_test(size=size) as pilot:
        await scanning(pilot, "tab")
        await until(pilot, lambda: "BullMQ 43.9K" in screen_text(app))
        if size[0] in (80, 200):
            assert re.search(r"APPLICATION +PATTERN", screen_text(app))
            assert re.search(r"BullMQ +bull:mail:\* \+", screen_text(app))
        await pilot.press("l")
        await until(pilot, lambda: "bull:mail:events" in screen_text(app))
        if size[0] >= 80:
            await until(pilot, lambda: "BullMQ: events  " in screen_text(app))


@pytest.mark.parametrize(("largest", "sentence"), [(1, True), (150, False)])
async def test_where_no_single_key_matters_the_way_to_the_patterns_is_told(largest, sentence):
    top = tuple(KeyRow(KeyId(0, b"k%d" % n), "string", largest * 1024 * 1024) for n in range(3))
    app = an_app(ScriptedSource(views=[a_view(ScanState.COMPLETE, top=top)]))
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot)
        await until(pilot, lambda: "k2" in screen_text(app))
        assert ("No key over 1%" in screen_text(app)) is sentence
        await pilot.press("tab")
        await until(pilot, lambda: "No key over 1%" not in screen_text(app))


def in_each(databases):
    """One pattern in each of these databases."""
    return tuple(PatternRow(b"user:*", b"user:*", 100, 9000, 0.5, 0, db=db) for db in databases)


@pytest.mark.parametrize("size", [(80, 24), (120, 30)])
async def test_patterns_of_one_name_are_told_apart_by_their_databases(size):
    plans = []
    app = an_app(ScriptedSource(views=[a_view(patterns=in_each([0, 7]))]))
    async with app.run_test(
        size=size, message_hook=lambda m: plans.append(m) if isinstance(m, MakePlan) else None
    ) as pilot:
        await scanning(pilot, "tab")
        table = hogs(app).patterns
        assert [column.title for column in table.model.columns if column.id == "db"] == ["DB"]
        assert re.search(r"\b7 user:\*", screen_text(app))
        await pilot.press("j")
        assert table.model.current.db == 7
        await pilot.press("enter")
        await pilot.pause()
        assert "in user:* of db 7" in screen_text(app)
        await pilot.press("x")
        await pilot.pause()
        assert plans[0].criteria.databases == (7,)
        assert re.search(r"Database +7", screen_text(app))


async def test_one_database_needs_no_column():
    top = tuple(row for row in some_rows() if row.id.db == 0)
    app = an_app(ScriptedSource(views=[a_view(top=top, patterns=in_each([0]))]))
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "tab")
        assert "db" not in {column.id for column in hogs(app).patterns.model.columns}


async def test_in_a_pattern_that_was_entered_only_its_keys_are_listed():
    pattern = PatternRow(b"session:*", b"session:*", 100, 9000, 0.9, 0, db=0)
    inner = PatternRow(b"session:1*", b"session:10000", 60, 6000, 0.6, 0, db=0, level=2, parent=b"session:*")
    app = an_app(ScriptedSource(views=[a_view(patterns=(pattern, inner))]))
    async with app.run_test(size=(120, 36)) as pilot:
        await scanning(pilot, "tab", "l")
        await pilot.pause()
        assert {row.id.key[:8] for row in hogs(app).keys.model.rows} == {b"session:"}
        await pilot.press("h")
        await pilot.pause()
        assert len(hogs(app).keys.model.rows) == 200


async def test_a_pattern_has_its_room_before_the_application_of_another():
    names = ("meta", "hash"), ("events", "stream"), ("completed", "zset")
    long = [(f"tenant:{n}:cart:items:v2", "string", 50) for n in range(40)]
    view = scanned([*((f"bull:mail:{name}", kind, 9000) for name, kind in names), *long])
    app = an_app(ScriptedSource(views=[view]))
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "tab")
        await until(pilot, lambda: "APPLICATION " in screen_text(app))
        assert "tenant:*:cart:items:v2" in screen_text(app)
        assert "BullMQ" in screen_text(app)


@pytest.mark.parametrize("keys", ["", "t"])
async def test_where_no_pattern_matches_x_takes_no_key_of_the_list_that_is_not_shown(keys):
    app = an_app(ScriptedSource(views=[a_view()]))
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "tab", *keys)
        await pilot.press("slash", *"100", "enter")
        await until(pilot, lambda: "do: Tab shows them" in " ".join(screen_text(app).split()))
        assert not hogs(app).patterns.model.rows
        assert hogs(app).keys.model.rows
        await pilot.press("x")
        await until(pilot, lambda: "No key or pattern is under the cursor" in screen_text(app))
        assert hogs(app).tables.plan_request(in_patterns=False) is not None, "the key list has one under its cursor"
        assert hogs(app).display
