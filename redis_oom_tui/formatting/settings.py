"""How values of settings are said, in the screen, on the command line and in the audit file."""

from collections.abc import Mapping, Sequence

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, size
from redis_oom_tui.models.settings import ChangeResult

_NAMED = 5


def shown_value(name: str, value: str | None) -> str:
    """A setting's value for people: sizes in both forms, `maxmemory 0` as what it means.

    >>> shown_value("maxmemory", "67108864"), shown_value("maxmemory", "0")
    ('64.0 MiB (67,108,864 bytes)', 'no limit (0)')
    >>> shown_value("maxmemory-clients", "5%"), shown_value("maxmemory-policy", None)
    ('5%', '?')
    """
    if value is None:
        return "?"
    if name not in {"maxmemory", "maxmemory-clients"} or not value.isdigit():
        return safe_text(value, 60)
    if int(value) == 0:
        return "no limit (0)"
    return f"{size(int(value))} ({count(int(value))} bytes)" if int(value) >= 1024 else f"{value} bytes"


def short_value(name: str, value: str | None) -> str:
    """The same, in few cells.

    >>> short_value("maxmemory", "67108864"), short_value("maxmemory", "0"), short_value("x", None)
    ('64.0 MiB', 'no limit', '?')
    """
    if value is not None and name in {"maxmemory", "maxmemory-clients"} and value.isdigit():
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


def listed(names: Sequence[str]) -> str:
    """The first few, and how many more.

    >>> listed(["a", "b"]), listed([*"abcdefg"])
    ('a, b', 'a, b, c, d, e and 2 more')
    """
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {count(more)} more" if more > 0 else "")
