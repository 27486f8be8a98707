"""What the first bytes of a dump tell: its format, who wrote it, how much memory it took there."""

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.errors import BadInput

_AUX = 0xFA
_MOST_FIELDS = 64
_LONGEST_FIELD = 4096
# The oldest servers that load a format, and those newer ones that do.
_LOADED_BY = (
    (9, "Redis 5 or newer, any Valkey"),
    (10, "Redis 7.0 or newer, any Valkey"),
    (11, "Redis 7.2 or newer, any Valkey"),
    (12, "Redis 7.4 or newer"),
)


class DumpHeader(Struct, frozen=True):
    """`version` is of the file's format, `writer` the server that wrote it, `used_bytes` its used_memory then; empty or
    None where the file does not say.
    """

    magic: str
    version: int
    writer: str = ""
    used_bytes: int | None = None

    @property
    def loaded_by(self) -> str:
        """Which servers can load it, in words."""
        if self.magic == "VALKEY":
            return "Valkey 9.0 or newer"
        return next((words for version, words in _LOADED_BY if self.version <= version), "a newer Redis")


def read_header(path: Path) -> DumpHeader:
    """The header of the dump at `path`. Raises BadInput where there is none."""
    try:
        with path.open("rb") as file:
            magic, version = _signature(file.read(9))
            fields = _fields(file)
    except OSError as error:
        raise BadInput(f"{safe_text(str(path), 200)} cannot be read: {error.strerror}") from None
    except ValueError:
        raise BadInput(
            f"{safe_text(str(path), 200)} is no RDB file: name a dump, as SAVE or BGSAVE writes it"
        ) from None
    product = "Valkey" if "valkey-ver" in fields else "Redis"
    writer = fields.get("valkey-ver") or fields.get("redis-ver") or ""
    used = fields.get("used-mem", "")
    return DumpHeader(
        magic,
        version,
        f"{product} {safe_text(writer, 20)}" if writer else "",
        int(used) if used.isdigit() else None,
    )


def _signature(raw: bytes) -> tuple[str, int]:
    """REDIS and four digits, or VALKEY and three."""
    for magic in ("REDIS", "VALKEY"):
        if raw.startswith(magic.encode()) and len(raw) == 9 and raw[len(magic) :].isdigit():
            return magic, int(raw[len(magic) :])
    raise ValueError("no signature")


def _fields(file: BinaryIO) -> Mapping[str, str]:
    """The fields before the first key; what is not understood ends them."""
    found: dict[str, str] = {}
    while len(found) < _MOST_FIELDS and file.read(1) == bytes([_AUX]):
        name, value = _text(file), _text(file)
        if name is None or value is None:
            break
        found[name] = value
    return found


def _text(file: BinaryIO) -> str | None:
    """A short string in RDB's encoding: with its length before it, or as an integer of 1, 2 or 4 bytes."""
    first = file.read(1)
    if not first:
        return None
    kind, low = first[0] >> 6, first[0] & 0x3F
    if kind == 3:
        return str(int.from_bytes(file.read(1 << low), "little", signed=True)) if low < 3 else None
    length = low if kind == 0 else (low << 8) + int.from_bytes(file.read(1), "big") if kind == 1 else _LONGEST_FIELD + 1
    return file.read(length).decode("ascii", "replace") if length <= _LONGEST_FIELD else None
