"""Settings and limits in words, and what `limits` prints for people and as JSON; there, what is not known is null."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from redis_oom_tui.formatting import SCHEMA
from redis_oom_tui.formatting.sanitize import key_fields, safe_text
from redis_oom_tui.formatting.sizes import count, number_of, number_of_keys, size
from redis_oom_tui.models.action import Limits, PolicyView, SettingView
from redis_oom_tui.models.settings import ChangeResult
from redis_oom_tui.models.snapshot import LimitSource

if TYPE_CHECKING:
    from redis_oom_tui.formatting.documents.settings import LimitsDocument, PolicyFields, ScanUsed, SettingChangeFields

_NAMED = 5
_TO_SCAN = "Bytes, and what is evicted first, are not known: limits --scan samples keys for them."
_SIZES = frozenset({"maxmemory", "maxmemory-clients", "maxmemory-scripts"})
_SAMPLED = "What is evicted first is likely, not certain: an eviction compares maxmemory-samples keys, not all."


def shown_value(name: str, value: str | None) -> str:
    """A setting's value for people: sizes in both forms, `maxmemory 0` as what it means.

    >>> shown_value("maxmemory", "67108864"), shown_value("maxmemory", "0")
    ('64.0 MiB (67,108,864 bytes)', 'no limit (0)')
    >>> shown_value("maxmemory-clients", "5%"), shown_value("maxmemory-policy", None)
    ('5%', '?')
    """
    if value is None:
        return "?"
    if name not in _SIZES or not value.isdigit():
        return safe_text(value, 60)
    if int(value) == 0:
        return "no limit (0)"
    return f"{size(int(value))} ({count(int(value))} bytes)" if int(value) >= 1024 else f"{value} bytes"


def short_value(name: str, value: str | None) -> str:
    """The same, in few cells.

    >>> short_value("maxmemory", "67108864"), short_value("maxmemory", "0"), short_value("x", None)
    ('64.0 MiB', 'no limit', '?')
    """
    if value is not None and name in _SIZES and value.isdigit():
        return size(int(value)) if int(value) else "no limit"
    return "?" if value is None else safe_text(value, 24)


def shown_values(name: str, by_node: Mapping[str, str | None]) -> str:
    """The value that the nodes have; with the nodes of each, where they have different ones.

    >>> shown_values("hz", {"a:1": "10", "b:1": "10"})
    '10'
    >>> shown_values("maxmemory", {"a:1": "1024", "b:1": "0", "c:1": "1024"})
    '1.0 KiB (1,024 bytes) on a:1, c:1; no limit (0) on b:1'
    """
    nodes: dict[str, list[str]] = {}
    for node, value in by_node.items():
        nodes.setdefault(shown_value(name, value), []).append(safe_text(node, 80))
    if len(nodes) < 2:
        return next(iter(nodes), "?")
    return "; ".join(f"{value} on {listed(names)}" for value, names in nodes.items())


def value_now(result: ChangeResult) -> str:
    """What the setting reads after a change, node by node where that differs.

    Of a change that took on some nodes only, these.
    """
    name, nodes = result.change.name, [node for node in result.nodes if node.took]
    return shown_values(name, {node.node: node.now for node in nodes}) if nodes else shown_value(name, result.now)


def value_before(result: ChangeResult) -> str:
    """What the setting was before a change, node by node where that differed; of the nodes that took it."""
    name, nodes = result.change.name, [node for node in result.nodes if node.took]
    return (
        shown_values(name, {node.node: node.old for node in nodes}) if nodes else shown_value(name, result.change.old)
    )


def changed_elsewhere_words(result: ChangeResult, value: str) -> str:
    """That a setting which was to revert was set to `value` by others; '' of nodes that have several now."""
    name = result.change.name
    if not value:
        return f"{name} has other values on its nodes now: it was changed elsewhere, and does not revert"
    reads = f"{name} is {shown_value(name, value)} now, not {value_now(result)}"
    return f"{reads}: it was changed elsewhere, and does not revert"


def listed(names: Sequence[str]) -> str:
    """The first few, and how many more.

    >>> listed(["a", "b"]), listed([*"abcdefg"])
    ('a, b', 'a, b, c, d, e and 2 more')
    """
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {count(more)} more" if more > 0 else "")


def limits_document(
    limits: Limits, results: Iterable[ChangeResult], scan: "ScanUsed | None" = None
) -> "LimitsDocument":
    """What `limits --json` prints: how the server reacts when full, what was changed, and the scan this goes by."""
    return {
        "schema": SCHEMA,
        "node": limits.node or None,
        "maxmemory_bytes": limits.maxmemory_bytes,
        "limit_source": limits.limit_source.value,
        "policy": None if limits.policy == "unknown" else limits.policy,
        "over_bytes": limits.over_bytes,
        "room_for_data_bytes": limits.data_room_bytes,
        "machine": {
            "limit_bytes": limits.host_memory.limit_bytes,
            "free_bytes": limits.host_memory.free_bytes,
            "words": limits.host_memory.words,
        },
        "policies": [_policy_fields(view) for view in limits.policies],
        "settings": [
            {"name": view.setting.name, "value": view.setting.value, "why": view.setting.why, "about": view.sentence}
            for view in limits.settings
        ],
        "path": [{"question": step.question, "answer": step.answer, "lit": step.lit} for step in limits.path],
        "refused": limits.refused,
        "unreturned": list(limits.unreturned),
        "changes": [result_fields(result) for result in results],
        "scan": scan,
    }


def _policy_fields(view: PolicyView) -> "PolicyFields":
    return {
        "name": view.name,
        "current": view.current,
        "evicts": view.evicts,
        "evictable_keys_total": view.evictable_keys,
        "evictable_bytes": view.evictable_bytes,
        "equals_noeviction": view.equals_noeviction,
        "enough": view.enough,
        "first_to_go": None if view.first_unknown else [key_fields(pattern)[0] for pattern in view.first_to_go],
        "first_to_go_by": view.first_by or None,
        "first_to_go_unknown": view.first_unknown,
        "warnings": list(view.warnings),
    }


def result_fields(result: ChangeResult) -> "SettingChangeFields":
    """A change that was tried."""
    change = result.change
    return {
        "name": change.name,
        "old": change.old,
        "new": change.new,
        "consequence": change.consequence,
        "warnings": list(change.warnings),
        "took": result.took,
        "unread": result.unread,
        "now": result.now,
        "detail": result.detail or None,
        "persisted": result.persisted,
        "nodes": [
            {
                "node": each.node,
                "took": each.took,
                "unread": each.unread,
                "old": each.old,
                "now": each.now,
                "detail": each.detail or None,
            }
            for each in result.nodes
        ]
        or None,
    }


def result_lines(results: Sequence[ChangeResult]) -> list[str]:
    """What became of the changes."""
    lines = []
    for result in results:
        change = result.change
        if result.nodes:
            lines += _node_lines(result)
        elif result.took:
            was = "already" if result.now == change.old else f"now; it was {shown_value(change.name, change.old)}"
            lines.append(f"{change.name} is {shown_value(change.name, result.now)} {was}.")
        elif result.unread:
            lines.append(f"{change.name}: {result.detail}")
        else:
            what = "was not changed" if result.reverts_in_seconds is None else "is not kept"
            lines.append(f"{change.name} {what}: {result.detail}")
        if result.persisted is not None:
            lines.append(f"{'Persisted' if result.complete else 'Not persisted'}: CONFIG REWRITE: {result.persisted}")
    return lines or ["Nothing was changed."]


def _node_lines(result: ChangeResult) -> list[str]:
    """What became of it on each node: every one was read back by itself."""
    name, changed = result.change.name, sum(node.took for node in result.nodes)
    took = f"{count(changed)} of {number_of(len(result.nodes), 'node')} took"
    lines = [f"{name}: {took} {shown_value(name, result.change.new)}."]
    for node in result.nodes:
        outcome = "" if node.unread else "NOT changed"
        if node.took:
            outcome = f"{shown_value(name, node.now)} now; it was {shown_value(name, node.old)}"
        outcome = ": ".join(filter(None, (outcome, node.detail)))
        lines.append(f"  {safe_text(node.node, 80)}  {outcome}")
    return lines


def room_lines(shown: Limits) -> list[str]:
    """What keys can have of the limit, where there is one."""
    if shown.data_room_bytes is None:
        return []
    rest = "start-up, buffers, backlog, scripts and functions hold the rest"
    return [f"Room for data: {size(shown.data_room_bytes)}; {rest}."]


def limit_lines(shown: Limits, scan: str | None) -> list[str]:
    """How it reacts when full; `scan` says of what the bytes and patterns are, None where there was no scan."""
    where = f"On {safe_text(shown.node, 80)}: " if shown.node else ""
    lines = [f"{where}maxmemory {_limit(shown)}, {_policy(shown)}", *room_lines(shown), "", "What happens to a write:"]
    lines += [f"  {'>' if step.lit else ' '} {step.question} {step.answer}" for step in shown.path]
    lines += ["", "Policies:"]
    for view in shown.policies:
        lines += _policy_lines(view, scanned=scan is not None)
    lines.append(_TO_SCAN if scan is None else scan)
    if any(view.first_to_go for view in shown.policies):
        lines.append(_SAMPLED)
    lines += ["", "Settings:"]
    for setting in shown.settings:
        lines.append(f"  {setting.setting.name} {_setting(shown, setting)}: {setting.sentence}")
    reasons = {setting.setting.why: None for setting in shown.settings if setting.setting.why is not None}
    lines += [f"  ? is unknown: {reason}" for reason in reasons]
    lines += ["", shown.host_memory.words]
    lines += [f"! {sentence}" for sentence in shown.unreturned]
    return [*lines, shown.refused] if shown.refused else lines


def _setting(shown: Limits, view: SettingView) -> str:
    name, value = view.setting.name, view.setting.value
    if name == "maxmemory" and value == "0" and shown.limit_source is LimitSource.NOT_REPORTED:
        return "0 by CONFIG GET, and not reported by INFO"
    return shown_value(name, "?" if value is None else value)


def _limit(shown: Limits) -> str:
    if shown.maxmemory_bytes is not None:
        return f"{size(shown.maxmemory_bytes)}{' (stated)' if shown.limit_source is LimitSource.OPERATOR else ''}"
    return "?" if shown.limit_source is LimitSource.NOT_REPORTED else "no limit"


def _policy(shown: Limits) -> str:
    return "policy ?" if shown.policy == "unknown" else shown.policy


def _policy_lines(view: PolicyView, *, scanned: bool) -> list[str]:
    mark = "*" if view.current else " "
    held = f", {size(view.evictable_bytes)}" if view.evictable_bytes is not None else ""
    can = (
        "?"
        if view.evictable_keys is None
        else "nothing"
        if not view.evictable_keys
        else f"up to {number_of_keys(view.evictable_keys)}{held}"
    )
    lines = [f"{mark} {view.name}: {view.evicts} Here: {can}."]
    if view.first_to_go:
        names = ", ".join(safe_text(name, 60) for name in view.first_to_go)
        lines.append(f"    likely evicted first, by {view.first_by}: {names}")
    elif view.first_by:
        lines.append(f"    no pattern is evicted first, by {view.first_by}")
    elif view.first_unknown and scanned and view.evictable_keys:
        lines.append(f"    what is evicted first is not known: {view.first_unknown}")
    return [*lines, *(f"    ! {warning}" for warning in view.warnings)]
