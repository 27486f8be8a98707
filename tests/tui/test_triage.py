"""Triage: figures, gauges and charts; unknown is never 0."""

import pytest

from redis_oom_tui.formatting.sanitize import cells
from redis_oom_tui.formatting.sizes import short_size
from redis_oom_tui.models.activity import Counters
from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.breakdown import Breakdown, Part, Share
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.config import Profile
from redis_oom_tui.models.errors import CommandRefused, ServerUnreachable
from redis_oom_tui.models.keys import KeyId, KeyRow
from redis_oom_tui.models.scan import Pace, PatternRow, ScanState, ScanView
from redis_oom_tui.models.snapshot import LimitSource
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import TrendSample
from redis_oom_tui.models.verdict import Finding, Level, Remedy, Verdict
from redis_oom_tui.tui.dialogs.answers import PickDialog
from redis_oom_tui.tui.drawing import DrawStyle, bar, columns, line_bar, stacked, width
from redis_oom_tui.tui.glyphs import ASCII, CP437, FULL
from redis_oom_tui.tui.panes.triage_vitals import breakdown, bucketed
from redis_oom_tui.tui.screens.reader import VerdictScreen
from tests.support.scripted import FakeClock, ScriptedSource, a_snapshot
from tests.support.scripted_operator import ScriptedOperator
from tests.tui.support import an_app, rows, screen_text, until

MIB = 1024 * 1024


FINDINGS = tuple(
    Finding(f"f{n}", Level.WARNING, f"Finding number {n}", f"Do {n}", remedy=Remedy("limits", setting="maxmemory"))
    for n in range(12)
)


async def shown(source, size=(80, 24)):
    app = an_app(source)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.session.state is not None and len(app.session.state.samples) > 1)
        await pilot.pause()
        return screen_text(app)


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60), (79, 24), (60, 24)])
async def test_the_figures_stand_there_uncut(size):
    text = await shown(
        ScriptedSource(clock=FakeClock(), clients=[ClientBuffer(1, "10.0.0.1:1", total_bytes=9 * MIB)]), size
    )
    for words in (
        "99.4%",
        "509.0 MiB",
        "512.0 MiB",
        "511.0 MiB",
        "544.6 MiB",
        "1.07",
        "1,284",
        "413,200",
        "60,000",
        "15%",
    ):
        assert words in text
    assert "noeviction" in text
    assert all(len(line) <= size[0] for line in text.splitlines())


async def test_no_limit_reads_as_no_limit_everywhere():
    text = await shown(ScriptedSource([a_snapshot(maxmemory=None)]))
    assert "no limit" in text
    assert "0 B" not in text
    assert "inf" not in text.lower()


async def test_unknown_is_a_question_mark_and_never_0():
    snapshot = a_snapshot()
    bare = type(snapshot)(1000.0, 0.0, snapshot.server, type(snapshot.memory)(used_bytes=5 * MIB), counters=Counters())
    text = await shown(ScriptedSource([bare]))
    for word in ("peak", "rss", "fragmentation", "refused writes", "evicted keys"):
        line = next(line for line in text.splitlines() if word in line)
        assert "?" in line.split(word)[1], line


async def test_figures_from_before_a_failure_stay_and_are_marked():
    clock = FakeClock()
    source = ScriptedSource([a_snapshot(), ServerUnreachable("It hung up.")], clock=clock)
    app = an_app(source, clock=clock)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "It hung up." in screen_text(app))
        assert "NO ANSWER" in rows(app)[0]
        assert "544.6 MiB" in screen_text(app)
        figures = [role for line in app.main.panes["triage"].vitals._drawn for _, role in line]
        figures += [role for _, role in app.main.header._drawn[-1]]
        assert not {"ok", "warn", "crit", "spark", "bar_crit"} & set(figures), "old figures have lost their color"


@pytest.mark.parametrize("glyphs", [FULL, CP437, ASCII])
@pytest.mark.parametrize("tracks", [True, False])
@pytest.mark.parametrize("share", [-1.0, 0.0, 0.001, 0.5, 0.999, 1.0, 7.0])
def test_bars_have_their_width_whatever_the_share(glyphs, tracks, share):
    style = DrawStyle(glyphs, tracks)
    for room in (0, 1, 7, 40):
        assert width(bar(share, room, style, "ok", (0.8, 0.95))) == room
        assert width(line_bar(share, room, style, "ok", (0.8, 0.95))) == room
        assert width(stacked([(share, "part0"), (0.0, "part1"), (0.2, "part2")], room, style)) == room
    full = bar(share, 40, style, "ok")
    assert (full[0][1] == "ok") == (share > 0), "something is never drawn as nothing"


