"""How much must go, how much a plan frees, and how firmly it has to be confirmed."""

from collections import Counter
from collections.abc import Mapping

from redis_oom_tui.formatting.keys import sum_words
from redis_oom_tui.formatting.server import role_text
from redis_oom_tui.formatting.sizes import count, duration, known_bytes, number_of_keys, percent, size
from redis_oom_tui.models.action import TARGET, BackupChoice, Budget
from redis_oom_tui.models.plan import Operation, Plan, PlannedKey
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import headroom
from redis_oom_tui.rules.guarded import attempt
from redis_oom_tui.rules.headroom import SIZE_UNKNOWN, size_is_reported
from redis_oom_tui.rules.selection import MOST_PASSED_BY

_WORD_ABOVE_KEYS = 1000
_WORD_ABOVE_SHARE = 0.10
_WORD_ABOVE_BYTES = 1024**3
_NO_ROOM = "too large to be read now, with {} free below maxmemory"
# What a line of the backup takes beside the key's value.
_LINE_BYTES = 150
# A plan that frees this many times what is needed is told to be more than enough.
_FAR_TOO_MUCH = 2


def budget(plan: Plan, snapshot: Snapshot, target: float = TARGET, *, before: Budget | None = None) -> Budget:
    """What `plan` would do for the pressure of `snapshot`, towards `target` (a share of maxmemory).

    `before` is an earlier budget of the same plan: what it summed over all keys, for a large plan a tenth of a second,
    is taken over.
    """
    return attempt(
        "what this plan would free is",
        lambda: _budget(plan, snapshot, target, before),
        lambda fault: Budget(target, None, None, None, None, words=f"{fault.words[0].upper()}{fault.words[1:]}."),
    )


def _budget(plan: Plan, snapshot: Snapshot, target: float, before: Budget | None) -> Budget:
    memory = snapshot.memory
    held = known_bytes(plan.size, len(plan.keys)) if before is None else before.held_bytes
    if held is None:
        return _unknown(target, snapshot)
    freed = 0 if plan.operation is Operation.EXPIRE else held
    low, high = _range(plan, before) if freed else (0, 0)
    # What an EXPIRE plan frees, it frees later.
    later = _range(plan, before) if plan.operation is Operation.EXPIRE else (low, high)
    counted, needed = memory.counted_bytes, memory.over(target)
    if memory.maxmemory_bytes is None or counted is None or needed is None:
        frees = _later(plan, held, later) if plan.operation is Operation.EXPIRE else f"about {_about(held, low, high)}"
        words = f"{_why_no_target(snapshot)}; this plan frees {frees}."
        return Budget(target, None, freed, low, high, words=words, held_bytes=held)
    after = max(0, counted - freed) / memory.maxmemory_bytes
    return Budget(
        target=target,
        needed_bytes=needed,
        plan_bytes=freed,
        low_bytes=low,
        high_bytes=high,
        pressure_now=memory.pressure,
        pressure_after=after,
        enough=freed >= needed,
        words=_words(plan, target, needed, held, memory.pressure, after, freed=later),
        held_bytes=held,
    )


def _unknown(target: float, snapshot: Snapshot) -> Budget:
    """Where nobody told the sizes of the keys: a plan that frees nobody knows what."""
    memory = snapshot.memory
    words = "The sizes of its keys are not known here, so what this plan frees is not known before it has run."
    needed = memory.over(target)
    if needed is None:
        return Budget(target, None, None, None, None, words=words)
    sentence = f"{_need(target, needed)}. {words}"
    return Budget(target, needed, None, None, None, pressure_now=memory.pressure, words=sentence)


def _why_no_target(snapshot: Snapshot) -> str:
    memory = snapshot.memory
    if memory.unlimited:
        return "No limit is set, so there is no goal"
    unknown = "The limit" if memory.limit_unknown else "How much is in use"
    return f"{unknown} is not known, so neither is how much to free"


