"""A master, a replica and a Sentinel that watches them."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from redis_oom_tui.models.address import Address, Connection, Secret, Sentinel
from tests.support.ports import free_ports
from tests.support.servers import RunningServer, binaries, started
from tests.support.waiting import until

MASTER = "cache"


@dataclass
class Watched:
    """What runs: `connection` asks the Sentinel; ports are those of the loopback."""

    master: RunningServer
    master_port: int
    replica: RunningServer
    replica_port: int
    sentinel_port: int
    connection: Connection


@contextmanager
def watched(flavour: str, *, password: str | None = None, sentinel_password: str | None = None) -> Iterator[Watched]:
    """All three, on the loopback, the replica in step; with a password for the data, and another for the Sentinel."""
    master_port, replica_port, sentinel_port = free_ports(3)
    locks = () if password is None else (f"requirepass {password}", f"masterauth {password}")
    common = ("bind 127.0.0.1", "repl-diskless-sync yes", "repl-diskless-sync-delay 0", *locks)
    with ExitStack() as stack:
        master = stack.enter_context(started(flavour, f"port {master_port}", *common))
        replica = stack.enter_context(
            started(flavour, f"port {replica_port}", f"replicaof 127.0.0.1 {master_port}", *common)
        )
        until(lambda: _in_step(replica, password), "the replica in step")
        lines = [
            f"sentinel monitor {MASTER} 127.0.0.1 {master_port} 1",
            f"sentinel down-after-milliseconds {MASTER} 300",
            f"sentinel failover-timeout {MASTER} 2000",
            *([f"sentinel auth-pass {MASTER} {password}"] if password else []),
            *([f"requirepass {sentinel_password}"] if sentinel_password else []),
        ]
        stack.enter_context(_sentinel(flavour, sentinel_port, lines))
        asker = redis.Redis(port=sentinel_port, password=sentinel_password, protocol=2, driver_info=None)
        stack.callback(asker.close)
        until(lambda: bool(asker.execute_command("SENTINEL REPLICAS", MASTER)), "the Sentinel's discovery")
        asked = Sentinel(
            (Address(port=sentinel_port),), MASTER, password=Secret(sentinel_password) if sentinel_password else None
        )
        connection = Connection(sentinel=asked, password=Secret(password) if password else None)
        yield Watched(master, master_port, replica, replica_port, sentinel_port, connection)


def failed_over(watched: Watched, password: str | None = None) -> None:
    """Kill the master and wait until the replica serves in its place, and the Sentinel says so."""
    watched.master.kill()

    def promoted() -> bool:
        with watched.replica.client(password=password) as client:
            return str(client.info("replication")["role"]) == "master"

    until(promoted, "the promotion")
    until(lambda: _named(watched) == watched.replica_port, "the Sentinel to name the new master")


def _named(watched: Watched) -> int:
    asked = watched.connection.sentinel
    secret = asked.password.reveal() if asked is not None and asked.password is not None else None
    with redis.Redis(port=watched.sentinel_port, password=secret, protocol=2, driver_info=None) as asker:
        return int(asker.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", MASTER)[1])


def _in_step(replica: RunningServer, password: str | None) -> bool:
    with replica.client(password=password) as client:
        return str(client.info("replication").get("master_link_status")) == "up"


@contextmanager
def _sentinel(flavour: str, port: int, lines: list[str]) -> Iterator[None]:
    folder = Path(tempfile.mkdtemp(prefix="rot-"))
    file = folder / "sentinel.conf"
    file.write_text("\n".join([f"port {port}", "bind 127.0.0.1", f"dir {folder}", *lines]) + "\n")
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [str(binaries()[flavour]), str(file), "--sentinel"], stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
