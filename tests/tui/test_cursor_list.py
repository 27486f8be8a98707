"""One list for all: what is in view, what the keys and the mouse do, and that the cursor stays on its row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.tui.widgets.cursor_list import CursorList, window
from tests.support.scripted import FakeClock, ScriptedSource
from tests.tui.support import an_app, rows, until


@given(
    heights=st.lists(st.integers(1, 4), min_size=1, max_size=30),
    cursor=st.integers(-2, 40),
    top=st.integers(0, 40),
    room=st.integers(4, 12),
)
def test_the_cursors_row_is_in_view_and_nothing_but_the_end_leaves_room(heights, cursor, top, room):
    shown = window(len(heights), cursor, top, room, heights.__getitem__)
    at = max(0, min(cursor, len(heights) - 1))
    used = sum(heights[n] for n in shown)
    assert at in shown
    assert used <= room
    if shown.stop < len(heights):
        assert used + heights[shown.stop] > room
    elif shown.start > 0:
        assert used + heights[shown.start - 1] > room


@given(count=st.integers(0, 300), cursor=st.integers(0, 400), top=st.integers(0, 400), room=st.integers(1, 50))
def test_rows_of_one_line_scroll_as_little_as_need_be(count, cursor, top, room):
    shown = window(count, cursor, top, room)
    assert len(shown) == min(count, room)
    if count > room and shown.start != top:
        assert cursor < top or cursor >= top + room or top > count - room


class Letters(CursorList[str]):
    """Rows of one letter, two lines each, under a title."""

    one_line = False
    listed = "abcdefghijklmnop"
    entered = ""

    @property
    def items(self):
        return self.listed

    def identify(self, item):
        return item

    def above(self, width, height):
        return [(("title", "title"),)]

    def row(self, item, width, *, here):
        return [((f"{'>' if here else ' '}{item}", "text"),), (("  note", "dim"),)]

    def key_enter(self):
        self.entered = self.current


@pytest.fixture
async def letters():
    app = an_app(ScriptedSource(clock=FakeClock()))
    async with app.run_test(size=(60, 12)) as pilot:
        shown = Letters()
        shown.styles.height = 7
        await app.screen.mount(shown)
        app.screen.set_focus(shown)
        await until(pilot, lambda: ">a" in "\n".join(rows(app)))
        yield shown, pilot


async def test_the_keys(letters):
    shown, pilot = letters
    for key, letter in [("j", "b"), ("down", "c"), ("k", "b"), ("up", "a"), ("up", "a"), ("end", "p"), ("home", "a")]:
        await pilot.press(key)
        assert shown.current == letter
    await pilot.press("pagedown")
    assert shown.current > "b"
    await pilot.press("pageup", "G")
    await until(pilot, lambda: ">p" in "\n".join(rows(pilot.app)))


async def test_a_click_takes_the_row_by_its_place_and_a_second_one_presses_enter(letters):
    shown, pilot = letters
    await pilot.press("end", "k")
    assert shown.current == "o"
    # The three rows in view: n, o, p, two lines each, below the title.
    await pilot.click(shown, offset=(1, 2))
    assert shown.current == "n"
    await pilot.click(shown, offset=(1, 5), times=2)
    await until(pilot, lambda: shown.entered == "p")


async def test_the_cursor_stays_on_its_row_and_where_that_goes_on_its_place(letters):
    shown, pilot = letters
    await pilot.press("j", "j")
    shown.listed = "xyzabcdef"
    assert shown.current == "c"
    shown.listed = "xyzabdef"
    assert shown.index == 2
    shown.listed = ""
    assert shown.current is None
    shown.redraw()
