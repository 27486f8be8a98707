"""What is read where the tool runs on the server's own machine: its memory (/proc and cgroups) and its config file."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from redis_oom_tui.files.reading import MIB, read_small
from redis_oom_tui.formatting.sizes import size
from redis_oom_tui.models.action import Room
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace

_LOOPBACK = frozenset({"localhost", "::1"})
# cgroup v1 says "no limit" by a number near 2^63.
_ABSURD = 2**60


def is_local(address: Address) -> bool:
    """Whether the server is reached over loopback or a unix socket: on this machine, or through a tunnel."""
    return address.socket_path is not None or address.host in _LOOPBACK or address.host.startswith("127.")


def room(address: Address, pid: int | None, host_bytes: int | None, root: Path = Path("/")) -> Room:
    """What the machine under the server has. `pid` and `host_bytes` are the server's own words in INFO.

    Only where a process of that id here is a Redis or Valkey are its limits read; else the rest is said to be unknown.
    """
    if pid is None or not is_local(address) or not is_server(root, pid):
        known = f"its machine has {size(host_bytes)}" if host_bytes else "its machine is not known"
        return Room(
            host_bytes, None, f"The server is not seen from here: {known}, and a container's limit may be lower."
        )
    limit = _cgroup_limit(root, pid)
    available = _kilobytes(root / "proc/meminfo", "MemAvailable")
    total = min(value for value in (limit, host_bytes) if value is not None) if limit or host_bytes else None
    if limit is not None and (host_bytes is None or limit < host_bytes):
        words = f"The server's cgroup allows {size(limit)}."
    else:
        words = f"The machine has {size(host_bytes)}, {size(available)} of it free for use."
    return Room(total, available, words)


def with_room(snapshot: Snapshot, root: Path = Path("/")) -> Snapshot:
    """`snapshot` with what only its own machine knows, where that is this one.

    That is `host_bytes` as small as its cgroup really allows, and how much of the server is in swap.
    """
    server, memory = snapshot.server, snapshot.memory
    pid = server.process_id
    if pid is None or not is_local(server.address) or not is_server(root, pid):
        return snapshot
    seen = room(server.address, pid, memory.host_bytes, root)
    known = replace(
        memory, host_bytes=seen.limit_bytes, swapped_bytes=_kilobytes(root / f"proc/{pid}/status", "VmSwap")
    )
    return snapshot if known == memory else replace(snapshot, memory=known)


def is_server(root: Path, pid: int) -> bool:
    """Whether a process of that id here is a Redis or a Valkey."""
    name = _read(root / "proc" / str(pid) / "comm")
    return name is not None and ("redis" in name or "valkey" in name)


def _cgroup_limit(root: Path, pid: int) -> int | None:
    """The least memory limit on the way from the process's cgroup up; None where there is none."""
    limits = []
    for line in (_read(root / "proc" / str(pid) / "cgroup") or "").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers not in {"", "memory"} and "memory" not in controllers.split(","):
            continue
        mount, name = ("memory", "memory.limit_in_bytes") if controllers else ("", "memory.max")
        folder = root / "sys/fs/cgroup" / mount
        parts = [part for part in path.split("/") if part and part != ".."]
        limits += [_number(folder.joinpath(*parts[:depth]) / name) for depth in range(len(parts), -1, -1)]
    return min((limit for limit in limits if limit is not None and limit < _ABSURD), default=None)


def _kilobytes(path: Path, name: str) -> int | None:
    """The bytes of the line `name: n kB` of a file in /proc."""
    for line in (_read(path) or "").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return None


def _number(path: Path) -> int | None:
    text = (_read(path) or "").strip()
    return int(text) if text.isdigit() else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


_LARGEST_BYTES = MIB


def config_file(address: Address, pid: int | None, path: str, root: Path = Path("/")) -> Mapping[str, str] | None:
    """What the file at `path` sets, by lower-case name, a name that stands there several times left out.

    None where it cannot be read from here, or leads on to other files. `pid` is the server's own word in INFO; the path
    is taken as that process sees it, since a container's is not ours.
    """
    if pid is None or not path.startswith("/") or not is_local(address) or not is_server(root, pid):
        return None
    try:
        # The path is the server's own word: what is there may be anything.
        raw, _ = read_small(root / f"proc/{pid}/root" / path[1:], _LARGEST_BYTES)
    except BadInput:
        return None
    return parsed(raw.decode("utf-8", "replace"))


def parsed(text: str) -> Mapping[str, str] | None:
    """The settings of a config file's text; None where it includes other files.

    >>> parsed('maxmemory 100mb\\n# hz 10\\nrequirepass "a b"\\nsave 60 1\\nsave 30 9')
    {'maxmemory': '100mb', 'requirepass': 'a b'}
    """
    found: dict[str, str] = {}
    several: set[str] = set()
    for line in text.splitlines():
        words = _words(line.strip())
        if not words:
            continue
        name = words[0].lower()
        if name == "include":
            return None
        several |= {name} & found.keys()
        found[name] = " ".join(words[1:])
    return {name: value for name, value in found.items() if name not in several}


def _words(line: str) -> list[str]:
    if not line or line.startswith("#"):
        return []
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()
