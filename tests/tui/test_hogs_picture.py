"""Hogs: the picture of the keyspace."""

import pytest
from rich.color import ColorSystem

from redis_oom_tui.formatting.sanitize import cells
from redis_oom_tui.models.scan import PatternRow, ScanState
from redis_oom_tui.models.structs import replace
from redis_oom_tui.tui.glyphs import Appearance
from redis_oom_tui.tui.panes.keyspace_map import _icicle, _treemap
from redis_oom_tui.tui.terminal.diff import FrameDiff
from tests.support.scripted import ScriptedSource, a_view, some_rows
from tests.tui.support import an_app, rows, screen_text, until
from tests.tui.test_hogs import hogs, scanning


def picture_of():
    """Patterns of falling size, each made of two others, one of them with a hostile name."""
    names = (b"session:*", b"cache:page:*", b"\x1b]0;x\x07:*", b"cart:*:items", b"queue:*", b"board:*", b"tmp:*")
    rows = []
    for n, name in enumerate(names):
        size = round(200 * 1.7**-n) * 2**20
        rows.append(PatternRow(name, name, 9_000, size, 0.1, (9_000, 0, 4_500)[n % 3], db=0))
        rows += [
            PatternRow(name[:-1] + part, name, 3_000, size // 3, 0.1, 0, db=0, level=2, parent=name)
            for part in (b"v1:*", b"v2:*")
        ]
    return ScriptedSource(views=[a_view(ScanState.COMPLETE, patterns=tuple(rows), top=some_rows())])


@pytest.mark.parametrize(("size", "glyphs"), [((80, 24), "full"), ((60, 20), "ascii"), ((120, 36), "cp437")])
async def test_the_picture_has_the_selection_of_the_table_and_opens_level_by_level(size, glyphs):
    app = an_app(picture_of(), appearance=Appearance("ansi-dark", glyphs))
    async with app.run_test(size=size) as pilot:
        await scanning(pilot, "tab", "j", "t")
        await pilot.pause()
        text = screen_text(app)
        assert hogs(app).main_widget is hogs(app).tables.map
        assert "cache:page:*  118.0M  9,000 keys, with TTL" in text
        assert "without TTL" in text, "what a color says is said in words"
        assert "\x1b" not in text
        assert glyphs != "ascii" or text.isascii()
        assert all(cells(line) <= size[0] for line in rows(app))
        await pilot.press("enter")
        await pilot.pause()
        within = {"full": "›"}.get(glyphs, ">")
        assert f"patterns {within} cache:page:*" in screen_text(app)
        assert {row.id.key[:6] for row in hogs(app).keys.model.rows} == {b"cache:"}, "its keys are listed"
        await pilot.press("j", "t")
        await pilot.pause()
        assert hogs(app).patterns.model.current.pattern == b"cache:page:v2:*"
        await pilot.press("t", "escape", "j", "x")
        await pilot.pause()
        assert app.main.pane == "cleanup", "a cleanup is planned from the picture, too"


async def test_in_the_picture_enter_on_a_pattern_that_is_made_of_none_lists_its_keys():
    app = an_app(picture_of())
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "t", "enter", "enter")
        await pilot.pause()
        assert hogs(app).main_widget is hogs(app).keys
        assert "in session:v" in screen_text(app)


async def test_a_click_selects_a_tile_and_a_key_colors_by_something_else():
    app = an_app(picture_of())
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "t")
        await pilot.click("#map", offset=(40, 2))
        await pilot.pause()
        assert hogs(app).patterns.model.current.pattern == b"cache:page:*"
        for words in ("by idle time", "by application", "by TTL"):
            await pilot.press("T")
            await pilot.pause()
            assert words in rows(app)[-2]


@pytest.mark.parametrize(("size", "most"), [((80, 24), 1.5), ((120, 36), 2.5), ((200, 60), 6)])
async def test_a_step_into_the_picture_sends_little(size, most):
    app = an_app(picture_of())
    async with app.run_test(size=size) as pilot:
        await scanning(pilot, "t")
        await pilot.pause()
        diff = FrameDiff(ColorSystem.EIGHT_BIT, erases=True)
        diff.encode(app.screen._compositor.render_strips())
        await pilot.press("enter")
        await pilot.pause()
        assert len(diff.encode(app.screen._compositor.render_strips())) <= most * 1024


async def test_the_picture_marks_estimates_and_claims_no_ttl_that_was_not_told():
    one = PatternRow(b"cart:*", b"cart:*", 1, 3 * 2**20, 0.6, 1, db=0, types=(("hash", 1),))
    two = PatternRow(b"page:*", b"page:*", 2, 2 * 2**20, 0.4, 2, db=0, types=(("string", 2),))
    for known, words in ((True, "without TTL"), (False, "TTL unknown")):
        view = replace(a_view(ScanState.COMPLETE, patterns=(one, two), top=some_rows()), ttls_known=known)
        app = an_app(ScriptedSource(views=[view]))
        async with app.run_test(size=(80, 24)) as pilot:
            await scanning(pilot, "t")
            await pilot.pause()
            picture = screen_text(app)
            assert f"cart:*  ~3.0M  1 key, {words}" in picture
            assert "~3.0M  1 key " in picture
            assert " 2.0M  2 keys" in picture
            assert ("without TTL" in picture) is known


def test_tiles_fill_the_picture_and_do_not_overlap():
    sizes = [1000, 600, 400, 120, 90, 30, 30, 9, 5, 3, 1, 1, 1]
    shown = [PatternRow(b"%d" % n, b"x", 1, size, 0.1, 0) for n, size in enumerate(sizes)]
    for layout in (_treemap, _icicle):
        for width, height in ((80, 15), (40, 7), (200, 50), (9, 2)):
            taken = [
                (x, y)
                for place in layout(shown, width, height, lambda _: ())
                for x in range(place.left, place.right)
                for y in range(place.top, place.bottom)
            ]
            assert len(taken) == len(set(taken)) == width * height


async def test_a_message_of_several_lines_moves_nothing():
    app = an_app(picture_of())
    async with app.run_test(size=(80, 24)) as pilot:
        await scanning(pilot, "tab", "t")
        await until(pilot, lambda: "without TTL" in screen_text(app))
        before, size = rows(app), hogs(app).tables.map.size
        app.tell("a sentence that is long " * 6)
        await until(pilot, lambda: "long a sentence" in screen_text(app))
        assert hogs(app).tables.map.size == size
        shown = rows(app)
        assert [line for line in shown[:-2] if "scan" not in line] == [
            line for line in before[:-2] if "scan" not in line
        ]
        assert "a sentence" in shown[-2]
        app.tell("")
        await until(pilot, lambda: rows(app)[-2:] == before[-2:])
