"""The verdict: one true sentence about a server, with its evidence."""

import functools

from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.snapshot import NodeView, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Forecast, Rates
from redis_oom_tui.models.verdict import Level, Thresholds, Verdict
from redis_oom_tui.rules.clients import on_shown_node
from redis_oom_tui.rules.cluster import for_the_cluster
from redis_oom_tui.rules.failover import with_failovers
from redis_oom_tui.rules.guarded import NotJudged, attempt
from redis_oom_tui.rules.history import between
from redis_oom_tui.rules.verdict import holders, limit_rules, state_rules
from redis_oom_tui.rules.verdict.causes import cause_of
from redis_oom_tui.rules.verdict.facts import Facts
from redis_oom_tui.rules.verdict.phrases import DECLARED, VerdictRule, product

__all__ = ["DECLARED", "RULES", "follow", "judge", "unknown", "within_rights"]

RULES: tuple[VerdictRule, ...] = (
    state_rules.loading,
    state_rules.replica_own_limit,
    limit_rules.refusing,
    state_rules.writes_blocked,
    limit_rules.count_unknown,
    limit_rules.in_no_key,
    limit_rules.over_limit,
    limit_rules.close_to_limit,
    state_rules.replica,
    state_rules.last_save_failed,
    state_rules.contradictory,
    state_rules.host_full,
    state_rules.machine_full,
    state_rules.swapped,
    state_rules.fragmented,
    limit_rules.churning,
    limit_rules.crowded,
    limit_rules.growing,
    limit_rules.evicting,
    limit_rules.full_cache,
    limit_rules.no_limit,
    limit_rules.limit_unknown,
    limit_rules.foreign_rss,
)
"""The rules in the order in which they are asked: the first that has something to say gives the verdict."""

# In place of a pane whose command is refused, where sizes are, or SCAN, or what tells that a key has not changed.
_UNSIZED = {"(Cleanup)": "(by name or type)", "in Cleanup": "by deleting keys by name or type"}
_UNSCANNED = {
    "(Hogs)": "(in a dump of it, as SCAN is refused here)",
    "(Cleanup)": "(by name)",
    "in Cleanup": "by deleting keys by name",
}
_UNCHECKED = {"(Cleanup)": "(with another client)", "in Cleanup": "with another client"}
_REPORT_IT = "Judge by the figures yourself, and report the defect: it is recorded in defects.log."


def judge(
    snapshot: Snapshot,
    previous: Snapshot | None = None,
    thresholds: Thresholds | None = None,
    *,
    rates: Rates | None = None,
    forecast: Forecast | None = None,
    clients: tuple[ClientBuffer, ...] = (),
    scan: ScanView | None = None,
    replicas: tuple[NodeView, ...] = (),
) -> Verdict:
    """What is the matter with this server now.

    `previous`, or `rates` over a span of the caller's choice, tells what happened lately; without either, only what
    stands in one snapshot is known. `clients` and `scan` are what CLIENT LIST and a scan of the keys told,
    where they were asked for; `replicas` what those of a primary without a cluster told.
    """
    facts = Facts(
        now=snapshot,
        thresholds=thresholds or Thresholds(),
        rates=between(previous, snapshot) if rates is None else rates,
        forecast=forecast,
        clients=on_shown_node(clients, snapshot),
        scan=scan,
    )
    verdict = _spoken(facts)
    return attempt(
        "its cluster is",
        lambda: with_failovers(for_the_cluster(verdict, snapshot, in_keys=cause_of(facts).in_keys), snapshot, replicas),
        lambda fault: _less(verdict, (fault.words,)),
    )


# Of whom the first step of a cause speaks, and the rules beside those named by the cause that give its step.
_CLIENT_OF = {
    "buffers": holders.client_to_close,
    "unexplained": holders.unbooked_client,
    "nothing-left": holders.unbooked_client,
}
_WITH_STEP_OF_CAUSE = ("buffers", "behind", "close-warning", "close-critical", "crowded", "growing")


def _client_of_step(facts: Facts, rule: str) -> int | None:
    named = rule.removeprefix("refusing-").removeprefix("close-").removeprefix("behind-")
    if rule not in _WITH_STEP_OF_CAUSE and named not in _CLIENT_OF:
        return None
    client_of = _CLIENT_OF.get(cause_of(facts).name)
    return None if client_of is None else client_of(facts)


def _spoken(facts: Facts) -> Verdict:
    """What the first rule says that has something to say. Where one failed before it, all is not known to be well."""
    missed = [facts.rates.not_judged] if facts.rates.not_judged else []

    def note(fault: NotJudged) -> None:
        missed.append(fault.words)

    for rule in (*RULES, limit_rules.healthy):
        verdict = attempt(f"the rule '{rule.name}' is", functools.partial(rule.judge, facts), note)
        if verdict is not None:
            client_id = _client_of_step(facts, verdict.rule)
            verdict = replace(verdict, confirm=verdict.confirm or rule.confirm, client_id=client_id)
            break
    else:
        verdict = Verdict(Level.OK, "No rule could judge it.", "not-judged")
    if facts.forecast is not None and facts.forecast.not_judged:
        verdict = replace(verdict, not_judged=(facts.forecast.not_judged,))
    return _less(_of_foreign(verdict, facts), tuple(missed))


def _of_foreign(verdict: Verdict, facts: Facts) -> Verdict:
    """Of a server with rules of its own, what is judged are only the figures that it shares with Redis."""
    if not facts.now.server.is_foreign:
        return verdict
    what = f"{product(facts)} is neither Redis nor Valkey: when it refuses and what it evicts is not judged here."
    return replace(verdict, reason=f"{verdict.reason} {what}")


def _less(verdict: Verdict, missed: tuple[str, ...]) -> Verdict:
    """`verdict` without the rules that failed: what they would have said may be worse than that all is well."""
    if not missed:
        return verdict
    partial = replace(verdict, evidence=(*verdict.evidence, *missed), not_judged=(*verdict.not_judged, *missed))
    if verdict.level is not Level.OK:
        return partial
    reason = f"Not judged in full: {missed[0]}. Without it: {verdict.reason}"
    return replace(partial, level=Level.UNKNOWN, reason=reason, rule="not-judged", first_step=_REPORT_IT)


def unknown(reason: str) -> Verdict:
    """No verdict, since the server could not be asked: `reason` is the sentence that says why."""
    end = "" if reason.endswith((".", "?", "!")) else "."
    return Verdict(Level.UNKNOWN, f"{reason}{end}", "unknown")


def within_rights(verdict: Verdict, capabilities: Capabilities) -> Verdict:
    """`verdict` with a first step that names no command of this tool which is refused here."""
    instead: dict[str, str] = {} if capabilities.has(Feature.MEMORY_USAGE) else dict(_UNSIZED)
    if not capabilities.has(Feature.SCAN):
        instead |= _UNSCANNED
    if not (capabilities.has(Feature.TYPE) and capabilities.has(Feature.TTL)):
        instead |= _UNCHECKED
    step = verdict.first_step
    for pane, words in instead.items():
        step = step.replace(pane, words)
    return replace(verdict, first_step=step)


def follow(verdict: Verdict, last: Verdict | None, now: float) -> Verdict:
    """`verdict` with the time since when it holds: its own, the last one's where that was the same, else `now`."""
    if verdict.since is not None:
        return verdict
    same = last is not None and last.rule == verdict.rule and last.level is verdict.level
    return replace(verdict, since=last.since if last is not None and same else now)
