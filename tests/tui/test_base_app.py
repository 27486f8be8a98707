"""The app shell: panes by number, header always on top, lost servers, freeze, help, and how it is left."""

import asyncio

import pytest

from redis_oom_tui.models.config import ScreenOptions
from redis_oom_tui.models.errors import ServerUnreachable
from redis_oom_tui.monitor.state import Link
from redis_oom_tui.tui.header_model import PANES
from redis_oom_tui.tui.screens.reader import HelpScreen
from tests.support.scripted import FakeClock, ScriptedSource, a_snapshot
from tests.support.waiting import stays
from tests.tui.support import an_app, rows, screen_text, until

_HEALTHY = a_snapshot(used=200 * 1024**2, refused=0)


@pytest.mark.parametrize("number", range(1, 6))
async def test_a_number_shows_its_pane_under_the_same_header(number):
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "of 512.0 MiB" in screen_text(app))
        header = rows(app)[2:5]
        await pilot.press(str(number))
        await until(pilot, lambda: app.main.pane == PANES[number - 1])
        assert app.main.active_pane.display
        assert rows(app)[2:5] == header


async def test_neighbouring_panes_go_round():
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("left_square_bracket")
        assert app.main.pane == "log"
        await pilot.press("right_square_bracket")
        assert app.main.pane == "triage"


async def test_a_slow_server_is_left_alone_and_its_figures_show_their_age():
    clock = FakeClock()
    source = ScriptedSource(clock=clock)
    app = an_app(source, clock=clock)
    ask = source.snapshot

    async def slowly():
        clock.move(2.5)
        return await ask()

    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state is not None and app.session.state.link is Link.LIVE)
        source.snapshot = slowly
        await until(pilot, lambda: app.session.state.next_try is not None)
        clock.move(7)
        app.main.header.redraw()
        await pilot.pause()
        assert "slow server: data 7s old, next poll in" in rows(app)[0]


async def test_while_a_poll_hangs_no_healthy_state_is_shown():
    clock = FakeClock()
    source = ScriptedSource([_HEALTHY], clock=clock)
    app = an_app(source, clock=clock)
    asked = asyncio.Event()

    async def hang():
        asked.set()
        await asyncio.Event().wait()

    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "OK" in rows(app)[2])
        source.snapshot = hang
        await asked.wait()
        for seconds, healthy in ((4.0, True), (1.0, False)):
            clock.move(seconds)
            app.main.header.redraw()
            await pilot.pause()
            assert ("OK" in rows(app)[2]) is healthy
            assert ("live" in rows(app)[0]) is healthy
            roles = {role for line in app.main.header._drawn[2:] for _, role in line}
            assert bool(roles & {"ok", "ok_block", "bar_ok"}) is healthy
        assert "no answer, data 5s old" in rows(app)[0]
        assert "No current data: the last answer is 5s old" in rows(app)[2]


async def test_with_a_long_interval_old_figures_are_no_late_ones():
    clock = FakeClock()
    source = ScriptedSource([_HEALTHY], clock=clock)
    app = an_app(source, clock=clock, options=ScreenOptions(interval_seconds=60))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "OK" in rows(app)[2])
        for seconds, healthy in ((63, True), (1, False)):
            clock.move(seconds)
            app.main.header.redraw()
            await pilot.pause()
            assert ("OK" in rows(app)[2]) is healthy


async def test_a_lost_server_is_stale_counts_down_and_comes_back():
    clock = FakeClock()
    gone = ServerUnreachable("No answer from 127.0.0.1:6379: is the server up?")
    source = ScriptedSource([a_snapshot(), gone, a_snapshot(used=400 * 1024 * 1024)], clock=clock)
    app = an_app(source, clock=clock)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state is not None and app.session.state.link is Link.LOST)
        # Looked at before the loop runs: the next poll is due by then.
        clock.move(7)
        app.main.header.redraw()
        assert "NO ANSWER for 7s, trying again" in rows(app)[0]
        assert "No answer from 127.0.0.1:6379" in screen_text(app)
        assert "509.0 MiB" in screen_text(app), "the last figures stay, marked as old"
        await until(pilot, lambda: app.session.state.link is Link.LIVE)
        await until(pilot, lambda: "400.0 MiB" in screen_text(app))
        assert "NO ANSWER" not in screen_text(app)


async def test_a_server_never_reached_is_a_sentence_not_a_crash():
    source = ScriptedSource([ServerUnreachable("Nothing listens on 127.0.0.1:6379.")])
    app = an_app(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "Nothing listens" in screen_text(app))
        assert "UNKNOWN" in screen_text(app)
        assert "connecting, retry in 1s" in rows(app)[0]


