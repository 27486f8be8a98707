"""TLS on every server here that speaks it: authorities, client certificates, server names."""

import asyncio
import gc
import socket
from collections.abc import Iterator
from dataclasses import replace as replace_of
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from redis_oom_tui.models.address import Address, Connection, Secret, Tls
from redis_oom_tui.models.errors import LoginRefused, ServerUnreachable
from redis_oom_tui.models.scan import ScanOptions
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.cluster.source import ClusterSource
from redis_oom_tui.server.live import LiveServer
from tests.support.cluster import clustered
from tests.support.ports import free_ports
from tests.support.servers import RunningServer, started
from tests.support.tls import SERVER_NAME, Papers, issue, speaking_tls, started_tls


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return issue(tmp_path_factory.mktemp("papers"), "127.0.0.1")


@pytest.fixture(params=speaking_tls())
def secured(request: pytest.FixtureRequest, papers: Papers) -> Iterator[tuple[RunningServer, Connection]]:
    with started_tls(request.param, papers, client_certificates=True) as pair:
        yield pair


async def _keys(connection: Connection) -> int:
    live = LiveServer(connection)
    try:
        await live.open()
        return (await live.snapshot()).keys
    finally:
        await live.close()


def _with(connection: Connection, **tls: object) -> Connection:
    return replace(connection, tls=replace(connection.tls or Tls(), **tls))


def _as_client(connection: Connection, papers: Papers) -> Connection:
    return _with(connection, cert_file=papers.client_cert_file, key_file=papers.client_key_file)


async def test_a_client_certificate_lets_in(secured: tuple[RunningServer, Connection], papers: Papers) -> None:
    running, connection = secured
    with running.client() as client:
        client.set("k", "v")
    assert await _keys(_as_client(connection, papers)) == 1


async def test_without_a_client_certificate_it_is_said(secured: tuple[RunningServer, Connection]) -> None:
    with pytest.raises(ServerUnreachable, match="--cert"):
        await _keys(secured[1])


async def test_files_that_do_not_fit_are_named_and_nobody_is_asked_for_a_password(
    secured: tuple[RunningServer, Connection], papers: Papers, tmp_path: Path
) -> None:
    locked = tmp_path / "locked"
    key = serialization.load_pem_private_key(papers.client_key_file.read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"secret")
    locked.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, encryption)
    )
    ours = _as_client(secured[1], papers)
    for wrong, words in (
        ({"key_file": papers.key_file}, "--key is not the key of the certificate"),
        ({"key_file": locked}, "its key has a password"),
        ({"cert_file": papers.client_key_file}, "not in PEM format"),
        ({"ca_file": papers.key_file}, "--cacert holds no certificate"),
    ):
        with pytest.raises(ServerUnreachable, match=words):
            await _keys(_with(ours, **wrong))


async def test_an_expired_certificate_is_not_put_down_to_the_authority(papers: Papers, tmp_path: Path) -> None:
    authority, over = trustme.CA(), datetime.now(UTC) - timedelta(days=1)
    expired = authority.issue_cert("127.0.0.1", not_after=over)
    late = replace_of(papers, **{f"{name}_file": tmp_path / name for name in ("ca", "cert", "key")})
    authority.cert_pem.write_to_path(late.ca_file)
    expired.cert_chain_pems[0].write_to_path(late.cert_file)
    expired.private_key_pem.write_to_path(late.key_file)
    with started_tls(speaking_tls()[0], late) as (_, connection):
        with pytest.raises(ServerUnreachable, match="certificate that has expired") as failure:
            await _keys(connection)
        assert "--cacert" not in str(failure.value)


async def test_a_stranger_s_authority_is_not_trusted(secured: tuple[RunningServer, Connection], papers: Papers) -> None:
    stranger = _with(_as_client(secured[1], papers), ca_file=papers.stranger_ca_file)
    with pytest.raises(ServerUnreachable, match="--cacert"):
        await _keys(stranger)
    assert await _keys(_with(stranger, verify=False)) == 0


