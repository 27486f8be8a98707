"""What is doubtful about a server's figures, and who it says it is, in words."""

from redis_oom_tui.models.snapshot import Server, Snapshot

# The fields that decide most come first.
_FIRST = ("used_memory", "maxmemory", "limit", "maxmemory_policy", "used_memory_rss", "used_memory_overhead")


def doubt_lines(snapshot: Snapshot, most: int) -> list[str]:
    """The figures that count as unknown, those that decide most first, and how many more there are."""
    ranked = sorted(snapshot.doubts, key=lambda doubt: doubt.field not in _FIRST)
    lines = [f"{doubt.field} {doubt.reason}" for doubt in ranked[:most]]
    more = len(ranked) - most
    return [*lines, f"and {more} more: --json names them"] if more > 0 else lines


def doubt_fields(snapshot: Snapshot) -> list[dict[str, str]]:
    """The figures of INFO that count as unknown, each with the reason."""
    return [{"field": doubt.field, "reason": doubt.reason} for doubt in snapshot.doubts]


def server_text(server: Server) -> str:
    """Flavour and version; the product's own name where it is another.

    >>> from redis_oom_tui.models.address import Address
    >>> server_text(Server("redis", "7.0.15", "master", Address()))
    'redis 7.0.15'
    >>> server_text(Server("other", "df-v1.31.0", "master", Address(), product="Dragonfly"))
    'Dragonfly df-v1.31.0'
    >>> server_text(Server("redis", "7.2.4", "master", Address(), product="Amazon ElastiCache"))
    'redis 7.2.4 (Amazon ElastiCache)'
    """
    if not server.product:
        return f"{server.flavour} {server.version}"
    if server.is_foreign:
        return f"{server.product} {server.version}"
    return f"{server.flavour} {server.version} ({server.product})"
