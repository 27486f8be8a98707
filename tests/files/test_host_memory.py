"""How much memory the machine has: read where server and tool share one, else said to be unknown."""

from pathlib import Path

from redis_oom_tui.files.server_host import host_memory, neighbours, with_host_memory
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.structs import replace
from tests.rules.snapshots import snapshot_of

GIB = 1024**3
HERE = Address()


def machine(root: Path, *, comm: str = "redis-server", cgroup: str = "0::/a/b", **limits: str) -> Path:
    (root / "proc/7").mkdir(parents=True)
    (root / "proc/7/comm").write_text(comm + "\n")
    (root / "proc/7/cgroup").write_text(cgroup + "\n")
    (root / "proc/meminfo").write_text("MemTotal: 8388608 kB\nMemAvailable: 1048576 kB\n")
    for path, limit in limits.items():
        file = root / "sys/fs/cgroup" / path.replace("__", "/") / "memory.max"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(limit + "\n")
    return root


def test_the_least_limit_on_the_way_up_counts(tmp_path: Path) -> None:
    found = host_memory(HERE, 7, 8 * GIB, machine(tmp_path, a__b="max", a=str(2 * GIB)))
    assert (found.limit_bytes, found.free_bytes) == (2 * GIB, GIB)
    assert "cgroup allows 2.0 GiB" in found.words


def test_without_a_cgroup_limit_the_host_counts(tmp_path: Path) -> None:
    found = host_memory(HERE, 7, 8 * GIB, machine(tmp_path, a__b="max"))
    assert found.limit_bytes == 8 * GIB
    assert "1.0 GiB of it available" in found.words


def test_the_older_kind_of_cgroup_is_read_too(tmp_path: Path) -> None:
    root = machine(tmp_path, cgroup="5:cpu:/x\n4:memory:/docker/c")
    file = root / "sys/fs/cgroup/memory/docker/c/memory.limit_in_bytes"
    file.parent.mkdir(parents=True)
    file.write_text(f"{GIB}\n")
    assert host_memory(HERE, 7, 8 * GIB, root).limit_bytes == GIB


def test_a_server_elsewhere_is_said_to_be_elsewhere(tmp_path: Path) -> None:
    found = host_memory(Address("cache-1"), 7, 8 * GIB, machine(tmp_path))
    assert (found.limit_bytes, found.free_bytes) == (8 * GIB, None)
    assert "cannot be read from here" in found.words


def test_a_tunnel_to_another_machine_is_not_taken_for_this_one(tmp_path: Path) -> None:
    assert "cannot be read from here" in host_memory(HERE, 7, 8 * GIB, machine(tmp_path, comm="ssh")).words
    assert "cannot be read from here" in host_memory(HERE, 8, None, tmp_path).words


def test_a_snapshot_is_told_the_containers_limit(tmp_path: Path) -> None:
    snapshot = snapshot_of(memory={"host_bytes": 64 * GIB})
    here = replace(snapshot, server=replace(snapshot.server, address=HERE, process_id=7))
    root = machine(tmp_path, a__b="max", a=str(2 * GIB))
    assert with_host_memory(here, root).memory.host_bytes == 2 * GIB
    elsewhere = replace(snapshot, server=replace(snapshot.server, address=Address("cache-1"), process_id=7))
    assert with_host_memory(elsewhere, root) is elsewhere
    assert with_host_memory(snapshot, root) is snapshot


def test_what_is_free_of_the_cgroup_counts_with_what_the_kernel_can_take_back(tmp_path: Path) -> None:
    root = machine(tmp_path, a__b="max", a=str(2 * GIB))
    group = root / "sys/fs/cgroup/a"
    (group / "memory.current").write_text(f"{2 * GIB - 4096}\n")
    assert host_memory(HERE, 7, 8 * GIB, root).free_bytes == 4096
    (group / "memory.stat").write_text(f"anon 12\ninactive_file {GIB // 2}\n")
    assert host_memory(HERE, 7, 8 * GIB, root).free_bytes == GIB // 2 + 4096


def test_other_servers_on_the_machine_are_counted(tmp_path: Path) -> None:
    root = machine(tmp_path)
    for pid, name in ((8, "redis-server"), (9, "redis-cli"), (10, "valkey-server")):
        folder = root / "proc" / str(pid)
        folder.mkdir()
        (folder / "comm").write_text(f"{name}\n")
        (folder / "status").write_text("VmRSS:\t    1024 kB\n")
    assert neighbours(root, 7) == (2, 2 * 2**20)
    assert "2 other Redis or Valkey servers there: 2.0 MiB of RSS." in host_memory(HERE, 7, 8 * GIB, root).words
