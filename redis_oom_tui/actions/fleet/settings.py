"""One setting on every node of a cluster: asked, set and read back on each, and told node by node."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.settings import Change, ChangeResult
from redis_oom_tui.words.hostile import safe_text
from redis_oom_tui.words.sizes import count

_NAMED = 5


async def widened(change: Change, others: Mapping[str, LiveOperator]) -> Change:
    """`change`, seen on one node, as one of all nodes: with what is another there, and what it would mean there."""
    olds: dict[str, list[str]] = {}
    warnings = dict.fromkeys(change.warnings)
    for name, operator in others.items():
        try:
            seen = await operator.propose(change.name, change.new)
        except TriageError as error:
            warnings[f"{name}: {error}"] = None
            continue
        if seen.old != change.old:
            olds.setdefault(seen.old or "?", []).append(name)
        new = [warning for warning in seen.warnings if warning not in change.warnings]
        warnings.update(dict.fromkeys(f"{name}: {warning}" for warning in new))
    for old, names in olds.items():
        warnings[f"It is {safe_text(old, 60)} on {_listed(names)}"] = None
    place = f"On all {count(len(others) + 1)} nodes, replicas too"
    return replace(change, consequence=f"{place}. {change.consequence}".strip(), warnings=tuple(warnings))


def in_order(change: Change, primaries: Sequence[str], replicas: Sequence[str]) -> list[str]:
    """Which nodes first: a limit that rises, replicas first, one that falls, primaries first: none is ever too small
    for what it copies."""
    rises = change.new.isdigit() and (change.old or "").isdigit() and _limit(change.new) > _limit(change.old or "")
    return [*replicas, *primaries] if rises else [*primaries, *replicas]


def _limit(value: str) -> float:
    return float(value) or float("inf")


async def on_each(
    change: Change, operators: Mapping[str, LiveOperator], *, persist: bool, revert_after: float | None
) -> dict[str, ChangeResult | str]:
    """What `change` came to on each node: its result, or why there is none."""
    told: dict[str, ChangeResult | str] = {}
    for name, operator in operators.items():
        try:
            seen = await operator.propose(change.name, change.new)
            told[name] = await operator.apply(seen, persist=persist, revert_after=revert_after)
        except TriageError as error:
            told[name] = str(error)
    return told


async def undone(
    results: Mapping[str, ChangeResult], operators: Mapping[str, LiveOperator]
) -> dict[str, ChangeResult | str]:
    """The old value of each node again."""
    told: dict[str, ChangeResult | str] = {}
    for name, result in results.items():
        try:
            told[name] = await operators[name].undo(result)
        except TriageError as error:
            told[name] = str(error)
    return told


def together(change: Change, told: Mapping[str, ChangeResult | str]) -> ChangeResult:
    """One result for all: it took where it took everywhere; else who took it, and why the others did not."""
    took = [name for name, result in told.items() if isinstance(result, ChangeResult) and result.took]
    results = [result for result in told.values() if isinstance(result, ChangeResult)]
    values = dict.fromkeys(result.now for result in results)
    refused = {name: _why(result) for name, result in told.items() if name not in took}
    detail = ""
    if refused:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(refused.items())[:_NAMED])
        detail = f"{count(len(took))} of {count(len(told))} nodes took it. Not so: {reasons}"
    persisted = {result.persisted for result in results if result.persisted is not None}
    return ChangeResult(
        change,
        took=not refused,
        now=next(iter(values)) if len(values) == 1 else None,
        detail=detail,
        persisted=None if not persisted else "; ".join(sorted(persisted)),
        reverts_in_seconds=next((result.reverts_in_seconds for result in results if result.took), None),
    )


def _why(result: ChangeResult | str) -> str:
    return result if isinstance(result, str) else result.detail or f"it is still {result.now}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {count(more)} more" if more > 0 else "")