def test_a_bar_is_full_only_when_it_is_full():
    assert "".join(text for text, role in bar(0.999, 10, DrawStyle(), "ok") if role == "ok") != "█" * 10
    assert bar(1.0, 10, DrawStyle(), "ok") == (("█" * 10, "ok"),)


def test_columns_rise_over_rows_and_gaps_stay_open():
    assert columns([None, 0, 5, 10], 5, 2, DrawStyle(), low=0, high=10) == ["   ▁█", "  ▁██"]


def test_buckets_take_the_largest_and_carry_on():
    samples = [TrendSample(t, 0.0, used_bytes=used, counted_bytes=0) for t, used in ((0, 5), (1, 9), (10, 3))]
    assert bucketed(samples, 20.0, 4) == [None, 5.0, 9.0, 3.0]


BLIND = Capabilities(
    {
        feature: f"this user has no permissions to run the '{feature.value.lower()}' command"
        for feature in (Feature.SCAN, Feature.MEMORY_USAGE, Feature.CLIENT_LIST, Feature.CONFIG_GET)
    }
)


async def test_what_this_user_may_not_read_is_said_and_not_taken_for_nothing():
    app = an_app(ScriptedSource(capabilities=BLIND), operator=ScriptedOperator())
    async with app.run_test(size=(98, 36)) as pilot:
        await until(pilot, lambda: "Not readable" in screen_text(app))
        text = screen_text(app)
        assert "Not readable: keys, sizes of keys, clients and settings" in text
        assert "CLIENT LIST is refused here: this user has no" in text
        while app.main.active_pane.findings.current.id != "not-readable":
            await pilot.press("down")
        await pilot.press("enter")
        await until(pilot, lambda: "SCAN is refused (this user" in screen_text(app))
        await pilot.press("escape", "c")
        await until(pilot, lambda: "CLIENT LIST is refused here" in screen_text(app))


async def test_clients_that_were_not_listed_have_the_reason():
    why = "CLIENT LIST was not asked for: 9,000 clients are about 4.3 MiB of reply"

    class TooMany(ScriptedSource):
        async def clients(self):
            raise CommandRefused(why)

    app = an_app(TooMany(), operator=ScriptedOperator())
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: why[:50] in screen_text(app))
        assert "Not readable" not in screen_text(app)
        await pilot.press("c")
        await until(pilot, lambda: screen_text(app).count(why[:50]) == 2)


async def test_a_limit_that_is_not_reported_is_no_absent_limit():
    text = await shown(ScriptedSource([with_memory(maxmemory_bytes=None, limit_source=LimitSource.NOT_REPORTED)]))
    assert "limit not reported" in text
    assert "maxmemory              ?  not reported" in text
    assert "no limit" not in text
    assert "No limit" not in text


async def test_a_broken_count_reads_as_unknown():
    text = await shown_after(ScriptedSource([with_memory(used_bytes=None)]))
    assert "? of 512.0 MiB" in text
    assert "unknown, as used_memory is" in text
    assert "its used_memory is not reported" in text


async def test_a_large_screen_shows_patterns_clients_and_what_was_lost():
    clock = FakeClock()
    snapshots = [a_snapshot(at=1000.0 + n, refused=n * n, evicted=3 * n) for n in range(20)]
    client = ClientBuffer(7, "10.0.0.7:1", total_bytes=9 * MIB, output_bytes=8 * MIB, query_bytes=MIB, idle_seconds=77)
    source = ScriptedSource(snapshots, clients=[client], clock=clock)
    app = an_app(source, clock=clock)
    async with app.run_test(size=(200, 60)) as pilot:

        def polled():
            clock.move(1.0)
            return "session:*" in screen_text(app) and len(app.session.state.samples) > 19

        await until(pilot, polled)
        text = screen_text(app)
        assert [options.pace for options, _ in source.scans] == [Pace.GENTLE]
        assert "9.0M    8.0M    1.0M   1m17s" in text
        for word, total in (("refused writes", "361"), ("evicted keys", "57")):
            line = next(line for line in rows(app)[20:] if line.startswith(f" {word}"))
            assert line.endswith(total)
        assert sum(not line for line in rows(app)) < 27, "no blank half"
        await pilot.press("q")
        await until(pilot, lambda: app.return_value == 0)


@pytest.mark.parametrize("width", range(40, 140))
def test_the_legend_of_the_memory_keeps_whole_entries(width):
    parts = tuple(Part(share, 1024 * n + 999) for n, share in enumerate(Share))
    _, legend = breakdown(Breakdown(parts), width, DrawStyle())
    text = "".join(piece for piece, _ in legend)
    assert cells(text) <= width
    assert "…" not in text
    names = {f"{part.share.value} {short_size(part.size)}" for part in parts}
    assert {entry.strip() for entry in text.split(DrawStyle().glyphs.square)[1:]} <= names


