"""A server that speaks TLS, with an authority and certificates of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import trustme

from redis_oom_tui.models.address import Address, Connection, Tls
from redis_oom_tui.models.structs import replace
from tests.support.ports import free_ports
from tests.support.servers import RunningServer, available, binaries, started

SERVER_NAME = "cache.internal"


@dataclass(frozen=True)
class Papers:
    """An authority, the certificate of the server (for 127.0.0.1 or for a name), and one for a client; another's CA."""

    ca_file: Path
    cert_file: Path
    key_file: Path
    client_cert_file: Path
    client_key_file: Path
    stranger_ca_file: Path


@cache
def speaking_tls() -> list[str]:
    """The flavours whose binary here was built with TLS: it then names OpenSSL's functions."""
    return [flavour for flavour in available() if b"SSL_CTX_new" in binaries()[flavour].read_bytes()]


def issue(folder: Path, *names: str) -> Papers:
    """Fresh papers in `folder`, the server's for `names`."""
    authority, stranger = trustme.CA(), trustme.CA()
    papers = Papers(*(folder / name for name in ("ca", "cert", "key", "client-cert", "client-key", "stranger-ca")))
    authority.cert_pem.write_to_path(papers.ca_file)
    stranger.cert_pem.write_to_path(papers.stranger_ca_file)
    server, client = authority.issue_cert(*names), authority.issue_cert("sre@example.org")
    for certificate, cert_file, key_file in (
        (server, papers.cert_file, papers.key_file),
        (client, papers.client_cert_file, papers.client_key_file),
    ):
        certificate.cert_chain_pems[0].write_to_path(cert_file)
        certificate.private_key_pem.write_to_path(key_file)
    return papers


@contextmanager
def started_tls(
    flavour: str, papers: Papers, *config: str, client_certificates: bool = False
) -> Iterator[tuple[RunningServer, Connection]]:
    """A server on a TLS port (and on its unix socket, for the test's own hands), and the way in with its authority."""
    port = free_ports()[0]
    lines = (
        f"tls-port {port}",
        "bind 127.0.0.1",
        f"tls-ca-cert-file {papers.ca_file}",
        f"tls-cert-file {papers.cert_file}",
        f"tls-key-file {papers.key_file}",
        f"tls-auth-clients {'yes' if client_certificates else 'no'}",
        *config,
    )
    with started(flavour, *lines) as running:
        yield running, replace(running.connection, address=Address(port=port), tls=Tls(ca_file=papers.ca_file))