def _need(target: float, needed: int) -> str:
    return f"To reach {percent(target)}, free {size(needed)}" if needed else f"It is below {percent(target)} already"


def _range(plan: Plan, before: Budget | None) -> tuple[int, int]:
    if plan.operation is Operation.EXPIRE or before is None or before.high_bytes is None or before.low_bytes is None:
        return plan.size_range
    return before.low_bytes, before.high_bytes


def _about(held: int, low: int, high: int) -> str:
    about = size(held)
    return about if size(low) == about == size(high) else f"{about} (estimated: {size(low)} to {size(high)})"


def _later(plan: Plan, held: int, within: tuple[int, int]) -> str:
    return f"about {_about(held, *within)} within {duration(plan.expire_seconds)}, nothing at once"


def _words(
    plan: Plan, target: float, needed: int, held: int, now: float | None, after: float, *, freed: tuple[int, int]
) -> str:
    need = _need(target, needed)
    if plan.operation is Operation.EXPIRE:
        return f"{need}; this plan frees {_later(plan, held, freed)}."
    about = _about(held, *freed)
    change = f"from {percent(now, 1)} to about {percent(after, 1)}"
    short = ""
    if held < needed:
        short = f": {size(needed - held)} short"
    elif needed > freed[0]:
        short = f": perhaps {size(needed - freed[0])} short"
    elif needed and held >= _FAR_TOO_MUCH * needed:
        short = f": {held / needed:.1f} times what is needed"
    return f"{need}; this plan frees {about}, {change}{short}."


def confirm_word(plan: Plan, backup: BackupChoice | None = None, *, used_bytes: int | None = None) -> str | None:
    """The word that has to be typed before `plan` runs, else None: for one that is large, by keys or by bytes, and for
    one of which something cannot come back with `backup`. `used_bytes` is what the server uses now.

    >>> from redis_oom_tui.models.keys import KeyId
    >>> from redis_oom_tui.models.plan import Criteria, PlannedKey
    >>> key = PlannedKey(KeyId(0, b"k"), "string", 1)
    >>> plan = Plan((key,), Criteria(), 0.0, "s", keyspace_keys=100)
    >>> confirm_word(plan), confirm_word(plan, used_bytes=9), confirm_word(plan, BackupChoice(wanted=False))
    (None, 'delete', 'delete')
    >>> confirm_word(Plan((key,), Criteria(), 0.0, "s", keyspace_keys=9))
    'delete'
    """
    large = len(plan.keys) > _WORD_ABOVE_KEYS or _share(plan) > _WORD_ABOVE_SHARE
    if large or _large_in_bytes(plan, used_bytes) or (backup is not None and without_copy(plan, backup)):
        return plan.operation.value
    return None


def _large_in_bytes(plan: Plan, used_bytes: int | None) -> bool:
    """Whether its keys hold more than a tenth of what is used, or 1 GiB; by the upper end of their sizes."""
    held = plan.size_range[1]
    return held > _WORD_ABOVE_BYTES or (used_bytes is not None and held > _WORD_ABOVE_SHARE * used_bytes)


def without_copy(plan: Plan, backup: BackupChoice) -> int:
    """How many keys of `plan` would be gone for good: those that it takes and `backup` does not hold."""
    if not backup.wanted:
        return len(plan.keys)
    return 0 if backup.keep_unsaved else sum(1 for _ in headroom.uncopied_keys(plan, backup))


def _share(plan: Plan) -> float:
    """The plan's keys as a share of all that the server held when it was made."""
    return min(1.0, len(plan.keys) / plan.keyspace_keys) if plan.keyspace_keys else 0.0


def unsaved(plan: Plan, backup: BackupChoice) -> tuple[int, int]:
    """How many keys of `plan`, of how many bytes, the backup would not hold because each is over its cap."""
    if not backup.wanted or plan.operation is Operation.EXPIRE:
        return 0, 0
    sizes = [key.size for key in plan.keys if key.size is not None and key.size > backup.max_key_bytes]
    return len(sizes), sum(sizes)


