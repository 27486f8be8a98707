"""How values of settings are said, in the screen, on the command line and in the audit file."""

from redis_oom_tui.words.hostile import safe_text
from redis_oom_tui.words.sizes import count, size


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
