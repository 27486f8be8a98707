"""Which elements of a key go when it is shrunk, and what is to be said before."""

import hashlib
import re
from collections.abc import Sequence

import msgspec

from redis_oom_tui.formatting.sanitize import escape_exact, safe_text
from redis_oom_tui.formatting.server import role_text
from redis_oom_tui.formatting.sizes import count, duration, number_of, size
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import GroupHealth
from redis_oom_tui.models.stepped import Element, ListEnd, ScoreUnit, ShrinkPlan, ShrinkRequest
from redis_oom_tui.models.structs import replace

ORDERED = frozenset({"stream", "list", "zset"})
"""Types whose elements have an order, so that some are the oldest."""
BY_NAME = frozenset({"hash", "set"})
MOST_MARKED = 1_000_000
"""So many fields or members of a hash or set are chosen at a time."""
MOST_COUNTED = 1000
"""What of a consumer group is counted no further."""
WORDS = {"stream": "entries", "list": "elements", "zset": "members", "hash": "fields", "set": "members"}
# Scores from 2001 to 2100 are taken for times: no other number that people use is often there.
_FIRST_SECOND, _LAST_SECOND = 1_000_000_000, 4_102_444_800
_STREAM_TIME = re.compile(rb"(\d{12,14})-\d+")
_SHOWN_BYTES = 60
_WORD_ABOVE = 1000
# MEMORY USAGE counts some 320 bytes for a consumer with a name of 50 bytes, and 100 for a pending entry.
_CONSUMER_BYTES, _PENDING_BYTES, _NODE_BYTES = 1024, 256, 8192


def check(request: ShrinkRequest) -> None:
    """Raise BadInput for a request that means nothing, whatever the key is."""
    chosen = [request.keep_last, request.older_than_seconds, request.matching]
    if sum(one is not None for one in chosen) != 1:
        raise BadInput("To shrink a key, say exactly one of --keep-last, --older-than and --fields")
    if request.keep_last is not None and request.keep_last < 1:
        raise BadInput("--keep-last needs a number of at least 1: to delete the whole key, use cleanup --key")
    if request.matching == b"":
        raise BadInput("--fields needs a pattern that is not empty")


def check_type(request: ShrinkRequest, kind: str) -> None:
    """Raise BadInput where a key of type `kind` cannot be shrunk like that."""
    if kind not in ORDERED | BY_NAME:
        raise BadInput(f"A key of type {safe_text(kind, 20)} cannot be shrunk: only {', '.join(sorted(WORDS))} can")
    if kind in BY_NAME and request.matching is None:
        raise BadInput(f"A {kind} keeps no order, so none of its {WORDS[kind]} is the oldest: choose by --fields GLOB")
    if kind in ORDERED and request.matching is not None:
        raise BadInput(f"--fields chooses from hashes and sets; for a {kind}, say --keep-last or --older-than")
    if kind == "list" and request.older_than_seconds is not None:
        raise BadInput("The elements of a list carry no time: say --keep-last N instead of --older-than")
    if kind == "list" and request.oldest_end is None:
        raise BadInput(
            "A list does not say which of its ends is the oldest: add --oldest-end left (filled by RPUSH) or"
            " --oldest-end right (filled by LPUSH)"
        )


def elements_of(kind: str, number: int) -> str:
    """So many elements of a key of that type.

    >>> elements_of("stream", 1), elements_of("set", 2000)
    ('1 entry', '2,000 members')
    """
    one = "entry" if kind == "stream" else WORDS[kind][:-1]
    return f"{count(number)} {one if number == 1 else WORDS[kind]}"


def nothing_goes(plan: ShrinkPlan) -> str:
    """That a plan removes nothing, in a clause."""
    if plan.elements == 1:
        return f"It has {elements_of(plan.type, 1)}, which stays"
    return f"None of the {elements_of(plan.type, plan.elements)} is to go"


def unit_of(scores: Sequence[float], stated: ScoreUnit | None) -> ScoreUnit:
    """How the scores of a sorted set, the lowest and the highest, are times. Raises BadInput where they are none.

    >>> unit_of([1.7e9, 1.71e9], None).value, unit_of([1.7e12], None).value, unit_of([5], ScoreUnit.SECONDS).value
    ('s', 'ms', 's')
    """
    if stated is not None:
        return stated
    if all(_FIRST_SECOND <= score <= _LAST_SECOND for score in scores):
        return ScoreUnit.SECONDS
    if all(_FIRST_SECOND * 1000 <= score <= _LAST_SECOND * 1000 for score in scores):
        return ScoreUnit.MILLISECONDS
    raise BadInput(
        "The scores of this sorted set do not look like times: say --score-unit s or --score-unit ms, or --keep-last N"
    )


