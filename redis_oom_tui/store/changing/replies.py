"""What is said of a key that was to be changed, and its value where that was to be saved."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.store.changing.scripts import Reply

_REPLIES = {reply.value: reply for reply in Reply}
Said = Reply | TriageError | str
"""What became of one key: a Reply, an error of ours, or the server's own words from inside a script."""


class Saved(NamedTuple):
    """A key's value as DUMP gives it, with what DUMP leaves out; None where the key has none or it is not known."""

    payload: bytes
    ttl_ms: int | None
    idle_seconds: int | None
    frequency: int | None
    size: int | None = None

    @property
    def digest(self) -> str:
        """What is compared before the key is deleted."""
        return digest(self.payload)


class Limit(NamedTuple):
    """How large a key may be that is read, and how many bytes at once; `unsized`: also one whose size nobody knows."""

    most: int
    at_once: int
    unsized: bool = False


class Uncopied(NamedTuple):
    """A key that was not read, as its copy would have been too large: its size, None where nobody knows."""

    size: int | None


def digest(payload: bytes) -> str:
    """The SHA-1 of a DUMP, as the scripts work it out on the server."""
    return hashlib.sha1(payload, usedforsecurity=False).hexdigest()


def said(reply: Any) -> Said:
    """A reply about one key: a number of `Reply`, or a refusal."""
    if isinstance(reply, int):
        return _REPLIES[reply]
    if isinstance(reply, TriageError):
        return reply
    return bytes(reply).decode("utf-8", "replace")


def saved(reply: Sequence[Any]) -> Saved | Uncopied:
    """A saved value from DUMP, PTTL, idle time, frequency and size, of which -1 are none or not known; or what is
    there instead, the size alone.
    """
    if len(reply) == 1:
        return Uncopied(None if reply[0] < 0 else reply[0])
    payload, ttl, idle, frequency, size = reply
    return Saved(
        payload,
        None if ttl < 0 else ttl,
        None if idle < 0 else idle,
        None if frequency < 0 else frequency,
        None if size < 0 else size,
    )
