"""Names from strangers, by the hundred thousand, through what draws them: no control byte, no wrong width."""

import pytest
from rich.cells import cell_len
from wcwidth import wcswidth

from redis_oom_tui.formatting.columns import ShareBase, key_columns
from redis_oom_tui.formatting.pattern_columns import pattern_columns
from redis_oom_tui.formatting.sanitize import cells, escape_exact, safe_text
from redis_oom_tui.models.address import Address, ClientBuffer
from redis_oom_tui.models.keys import KeyDetails, KeyId, KeyRow
from redis_oom_tui.models.scan import PatternRow
from redis_oom_tui.monitor.state import Link
from redis_oom_tui.rules.clients import rank
from redis_oom_tui.tui.drawing import pad
from redis_oom_tui.tui.screens.details import facts
from redis_oom_tui.tui.widgets.table_model import cells_of, fitting
from tests.support.names import TRAPS, harmless, names
from tests.support.scripted import ScriptedSource, a_snapshot
from tests.tui.support import an_app, screen_text, until

COUNT = 100_000


def test_a_hundred_thousand_names_are_harmless_and_as_wide_as_counted():
    columns = fitting(key_columns(databases=False)[-1:], 33)
    for name in names(COUNT):
        (text, _), (gap, _) = cells_of(KeyRow(KeyId(0, name), "string", 1), columns, None)
        assert harmless(text), name
        assert cells(text) == 33
        assert gap == " "


def test_terminals_and_textual_agree_on_the_width_of_every_character_shown():
    points = (*range(0x20, 0xD800), *range(0xE000, 0x20000))
    for point in points:
        text = safe_text(chr(point))
        assert wcswidth(text) == cells(text) == cell_len(text), hex(point)


@pytest.mark.parametrize("name", TRAPS)
def test_whatever_else_shows_a_name_shows_it_harmlessly(name):
    buffer = ClientBuffer(1, name.decode("latin-1"), name, name, name, name, total_bytes=9 << 20, output_bytes=9 << 20)
    pattern = PatternRow(name, name, 1, 1, 0.1, 0, types=((name.decode("latin-1"), 1),))
    row = KeyRow(KeyId(0, name, name.decode("latin-1")), name.decode("latin-1"), 1, encoding=name.decode("latin-1"))
    shown = [rank((buffer,))[0].words, *(value for _, value in facts(KeyDetails(row)))]
    shown += [text for text, _ in cells_of(pattern, fitting(pattern_columns(bool, partial=True), 200), None)]
    shown += [text for text, _ in cells_of(row, fitting(key_columns(ShareBase(lambda: 5), databases=True), 200), None)]
    assert all(harmless(text) for text in shown), shown
    assert escape_exact(name).isascii()
    assert escape_exact(name).isprintable()
    assert cells(pad(safe_text(name), 7)) == 7


async def test_a_hostile_server_writes_nothing_but_text():
    bad = "[/x]\x1b]0;pwned\x07\u202e"
    snapshot = a_snapshot(policy=bad)
    server = type(snapshot.server)(bad, bad, bad, Address(bad), run_id=bad)
    source = ScriptedSource([type(snapshot)(1.0, 2.0, server, snapshot.memory, counters=snapshot.counters)])
    app = an_app(source)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.session.state.link is Link.LIVE)
        app.tell(f"It said {bad}", bad=True)
        await pilot.pause()
        for line in screen_text(app).splitlines():
            assert harmless(line), ascii(line)
