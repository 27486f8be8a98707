"""The history is bounded, keeps its ends, and counts across resets and restarts."""

from itertools import pairwise

from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import LastRefused
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.rules.forecast import forecast
from redis_oom_tui.rules.history import History, keys_changed, since_last_restart
from redis_oom_tui.rules.verdict import judge
from tests.rules.snapshots import MIB, snapshot_of


def test_it_is_bounded_dense_where_recent_and_keeps_its_first_sample() -> None:
    history = History(max_samples=90)
    for second in range(1000):
        history.add(snapshot_of(at=float(second)))
    times = [sample.monotonic for sample in history.samples]
    assert len(times) <= 90
    assert times[0] == 0.0
    assert times[-30:] == [float(second) for second in range(970, 1000)]
    assert times == sorted(times)
    assert all(b - a <= 1 + (999 - a) / 5 for a, b in pairwise(times))


def test_rates_are_taken_over_ten_seconds() -> None:
    history = History()
    for second in range(60):
        history.add(snapshot_of(at=float(second), refused=second * 3))
    rates = history.rates()
    assert rates.seconds == 10.0
    assert rates.refused_writes == 30
    assert rates.last_refused == LastRefused(3, 0.0, 0.1)


def test_one_snapshot_has_no_rates() -> None:
    history = History()
    assert history.rates().refused_writes is None
    history.add(snapshot_of())
    assert history.rates().refused_writes is None
    assert history.latest is not None


def test_totals_go_on_across_a_reset_and_a_restart() -> None:
    history = History()
    history.add(snapshot_of(at=0.0, refused=100))
    history.add(snapshot_of(at=1.0, refused=110))
    history.add(snapshot_of(at=2.0, refused=4))
    assert history.samples[-1].refused_writes == 14
    assert history.rates().refused_writes is None
    history.add(snapshot_of(at=3.0, refused=5, run_id="r2"))
    assert history.samples[-1].restarted
    assert history.samples[-1].refused_writes == 14
    assert [s.monotonic for s in since_last_restart(history.samples)] == [3.0]


def test_a_restart_is_never_thinned_away() -> None:
    history = History(max_samples=30)
    for second in range(500):
        history.add(snapshot_of(at=float(second), run_id="old" if second < 7 else "new"))
    assert [sample.monotonic for sample in history.samples if sample.restarted] == [7.0]


def test_slow_polls_still_have_rates() -> None:
    history = History()
    for minute in range(3):
        history.add(replace(snapshot_of(at=minute * 60.0, refused=minute)))
    assert history.rates().seconds == 60.0


def test_winding_back_forgets_what_lay_ahead() -> None:
    history = History()
    for second in range(10):
        history.add(snapshot_of(at=float(second), refused=second))
    history.add(snapshot_of(at=4.5, refused=4))
    assert [sample.monotonic for sample in history.samples] == [0.0, 1.0, 2.0, 3.0, 4.0, 4.5]
    assert history.rates().refused_writes == 4


def test_polls_alone_lead_to_the_verdict_that_it_fills_up() -> None:
    history = History()
    for second in range(60):
        history.add(snapshot_of(used=(600 + 2 * second) * MIB, at=float(second)))
    latest = history.latest
    assert latest is not None
    verdict = judge(latest, rates=history.rates(), forecast=forecast(history.samples))
    assert (verdict.level, verdict.rule) == (Level.WARNING, "growing")
    idle = History()
    for second in range(60):
        idle.add(snapshot_of(used=700 * MIB + 4096 * (second % 7), at=float(second)))
    assert judge(snapshot_of(used=700 * MIB), forecast=forecast(idle.samples)).rule == "healthy"


def test_what_a_scan_told_is_of_other_keys_once_a_tenth_of_them_came_or_went() -> None:
    then = snapshot_of(keys=1000, counters={"evicted_keys_total": 50, "expired_keys_total": 7})

    def moved(keys: int, evicted: int = 50, expired: int = 7, **more: str) -> bool:
        counters = {"evicted_keys_total": evicted, "expired_keys_total": expired}
        return keys_changed(then, snapshot_of(keys=keys, counters=counters, **more))

    assert not any((moved(1000), moved(900), moved(1100), moved(1000, evicted=100, expired=57)))
    assert all((moved(899), moved(1101), moved(1000, evicted=100, expired=58)))
    full = snapshot_of(keys=1000, memory={"dataset_bytes": 50 * MIB})
    for held, changed in ((50, False), (46, False), (44, True), (56, True)):
        assert keys_changed(full, snapshot_of(keys=999, memory={"dataset_bytes": held * MIB})) is changed, held
    # A start with the same keys changes nothing; one without any does, though its counters begin again.
    assert not moved(1000, evicted=0, expired=0, run_id="r2")
    assert moved(0, evicted=0, expired=0, run_id="r2")
