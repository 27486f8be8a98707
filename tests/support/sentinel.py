"""A master, a replica and a Sentinel that watches them; each side with a password or with TLS, where asked."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from redis_oom_tui.models.address import Address, Connection, Secret, Sentinel, Tls
from redis_oom_tui.models.structs import replace
from tests.support.ports import free_ports
from tests.support.servers import RunningServer, binaries, started
from tests.support.tls import Papers
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
def watched(
    flavour: str,
    *,
    password: str | None = None,
    sentinel_password: str | None = None,
    papers: Papers | None = None,
    sentinel_papers: Papers | None = None,
    sentinel_user: str | None = None,
    client_certificates: bool = False,
) -> Iterator[Watched]:
    """All three, on the loopback, the replica in step; with a password for the data, and another for the Sentinel.

    With `papers` the data speaks TLS alone, with `sentinel_papers` the Sentinel: `connection` then speaks it too, and
    with `client_certificates` both ask for one. With `sentinel_user` the Sentinel's password is that user's, and nobody
    else may ask it.
    """
    master_port, replica_port, sentinel_port = free_ports(3)
    locks = () if password is None else (f"requirepass {password}", f"masterauth {password}")
    common = ("bind 127.0.0.1", "repl-diskless-sync yes", "repl-diskless-sync-delay 0", *locks)
    common += () if papers is None else (*_shown(papers, client_certificates), "tls-replication yes")
    port = "port" if papers is None else "tls-port"
    with ExitStack() as stack:
        master = stack.enter_context(started(flavour, f"{port} {master_port}", *common))
        copies = f"replicaof 127.0.0.1 {master_port}"
        replica = stack.enter_context(started(flavour, f"{port} {replica_port}", copies, *common))
        until(lambda: _in_step(replica, password), "the replica in step")
        lines = [
            f"sentinel monitor {MASTER} 127.0.0.1 {master_port} 1",
            f"sentinel down-after-milliseconds {MASTER} 300",
            f"sentinel failover-timeout {MASTER} 2000",
            *([f"sentinel auth-pass {MASTER} {password}"] if password else []),
            *_locked(sentinel_user, sentinel_password),
            *_listening(sentinel_port, papers, sentinel_papers, client_certificates),
        ]
        stack.enter_context(_sentinel(flavour, lines))
        tls = _trusting(sentinel_papers, client_certificates)
        secret = Secret(sentinel_password) if sentinel_password else None
        asked = Sentinel(
            (Address(port=sentinel_port),), MASTER, username=sentinel_user, password=secret, tls=tls or False
        )
        login = Secret(password) if password else None
        connection = Connection(sentinel=asked, password=login, tls=_trusting(papers, client_certificates))
        with _asker(asked) as asker:
            until(lambda: bool(asker.execute_command("SENTINEL REPLICAS", MASTER)), "the Sentinel's discovery")
        yield Watched(master, master_port, replica, replica_port, sentinel_port, connection)


def _locked(user: str | None, password: str | None) -> tuple[str, ...]:
    """The lines by which a Sentinel wants a password, of that user alone where there is one."""
    if user is not None:
        return (f"user {user} on >{password} allchannels +@all", "user default off")
    return () if password is None else (f"requirepass {password}",)


def _shown(papers: Papers, asking: bool) -> tuple[str, ...]:
    """The lines by which a server, or a Sentinel, shows its certificate, and asks for one or for none."""
    return (
        f"tls-ca-cert-file {papers.ca_file}",
        f"tls-cert-file {papers.cert_file}",
        f"tls-key-file {papers.key_file}",
        f"tls-auth-clients {'yes' if asking else 'no'}",
    )


def _trusting(papers: Papers | None, showing: bool) -> Tls | None:
    if papers is None:
        return None
    trusting = Tls(ca_file=papers.ca_file)
    if not showing:
        return trusting
    return replace(trusting, cert_file=papers.client_cert_file, key_file=papers.client_key_file)


def _listening(port: int, papers: Papers | None, own: Papers | None, asking: bool) -> tuple[str, ...]:
    """How the Sentinel is spoken to, and speaks to the data; it trusts one authority and has one certificate."""
    heard = (f"port {port}",) if own is None else (f"tls-port {port}", "port 0")
    trusted = own or papers
    lines = () if trusted is None else _shown(trusted, asking)
    return (*heard, *lines, *(() if papers is None else ("tls-replication yes",)))


def failed_over(watched: Watched, password: str | None = None) -> None:
    """Kill the master and wait until the replica serves in its place, and the Sentinel says so."""
    watched.master.kill()

    def promoted() -> bool:
        with watched.replica.client(password=password) as client:
            return str(client.info("replication")["role"]) == "master"

    until(promoted, "the promotion")
    until(lambda: _named(watched) == watched.replica_port, "the Sentinel to name the new master")


def _named(watched: Watched) -> int:
    assert watched.connection.sentinel is not None
    with _asker(watched.connection.sentinel) as asker:
        return int(asker.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", MASTER)[1])


def _asker(asked: Sentinel) -> redis.Redis:
    secret = None if asked.password is None else asked.password.reveal()
    return redis.Redis(
        host="127.0.0.1",
        port=asked.addresses[0].port,
        username=asked.username,
        password=secret,
        protocol=2,
        driver_info=None,
        ssl=bool(asked.tls),
        ssl_ca_certs=str(asked.tls.ca_file) if asked.tls else None,
        ssl_certfile=str(asked.tls.cert_file) if asked.tls and asked.tls.cert_file else None,
        ssl_keyfile=str(asked.tls.key_file) if asked.tls and asked.tls.key_file else None,
    )


def _in_step(replica: RunningServer, password: str | None) -> bool:
    with replica.client(password=password) as client:
        return str(client.info("replication").get("master_link_status")) == "up"


@contextmanager
def _sentinel(flavour: str, lines: list[str]) -> Iterator[None]:
    folder = Path(tempfile.mkdtemp(prefix="rot-"))
    file = folder / "sentinel.conf"
    file.write_text("\n".join(["bind 127.0.0.1", f"dir {folder}", *lines]) + "\n")
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
