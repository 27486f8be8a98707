"""The settings that Limits offers, what CONFIG REWRITE would write beside them, and what should have gone back.

It writes every setting whose running value is neither what the file says nor, where the file says nothing, the default
that the server was built with; which settings those are the server does not tell.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.settings import shown_value
from redis_oom_tui.formatting.sizes import ago, count, number_of_keys, parse_size, size
from redis_oom_tui.models.action import AuditEntry, Room
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.settings import Change, Setting
from redis_oom_tui.models.snapshot import NodeView, Snapshot
from redis_oom_tui.rules.limit_change import evicted_keys, parse_limit, propose_limit
from redis_oom_tui.rules.policies import KNOWN, NOEVICTION
from redis_oom_tui.rules.whatif import over_bytes, policy_view

YES_NO = ("yes", "no")


class Knob(Struct, frozen=True):
    """A setting: one plain sentence, how a person's text is read (raising BadInput), and its values if they are few."""

    sentence: str
    read: Callable[[str], str]
    choices: tuple[str, ...] = ()


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


KNOBS: Mapping[str, Knob] = {
    "maxmemory-samples": Knob(
        "How many keys are looked at for each eviction: more choose better and cost more CPU; 5 is the usual, 10 near"
        " exact.",
        _whole(1, 64),
    ),
    "maxmemory-eviction-tenacity": Knob(
        "How long one command may be held up by evictions: 10 is the usual, 100 evicts without regard for latency.",
        _whole(0, 100),
    ),
    "maxmemory-clients": Knob(
        "The limit on all clients' buffers together, in bytes or as a share of maxmemory (5%); 0 is none. Over it, the"
        " largest clients are disconnected.",
        _client_memory,
    ),
    "lazyfree-lazy-eviction": Knob(
        "Frees evicted keys in the background, so a huge one does not block.", _yes_no, YES_NO
    ),
    "lazyfree-lazy-expire": Knob(
        "Frees expired keys in the background, so a huge one does not block.", _yes_no, YES_NO
    ),
    "lazyfree-lazy-server-del": Knob(
        "Frees what a write replaces (RENAME, SET over a huge key) in the background.", _yes_no, YES_NO
    ),
    "lazyfree-lazy-user-del": Knob("Makes DEL free in the background, as UNLINK does.", _yes_no, YES_NO),
    "active-expire-effort": Knob(
        "How hard the server looks for expired keys, 1 to 10: more frees them sooner and costs CPU.", _whole(1, 10)
    ),
    "activedefrag": Knob(
        "Gives fragmented memory back to the system while running; needs the server's own jemalloc, and does not lower"
        " what maxmemory counts.",
        _yes_no,
        YES_NO,
    ),
}


def check_name(name: str) -> None:
    """Raise BadInput for a setting that the tool does not change: all but these it leaves alone."""
    names = ("maxmemory", "maxmemory-policy", *KNOBS)
    if name not in names:
        raise BadInput(f"{name!r} is not a setting that this tool changes; it changes {', '.join(names)}")


def check_value(name: str, text: str) -> None:
    """Raise BadInput for a value that no server takes for that setting: this needs none."""
    if name == "maxmemory":
        parse_limit(text)
    elif name == "maxmemory-policy":
        if not text.strip():
            raise BadInput("An empty text is no eviction policy")
    else:
        check_name(name)
        KNOBS[name].read(text)


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
    room: Room,
    scan: ScanView | None,
    replicas: Sequence[NodeView] = (),
) -> Change:
    """Setting `name` to what `text` means, as a change with its consequence; raises BadInput where it means nothing."""
    if name == "maxmemory":
        return propose_limit(old, parse_limit(text), snapshot, room, replicas)
    if name == "maxmemory-policy":
        return _propose_policy(old, text, snapshot, policies=policies, scan=scan)
    check_name(name)
    knob = KNOBS[name]
    return Change(name=name, old=old, new=knob.read(text), consequence=knob.sentence)


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
        can = f" Here it may evict {number_of_keys(view.evictable_keys)}{held}."
    warnings = list(view.warnings)
    replica = snapshot.server.role in {"slave", "replica"}
    over = over_bytes(snapshot.memory)
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


