"""What CONFIG REWRITE would write beside the setting it is meant for, as far as the server lets one know.

It writes every setting whose running value is neither what the file says nor, where the file says nothing, the default
that the server was built with; which settings those are the server does not tell.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, parse_size, size
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.settings import Change

# Defaults of all versions from Redis 6.2 and Valkey 7.2 on.
_DEFAULTS = {
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
    "maxmemory-samples": "5",
    "maxmemory-eviction-tenacity": "10",
    "maxmemory-clients": "0",
    "active-expire-effort": "1",
    "activedefrag": "no",
}
MEMORY_NAMES = (*_DEFAULTS, "lazyfree-lazy-eviction", "lazyfree-lazy-expire")
# Passwords, and what the server writes in other words than the file has it.
_NOT_COMPARED = frozenset(
    {
        *("requirepass", "masterauth", "masteruser", "primaryauth", "primaryuser", "user"),
        *("tls-key-file-pass", "tls-client-key-file-pass"),
        *("save", "bind", "port", "tls-port", "unixsocketperm", "slaveof", "replicaof"),
        *("dir", "logfile", "pidfile", "loadmodule", "rename-command"),
        *("client-output-buffer-limit", "oom-score-adj-values", "notify-keyspace-events"),
    }
)
_NAMED = 6


class ServerFile(Struct, frozen=True):
    """The server's config file: its path, '' where it has none and None where it is not told; and what it sets, None
    where it could not be read from here.
    """

    path: str | None
    settings: Mapping[str, str] | None = None


def compared(file: ServerFile) -> tuple[str, ...]:
    """The settings to ask the server for, so that `freezes` can tell."""
    named = [name for name in file.settings or () if name not in _NOT_COMPARED]
    return tuple(dict.fromkeys((*MEMORY_NAMES, *named)))


def freezes(name: str, file: ServerFile, running: Mapping[str, str], done: Sequence[Change]) -> tuple[str, ...]:
    """Sentences on what goes into the file beside `name`. `done` is what this tool changed since the server started.

    >>> freezes("maxmemory", ServerFile("/r.conf", {"hz": "10"}), {"hz": "50", "maxmemory-samples": "9"}, ())
    ('CONFIG REWRITE also writes to /r.conf: hz 50 (10 in the file), maxmemory-samples 9 (not in the file).', \
'Anything else that was changed since the start and that the file does not name is written as well.')
    """
    if file.path == "":
        return ("The server runs without a config file: CONFIG REWRITE will be refused.",)
    where = safe_text(file.path or "the config file", 120)
    if file.settings is None:
        return (*_unseen(name, where, running), *_by_this_tool(name, done, ()))
    differing = {
        other: f"{other} {_shown(other, value)} ({_said(other, file.settings)})"
        for other, value in running.items()
        if other != name and _differs(other, value, file.settings)
    }
    if differing:
        found = [f"CONFIG REWRITE also writes to {where}: {_listed(list(differing.values()))}."]
    else:
        found = [f"CONFIG REWRITE writes nothing else anew: all that {where} names runs as it says there."]
    found.append("Anything else that was changed since the start and that the file does not name is written as well.")
    return (*found, *_by_this_tool(name, done, differing))


def _unseen(name: str, where: str, running: Mapping[str, str]) -> tuple[str, ...]:
    values = [
        f"{other} {_shown(other, running[other])}" for other in MEMORY_NAMES if other in running and other != name
    ]
    now = f" As they run now: {', '.join(values)}." if values else ""
    return (
        f"CONFIG REWRITE writes every running setting that differs from {where}, which cannot be read from here.{now}",
    )


def _by_this_tool(name: str, done: Sequence[Change], told: Mapping[str, str] | tuple[()]) -> tuple[str, ...]:
    first: dict[str, str | None] = {}
    last: dict[str, str] = {}
    for change in done:
        first.setdefault(change.name, change.old)
        last[change.name] = change.new
    each = [
        f"{other} (to {_shown(other, value)})"
        for other, value in last.items()
        if other != name and other not in told and value != first[other]
    ]
    if not each:
        return ()
    return (f"This tool changed, since the server started: {_listed(each)}.",)


def _differs(name: str, running: str, file: Mapping[str, str]) -> bool:
    if name in _NOT_COMPARED:
        return False
    wanted = file.get(name, _DEFAULTS.get(name))
    return wanted is not None and _plain(running) != _plain(wanted)


def _plain(value: str) -> str | int:
    try:
        return parse_size(value)
    except BadInput:
        return value.strip().lower()


def _said(name: str, file: Mapping[str, str]) -> str:
    return f"{_shown(name, file[name])} in the file" if name in file else "not in the file"


def _shown(name: str, value: str) -> str:
    if name == "maxmemory" and value.isdigit() and int(value):
        return size(int(value))
    return safe_text(value, 40) or "''"


def _listed(each: Sequence[str]) -> str:
    more = len(each) - _NAMED
    return ", ".join(each[:_NAMED]) + (f", and {count(more)} more" if more > 0 else "")
