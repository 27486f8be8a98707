"""The settings that Limits offers, what CONFIG REWRITE would write beside them, and what should have gone back.

It writes every setting whose running value is neither what the file says nor, where the file says nothing, the default
that the server was built with; which settings those are the server does not tell.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, number_of_keys, parse_size, size
from redis_oom_tui.models.action import HostMemory
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.settings import Change
from redis_oom_tui.models.snapshot import NodeView, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.limit_change import evicted_keys, parse_limit, propose_limit
from redis_oom_tui.rules.other_nodes import policies_kept, settings_kept
from redis_oom_tui.rules.policies import KNOWN, NOEVICTION
from redis_oom_tui.rules.whatif import policy_view

YES_NO = ("yes", "no")


class LimitsSetting(Struct, frozen=True):
    """A setting that Limits offers: what it does, how a person's text is read (raising BadInput), its values if few.

    `default` is the one of all versions from Redis 6.2 and Valkey 7.2 on; None where they differ. `of_memory` names it
    among the settings that CONFIG REWRITE may write, where the server's file cannot be read.
    """

    sentence: str
    read: Callable[[str], str]
    choices: tuple[str, ...] = ()
    default: str | None = None
    of_memory: bool = True


def _yes_no(text: str) -> str:
    value = text.strip().lower()
    if value not in YES_NO:
        raise BadInput(f"{text!r} is neither yes nor no")
    return value


def _whole(low: int, high: int) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not re.fullmatch(r"[0-9]{1,9}", text.strip()) or not low <= int(text) <= high:
            raise BadInput(f"{text!r} is not a whole number from {low} to {high}")
        return str(int(text))

    return read


def _client_memory(text: str) -> str:
    share = re.fullmatch(r"\s*([0-9]{1,3})\s*%\s*", text)
    if share is None:
        return str(parse_size(text))
    if not 1 <= int(share[1]) <= 100:
        raise BadInput(f"{text!r} is not between 1% and 100% of maxmemory")
    return f"{int(share[1])}%"


def _policy(text: str) -> str:
    if not text.strip():
        raise BadInput("An eviction policy cannot be empty")
    return text.strip().lower()


SETTINGS: Mapping[str, LimitsSetting] = {
    "maxmemory": LimitsSetting(
        "Memory limit: above it, keys are evicted or writes refused. 0 is no limit.",
        lambda text: str(parse_limit(text)),
        default="0",
    ),
    "maxmemory-policy": LimitsSetting(
        "What the server does with a write when it is full.", _policy, default="noeviction"
    ),
    "maxmemory-samples": LimitsSetting(
        "How many keys are compared for each eviction: more is more accurate and costs CPU; the default is 5,"
        " and 10 is close to exact.",
        _whole(1, 64),
        default="5",
    ),
    "maxmemory-eviction-tenacity": LimitsSetting(
        "How long one command may be held up by evictions: the default is 10; 100 ignores latency.",
        _whole(0, 100),
        default="10",
    ),
    "maxmemory-clients": LimitsSetting(
        "The limit on all clients' buffers together, in bytes or as a share of maxmemory (5%); 0 is none. Over it, the"
        " largest clients are disconnected.",
        _client_memory,
        default="0",
    ),
    # Valkey 9.2, by its documentation: no server at hand has it.
    "maxmemory-scripts": LimitsSetting(
        "The limit on what scripts cached by EVAL take, in bytes: over it, those used least lately are dropped. What"
        " SCRIPT LOAD keeps does not count.",
        lambda text: str(parse_size(text)),
    ),
    "lazyfree-lazy-eviction": LimitsSetting(
        "Frees evicted keys in the background, so a huge one does not block.", _yes_no, YES_NO
    ),
    "lazyfree-lazy-expire": LimitsSetting(
        "Frees expired keys in the background, so a huge one does not block.", _yes_no, YES_NO
    ),
    "lazyfree-lazy-server-del": LimitsSetting(
        "Frees what a write replaces (RENAME, SET over a huge key) in the background.", _yes_no, YES_NO, of_memory=False
    ),
    "lazyfree-lazy-user-del": LimitsSetting(
        "Makes DEL free in the background, as UNLINK does.", _yes_no, YES_NO, of_memory=False
    ),
    "active-expire-effort": LimitsSetting(
        "How hard the server searches for expired keys, 1 to 10: more frees them sooner and costs CPU.",
        _whole(1, 10),
        default="1",
    ),
    "activedefrag": LimitsSetting(
        "Gives fragmented memory back to the system while running; needs the server's own jemalloc, and does not lower"
        " what maxmemory counts.",
        _yes_no,
        YES_NO,
        default="no",
    ),
}
"""All settings that this tool changes, in the order in which Limits shows them."""
MEMORY_NAMES = tuple(name for name, setting in SETTINGS.items() if setting.of_memory)


def check_name(name: str) -> None:
    """Raise BadInput for a setting that the tool does not change: all but these it leaves alone."""
    if name not in SETTINGS:
        raise BadInput(f"{name!r} is not a setting that this tool changes; it changes {', '.join(SETTINGS)}")


def check_value(name: str, text: str) -> None:
    """Raise BadInput for a value that no server takes for that setting: this needs none."""
    check_name(name)
    SETTINGS[name].read(text)


def as_typed(name: str, value: str) -> str:
    """A value as the server has it, in the words by which `propose` takes it: 0 is no limit by its name alone.

    >>> as_typed("maxmemory", "0"), as_typed("maxmemory", "1048576"), as_typed("hz", "0")
    ('unlimited', '1048576', '0')
    """
    return "unlimited" if name == "maxmemory" and value == "0" else value


def propose(
    name: str,
    old: str | None,
    text: str,
    snapshot: Snapshot,
    *,
    policies: tuple[str, ...],
    host_memory: HostMemory,
    scan: ScanView | None,
    replicas: Sequence[NodeView] = (),
) -> Change:
    """Setting `name` to what `text` means, as a change with its consequence; raises BadInput where it means nothing."""
    if name == "maxmemory":
        return propose_limit(old, parse_limit(text), snapshot, host_memory, replicas)
    if name == "maxmemory-policy":
        change = _propose_policy(old, text, snapshot, policies=policies, scan=scan)
        return replace(change, warnings=(*change.warnings, *policies_kept(change.new, snapshot, replicas)))
    check_name(name)
    setting = SETTINGS[name]
    kept = settings_kept(name, snapshot)
    return Change(name=name, old=old, new=setting.read(text), consequence=setting.sentence, warnings=kept)


def _propose_policy(
    old: str | None, text: str, snapshot: Snapshot, *, policies: tuple[str, ...], scan: ScanView | None
) -> Change:
    new = text.strip().lower()
    known = policies or KNOWN
    if new not in known:
        raise BadInput(f"{text!r} is not an eviction policy of this server: it knows {', '.join(known)}")
    view = policy_view(new, snapshot, scan)
    can = ""
    if view.evictable_keys:
        held = f", about {size(view.evictable_bytes)}" if view.evictable_bytes is not None else ""
        can = f" Evictable here: {number_of_keys(view.evictable_keys)}{held}."
    warnings = list(view.warnings)
    replica = snapshot.server.is_replica
    over = snapshot.memory.over()
    may_be_over = over is None and not snapshot.memory.unlimited
    evicts = bool(over or may_be_over) and new != NOEVICTION and view.evictable_keys != 0 and not replica
    if evicts:
        warnings.insert(0, _evicted_at_once(over, view.evictable_keys, snapshot))
    if replica:
        warnings.append("This is a replica: the setting is its own, and takes effect when it is promoted.")
    return Change("maxmemory-policy", old, new, consequence=view.evicts + can, warnings=tuple(warnings), evicts=evicts)


def _evicted_at_once(over: int | None, pool: int | None, snapshot: Snapshot) -> str:
    if over is None:
        return "Whether the server is over its limit is not known: if it is, keys are evicted at once, for good."
    keys = "" if pool is None else f", about {count(evicted_keys(over, pool, snapshot))} of {count(pool)} keys,"
    return f"The server is over its limit: about {size(over)}{keys} would be evicted at once; there is no undo."


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


def settings_to_compare(file: ServerFile) -> tuple[str, ...]:
    """The settings to ask the server for, so that `freezes` can tell."""
    named = [name for name in file.settings or () if name not in _NOT_COMPARED]
    return tuple(dict.fromkeys((*MEMORY_NAMES, *named)))


def rewrite_effects(name: str, file: ServerFile, running: Mapping[str, str], done: Sequence[Change]) -> tuple[str, ...]:
    """Sentences on what goes into the file beside `name`. `done` is what this tool changed since the server started.

    >>> rewrite_effects("maxmemory", ServerFile("/r.conf", {"hz": "10"}), {"hz": "50", "maxmemory-samples": "9"}, ())
    ('CONFIG REWRITE also writes to /r.conf: hz 50 (10 in the file), maxmemory-samples 9 (not in the file).', \
'Anything else that was changed since the start and that the file does not name is written as well.')
    """
    if file.path == "":
        return ("The server runs without a config file: CONFIG REWRITE will be refused.",)
    where = safe_text(file.path or "the config file", 120)
    if file.settings is None:
        return (*_unseen(name, where, running), *_by_this_tool(name, done, ()))
    differing = {
        other: f"{other} {_shown(other, value)} ("
        + (f"{_shown(other, file.settings[other])} in the file)" if other in file.settings else "not in the file)")
        for other, value in running.items()
        if other != name and _differs(other, value, file.settings)
    }
    if differing:
        found = [f"CONFIG REWRITE also writes to {where}: {_listed(list(differing.values()))}."]
    else:
        found = [f"CONFIG REWRITE changes nothing else: all settings that {where} names run as it says."]
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


def _by_this_tool(name: str, done: Sequence[Change], named: Mapping[str, str] | tuple[()]) -> tuple[str, ...]:
    first: dict[str, str | None] = {}
    last: dict[str, str] = {}
    for change in done:
        first.setdefault(change.name, change.old)
        last[change.name] = change.new
    each = [
        f"{other} (to {_shown(other, value)})"
        for other, value in last.items()
        if other != name and other not in named and value != first[other]
    ]
    if not each:
        return ()
    return (f"This tool changed, since the server started: {_listed(each)}.",)


def _differs(name: str, running: str, file: Mapping[str, str]) -> bool:
    if name in _NOT_COMPARED:
        return False
    wanted = file.get(name, SETTINGS[name].default if name in SETTINGS else None)
    return wanted is not None and _plain(running) != _plain(wanted)


def _plain(value: str) -> str | int:
    try:
        return parse_size(value)
    except BadInput:
        return value.strip().lower()


def _shown(name: str, value: str) -> str:
    if name == "maxmemory" and value.isdigit() and int(value):
        return size(int(value))
    return safe_text(value, 40) or "''"


def _listed(each: Sequence[str]) -> str:
    more = len(each) - _NAMED
    return ", ".join(each[:_NAMED]) + (f", and {count(more)} more" if more > 0 else "")


def in_order(asked: Sequence[tuple[str, str]], limit: Change) -> list[tuple[str, str]]:
    """`asked` with the policy before a limit that is lowered somewhere, and behind one that is raised.

    In any other order, the old policy would evict under the new limit, or the new one under the old limit.

    >>> in_order([("maxmemory", "1gb"), ("maxmemory-policy", "noeviction")], Change("maxmemory", "0", "1073741824"))
    [('maxmemory-policy', 'noeviction'), ('maxmemory', '1gb')]
    """
    olds = [old for _, old in limit.olds] or [limit.old]
    lowered = max(limit_bytes(old) for old in olds) > limit_bytes(limit.new)
    first = "maxmemory-policy" if lowered else "maxmemory"
    return sorted(asked, key=lambda each: each[0] != first)


def limit_bytes(text: str | None) -> float:
    """A limit as CONFIG GET tells it; no limit, and one that is not told as a number, counts as more than any.

    >>> limit_bytes("1024"), limit_bytes("0"), limit_bytes("8.00GiB"), limit_bytes(None)
    (1024.0, inf, inf, inf)
    """
    if text is None or not (text.isascii() and text.isdigit()):
        return math.inf
    return float(text) or math.inf
