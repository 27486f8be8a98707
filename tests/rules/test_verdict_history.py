"""The verdict between two looks: refusals that are over, restarts, counters that were reset."""

from typing import Any

import pytest

from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Forecast, LastRefused, Rates, Trend
from redis_oom_tui.models.verdict import Level, Verdict
from redis_oom_tui.rules.findings import find
from redis_oom_tui.rules.history import History, between
from redis_oom_tui.rules.verdict import follow, judge
from tests.rules.snapshots import MIB, snapshot_of
from tests.rules.test_verdict import second

FULL: dict[str, Any] = {"used": 1000 * MIB + 5, "limit": 1000 * MIB}


def test_refused_writes_are_counted_by_rate_and_command() -> None:
    before = snapshot_of(**FULL, refused=100, over_ms=5000, counters={"refused_by_command": {"set": 90}})
    gained = {"refused_writes_total": 512, "refused_by_command": {"set": 400, "hset": 20}}
    verdict = judge(second(before, counters=gained), before)
    assert (verdict.level, verdict.rule) == (Level.OOM, "refusing-noeviction")
    assert verdict.reason == (
        "Refusing writes at 100.0% of 1000 MiB: noeviction evicts nothing;"
        " 412 refused in the last 10s, mostly SET HSET."
    )
    assert verdict.since == before.taken_at + 10 - 5
    assert "512 writes refused since restart or RESETSTAT" in verdict.evidence


def test_a_cure_shows_at_the_next_look() -> None:
    cured = snapshot_of(used=400 * MIB, refused=500, over_ms=0)
    rates = Rates(seconds=10.0, refused_writes=332, last_refused=LastRefused(0, 4.0, 0.98))
    assert judge(cured, rates=rates).level is Level.OK
    assert judge(cured, rates=replace(rates, last_refused=LastRefused(3, 0.0, 0.98))).level is Level.OOM
    may_come_back = judge(snapshot_of(used=980 * MIB, refused=500, over_ms=0), rates=rates)
    assert may_come_back.level is Level.OOM
    assert may_come_back.reason.startswith("Refused writes until 4s ago, now at 98% of 1000 MiB: noeviction")


def seen(*looks: tuple[int, int]) -> Verdict:
    """The verdict after these looks, a second apart: MiB of 1000 in use, and all refused writes by then."""
    history = History()
    for at, (used, refused) in enumerate(looks):
        last = snapshot_of(used=used * MIB, at=float(at), refused=refused, over_ms=500 if used >= 1000 else 0)
        history.add(last)
    return judge(last, rates=history.rates())


def test_room_that_was_made_ends_the_refusals_and_they_are_remembered() -> None:
    """Also close to the limit, and in the look before which both happened."""
    full = ((1003, 0), (1003, 20), (1003, 40))
    made = seen(*full, (970, 50))
    assert (made.rule, "Refusing" in made.reason) == ("close-critical", False)
    later = seen(*full, (970, 50), (970, 50), (970, 50))
    assert later.reason == (
        "Close to its limit at 97% of 1000 MiB: noeviction evicts nothing,"
        " and 50 writes refused since restart or RESETSTAT, the last 2s ago."
    )
    assert seen(*full, (930, 50)).level is Level.WARNING
    assert seen(*full, (400, 50), (400, 50)).reason.endswith("since restart or RESETSTAT, the last 1s ago.")


def test_large_values_that_are_refused_below_the_limit_stay_an_alarm() -> None:
    """They come and go between the looks, or one is in hand in a look: no room was made when it is gone."""
    assert seen((970, 0), (970, 1), (970, 1), (970, 2)).reason.startswith("Refusing writes at 97% of 1000 MiB")
    quiet = seen((970, 0), (970, 1), (970, 1), (970, 2), (970, 2))
    assert (quiet.level, quiet.reason[:40]) == (Level.OOM, "Refused writes until 1s ago, now at 97% ")
    assert seen((970, 0), (1030, 1), (970, 1), (970, 1)).level is Level.OOM
    assert seen((970, 0), (970, 1), (1030, 2), (970, 3)).reason.startswith("Refusing writes at 97%")
    # Room was made, and the next value is still too large for it.
    assert seen((1003, 0), (1003, 9), (930, 9), (930, 10)).reason.startswith("Refusing writes: 10 refused in")


