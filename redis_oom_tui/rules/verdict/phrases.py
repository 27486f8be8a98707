"""How a rule of the verdict is declared, and the clauses that its sentences are put together from."""

from collections.abc import Callable

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.server import doubt_lines, limit_text
from redis_oom_tui.formatting.sizes import (
    ago,
    count,
    duration,
    lasting,
    number_of,
    number_of_keys,
    percent_beside,
    share_of,
    size,
)
from redis_oom_tui.models.snapshot import NOT_REPORTED, LimitSource
from redis_oom_tui.models.verdict import Level, Verdict
from redis_oom_tui.rules.breakdown import reported_buffers
from redis_oom_tui.rules.clients import takes_memory
from redis_oom_tui.rules.guarded import attempt
from redis_oom_tui.rules.verdict.facts import REFUSED_OTHERWISE, Facts

_DOUBTS = 3


def product(facts: Facts) -> str:
    """What to call a server that is neither Redis nor Valkey."""
    return facts.now.server.product or "This server"


def subject(facts: Facts, alone: str, in_cluster: str) -> str:
    """How a sentence that all is well begins: `alone`, or in a cluster the node and `in_cluster`."""
    return alone if facts.now.cluster is None else f"{safe_text(facts.now.server.node, 80)} {in_cluster}"


def in_use(facts: Facts) -> str:
    """How full it is: `99% of 64.0 MiB`, or what it uses where no limit is known."""
    memory = facts.now.memory
    if facts.pressure is None:
        return "unknown use" if memory.used_bytes is None else size(memory.used_bytes)
    digits = 1 if 0.985 <= facts.pressure < 1.10 else 0
    marks = (facts.thresholds.warn, facts.thresholds.crit, 1.0)
    share, limit = percent_beside(facts.pressure, marks, digits), size(memory.maxmemory_bytes)
    if memory.limit_source is LimitSource.OPERATOR:
        return share_of(share, f"the stated {limit}") if share.endswith("%") else share_of(share, limit, "stated limit")
    return share_of(share, limit)


def why_unjudged(facts: Facts) -> str:
    """Why the pressure is not known; '' where it is, or where the server says that nothing limits it."""
    memory = facts.now.memory
    if memory.used_bytes is None:
        reason = _reason(facts, "used_memory")
        if reason == NOT_REPORTED:
            return "its used_memory is not reported"
        return f"its own count is broken: used_memory {reason}"
    if not memory.limit_unknown:
        return ""
    reason = _reason(facts, "maxmemory")
    return "its limit is not reported" if reason == NOT_REPORTED else f"its limit is not known: maxmemory {reason}"


def _reason(facts: Facts, field: str) -> str:
    return next((doubt.reason for doubt in facts.now.doubts if doubt.field == field), NOT_REPORTED)


def refusals(facts: Facts) -> str:
    """How many writes were refused lately, and of which commands; '' where none was seen."""
    if not facts.refused:
        return ""
    least = "at least " if facts.now.counters.refused_is_lower_bound or facts.rates.reset else ""
    # What was refused for another reason, as our own question for a right, is counted by command all the same.
    others = sum(facts.rates.errors_by_kind.get(kind, 0) for kind in REFUSED_OTHERWISE)
    counted = [(name, n) for name, n in facts.rates.refused_by_command.items() if takes_memory(name) and n > others]
    commands = sorted(counted, key=lambda item: -item[1])[:3]
    of = f", mostly {' '.join(safe_text(name.upper(), 24) for name, _ in commands)}" if commands else ""
    return f"{least}{count(facts.refused)} refused in the last {lately(facts)}{of}"


def pause(facts: Facts) -> str:
    """That clients are paused, and for how long; '' where they are not."""
    if not facts.paused:
        return ""
    activity = facts.now.activity
    if activity.failing_over:
        return "clients are paused until its replica is in step (FAILOVER): their writes wait"
    how_long = "" if activity.paused_ms is None else f" for another {duration(activity.paused_ms / 1000)}"
    are = "are" if activity.paused else "seem to be"
    return f"clients {are} paused{how_long} (CLIENT PAUSE): their writes wait"


def lately(facts: Facts) -> str:
    """The span between the two looks."""
    seconds = facts.rates.seconds
    return f"{seconds:.1f}s" if seconds < 9.5 else duration(round(seconds))