async def test_the_verdict_is_copied_for_a_chat():
    app = an_app(profile=Profile("", connection_args=("-p", "7000")))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state is not None and app.session.state.verdict is not None)
        app.main.frozen = True
        app.main.panes["triage"].findings.show(FINDINGS[:1])
        for key, form, begins in (("up", "Markdown", "**CRITICAL**: "), ("down", "Slack", "*CRITICAL*: ")):
            await pilot.press("C")
            await until(pilot, lambda: isinstance(app.screen, PickDialog) and not app.screen.guarded)
            await pilot.press(key, "enter")
            await until(pilot, lambda form=form: f"Copied as {form}" in screen_text(app))
            assert app.clipboard.startswith(begins)
            assert f"'redis-oom-tui -p 7000 check --{form.lower()}'" in " ".join(screen_text(app).split())
        assert "Finding number 0" in app.clipboard
        assert "509.0 MiB" in app.clipboard


async def test_one_gauge_marks_the_limit_the_peak_and_rss():
    text = await shown(
        ScriptedSource([with_memory(used_bytes=200 * MIB, peak_bytes=350 * MIB, rss_bytes=650 * MIB)]), (120, 36)
    )
    lines = text.splitlines()
    bar_at = next(n for n, line in enumerate(lines) if line.startswith(" used "))
    assert lines[bar_at].count("┃") == 3
    marks = lines[bar_at - 1]
    assert marks.index("peak") < marks.index("limit")
    assert "68.4% of limit" in text


def with_memory(**changes):
    snapshot = a_snapshot()
    return replace(snapshot, memory=replace(snapshot.memory, **changes))


async def shown_after(source):
    app = an_app(source)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: app.session.state is not None and app.session.state.verdict is not None)
        await pilot.pause()
        return screen_text(app)


async def test_after_hogs_was_sorted_by_db_a_scan_of_one_database_is_shown():
    two = PatternRow(b"a:*", b"a:*", 2, 10, 0.5, 0, db=1, level=1)
    one = PatternRow(b"a:*", b"a:*", 2, 10, 1.0, 0, db=0, level=1)
    rows_of = [KeyRow(KeyId(db, b"a:%d" % db), "string", 5) for db in (0, 1)]
    both = ScanView(
        ScanState.COMPLETE, scanned_keys=4, total_keys=4, bytes_seen=20, top=tuple(rows_of), patterns=(two, one)
    )
    alone = ScanView(
        ScanState.COMPLETE, scanned_keys=2, total_keys=2, bytes_seen=10, top=tuple(rows_of[:1]), patterns=(one,)
    )
    app = an_app(ScriptedSource(clock=FakeClock()))
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app.session.state is not None and app.session.state.snapshot is not None)
        await pilot.press("2")
        app.session.scan = both
        await pilot.pause()
        tables = app.main.panes["hogs"].tables
        for table in (tables.keys, tables.patterns):
            assert [column.id for column in table.model.columns if column.id == "db"] == ["db"]
            table.sort_by("db")
        app.session.scan = alone
        await pilot.pause()
        for table in (tables.keys, tables.patterns):
            assert table.model.sort == "size"
            assert len(table.model.rows) == 1


@pytest.mark.parametrize("size", [(80, 24), (60, 16)])
async def test_a_verdict_that_the_header_has_to_cut_can_be_read_in_full(size):
    reason = " ".join(f"word{n}" for n in range(60))
    verdict = Verdict(Level.WARNING, reason, "long", evidence=("proof",), first_step="Look at it")
    app = an_app(ScriptedSource(clock=FakeClock()))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.session.state is not None and app.session.state.verdict is not None)
        app.main.action_freeze(True)
        app.session.state = replace(app.session.state, verdict=verdict)
        app.main.header.show(app.session.state, app.main.pane, frozen=True)
        await until(pilot, lambda: "… V: all" in screen_text(app))
        await pilot.press("V")
        await until(pilot, lambda: isinstance(app.screen, VerdictScreen) and "word0" in screen_text(app))
        text = " ".join(screen_text(app).split())
        assert reason in text
        assert "First step Look at it" in text
        await pilot.press("end")
        await until(pilot, lambda: "Evidence • proof" in " ".join(screen_text(app).split()))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, VerdictScreen))
        await pilot.click("Header", offset=(20, 2 if size[1] >= 20 else 1))
        await until(pilot, lambda: isinstance(app.screen, VerdictScreen))