def has_times(first_id: bytes) -> bool:
    """Whether a stream's ids are made by the server, from its clock.

    >>> has_times(b"1700000000000-0"), has_times(b"1-1")
    (True, False)
    """
    return _STREAM_TIME.fullmatch(first_id) is not None


def id_number(entry_id: bytes) -> tuple[int, int]:
    """An id of a stream as it is compared."""
    stamp, _, number = entry_id.partition(b"-")
    return int(stamp), int(number or 0)


def next_id(entry_id: bytes) -> bytes:
    """The smallest id of a stream behind `entry_id`.

    >>> next_id(b"5-1"), next_id(b"5-18446744073709551615")
    (b'5-2', b'6-0')
    """
    stamp, number = id_number(entry_id)
    return b"%d-0" % (stamp + 1) if number == 2**64 - 1 else b"%d-%d" % (stamp, number + 1)


def about_bytes(held: int | None, elements: int, going: int, weights: tuple[float, float]) -> int | None:
    """About how many of the `held` bytes go with `going` of so many elements; `weights` are the mean bytes of a few
    that go and of a few that stay.

    >>> about_bytes(1000, 10, 5, (30.0, 10.0)), about_bytes(1000, 10, 5, (0.0, 0.0)), about_bytes(None, 1, 1, (1, 1))
    (750, 500, None)
    """
    if held is None or not elements:
        return None
    goes, stays = going * weights[0], (elements - going) * weights[1]
    share = goes / (goes + stays) if goes + stays else going / elements
    return round(held * share)


def entry_bytes(entries: Sequence[Element]) -> float:
    """The mean bytes of some entries of a stream, each part with what a listpack adds to it.

    >>> entry_bytes([(b"1-1", b"f", b"v")])
    11.0
    """
    parts = sum(len(part) + 2 for entry in entries for part in entry)
    return parts / len(entries) if entries else 0.0


