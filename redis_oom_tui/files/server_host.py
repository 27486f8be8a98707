"""What is read where the tool runs on the server's own machine: its memory (/proc and cgroups) and its config file."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from redis_oom_tui.files.disk import MIB, read_small
from redis_oom_tui.formatting.sizes import number_of, size
from redis_oom_tui.models.action import HostMemory
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace

_LOOPBACK = frozenset({"localhost", "::1"})
# cgroup v1 says "no limit" by a number near 2^63.
_ABSURD = 2**60
_NEAR = 0.75


def is_local(address: Address) -> bool:
    """Whether the server is reached over loopback or a unix socket: on this machine, or through a tunnel."""
    return address.socket_path is not None or address.host in _LOOPBACK or address.host.startswith("127.")


def host_memory(address: Address, pid: int | None, host_bytes: int | None, root: Path = Path("/")) -> HostMemory:
    """What the machine under the server has. `pid` and `host_bytes` are the server's own words in INFO.

    Only where a process of that id here is a Redis or Valkey are its limits read; else the rest is said to be unknown.
    """
    if pid is None or not is_local(address) or not is_server(root, pid):
        known = f"its host has {size(host_bytes)}" if host_bytes else "the memory of its host is not known"
        return HostMemory(
            host_bytes,
            None,
            f"The server's host cannot be read from here: {known}, and a container's limit may be lower.",
        )
    limit, left = _cgroup(root, pid)
    available = _kilobytes(root / "proc/meminfo", "MemAvailable")
    free = _least(available, left)
    if limit is not None and (host_bytes is None or limit < host_bytes):
        words = (
            f"The server's cgroup allows {size(limit)}{'' if free is None else f', {size(free)} of it free for use'}."
        )
    else:
        words = f"The host has {size(host_bytes)}, {size(available)} of it available."
    number, held = neighbours(root, pid)
    more = f" {number_of(number, 'other Redis or Valkey server')} there: {size(held)} of RSS." if number else ""
    return HostMemory(_least(limit, host_bytes), free, words + more)


def free_memory(root: Path = Path("/")) -> int | None:
    """What a process of ours may still take here, in bytes: the host's, or its cgroup's where that is less."""
    _, left = _cgroup(root, os.getpid())
    return _least(_kilobytes(root / "proc/meminfo", "MemAvailable"), left)


def with_host_memory(snapshot: Snapshot, root: Path = Path("/")) -> Snapshot:
    """`snapshot` with what only its own machine knows, where that is this one.

    That is `host_bytes` as small as its cgroup really allows, what is free of it, who else is there, and how much of
    the server is in swap.
    """
    server, memory = snapshot.server, snapshot.memory
    pid = server.process_id
    if pid is None or not is_local(server.address) or not is_server(root, pid):
        return snapshot
    limit, left = _cgroup(root, pid)
    known = replace(
        memory,
        host_bytes=_least(limit, memory.host_bytes),
        host_free_bytes=_least(_kilobytes(root / "proc/meminfo", "MemAvailable"), left),
        # All of /proc is read for them: only where it matters.
        neighbours=neighbours(root, pid) if (memory.pressure or 0.0) >= _NEAR else (0, 0),
        swapped_bytes=_kilobytes(root / f"proc/{pid}/status", "VmSwap"),
    )
    return snapshot if known == memory else replace(snapshot, memory=known)


def _least(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)


def is_server(root: Path, pid: int) -> bool:
    """Whether a process of that id here is a Redis or a Valkey."""
    name = _read(root / "proc" / str(pid) / "comm")
    return name is not None and ("redis" in name or "valkey" in name)


def neighbours(root: Path, pid: int) -> tuple[int, int]:
    """How many other Redis and Valkey servers run here, and the RSS of all of them in bytes."""
    others = [int(path.parent.name) for path in (root / "proc").glob("[1-9]*/comm") if _serves(path)]
    held = [_kilobytes(root / f"proc/{other}/status", "VmRSS") for other in others if other != pid]
    return len(held), sum(rss or 0 for rss in held)


def _serves(comm: Path) -> bool:
    """Whether the process of this file is a server, and not redis-cli or this tool."""
    return (_read(comm) or "").startswith(("redis-server", "valkey-server", "keydb-server"))


def _cgroup(root: Path, pid: int) -> tuple[int | None, int | None]:
    """The least memory limit on the way from the process's cgroup up, and the least that is free below one."""
    limits, free = [], []
    for line in (_read(root / "proc" / str(pid) / "cgroup") or "").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers not in {"", "memory"} and "memory" not in controllers.split(","):
            continue
        mount, names = ("memory", _V1) if controllers else ("", _V2)
        folder = root / "sys/fs/cgroup" / mount
        parts = [part for part in path.split("/") if part and part != ".."]
        for depth in range(len(parts), -1, -1):
            here = folder.joinpath(*parts[:depth])
            limit, taken = (_number(here / name) for name in names[:2])
            if limit is None or limit >= _ABSURD:
                continue
            limits.append(limit)
            if taken is not None:
                # Of the files that it has read, the kernel lets go before it kills.
                free.append(max(0, limit - taken + _in_stat(here / "memory.stat", names[2])))
    return min(limits, default=None), min(free, default=None)


# A group's limit, what it takes, and the name of the part of that which the kernel can take back at once.
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2 = ("memory.max", "memory.current", "inactive_file")


def _in_stat(path: Path, name: str) -> int:
    """The bytes of the line `name n` of a group's memory.stat."""
    for line in (_read(path) or "").splitlines():
        word, _, value = line.partition(" ")
        if word == name and value.isdigit():
            return int(value)
    return 0


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
