"""The diff is right if a terminal that is sent differences shows, cell by cell, what one shows that is sent it all."""

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style

from redis_oom_tui.models.keys import KeyId, KeyRow
from redis_oom_tui.tui.glyphs import Appearance
from redis_oom_tui.tui.terminal.diff import FrameDiff, sgr
from tests.support.scripted import FakeClock, ScriptedSource, a_snapshot, a_view
from tests.tui.support import an_app

STYLES = [
    Style.parse(text)
    for text in (
        "none",
        "bold",
        "red",
        "bold #ff5c8a on #121212",
        "#ff5c8a on #121212",
        "reverse",
        "underline",
        "on blue",
        "dim cyan",
        "color(200)",
    )
]
TEXTS = st.text(alphabet="ab |█━▏●", min_size=1, max_size=6) | st.integers(10, 18).map(" ".__mul__)
SIZE = (24, 4)


def whole(rows, system):
    """Each row by a jump and full attributes: nothing clever."""
    out = ["\x1b[2J"]
    for y, row in enumerate(rows):
        out.append(f"\x1b[{y + 1};1H")
        out += [f"\x1b[0;{sgr(part.style, system)}m{part.text}" for part in row]
    return "".join(out)


def cells(screen):
    return [
        [
            (c.data, c.fg, c.bg, c.bold, c.reverse, c.underscore)
            for c in (screen.buffer[y][x] for x in range(screen.columns))
        ]
        for y in range(screen.lines)
    ]


def shown_alike(frames, size, system=ColorSystem.TRUECOLOR, *, erases=True):
    """Feed the frames one by one both ways and compare after each."""
    ours, stock = pyte.Screen(*size), pyte.Screen(*size)
    to_ours, to_stock = pyte.Stream(ours), pyte.Stream(stock)
    diff = FrameDiff(system, erases=erases)
    for frame in frames:
        to_ours.feed(diff.encode(frame))
        to_stock.feed(whole(frame, system))
        assert cells(ours) == cells(stock)


def cut_to(row, width):
    text_left, out = width, []
    for part in row:
        text = part.text[:text_left]
        text_left -= len(text)
        if text:
            out.append(Segment(text, part.style))
    return [*out, Segment(" " * text_left)] if text_left else out


ROWS = st.lists(st.builds(Segment, TEXTS, st.sampled_from(STYLES)), max_size=8).map(lambda row: cut_to(row, SIZE[0]))
A_FRAME = st.lists(ROWS, min_size=SIZE[1], max_size=SIZE[1])
FRAMES = st.lists(A_FRAME, min_size=1, max_size=4)


@settings(max_examples=50)
@given(FRAMES, st.sampled_from([ColorSystem.TRUECOLOR, ColorSystem.EIGHT_BIT, ColorSystem.STANDARD]), st.booleans())
def test_differences_come_to_the_same_cells(frames, system, erases):
    shown_alike(frames, SIZE, system, erases=erases)


@settings(max_examples=50)
@given(A_FRAME)
def test_a_frame_like_the_last_sends_nothing_and_a_forgotten_one_all(frame):
    diff = FrameDiff(ColorSystem.TRUECOLOR)
    diff.encode(frame)
    assert diff.encode(frame) == ""
    diff.forget()
    again = pyte.Screen(*SIZE)
    pyte.Stream(again).feed(diff.encode(frame))
    fresh = pyte.Screen(*SIZE)
    pyte.Stream(fresh).feed(whole(frame, ColorSystem.TRUECOLOR))
    assert cells(again) == cells(fresh)


def test_a_row_with_letters_of_doubtful_width_is_sent_whole():
    diff = FrameDiff(None)
    diff.encode([[Segment("key 猫:1  ")], [Segment("key abc:1 ")]])
    sent = diff.encode([[Segment("key 猫:2  ")], [Segment("key abc:2 ")]])
    assert sent == "\x1b[1;1Hkey 猫:2  \x1b[2;9H2"


@pytest.mark.parametrize("theme", ["dark", "light", "high-contrast", "ansi-dark"])
async def test_the_app_shows_the_same_with_and_without_the_diff(theme):
    clock = FakeClock()
    hostile = tuple(
        KeyRow(KeyId(0, name), "string", 900 - n) for n, name in enumerate((b"a", "猫".encode(), b"\xff", b"[red]x"))
    )
    source = ScriptedSource(
        [a_snapshot(), a_snapshot(used=400 * 2**20)], views=[a_view(), a_view(top=hostile)], clock=clock
    )
    app = an_app(source, clock=clock, appearance=Appearance(theme=theme))
    frames = []
    async with app.run_test(size=(80, 24)) as pilot:
        for key in ("f", "f", "2", "r", "j", "space", "tab", "question_mark", "escape", "3", "1", "enter", "escape"):
            clock.move(1)
            await pilot.press(key)
            await pilot.pause()
            frames.append(app.screen._compositor.render_strips())
    assert len(frames) > 10
    shown_alike(frames, (80, 24))