def consent(plan: Plan, backup: BackupChoice) -> tuple[str, ...]:
    """What a person has to read before saying yes to `plan`, the operation and its place first."""
    if not plan.keys:
        return (nothing_planned(plan), *plan.flags, *_ended_early(plan))
    databases = sorted({key.id.db for key in plan.keys})
    where = f"database {databases[0]}" if len(databases) == 1 else f"databases {', '.join(map(str, databases))}"
    verb = "Delete" if plan.operation is Operation.DELETE else f"Let expire within {duration(plan.expire_seconds)}:"
    role = f" ({role_text(plan.role)})" if plan.role else ""
    held = sum_words(known_bytes(plan.size, len(plan.keys)), *plan.size_range)
    share = f", {percent(_share(plan))} of all keys," if _share(plan) > _WORD_ABOVE_SHARE else ""
    first = f"{verb} {number_of_keys(len(plan.keys))} ({held}){share} in {where} of {plan.server}{role}."
    return (first, *_undo_words(plan, backup), *plan.flags, *beyond(plan, plan.size))


def nothing_planned(plan: Plan) -> str:
    """Why a plan has no keys.

    >>> from redis_oom_tui.models.plan import Criteria
    >>> nothing_planned(Plan((), Criteria(max_bytes=2**21), 0.0, "s", scanned_keys=9, matched_keys=6))
    '6 keys match; each may hold more than 2.0 MiB, so the limit of the plan leaves them out.'
    >>> nothing_planned(Plan((), Criteria(), 0.0, "s", scanned_keys=9))
    'No key of 9 matches.'
    >>> nothing_planned(Plan((), Criteria(), 0.0, "s"))
    'No key matches.'
    """
    matched, most = plan.matched_keys, plan.criteria.max_bytes
    if matched <= 0 and len(plan.criteria.keys) == 1 == plan.scanned_keys:
        return "The key does not exist or does not match."
    if matched <= 0:
        return f"No key of {count(plan.scanned_keys)} matches." if plan.scanned_keys else "No key matches."
    match, them = ("matches", "it") if matched == 1 else ("match", "them")
    if not plan.complete or most is None:
        return f"{number_of_keys(matched)} {match}, and none is in the plan."
    each = (
        "it" if matched == 1 else "each" if matched <= MOST_PASSED_BY else f"each of the first {count(MOST_PASSED_BY)}"
    )
    may = f"{each} may hold more than {size(most)}"
    return f"{number_of_keys(matched)} {match}; {may}, so the limit of the plan leaves {them} out."


def of_what_goes(plan: Plan, backup: BackupChoice) -> Plan:
    """`plan` without the keys that will be kept because they cannot be saved."""
    kept = {key.id for key in headroom.kept_later(plan, backup)}
    if backup.keep_unsaved:
        kept |= {key.id for key, _ in headroom.uncopied_keys(plan, backup)}
    return replace(plan, keys=tuple(key for key in plan.keys if key.id not in kept)) if kept else plan


def beyond(plan: Plan, held: int) -> tuple[str, ...]:
    """What may match and is not in `plan`, whose keys take `held` bytes.

    >>> from redis_oom_tui.models.plan import Criteria
    >>> beyond(Plan((), Criteria(), 0.0, "s", matched_keys=2, matched_bytes=4096), 0)
    ('2 more keys match (4.0 KiB); the limit of the plan leaves them out.',)
    """
    words = list(_ended_early(plan))
    left = plan.matched_keys - len(plan.keys)
    if left > 0:
        rest = known_bytes(max(0, plan.matched_bytes - held), left)
        more, them = ("key matches", "it") if left == 1 else ("keys match", "them")
        of = "" if rest is None else f" ({size(rest)})"
        words.append(f"{count(left)} more {more}{of}; the limit of the plan leaves {them} out.")
    return tuple(words)