async def test_plain_talk_to_a_tls_port_and_the_reverse(
    secured: tuple[RunningServer, Connection], papers: Papers
) -> None:
    with pytest.raises(ServerUnreachable, match="speaks TLS: try --tls, and --cacert"):
        await _keys(replace(secured[1], tls=None))


@pytest.mark.in_turn
@pytest.mark.parametrize("lock", [(), ("requirepass pw",), ("maxclients 1",)], ids=["open", "locked", "full"])
@pytest.mark.parametrize("patience", [0.3, 60.0])
async def test_tls_to_a_plain_port_is_found_out_without_waiting_for_long(
    flavour: str, lock: tuple[str, ...], patience: float
) -> None:
    """The test's own timeout ends what would wait for a minute."""
    with started(flavour, f"port {(port := free_ports()[0])}", "bind 127.0.0.1", *lock):
        plain = replace(_trusting_nobody(port), read_timeout_seconds=patience, connect_timeout_seconds=patience)
        with pytest.raises(ServerUnreachable, match="answers, but without TLS: check the port, or try without --tls"):
            async with asyncio.timeout(30):
                await _keys(plain)


def test_the_other_way_is_left_with_its_connection_closed(secured: tuple[RunningServer, Connection]) -> None:
    for _ in range(10):
        with pytest.raises(ServerUnreachable, match="speaks TLS"):
            asyncio.run(_keys(replace(secured[1], tls=None)))
        # A connection that is still open is a warning when it is swept up, and so an error here.
        gc.collect()


async def test_silence_on_either_way_is_told_as_silence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        deaf = replace(
            _trusting_nobody(listener.getsockname()[1]), read_timeout_seconds=0.2, connect_timeout_seconds=0.2
        )
        for connection in (deaf, replace(deaf, tls=None)):
            with pytest.raises(ServerUnreachable, match="did not answer in time"):
                await _keys(connection)


def _trusting_nobody(port: int) -> Connection:
    return Connection(Address(port=port), tls=Tls())


@pytest.mark.parametrize("flavour", speaking_tls())
async def test_a_certificate_for_a_name(flavour: str, tmp_path: Path) -> None:
    papers = issue(tmp_path, SERVER_NAME)
    with started_tls(flavour, papers) as (_, connection):
        with pytest.raises(ServerUnreachable, match="--sni"):
            await _keys(connection)
        assert await _keys(_with(connection, server_name=SERVER_NAME)) == 0


@pytest.mark.parametrize("flavour", speaking_tls())
async def test_an_acl_user_over_tls(flavour: str, papers: Papers) -> None:
    with started_tls(flavour, papers, "user sre on >pw +@all ~*", "user default off") as (_, connection):
        assert await _keys(replace(connection, username="sre", password=Secret("pw"))) == 0
        with pytest.raises(LoginRefused):
            await _keys(replace(connection, username="sre", password=Secret("no")))
        with pytest.raises(LoginRefused):
            await _keys(connection)


@pytest.mark.parametrize("flavour", speaking_tls())
async def test_a_cluster_s_nodes_are_reached_by_their_tls_ports(flavour: str, papers: Papers) -> None:
    port = free_ports()[0]
    files = (
        f"tls-ca-cert-file {papers.ca_file}",
        f"tls-cert-file {papers.cert_file}",
        f"tls-key-file {papers.key_file}",
    )
    lines = (f"tls-port {port}", *files, "tls-cluster yes", "tls-auth-clients no")
    with clustered(1, *lines, replicas=False, flavour=flavour):
        source = ClusterSource(Connection(Address(port=port), tls=Tls(ca_file=papers.ca_file), cluster=True))
        await source.open()
        cluster_view = (await source.snapshot()).cluster
        view = await source.scan(ScanOptions()).run()
        await source.close()
    assert cluster_view is not None
    assert [node.name for node in cluster_view.nodes] == [f"127.0.0.1:{port}"]
    assert cluster_view.keys == 0
    assert view.complete
