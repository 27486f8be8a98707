"""Findings: causes and savings from this server's own data, those that matter most first."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from redis_oom_tui.models.address import Address
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.snapshot import ClientBuffer, Snapshot
from redis_oom_tui.models.values import FamilySample
from redis_oom_tui.models.verdict import Finding, Level, Thresholds
from redis_oom_tui.rules.findings import buffers, expiry, giants, limits, odd, packing, shape
from redis_oom_tui.rules.findings.case import Case
from redis_oom_tui.rules.fleet import fleet_findings, replica_findings
from redis_oom_tui.rules.providers import instead
from redis_oom_tui.words.hostile import safe_text

__all__ = ["RULES", "Case", "examine", "find", "ranked"]

RULES: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    buffers.forgotten_monitor,
    buffers.hogs,
    buffers.no_client_limit,
    buffers.backlog,
    buffers.scripts,
    buffers.channels,
    buffers.tracking,
    odd.links,
    odd.keyless,
    odd.refused_before,
    odd.one_node,
    odd.foreign,
    odd.stated_limit,
    limits.no_limit,
    limits.limit_over_host,
    limits.raise_limit,
    limits.volatile_without_ttl,
    limits.cache_without_eviction,
    limits.store_with_eviction,
    limits.samples,
    limits.blocking_frees,
    limits.fragmentation,
    giants.giants,
    giants.growth,
    expiry.stragglers,
    expiry.passing_data,
    expiry.old_data,
    expiry.long_ttls,
    expiry.unreaped,
    shape.hash_grouping,
    shape.long_names,
    shape.numbers_as_text,
    packing.over_the_limit,
    packing.compressible,
)

_OF_SETTINGS = (Feature.CONFIG_SET, Feature.CONFIG_GET)
_SEVERITY = {Level.OOM: 0, Level.CRITICAL: 1, Level.WARNING: 2, Level.UNKNOWN: 3, Level.OK: 4}


def find(
    snapshot: Snapshot,
    scan: ScanView | None = None,
    clients: tuple[ClientBuffer, ...] = (),
    capabilities: Capabilities | None = None,
    *,
    settings: Mapping[str, str] | None = None,
    values: tuple[FamilySample, ...] = (),
    before: ScanView | None = None,
    thresholds: Thresholds | None = None,
) -> tuple[Finding, ...]:
    """All that can be said about a server by what is known of it: the gravest first, then what saves most.

    `settings` is what CONFIG GET told, `values` small samples of families, `before` an earlier scan: all may be absent.
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


def examine(case: Case) -> tuple[Finding, ...]:
    """The findings of one case, in their order."""
    found = [finding for rule in RULES for finding in rule(case)]
    if case.now.fleet is not None:
        found += fleet_findings(case.now.fleet)
    found += replica_findings(case.now, case.replicas)
    return ranked(_as_allowed(finding, case.capabilities, case.now.server.address) for finding in found)


def _as_allowed(finding: Finding, capabilities: Capabilities, address: Address) -> Finding:
    """Beside advice that cannot be followed from here stands why, in the server's own words, and where it can."""
    lever = finding.lever
    needed = None
    if lever is not None and lever.setting is not None:
        # Where nobody has tried to set anything yet, a refused look tells of both.
        needed = next((feature for feature in _OF_SETTINGS if not capabilities.has(feature)), None)
    elif lever is not None and lever.client_id is not None:
        needed = Feature.CLIENT_KILL
    refusal = None if needed is None else capabilities.why_not(needed)
    if lever is None or needed is None or refusal is None:
        return finding
    evidence = (*finding.evidence, f"not to be had here: {needed} ({safe_text(refusal, 120)})")
    if lever.setting is None:
        return replace(finding, evidence=evidence)
    elsewhere = f"{needed} is refused here: {instead(address, lever.setting, lever.value or '')}."
    return replace(finding, evidence=evidence, advice=f"{finding.advice} {elsewhere}")


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The gravest first, then what saves most."""
    return tuple(sorted(findings, key=lambda finding: (_SEVERITY[finding.level], -_expected(finding))))


def _expected(finding: Finding) -> int:
    return sum(finding.saves_bytes) // 2 if finding.saves_bytes else 0