def _ended_early(plan: Plan) -> tuple[str, ...]:
    early = f"The search ended early, after {number_of_keys(plan.scanned_keys)}: more may match."
    return () if plan.complete else (early,)


def _undo_words(plan: Plan, backup: BackupChoice) -> tuple[str, ...]:
    if not backup.wanted:
        return ("No backup: this cannot be undone.",)
    if plan.operation is Operation.EXPIRE:
        return ("The present expiry of each key is written down, so this can be undone until the keys are due.",)
    number, held = unsaved(plan, backup)
    others = _others(plan, backup)
    if number + sum(others.values()) == len(plan.keys):
        return (_none_copied(plan, backup, number, others),)
    over = f"{number_of_keys(number)} ({size(held)}) over {size(backup.max_key_bytes)} each"
    but = ""
    if number and backup.keep_unsaved:
        but = f", and {over} {'is' if number == 1 else 'are'} kept, as too large to save"
    elif number:
        but = f", but for {over}: too large to save, so for {'that' if number == 1 else 'those'} there is no undo"
    words = [
        f"Each key is written to the backup before it is deleted{but}.",
        "Restoring requires as much free memory, below maxmemory where one is set.",
    ]
    words += [_other_words(count_, reason, backup) for reason, count_ in others.items()]
    words += _later_words(headroom.kept_later(plan, backup))
    # About how large the file becomes at most: base64, with a line's other fields around it.
    if (plan.size - held) * 4 // 3 + (len(plan.keys) - number) * _LINE_BYTES > backup.max_total_bytes:
        words.append(f"The backup may reach its cap of {size(backup.max_total_bytes)}; the run would stop there.")
    return tuple(words)


def _others(plan: Plan, backup: BackupChoice) -> Counter[str]:
    """How many keys cannot be copied, though none is over the cap of one key, by the reason."""
    found: Counter[str] = Counter()
    for key, _ in headroom.uncopied_keys(plan, backup):
        if key.size is None or key.size <= backup.max_key_bytes:
            sized = size_is_reported(key.type, key.size, len(key.id.key))
            found[_NO_ROOM.format(size(backup.room_bytes)) if sized else SIZE_UNKNOWN] += 1
    return found


def _other_words(number: int, reason: str, backup: BackupChoice) -> str:
    is_kept, has = ("is kept", "has") if number == 1 else ("are kept", "have")
    if reason != SIZE_UNKNOWN:
        # The keys that go before them make room.
        is_kept, has = "may be kept", "may have"
    ends = is_kept if backup.keep_unsaved else f"{has} no undo"
    return f"{number_of_keys(number)} {ends}: {reason}."


def _later_words(kept: list[PlannedKey]) -> list[str]:
    """That some keys will not be saved once others are gone, and what helps."""
    if not kept:
        return []
    largest = max(key.size or 0 for key in kept)
    them = "it" if len(kept) == 1 else "them"
    held = size(sum(key.size or 0 for key in kept))
    return [
        (
            f"{number_of_keys(len(kept))} ({held}) may be kept: once others are gone, writes are accepted again, and"
            f" saving {size(largest)} needs {size(headroom.needed(largest))} free below maxmemory. To delete {them}:"
            " raise maxmemory first, or write no backup (--no-backup)."
        )
    ]


def _none_copied(plan: Plan, backup: BackupChoice, number: int, others: Mapping[str, int]) -> str:
    """That no key of the plan can be saved, why, and what follows."""
    then = "nothing will be deleted" if backup.keep_unsaved else "this cannot be undone"
    if number == len(plan.keys):
        are = "It is over" if number == 1 else "Each is over"
        return f"{are} {size(backup.max_key_bytes)}, too large to save: {then}."
    why = [f"{number_of_keys(number)} over {size(backup.max_key_bytes)} each"] if number else []
    why += [
        reason if len(others) == 1 and not number else f"{number_of_keys(n)}: {reason}" for reason, n in others.items()
    ]
    return f"No key can be saved ({'; '.join(why)}): {then}."
