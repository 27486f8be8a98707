"""Alerts: each event once, in order, with the right numbers; nothing on a flutter, a restart or a reset."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.models.address import Address
from redis_oom_tui.models.alert import Event, EventKind, Figures, JudgedSample, Silence
from redis_oom_tui.models.config import WatchSettings
from redis_oom_tui.models.snapshot import LimitSource, Memory, Server, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level, Thresholds
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.state import AlertHistory
from redis_oom_tui.rules.alerts import AlertBook, State, judged_sample, lowered, step
from redis_oom_tui.rules.verdict import judge
from tests.rules.snapshots import snapshot_of

SETTINGS = WatchSettings(interval_seconds=5, hold_seconds=10, quiet_seconds=30, lost_seconds=15)
LADDER = [Level.OK, Level.WARNING, Level.CRITICAL, Level.OOM]


def level_of(percent: float, thresholds: Thresholds) -> Level:
    """The plain rule under the alerts: over 100 stands for refused writes."""
    if percent > 100:
        return Level.OOM
    if percent >= thresholds.crit * 100:
        return Level.CRITICAL
    return Level.WARNING if percent >= thresholds.warn * 100 else Level.OK


def sample_at(
    tick: int, percent: float, *, settings: WatchSettings = SETTINGS, run_id: str | None = "a"
) -> JudgedSample:
    lenient = lowered(settings.thresholds, settings.hysteresis)
    return JudgedSample(
        monotonic=tick * 5.0,
        at=1_000_000 + tick * 5.0,
        rising=level_of(percent, settings.thresholds),
        staying=level_of(percent, lenient),
        reason=f"{percent}%",
        figures=Figures(used_bytes=int(percent), maxmemory_bytes=100, pressure=percent / 100),
        run_id=run_id,
        uptime_seconds=tick * 5,
    )


def play(percents: Iterable[float | None], settings: WatchSettings = SETTINGS) -> list[Event]:
    """All events of a series, five seconds a tick; None is a tick without an answer."""
    book = AlertBook("s", settings)
    events: list[Event] = []
    for tick, percent in enumerate(percents):
        silence = Silence(tick * 5.0, 1_000_000 + tick * 5.0, "no answer")
        events += book.observe(silence if percent is None else sample_at(tick, percent, settings=settings))
    return events


def kinds(percents: Iterable[float | None]) -> list[str]:
    return [event.kind.value for event in play(percents)]


def test_a_whole_incident_is_told_once_each_in_order_with_its_numbers() -> None:
    events = play([50] * 4 + [85] * 9 + [97] * 9 + [101] * 9 + [97] * 9 + [85] * 9 + [50] * 9)
    assert [event.kind.value for event in events] == ["warning", "critical", "oom", "eased", "eased", "recovered"]
    assert [event.number for event in events] == [1, 2, 3, 4, 5, 6]
    assert [event.figures.used_bytes for event in events] == [85, 97, 101, 97, 85, 50]
    assert [event.before.value for event in events] == ["ok", "warning", "critical", "oom", "critical", "warning"]
    assert [event.level.value for event in events] == ["warning", "critical", "oom", "critical", "warning", "ok"]
    assert events[0].at == 1_000_000 + (4 + 2) * 5  # held for ten seconds
    assert events[2].at == 1_000_000 + 22 * 5  # at once
    assert events[3].lasted_seconds == (31 + 6 - 22) * 5  # from the first refusal to half a minute without any


def test_the_same_incident_again_is_told_again() -> None:
    assert kinds(([50] * 9 + [97] * 9) * 3) == ["critical", "recovered", "critical", "recovered", "critical"]


def test_refusals_that_come_and_go_are_one_outage() -> None:
    assert kinds([50, 101, 99, 99, 101, 99, 99, 101] + [50] * 8) == ["oom", "recovered"]


@pytest.mark.parametrize(
    "percents",
    [
        [79, 81] * 1 + [79] * 20,
        [50, 96, 50, 50] * 10,
        [50, 50, 50, 81, 81, 76, 81, 81, 76],
        [81, None, 50, 50],
    ],
)
def test_what_does_not_last_is_no_alarm(percents: list[float | None]) -> None:
    assert kinds(percents) == []


def test_swinging_about_a_threshold_is_told_once() -> None:
    assert kinds([79, 81] * 50) == ["warning"]
    assert kinds([85] * 9 + [78, 82, 79, 81] * 50) == ["warning"]


def test_a_server_that_is_lost_is_told_once_and_keeps_its_level() -> None:
    events = play([97] * 5 + [None] * 50 + [97] * 5 + [50] * 5)
    assert [event.kind.value for event in events] == ["critical", "lost", "back", "recovered"]
    assert events[1].level is Level.UNKNOWN
    assert events[1].reason == "no answer"
    assert events[2].lasted_seconds == 50 * 5
    assert events[2].level is Level.CRITICAL
    assert "is back after 4m10s" in events[2].reason


def test_a_short_silence_is_not_told_and_breaks_nothing() -> None:
    assert kinds([85, None, None, 85]) == ["warning"]
    assert kinds([None, None, 50]) == []


def test_a_server_that_never_answered_is_told() -> None:
    assert kinds([None] * 10) == ["lost"]
    assert kinds([None] * 10 + [50]) == ["lost", "back"]


def test_nothing_is_concluded_across_a_long_gap() -> None:
    book = AlertBook("s", SETTINGS)
    assert not book.observe(sample_at(0, 97))
    assert not book.observe(sample_at(1000, 97))
    assert not book.observe(sample_at(1001, 97))
    assert [event.kind for event in book.observe(sample_at(1002, 97))] == [EventKind.CRITICAL]


def test_a_restart_is_noted_and_is_no_alarm() -> None:
    book = AlertBook("s", SETTINGS)
    events = [event for tick in range(5) for event in book.observe(sample_at(tick, 50))]
    events += [event for tick in range(5, 10) for event in book.observe(sample_at(tick, 50, run_id="b"))]
    assert [event.kind for event in events] == [EventKind.RESTARTED]
    assert events[0].level is Level.OK


def test_a_restart_is_seen_without_a_run_id_too() -> None:
    book = AlertBook("s", SETTINGS)
    assert not book.observe(sample_at(100, 50, run_id=None))
    younger = replace(sample_at(101, 50, run_id=None), uptime_seconds=3)
    assert [event.kind for event in book.observe(younger)] == [EventKind.RESTARTED]


def test_a_restart_starts_the_holding_times_anew() -> None:
    book = AlertBook("s", SETTINGS)
    assert not book.observe(sample_at(0, 97, run_id="a"))
    assert not book.observe(sample_at(1, 97, run_id="a"))
    assert [event.kind for event in book.observe(sample_at(2, 97, run_id="b"))] == [EventKind.RESTARTED]
    assert not book.observe(sample_at(3, 97, run_id="b"))
    assert [event.kind for event in book.observe(sample_at(4, 97, run_id="b"))] == [EventKind.CRITICAL]


def test_acknowledging_lasts_until_it_gets_worse() -> None:
    book = AlertBook("s", SETTINGS)
    assert book.standing(0.0) is None
    for tick in range(5):
        book.observe(sample_at(tick, 85))
    alert = book.standing(0.0)
    assert alert is not None
    assert (alert.level, alert.quiet, alert.reason) == (Level.WARNING, False, "85%")
    book.acknowledge()
    assert book.standing(0.0) == replace(alert, quiet=True)
    book.observe(sample_at(5, 101))
    worse = book.standing(0.0)
    assert worse is not None
    assert (worse.level, worse.quiet) == (Level.OOM, False)


def test_snoozing_lasts_as_long_as_it_was_asked_for() -> None:
    book = AlertBook("s", SETTINGS)
    for tick in range(5):
        book.observe(sample_at(tick, 85))
    book.snooze(now=100.0, seconds=60)
    snoozed, awake = book.standing(159.0), book.standing(160.0)
    assert snoozed is not None
    assert (snoozed.quiet, snoozed.snoozed_until) == (True, 160.0)
    assert awake is not None
    assert (awake.quiet, awake.snoozed_until) == (False, None)


@pytest.mark.parametrize("jump", [-7200.0, 7200.0])
def test_a_snooze_lasts_as_long_where_the_clock_is_set_meanwhile(jump: float) -> None:
    now, off = 0.0, 0.0
    alerts = AlertHistory("s", SETTINGS, Clock(lambda: now, lambda: 1_000_000.0 + now + off))
    for tick in range(5):
        alerts.book.observe(sample_at(tick, 85))
    alerts.snooze(60)
    off, now = jump, 59.0
    snoozed = alerts.standing()
    assert snoozed is not None
    assert (snoozed.quiet, snoozed.snoozed_until) == (True, 1_000_060.0 + jump)
    now = 60.0
    awake = alerts.standing()
    assert awake is not None
    assert not awake.quiet


def test_a_lost_server_stands_as_unknown_until_it_answers() -> None:
    book = AlertBook("s", SETTINGS)
    for tick in range(4):
        book.observe(Silence(tick * 5.0, 500.0 + tick, "connection refused"))
    alert = book.standing(600.0)
    assert alert is not None
    assert (alert.level, alert.lost, alert.since, alert.reason) == (Level.UNKNOWN, True, 500.0, "connection refused")
    assert book.lost
    book.observe(sample_at(4, 50))
    assert book.standing(600.0) is None


def test_the_timeline_keeps_the_last_events_and_counts_on() -> None:
    book = AlertBook("s", SETTINGS, keep=4)
    for tick, percent in enumerate(([50] * 9 + [97] * 9) * 5):
        book.observe(sample_at(tick, percent))
    note = Event(0, EventKind.CLEANUP, 0.0, "s", Level.CRITICAL, Level.CRITICAL, "deleted 3 keys")
    assert book.note(note).number == 10
    assert [event.number for event in book.timeline] == [7, 8, 9, 10]


SERIES = st.lists(
    st.tuples(st.sampled_from([50.0, 78.0, 81.0, 93.0, 96.0, 101.0, None]), st.integers(1, 8)), max_size=40
)


def spread(series: list[tuple[float | None, int]]) -> list[float | None]:
    return [percent for percent, times in series for _ in range(times)]


@given(SERIES)
def test_every_event_starts_from_where_the_one_before_ended(series: list[tuple[float | None, int]]) -> None:
    level = Level.OK
    lost = False
    for number, event in enumerate(play(spread(series)), start=1):
        assert event.number == number
        assert event.before is level
        if event.kind in (EventKind.LOST, EventKind.BACK):
            assert lost is (event.kind is EventKind.BACK)
            lost = not lost
            continue
        assert not lost
        up = LADDER.index(event.level) > LADDER.index(event.before)
        if up:
            assert event.kind.value == event.level.value
        else:
            assert event.kind is (EventKind.RECOVERED if event.level is Level.OK else EventKind.EASED)
        assert event.level is not event.before
        level = event.level


@given(SERIES)
def test_an_alarm_carries_numbers_that_deserve_it(series: list[tuple[float | None, int]]) -> None:
    for event in play(spread(series)):
        if event.kind in (EventKind.WARNING, EventKind.CRITICAL, EventKind.OOM):
            assert event.figures.used_bytes is not None
            plain = level_of(event.figures.used_bytes, SETTINGS.thresholds)
            assert LADDER.index(plain) >= LADDER.index(event.level)


@given(st.lists(st.sampled_from([77.1, 78.0, 79.0]), max_size=100), st.booleans())
def test_inside_the_band_nothing_begins_and_nothing_ends(percents: list[float], warned: bool) -> None:
    before: list[float] = [85.0] * 4 if warned else [50.0] * 4
    assert kinds([*before, *percents]) == (["warning"] if warned else [])


@given(SERIES)
def test_what_lasts_is_always_told(series: list[tuple[float | None, int]]) -> None:
    for percent, level in [(50.0, Level.OK), (85.0, Level.WARNING), (97.0, Level.CRITICAL), (101.0, Level.OOM)]:
        book = AlertBook("s", SETTINGS)
        for tick, value in enumerate([*spread(series), *[percent] * 8]):
            silence = Silence(tick * 5.0, 0.0, "")
            book.observe(silence if value is None else sample_at(tick, value))
        assert book.level is level


@given(SERIES)
def test_a_step_depends_on_nothing_but_what_it_is_given(series: list[tuple[float | None, int]]) -> None:
    state = State("s")
    for tick, value in enumerate(spread(series)):
        now = Silence(tick * 5.0, 0.0, "") if value is None else sample_at(tick, value)
        assert step(state, now, SETTINGS) == step(state, now, SETTINGS)
        state, _ = step(state, now, SETTINGS)


def test_a_server_whose_limit_nobody_knows_is_heard_and_raises_no_alarm() -> None:
    memory = Memory(10**9, limit_source=LimitSource.NOT_REPORTED)
    now = Snapshot(5.0, 105.0, Server("redis", "7.2.4", "master", Address()), memory)
    verdict = judge(now)
    assert verdict.level is Level.UNKNOWN
    heard = judged_sample(now, verdict, verdict)
    assert isinstance(heard, JudgedSample)
    assert (heard.rising, heard.staying) == (Level.OK, Level.OK)
    assert "its limit is not reported" in heard.reason


def test_an_oom_does_not_ease_while_more_is_held_than_the_limit() -> None:
    book = AlertBook("cache-1", SETTINGS)
    book.observe(JudgedSample(0.0, 0.0, Level.OOM, Level.OOM, "refusing writes"))
    seen = [book.observe(_at(at, 10_000_384)) for at in range(5, 60, 5)]
    assert (any(seen), book.level) == (False, Level.OOM)
    seen = [book.observe(_at(at, 9_900_000)) for at in range(60, 100, 5)]
    assert [event.kind for events in seen for event in events] == [EventKind.EASED]


def _at(at: float, used: int) -> JudgedSample | Silence:
    """Under noeviction, with a clock that tells that the server was not over its limit before it wrote INFO."""
    now = snapshot_of(used, 10_000_000, at=at)
    verdict = judge(now)
    assert verdict.level is Level.CRITICAL
    return judged_sample(now, verdict, verdict)


def test_silence_counts_from_the_question_and_not_from_when_it_was_given_up() -> None:
    book = AlertBook("cache-1", SETTINGS)
    assert book.observe(Silence(11.0, 11.0, "no answer", asked=1.0)) == ()
    assert [event.kind for event in book.observe(Silence(16.0, 16.0, "no answer", asked=12.0))] == [EventKind.LOST]