async def test_freeze_holds_the_screen_while_polling_goes_on():
    clock = FakeClock()
    source = ScriptedSource([a_snapshot()], clock=clock)
    app = an_app(source, clock=clock)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "509.0 MiB" in screen_text(app))
        await pilot.press("f")
        await until(pilot, lambda: "frozen" in rows(app)[0])
        source.script[:] = [a_snapshot(used=300 * 1024 * 1024)]
        await until(pilot, lambda: app.session.state.snapshot.memory.used_bytes == 300 * 1024 * 1024)
        assert await stays(lambda: "frozen" in rows(app)[0] and "509.0 MiB" in screen_text(app))
        await pilot.press("f")
        await until(pilot, lambda: "300.0 MiB" in screen_text(app))


async def test_help_shows_the_live_keys_and_escape_closes_it():
    app = an_app()
    async with app.run_test(size=(80, 40)) as pilot:
        await pilot.press("question_mark")
        await until(pilot, lambda: "Global" in screen_text(app))
        text = screen_text(app)
        assert "Freeze the display" in text
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1)


@pytest.mark.parametrize("key", ["q", "ctrl+q", "ctrl+c"])
async def test_each_way_out_ends_with_0_and_lets_the_server_go(key):
    source = ScriptedSource()
    app = an_app(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(key)
        await pilot.pause()
    assert app.return_code == 0
    assert source.closed == 1


async def test_ctrl_c_in_a_dialog_closes_only_the_dialog():
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("question_mark")
        await pilot.press("ctrl+c")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        assert app.is_running


async def test_a_worker_that_fails_is_told_and_the_app_goes_on():
    async def broken():
        raise ValueError("[/boom] \x1b[2J")

    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        app.run_worker(broken, name="values", exit_on_error=False)
        await until(pilot, lambda: "values stopped: ValueError: [/boom] \\x1b[2J" in screen_text(app))
        assert app.is_running


@pytest.mark.defects
@pytest.mark.parametrize(
    "place",
    [
        "rules.breakdown._wanted",
        "rules.forecast._course",
        "rules.findings.buffers.rank",
        "rules.history._between",
        "rules.alerts.step",
        "rules.verdict.limit_rules.in_use",
        "rules.verdict.phrases.refused_so_far",
        "tui.panes.triage_vitals.counters",
        "tui.header_model.strip",
    ],
)
async def test_a_rule_or_a_drawing_that_fails_ends_nothing(place, monkeypatch):
    def fails(*given, **named):
        raise KeyError("secret")

    monkeypatch.setattr(f"redis_oom_tui.{place}", fails)
    # Its polls are seconds apart, so that there is a trend to fail at.
    clock = FakeClock()
    source = ScriptedSource([a_snapshot(at=1000.0 + 2 * n, used=(300 + n) * 2**20) for n in range(60)], clock=clock)
    app = an_app(source, clock=clock, options=ScreenOptions(interval_seconds=0.05))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: app.session.state is not None and len(app.session.state.samples) > 20)
        for number in "12345":
            await pilot.press(number)
            await pilot.pause()
        assert app.is_running
        assert "secret" not in screen_text(app)
    assert app.crash is None


@pytest.mark.parametrize("size", [(200, 60), (120, 36), (80, 24), (40, 12), (10, 3), (1, 1)])
async def test_every_size_is_borne(size):
    app = an_app()
    async with app.run_test(size=size) as pilot:
        for number in "12345":
            await pilot.press(number)
            await pilot.pause()
        assert len(rows(app)) == size[1]


async def test_the_mouse_shows_a_pane_and_presses_a_key_of_the_bottom_line():
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.click("Header", offset=(12, 1))
        await until(pilot, lambda: app.main.pane == "hogs")
        await pilot.click("KeyBar", offset=(rows(app)[-1].index("scan"), 0))
        await until(pilot, lambda: app.session.source.scans)


async def test_a_click_on_the_bottom_line_presses_only_what_is_seen_there():
    app = an_app()
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: "scan" in rows(app)[-1])
        help_at = rows(app)[-1].index("? help")
        await pilot.click("KeyBar", offset=(help_at - 2, 0))
        app.tell("It is done.")
        await until(pilot, lambda: "It is done." in rows(app)[-1])
        await pilot.click("KeyBar", offset=(1, 0))
        assert app.screen is app.main
        assert not app.session.source.scans
        app.main.keys.clear_message()
        await until(pilot, lambda: "? help" in rows(app)[-1])
        await pilot.click("KeyBar", offset=(help_at, 0))
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))


async def test_a_message_ends_with_the_next_key_which_still_does_what_it_does():
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        app.tell("It is done.")
        await until(pilot, lambda: "It is done." in rows(app)[-1])
        await pilot.press("2")
        await until(pilot, lambda: app.main.pane == "hogs")
        assert "It is done." not in screen_text(app)
