"""The verdict: one true sentence about a server, with its evidence."""

from dataclasses import replace

from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.trend import Forecast, Rates
from redis_oom_tui.models.verdict import Level, Thresholds, Verdict
from redis_oom_tui.rules.fleet import for_the_cluster
from redis_oom_tui.rules.rates import between
from redis_oom_tui.rules.verdict.facts import Facts
from redis_oom_tui.rules.verdict.table import RULES, healthy

__all__ = ["follow", "judge", "unknown"]


def judge(
    snapshot: Snapshot,
    previous: Snapshot | None = None,
    thresholds: Thresholds | None = None,
    *,
    rates: Rates | None = None,
    forecast: Forecast | None = None,
    host_bytes: int | None = None,
) -> Verdict:
    """What is the matter with this server now.

    `previous`, or `rates` over a span of the caller's choice, tells what happened lately; without either, only what
    stands in one snapshot is known. `host_bytes` is the container's memory where the caller knows it.
    """
    facts = Facts(
        now=snapshot,
        thresholds=thresholds or Thresholds(),
        rates=between(previous, snapshot) if rates is None else rates,
        forecast=forecast,
        host_bytes=host_bytes,
    )
    for rule in RULES:
        verdict = rule(facts)
        if verdict is not None:
            return for_the_cluster(_of_foreign(verdict, facts), snapshot)
    return for_the_cluster(_of_foreign(healthy(facts), facts), snapshot)


def _of_foreign(verdict: Verdict, facts: Facts) -> Verdict:
    """Of a server with rules of its own, what is judged are only the figures that it shares with Redis."""
    if not facts.now.server.is_foreign:
        return verdict
    what = f"{facts.name} is neither Redis nor Valkey: when it refuses and what it evicts is not judged here."
    return replace(verdict, reason=f"{verdict.reason} {what}")


def unknown(reason: str) -> Verdict:
    """No verdict, since the server could not be asked: `reason` is the sentence that says why."""
    end = "" if reason.endswith((".", "?", "!")) else "."
    return Verdict(Level.UNKNOWN, f"{reason}{end}", "unknown")


def follow(verdict: Verdict, last: Verdict | None, now: float) -> Verdict:
    """`verdict` with the time since when it holds: its own, the last one's where that was the same, else `now`."""
    if verdict.since is not None:
        return verdict
    same = last is not None and last.rule == verdict.rule and last.level is verdict.level
    return replace(verdict, since=last.since if last is not None and same else now)
