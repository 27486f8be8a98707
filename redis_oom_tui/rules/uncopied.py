"""Which keys of a plan cannot be copied before they are deleted, as far as the plan tells, and why."""

from collections.abc import Iterator

from redis_oom_tui.formatting.sizes import size
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.plan import Operation, Plan, PlannedKey
from redis_oom_tui.rules.headroom import has_room, needed, size_is_told


def why_not(key: PlannedKey, choice: BackupChoice) -> str | None:
    """Why `key` will not be in the backup; None where it will, as far as the plan tells.

    >>> from redis_oom_tui.models.keys import KeyId
    >>> why_not(PlannedKey(KeyId(0, b"k"), "hash", 99_000_000), BackupChoice())
    '94.4 MiB is too large to save, with at most 16.0 MiB a key'
    >>> why_not(PlannedKey(KeyId(0, b"k"), "graphdata", 60), BackupChoice(room_bytes=2**30))
    'its size is not known, so nobody knows what its copy would take of the room below maxmemory'
    >>> why_not(PlannedKey(KeyId(0, b"k"), "hash", 60), BackupChoice(room_bytes=0))
    """
    if key.size is not None and key.size > choice.max_key_bytes:
        return too_large(key.size, choice)
    if choice.room_bytes is None:
        return None
    if not size_is_told(key.type, key.size, len(key.id.key)):
        return SIZE_UNKNOWN
    return None if has_room(key.size or 0, choice.room_bytes) else no_room(key.size or 0, choice.room_bytes)


def too_large(bytes_: int, choice: BackupChoice) -> str:
    """That a key of so many bytes is over the cap of one key."""
    return f"{size(bytes_)} is too large to save, with at most {size(choice.max_key_bytes)} a key"


SIZE_UNKNOWN = "its size is not known, so nobody knows what its copy would take of the room below maxmemory"


def no_room(bytes_: int, room: int) -> str:
    """That a key of so many bytes cannot be read without harm to others."""
    return (
        f"{size(bytes_)} is too large to save now: reading it needs {size(needed(bytes_))} free below maxmemory, and"
        f" {size(room)} are free"
    )


def keys(plan: Plan, choice: BackupChoice) -> Iterator[tuple[PlannedKey, str]]:
    """The keys of `plan` that cannot be copied, each with the reason; none where no copy is wanted or needed."""
    if not choice.wanted or plan.deed is Operation.EXPIRE:
        return
    for key in plan.keys:
        # Nearly every key is small, and there may be hundreds of thousands.
        if (reason := why_not(key, choice)) is not None:
            yield key, reason
