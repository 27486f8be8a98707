"""A key, as a scan sees it. Its name is bytes, always: what is shown is made from it elsewhere."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class KeyId:
    """The identity of a key: its database, its exact bytes, and its node (empty outside a cluster)."""

    db: int
    key: bytes
    node: str = ""


@dataclass(frozen=True, slots=True)
class KeyPattern:
    """Which names a pattern holds: those whose parts, with NUL for what varies, are `parts`, or begin so if `below`.

    `others` is empty or has one entry a part: None, or, for a part that holds all names without a row of their own,
    the parts that do have one.
    """

    parts: tuple[bytes, ...]
    below: bool = False
    delimiters: bytes = b":"
    others: tuple[tuple[bytes, ...] | None, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyRow:
    """What a scan read of one key.

    `size` is MEMORY USAGE, in bytes: exact for strings and compact encodings, else an estimate from a few elements;
    None where the server does not tell. `ttl_ms` is PTTL: None for a key that never expires. `idle_seconds` or
    `frequency` is there, whichever the eviction policy lets the server know. `measured` says that the size was read
    again from all elements; `suspect` that it cannot be true.
    """

    id: KeyId
    type: str
    size: int | None
    ttl_ms: int | None = None
    idle_seconds: int | None = None
    frequency: int | None = None
    encoding: str | None = None
    elements: int | None = None
    measured: bool = False
    suspect: bool = False


@dataclass(frozen=True, slots=True)
class KeyDetails:
    """A closer look at one key: its row, read again, and a small first look at its value.

    `preview` holds a few elements or the first bytes, as bytes; `preview_withheld` says in a sentence why it is empty.
    Where `ttl_told` is False, the row's TTL means nothing.
    """

    row: KeyRow
    preview: tuple[bytes, ...] = ()
    preview_withheld: str | None = None
    ttl_told: bool = True