@pytest.mark.parametrize(
    ("used", "rule"), [(500, "refusing-large"), (850, "refusing-large"), (970, "refusing-noeviction")]
)
@pytest.mark.parametrize("every", [3, 10, 14])
def test_large_values_refused_now_and_then_are_one_steady_alarm(used: int, rule: str, every: int) -> None:
    """And it says how long ago the last one was; it ends some time after the last, or when room was made."""
    looks = [(used, 1 + second // every) for second in range(4 * every)]
    verdicts = [seen(*looks[:end]) for end in range(every + 1, len(looks) + 1)]
    assert {one.rule for one in verdicts} == {rule}
    assert all(one.reason.startswith("Refus") for one in verdicts)
    assert verdicts[-1].reason.startswith(f"Refused writes until {every - 1}s ago")
    assert seen(*looks, *[(used, 4)] * 30).level is not Level.OOM
    assert seen(*looks, (used - 100, 4)).level is not Level.OOM


def test_growth_towards_a_hard_limit_is_told_in_time() -> None:
    soon = Forecast(Trend.GROWING, 1e6, (1200.0, 2400.0), 600.0)
    verdict = judge(snapshot_of(used=700 * MIB), forecast=soon)
    assert (verdict.level, verdict.rule) == (Level.WARNING, "growing")
    assert "full in 20m00s to 40m00s at this rate; noeviction evicts nothing then" in verdict.reason
    assert judge(snapshot_of(used=700 * MIB, policy="allkeys-lru"), forecast=soon).rule == "healthy"
    late = replace(soon, seconds_to_limit=(90_000.0, None))
    assert judge(snapshot_of(used=700 * MIB), forecast=late).rule == "healthy"


def test_earlier_refusals_do_not_make_a_healthy_server_sick() -> None:
    verdict = judge(snapshot_of(refused=400))
    began = "Healthy: at 10% of 1000 MiB with room to write; 400 writes refused since restart or RESETSTAT"
    assert verdict.reason == f"{began}, whether any now is not known yet."
    once, ago = snapshot_of(used=100 * MIB, refused=1), snapshot_of(used=100 * MIB, refused=1, at=998.5)
    assert judge(once, ago).reason.endswith("; 1 write refused since restart or RESETSTAT, none in the last 1.5s.")
    assert (
        ", and 400 writes refused since restart or RESETSTAT" in judge(snapshot_of(used=960 * MIB, refused=400)).reason
    )


def test_only_a_node_of_a_cluster_is_told_of_other_nodes() -> None:
    alone = snapshot_of(used=100 * MIB, refused=400, memory={"peak_bytes": 1000 * MIB})
    node = replace(alone, server=replace(alone.server, mode="cluster"))
    assert "a burst that is over)" in judge(alone).reason
    assert "a burst that is over, or another node)" in judge(node).reason
    advice = [next(one.advice for one in find(each) if one.id == "refused-at-peak") for each in (alone, node)]
    assert ["-c" in each for each in advice] == [False, True]


def test_many_small_keys_are_found_by_their_patterns() -> None:
    small = judge(snapshot_of(used=990 * MIB, keys=20_000_000))
    assert small.first_step.startswith("Find the patterns that hold most (Hogs)")
    assert judge(snapshot_of(used=990 * MIB, keys=1000)).first_step.startswith("Find the large keys (Hogs)")


def test_a_full_cache_of_keys_that_are_never_evicted_makes_no_room() -> None:
    full = snapshot_of(used=995 * MIB, policy="allkeys-lru", activity={"never_evicted_keys": 999})
    assert judge(full).level is Level.OK
    verdict = judge(replace(full, activity=replace(full.activity, never_evicted_keys=1000)))
    assert verdict.level is Level.CRITICAL
    assert "allkeys-lru finds nothing to evict: no key of this server is ever evicted (BLESS)" in verdict.reason


def test_a_restart_begins_the_count_again() -> None:
    before = snapshot_of(refused=500)
    after = second(snapshot_of(refused=3, run_id="r2", uptime=4))
    rates = between(before, after)
    assert rates.restarted
    assert rates.refused_writes is None
    verdict = judge(after, before)
    assert verdict.rule == "healthy"
    assert "the server restarted 4 seconds ago" in verdict.evidence


def test_a_reset_of_the_counters_is_noticed() -> None:
    before = snapshot_of(**FULL, refused=500, over_ms=10, counters={"commands_total": 900})
    verdict = judge(second(before, counters={"refused_writes_total": 8, "commands_total": 20}), before)
    assert "at least 8 refused" in verdict.reason
    assert "its counters were reset meanwhile, so counts are lower bounds" in verdict.evidence


def test_an_uptime_that_fell_is_a_restart_where_no_run_id_is_told() -> None:
    anonymous = replace(snapshot_of(), server=replace(snapshot_of().server, run_id=None, uptime_seconds=5))
    before = replace(snapshot_of(at=900.0), server=replace(snapshot_of().server, run_id=None))
    assert between(before, anonymous).restarted


def test_since_is_carried_while_the_verdict_stays() -> None:
    first = follow(judge(snapshot_of()), None, 50.0)
    assert first.since == 50.0
    assert follow(judge(snapshot_of()), first, 60.0).since == 50.0
    assert follow(judge(snapshot_of(used=960 * MIB)), first, 60.0).since == 60.0
    verdict = judge(snapshot_of(**FULL, over_ms=3000))
    assert follow(verdict, first, 60.0).since == verdict.since


def test_a_cache_with_room_again_is_not_called_full() -> None:
    before = snapshot_of(used=600 * MIB, policy="allkeys-lru", counters={"evicted_keys_total": 10})
    verdict = judge(second(before, counters={"evicted_keys_total": 5010}), before)
    assert (verdict.level, verdict.rule) == (Level.OK, "evicting")
    assert verdict.reason.startswith("Has room again at 60% of 1000 MiB: allkeys-lru evicted 500 keys/s")