# A return takes a moment, and is tried again for some seconds where the server is away.
_LATE_SECONDS = 5.0


def overdue(history: Iterable[AuditEntry], now: float) -> tuple[AuditEntry, ...]:
    """The changes of which nothing tells that they went back, were kept, or were changed again; `now` is Unix seconds.

    The newest first. One that is due but a moment ago is not among them.
    """
    settled: set[tuple[str, str]] = set()
    found: list[AuditEntry] = []
    for entry in sorted(history, key=lambda one: one.at, reverse=True):
        place = entry.server, _setting(entry)
        if not entry.ok or not place[1] or place in settled:
            continue
        settled.add(place)
        if entry.action == "set" and entry.returns_at is not None and entry.returns_at + _LATE_SECONDS < now:
            found.append(entry)
    return tuple(found)


def cut_off(history: Iterable[AuditEntry]) -> tuple[AuditEntry, ...]:
    """The changes of settings that are the last of their kind, and of which nothing tells how they ended."""
    latest: set[tuple[str, str]] = set()
    found: list[AuditEntry] = []
    for entry in sorted(history, key=lambda one: one.at, reverse=True):
        place = entry.server, _setting(entry)
        if place[1] and place not in latest:
            latest.add(place)
            if entry.ended is None and entry.change is not None:
                found.append(entry)
    return tuple(found)


def left_behind(
    history: Iterable[AuditEntry], server: str, settings: Sequence[Setting], now: float, *, unread: bool = False
) -> tuple[str, ...]:
    """A sentence for each setting of `server` that a killed tool may have changed, or left at a value that was to hold
    for a while only; with `unread` also for one whose value is not among `settings`.
    """
    entries = tuple(history)
    maybe = _maybe_changed(entries, server, settings, now, unread=unread)
    return maybe + not_returned(entries, server, settings, now, unread=unread)


def _maybe_changed(
    history: Iterable[AuditEntry], server: str, settings: Sequence[Setting], now: float, *, unread: bool
) -> tuple[str, ...]:
    values = {setting.name: setting.value for setting in settings}
    sentences: list[str] = []
    for entry in cut_off(history):
        if entry.server != server or entry.change is None:
            continue
        change = entry.change.change
        value, new = values.get(change.name), shown_value(change.name, change.new)
        begun = f"{change.name} may have been set to {new} by this tool {ago(now - entry.at)}"
        ends = f"; {shown_value(change.name, change.old)} was to come back by itself" if entry.returns_at else ""
        if value is not None and value == change.new != change.old:
            sentences.append(f"{begun}, which was cut off before it wrote the end down: it is {new} now{ends}")
        elif value is None and (unread or change.name in values):
            sentences.append(f"{begun}, which was cut off before it wrote the end down: look at it{ends}")
    return tuple(sentences)


def not_returned(
    history: Iterable[AuditEntry], server: str, settings: Sequence[Setting], now: float, *, unread: bool = False
) -> tuple[str, ...]:
    """A sentence for each setting of `server` that still has the value that was to hold for a while only; with `unread`
    also for one whose value is not among `settings`.
    """
    values = {setting.name: setting.value for setting in settings}
    told: list[str] = []
    for entry in overdue(history, now):
        if entry.server != server or entry.change is None or entry.returns_at is None:
            continue
        name, old = entry.change.change.name, entry.change.change.old
        if old is not None and values.get(name) == entry.change.now != old:
            late, was, still = ago(now - entry.returns_at), shown_value(name, old), shown_value(name, values[name])
            told.append(
                f"{name} was to go back to {was} {late}, and the tool was killed before it did: it is {still} still"
            )
        elif unread and old is not None and name not in values:
            late, was = ago(now - entry.returns_at), shown_value(name, old)
            told.append(f"{name} was to go back to {was} {late}, and nothing tells that it did: look at it")
    return tuple(told)


def _setting(entry: AuditEntry) -> str:
    """What an entry is about, where that is a setting that was changed or kept."""
    if entry.change is not None:
        return entry.change.change.name
    return entry.what.partition(" ")[0] if entry.action == "keep" else ""