def refused_ago(facts: Facts) -> float:
    """For how many seconds no write has been refused; 0.0 where the last look saw one, or nothing tells."""
    last = facts.rates.last_refused
    return 0.0 if last is None or not facts.refused else last.seconds_ago


def since_refused(facts: Facts) -> str:
    """How long no write has been refused, as far as the looks tell."""
    return duration(max(1, round(refused_ago(facts))))


def refused_so_far(facts: Facts) -> str:
    """The total since start-up or RESETSTAT; '' where it is 0 or unknown."""
    counters = facts.now.counters
    if not counters.refused_writes_total:
        return ""
    least = "at least " if counters.refused_is_lower_bound else ""
    writes = "write" if counters.refused_writes_total == 1 else "writes"
    return f"{least}{count(counters.refused_writes_total)} {writes} refused since restart or RESETSTAT"


def refused_before(facts: Facts) -> str:
    """The same, and whether any of it is of now: what the span between the looks tells."""
    total = refused_so_far(facts)
    if not total or facts.rates.not_judged:
        return total
    if facts.refused:
        return f"{total}, the last {since_refused(facts)} ago" if refused_ago(facts) else total
    if not facts.rates.seconds:
        return f"{total}, whether any now is not known yet"
    return total if facts.rates.refused_writes is None else f"{total}, none in the last {lately(facts)}"


def evidence(facts: Facts) -> tuple[str, ...]:
    """The figures behind any verdict, as short statements in Redis's own words."""
    memory, keys, expires = facts.now.memory, facts.now.keys, facts.now.expires
    lines = [
        f"used_memory {size(memory.used_bytes)}, maxmemory {limit_text(memory)}, policy {safe_text(facts.policy, 24)}",
        f"{number_of_keys(keys)}, {count(expires)} of them with a TTL",
        f"buffers of clients and replicas {size(reported_buffers(facts.now.memory))}",
        refused_so_far(facts),
    ]
    if over := lasting(facts.over_limit_seconds):
        lines.append(f"over its limit{over} without a break")
    if facts.paused:
        lines.append(pause(facts))
    if pending := memory.lazyfree_pending_objects:
        lines.append(
            f"{number_of(pending, 'deleted object')} {'is' if pending == 1 else 'are'} still being freed in the"
            " background"
        )
    if memory.not_counted_bytes:
        lines.append(f"{size(memory.not_counted_bytes)} of replica and AOF buffers do not count towards the limit")
    if facts.rates.evicted_keys:
        lines.append(f"{number_of_keys(facts.rates.evicted_keys)} evicted in the last {lately(facts)}")
    if facts.rates.restarted:
        lines.append(f"the server restarted {ago(facts.now.server.uptime_seconds)}")
    if facts.rates.reset:
        lines.append("its counters were reset meanwhile, so counts are lower bounds")
    lines += doubt_lines(facts.now, _DOUBTS)
    return tuple(text for text in lines if text)


Judge = Callable[[Facts], Verdict | None]


class VerdictRule(Struct, frozen=True):
    """A rule of the verdict: what it may say, by id, how, and the commands that show it to a person (redis-cli's)."""

    name: str
    ids: tuple[str, ...]
    judge: Judge
    confirm: tuple[str, ...] = ()


DECLARED: list[VerdictRule] = []
"""Every rule there is. `verdict.RULES` is the order in which they are asked."""


def rule(*ids: str, confirm: tuple[str, ...] = ()) -> Callable[[Judge], VerdictRule]:
    """Declare a function as the rule that gives the verdicts called `ids`; one that ends in `-` begins an id."""

    def declare(judge: Judge) -> VerdictRule:
        made = VerdictRule(judge.__name__, ids, judge, confirm)
        DECLARED.append(made)
        return made

    return declare


def say(
    facts: Facts,
    level: Level,
    rule: str,
    reason: str,
    first_step: str = "",
    since: float | None = None,
    confirm: tuple[str, ...] = (),
) -> Verdict:
    """The verdict of a rule, with the evidence that stands behind any of them."""
    proof = attempt("its evidence is", lambda: evidence(facts), lambda fault: (fault.words,))
    return Verdict(level, reason, rule, proof, first_step, since, confirm=confirm)
