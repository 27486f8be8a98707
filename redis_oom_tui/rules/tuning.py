"""The settings that the Limits pane offers: what each does, what it takes, and what a change would follow."""

import re
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from redis_oom_tui.formatting.sizes import count, number_of_keys, parse_size, size
from redis_oom_tui.models.action import Room
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.settings import Change
from redis_oom_tui.models.snapshot import NodeView, Snapshot
from redis_oom_tui.rules.guard import evicted_keys, parse_limit, propose_limit
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
