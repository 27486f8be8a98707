"""Servers by name: what the screen may go to without being left. Knows nothing of Textual or of files."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.config import Profile
from redis_oom_tui.ports.operator import Operator
from redis_oom_tui.ports.source import PolledSource, Source


class ProfileSession(Struct, frozen=True):
    """A server, what may act on it (None where nothing can be changed), and the profile by which it is known."""

    source: Source
    operator: Operator | None
    profile: Profile


class Switchboard(Protocol):
    """The profiles of the configuration, and the way to each."""

    @property
    def profiles(self) -> Sequence[Profile]:
        """All of them, by name."""

    def polled(self, name: str) -> PolledSource:
        """That profile's server, to poll alone; its password is fetched when it is opened."""

    async def connect(self, name: str) -> ProfileSession:
        """The way to that profile, its password fetched; nothing is connected yet. Raises BadInput."""


def target(profile: Profile) -> str:
    """Where a profile leads, in a few words.

    >>> target(Profile("cache", db=2))
    '127.0.0.1:6379, database 2'
    """
    where = safe_text(str(profile.address), 60)
    if profile.sentinel is not None:
        where = f"{safe_text(profile.sentinel.master, 40)} by Sentinel"
    parts = [where, "cluster" if profile.cluster else "", "" if profile.db is None else f"database {profile.db}"]
    return ", ".join(text for text in parts if text)


def same_server(one: Profile, other: Profile) -> bool:
    """Whether both are one server: with `--profile NAME -p PORT`, another server goes by a profile's name.

    >>> same_server(Profile("cache"), Profile("cache", db=2))
    False
    """
    return _where(one) == _where(other)


def _where(profile: Profile) -> tuple[object, ...]:
    sentinel = profile.sentinel
    # Its password is no part of where it is.
    service = None if sentinel is None else (sentinel.master, sentinel.addresses)
    return profile.name, profile.address, service, profile.cluster, profile.db


def caution(profile: Profile) -> str:
    """How careful one has to be there, in words: color alone tells nobody."""
    return ", ".join(("PRODUCTION",) * profile.production + ("read-only",) * profile.read_only)
