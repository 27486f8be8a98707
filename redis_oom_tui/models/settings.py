"""Server settings: as they are, and as a change would make them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting by the server's own name and value; `value` is None where it may not be read, `why` says why."""

    name: str
    value: str | None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A setting that would go from `old` to `new`: values as the server writes them (sizes in plain bytes).

    `consequence` is what would follow, `warnings` what to think of first; both are shown before it is confirmed.
    """

    name: str
    old: str | None
    new: str
    consequence: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """What a change came to. `now` was read back from the server; `took` is whether it is what was asked for.

    `persisted` is the server's own answer to CONFIG REWRITE, None where that was not asked for. `reverts_in_seconds` is
    set where the old value comes back by itself unless it is kept.
    """

    change: Change
    took: bool
    now: str | None
    detail: str = ""
    persisted: str | None = None
    reverts_in_seconds: float | None = None