def about_entries(plan: ShrinkPlan, mean: float, groups: Sequence[GroupHealth]) -> int | None:
    """About how many bytes go with the entries that `plan` takes, of `mean` bytes each: consumers and pending entries
    of `groups` stay, and may hold more of the key than all its entries do.
    """
    held, about = plan.size, plan.about_bytes
    if not held or about is None:
        return about
    beside = bytes_of_groups(groups)
    return min(about, max(round(plan.going * mean), about * max(0, held - beside) // held))


def held_by_groups(plan: ShrinkPlan, mean: float, groups: Sequence[GroupHealth]) -> tuple[str, ...]:
    """That the groups and not the entries hold most of the key, where that is so."""
    entries = round(plan.elements * mean) + _NODE_BYTES
    rest = (plan.size or 0) - entries
    if rest < entries or rest > bytes_of_groups(groups):
        return ()
    consumers = number_of(sum(group.consumers for group in groups), "consumer")
    pending = count(sum(group.pending for group in groups))
    return (
        (
            f"{consumers} and {pending} pending entries hold the rest, about {size(rest)}: removing entries frees none"
            " of that. XGROUP DELCONSUMER removes a consumer, XACK a pending entry."
        ),
    )


def bytes_of_groups(groups: Sequence[GroupHealth]) -> int:
    """Bytes that the consumers and pending entries of `groups` hold at most."""
    return sum(group.consumers * _CONSUMER_BYTES + group.pending * _PENDING_BYTES for group in groups)


class WholeKeyGoes(BadInput):
    """All elements of a key would go: that is a plan to delete the key."""


def stays_alive(kind: str, elements: int, going: int) -> None:
    """Raise WholeKeyGoes where nothing of the key would stay, which deletes it: that is another action."""
    if going >= elements and kind != "stream":
        every = "The only element" if elements == 1 else f"All {elements_of(kind, elements)}"
        raise WholeKeyGoes(
            f"{every} would go, which deletes the key: cleanup --key deletes it with a copy of the whole"
        )


def group_flags(name: bytes, pending: int, unread: int) -> tuple[str, ...]:
    """What a consumer group loses, each in a sentence.

    >>> group_flags(b"mail", 2, 1000)[0]
    "Group 'mail': 2 pending entries (delivered, not acknowledged) go; no consumer can read or claim them then."
    >>> group_flags(b"mail", 0, 1000)
    ("Group 'mail' has not read 1,000 or more of the entries that go: its consumers never see them.",)
    """
    group = f"Group '{escape_exact(name[:80])}'"
    found = []
    if pending:
        entries = "1 pending entry" if pending == 1 else f"{_counted(pending)} pending entries"
        goes, them = ("goes", "it") if pending == 1 else ("go", "them")
        words = f"{entries} (delivered, not acknowledged) {goes}; no consumer can read or claim {them} then."
        found.append(f"{group}: {words}")
        found.append(f"{group}: what stays pending of entries that are gone holds memory until XACK removes it.")
    if unread:
        sees = "sees it" if unread == 1 else "see them"
        consumers = "no consumer" if unread == 1 else "its consumers never"
        found.append(f"{group} has not read {_counted(unread)} of the entries that go: {consumers} {sees}.")
    return tuple(found)


def _counted(number: int) -> str:
    return f"{count(number)} or more" if number >= MOST_COUNTED else count(number)


def frozen(plan: ShrinkPlan) -> ShrinkPlan:
    """`plan` with its hash: over the key, the choice, and each element that is named."""
    facts = msgspec.json.encode([plan.request, plan.type, plan.going, plan.oldest, plan.newest, plan.marked])
    return replace(plan, hash=hashlib.sha256(facts).hexdigest())


def element_text(kind: str, element: Element) -> str:
    """An element as a person recognizes it, cut short.

    >>> element_text("zset", (b"job", b"5")), element_text("stream", (b"1-1", b"f", b"v"))
    ('job (score 5)', '1-1 f v')
    """
    if kind == "zset" and len(element) == 2:
        return f"{safe_text(element[0], _SHOWN_BYTES)} (score {safe_text(element[1], 24)})"
    return safe_text(b" ".join(element), _SHOWN_BYTES)


def order_words(plan: ShrinkPlan) -> str:
    """Which elements count as the oldest, in a sentence; '' where none does."""
    request = plan.request
    if plan.type == "list":
        other = "right" if request.oldest_end is ListEnd.LEFT else "left"
        push = "RPUSH" if request.oldest_end is ListEnd.LEFT else "LPUSH"
        return f"The oldest are taken to be at the {request.oldest_end} end, as {push} adds at the {other}."
    if plan.type == "zset":
        if request.score_unit is None:
            return "The lowest scores go first."
        unit = "seconds" if request.score_unit is ScoreUnit.SECONDS else "milliseconds"
        return f"The scores are read as Unix times in {unit}."
    return "The oldest are those with the lowest IDs." if plan.type == "stream" else ""


def consent(plan: ShrinkPlan, backup: BackupChoice) -> tuple[str, ...]:
    """What a person has to read before saying yes: what goes where, first; then the way back, then the flags."""
    request = plan.request
    role = f" ({role_text(plan.role)})" if plan.role else ""
    about = "" if plan.about_bytes is None else f", about {size(plan.about_bytes)} of {size(plan.size)}"
    rule = f"all but the newest {count(request.keep_last)}" if request.keep_last is not None else ""
    if request.older_than_seconds is not None:
        rule = f"older than {duration(request.older_than_seconds)}"
    if request.matching is not None:
        rule = f"that match {escape_exact(request.matching)}"
    name = escape_exact(plan.key.key[:200])
    first = (
        f"Remove {count(plan.going)} of {elements_of(plan.type, plan.elements)} ({rule}{about}) from the {plan.type}"
        f" {name} in database {plan.key.db} of {plan.server}{role}."
    )
    order = order_words(plan)
    return (first, _ends(plan), *((order,) if order else ()), way_back(plan.type, backup), *plan.flags)


def _ends(plan: ShrinkPlan) -> str:
    """The oldest and the newest that go, or two of those that go where there is no order."""
    first, last = element_text(plan.type, plan.oldest), element_text(plan.type, plan.newest)
    if plan.going == 1:
        return f"It is: {first}."
    return f"Oldest: {first}. Newest that goes: {last}." if plan.type in ORDERED else f"Among them: {first}, {last}."


def way_back(kind: str, backup: BackupChoice) -> str:
    """What can be put back later, in a sentence."""
    if not backup.wanted:
        return "No backup: this cannot be undone."
    if kind == "stream":
        return (
            "Each entry is written to the backup first, in readable form. A stream takes no ID below its last one, so"
            " restore can add them only where the stream is gone by then."
        )
    return "Each of them is written to the backup first, and restore puts it back."


def confirm_word(plan: ShrinkPlan, backup: BackupChoice) -> str | None:
    """The word to type where something cannot come back, or much goes; else None."""
    loses = not backup.wanted or plan.type == "stream"
    return "shrink" if loses or plan.going > _WORD_ABOVE else None
