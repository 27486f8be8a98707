"""A machine for a server to run on, as far as /proc and the cgroups would tell of it."""

from pathlib import Path


def machine(root: Path, pid: int, *, limit: int | None = None, swapped: int = 0, taken: int | None = None) -> Path:
    """`root` laid out so that process `pid` is a server in a cgroup of `limit` bytes, of which `taken` are in use, with
    so much of the server in swap.
    """
    process = root / "proc" / str(pid)
    process.mkdir(parents=True, exist_ok=True)
    (process / "comm").write_text("redis-server\n")
    (process / "cgroup").write_text("0::/box\n")
    (process / "status").write_text(f"Name:\tredis-server\nVmSwap:\t{swapped // 1024:8} kB\n")
    (root / "proc/meminfo").write_text("MemTotal: 99999999 kB\nMemAvailable: 88888888 kB\n")
    box = root / "sys/fs/cgroup/box"
    box.mkdir(parents=True, exist_ok=True)
    (box / "memory.max").write_text("max\n" if limit is None else f"{limit}\n")
    if taken is not None:
        (box / "memory.current").write_text(f"{taken}\n")
    return root
