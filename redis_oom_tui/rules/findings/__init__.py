"""Findings: causes and savings from this server's own data, those that matter most first."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.address import Address, ClientBuffer
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.keys import PatternSample
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Finding, Level, Thresholds
from redis_oom_tui.rules.findings.case import ON_DEMAND, RULES, Case, FindingRule
from redis_oom_tui.rules.guarded import NotJudged, attempt
from redis_oom_tui.rules.policies import by_last_use, is_lrm
from redis_oom_tui.rules.providers import where_to_set
from redis_oom_tui.rules.savings import narrow

# isort: off
# A rule registers itself when its module is imported. Of findings that weigh alike, the first module's come first.
from redis_oom_tui.rules.findings import buffers, odd, applications, limits, keys, shape, cluster  # noqa: F401
# isort: on

__all__ = ["ON_DEMAND", "RULES", "Case", "FindingRule", "examine", "find", "ranked"]

_OF_SETTINGS = (Feature.CONFIG_SET, Feature.CONFIG_GET)
_SEVERITY = {Level.OOM: 0, Level.CRITICAL: 1, Level.WARNING: 2, Level.UNKNOWN: 3, Level.OK: 4}


def find(
    snapshot: Snapshot,
    scan: ScanView | None = None,
    clients: tuple[ClientBuffer, ...] = (),
    capabilities: Capabilities | None = None,
    *,
    settings: Mapping[str, str] | None = None,
    values: tuple[PatternSample, ...] = (),
    before: ScanView | None = None,
    thresholds: Thresholds | None = None,
) -> tuple[Finding, ...]:
    """All that can be said about a server by what is known of it: the gravest first, then what saves most.

    `settings` is what CONFIG GET told, `values` small samples of patterns, `before` an earlier scan: all may be absent.
    """
    return examine(
        Case(
            now=snapshot,
            scan=scan,
            before=before,
            clients=clients,
            capabilities=capabilities or Capabilities(),
            settings=settings or MappingProxyType({}),
            values=values,
            thresholds=thresholds or Thresholds(),
        )
    )


def examine(case: Case, *more: FindingRule) -> tuple[Finding, ...]:
    """The findings of one case, by every rule and by `more` that are on demand; a rule that fails is one itself.

    Where it is near its limit, what is about the cause that the verdict names comes first.
    """
    case = attempt("what idle times mean is", lambda: _by_last_use(case), lambda _: case)
    found = ranked(finding for rule in (*RULES, *more) for finding in _found(rule, case))
    first = attempt("the cause is", lambda: () if case.near is Level.OK else case.cause.findings, lambda _: ())
    return tuple(sorted(found, key=lambda finding: finding.id not in first))


def _by_last_use(case: Case) -> Case:
    if case.scan is None or not is_lrm(case.memory.policy):
        return case
    return replace(case, scan=by_last_use(case.scan, case.memory.policy))


def _narrow(finding: Finding) -> Finding:
    """`finding` without a range that says too little."""
    return replace(finding, saves_bytes=narrow(finding.saves_bytes))


def _found(rule: FindingRule, case: Case) -> list[Finding]:
    address = case.now.server.address
    return attempt(
        f"the rule '{rule.name}' is",
        lambda: [_as_allowed(_narrow(finding), case.capabilities, address) for finding in rule.judge(case)],
        lambda fault: [_failed(rule, fault)],
    )


def _failed(rule: FindingRule, fault: NotJudged) -> Finding:
    return Finding(
        id=f"not-judged-{rule.name.replace(' ', '-')}",
        level=Level.WARNING,
        title=f"Not judged: {rule.name} ({fault.kind}, a defect of this tool)",
        advice="Check the figures yourself, and report the defect: it is recorded in defects.log.",
        evidence=fault.lines[-1:],
    )


def _as_allowed(finding: Finding, capabilities: Capabilities, address: Address) -> Finding:
    """Beside advice that cannot be followed from here stands why, in the server's own words, and where it can."""
    remedy = finding.remedy
    needed = None
    if remedy is not None and remedy.setting is not None:
        # Where nobody has tried to set anything yet, a refused look tells of both.
        needed = next((feature for feature in _OF_SETTINGS if not capabilities.has(feature)), None)
    elif remedy is not None and remedy.client_id is not None:
        needed = Feature.CLIENT_KILL
    refusal = None if needed is None else capabilities.why_not(needed)
    if remedy is None or needed is None or refusal is None:
        return finding
    evidence = (*finding.evidence, f"not available here: {needed} ({safe_text(refusal, 120)})")
    if remedy.setting is None:
        return replace(finding, evidence=evidence)
    elsewhere = f"{needed} is refused here: {where_to_set(address, remedy.setting, remedy.value or '')}."
    return replace(finding, evidence=evidence, advice=f"{finding.advice} {elsewhere}")


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The gravest first, then what saves most."""
    return tuple(sorted(findings, key=lambda finding: (_SEVERITY[finding.level], -_expected(finding))))


def _expected(finding: Finding) -> int:
    return sum(finding.saves_bytes) // 2 if finding.saves_bytes else 0
