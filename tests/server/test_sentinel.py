"""Behind Sentinels: the master is found with their own password, and followed when it fails over."""

import contextlib
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import pytest

from redis_oom_tui.models.address import Address, Connection, Secret, Sentinel, Tls
from redis_oom_tui.models.errors import LoginRefused, NotRedis, ServerUnreachable
from redis_oom_tui.models.structs import replace
from tests.support.ports import free_ports
from tests.support.proxy import lied_to
from tests.support.sentinel import MASTER, Watched, failed_over, watched
from tests.support.servers import RunningServer
from tests.support.sources import opened
from tests.support.tls import issue, speaking_tls


async def _refusal(connection: Connection, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        async with opened(connection):
            pass


def _asking(connection: Connection, *addresses: Address, master: str = MASTER) -> Connection:
    return replace(connection, sentinel=Sentinel(addresses, master))


async def test_a_failover_is_followed_and_said(flavour: str) -> None:
    with watched(flavour, password="for-data", sentinel_password="for-sentinels") as them:
        async with opened(them.connection) as live:
            assert live.address == Address(port=them.master_port)
            assert (await live.snapshot()).notes == ()
            failed_over(them, "for-data")
            snapshot, again = await live.snapshot(), await live.snapshot()
    assert snapshot.server.role == "master"
    assert snapshot.server.address == Address(port=them.replica_port)
    now, before = f"127.0.0.1:{them.replica_port}", f"127.0.0.1:{them.master_port}"
    said = f"failover: the Sentinels now name {now} as master of cache, instead of {before}"
    assert snapshot.notes == (said,)
    assert again.notes == ()


async def test_a_master_that_came_back_as_a_replica_is_left() -> None:
    with watched("valkey") as them:
        async with opened(them.connection) as live:
            failed_over(them)
            them.master.start()
            with them.master.client() as client:
                client.replicaof("127.0.0.1", them.replica_port)
            snapshot = await live.snapshot()
    assert (snapshot.server.role, snapshot.server.address.port) == ("master", them.replica_port)


@pytest.mark.parametrize("over_tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("flavour", speaking_tls())
async def test_sentinels_are_spoken_to_over_a_tls_of_their_own(flavour: str, over_tls: bool, tmp_path: Path) -> None:
    papers = issue(tmp_path, "127.0.0.1")
    with watched(flavour, papers=papers, sentinel_papers=papers if over_tls else None) as them:
        async with opened(them.connection) as live:
            assert (await live.snapshot()).server.address.port == them.master_port
            failed_over(them)
            snapshot = await live.snapshot()
    assert (snapshot.server.role, snapshot.server.address.port) == ("master", them.replica_port)


@pytest.mark.parametrize("flavour", speaking_tls())
async def test_only_the_sentinels_speak_tls(flavour: str, tmp_path: Path) -> None:
    papers = issue(tmp_path, "127.0.0.1")
    with watched(flavour, sentinel_papers=papers) as them:
        async with opened(them.connection) as live:
            assert (await live.snapshot()).server.address.port == them.master_port
        as_the_data = replace(them.connection, sentinel=replace(_sentinel(them), tls=None))
        await _refusal(as_the_data, ServerUnreachable, "asked as a Sentinel, speaks TLS: .* --sentinel-tls")
        stranger = Tls(ca_file=papers.stranger_ca_file)
        untrusted = replace(them.connection, sentinel=replace(_sentinel(them), tls=stranger))
        await _refusal(untrusted, ServerUnreachable, "asked as a Sentinel, .* --sentinel-cacert")


@pytest.mark.parametrize("flavour", speaking_tls())
async def test_plain_sentinels_asked_over_the_tls_of_the_data(flavour: str, tmp_path: Path) -> None:
    with watched(flavour, papers=issue(tmp_path, "127.0.0.1")) as them:
        as_the_data = replace(them.connection, sentinel=replace(_sentinel(them), tls=None))
        await _refusal(as_the_data, ServerUnreachable, "--no-sentinel-tls")


def _sentinel(them: Watched) -> Sentinel:
    assert them.connection.sentinel is not None
    return them.connection.sentinel


async def test_one_dead_sentinel_among_those_asked() -> None:
    with watched("valkey") as them:
        dead, alive = Address(port=free_ports()[0]), Address(port=them.sentinel_port)
        async with opened(_asking(them.connection, dead, alive)) as live:
            assert live.address.port == them.master_port


async def test_what_the_sentinels_refuse_is_said() -> None:
    with watched("valkey", sentinel_password="right") as them:
        where = Address(port=them.sentinel_port)
        for wrong in (None, Secret("wrong")):
            sentinel = Sentinel((where,), MASTER, password=wrong)
            await _refusal(replace(them.connection, sentinel=sentinel), LoginRefused, "--sentinel-pass")
        known = Sentinel((where,), "no-such-master", password=Secret("right"))
        await _refusal(
            replace(them.connection, sentinel=known), NotRedis, "no-such-master: check --master; known: cache$"
        )


async def test_no_sentinel_at_all() -> None:
    nobody = [Address(port=port) for port in free_ports(2)]
    await _refusal(_asking(Connection(), *nobody), ServerUnreachable, "refuses connections")


async def test_a_sentinel_given_as_the_server() -> None:
    with watched("valkey") as them:
        await _refusal(Connection(Address(port=them.sentinel_port)), NotRedis, "--sentinel")


@pytest.mark.parametrize("flavour", speaking_tls())
async def test_certificates_and_a_user_on_both_sides(flavour: str, tmp_path: Path) -> None:
    """Each side wants a certificate of the client, and a user or a password of its own."""
    papers, own = issue(tmp_path, "127.0.0.1"), _beside(tmp_path)
    with watched(
        flavour,
        password="for-data",
        papers=papers,
        sentinel_papers=papers,
        sentinel_user="asker",
        sentinel_password="for-sentinels",
        client_certificates=True,
    ) as them:
        async with opened(them.connection) as live:
            assert (await live.snapshot()).server.address.port == them.master_port
            failed_over(them, "for-data")
            snapshot = await live.snapshot()
        assert (snapshot.server.role, snapshot.server.address.port) == ("master", them.replica_port)
        sentinel = _sentinel(them)
        bare = replace(them.connection, sentinel=replace(sentinel, tls=Tls(ca_file=papers.ca_file)))
        await _refusal(bare, ServerUnreachable, "asked as a Sentinel, .*--sentinel-cert and --sentinel-key")
        strange = issue(own, "127.0.0.1")
        foreign = Tls(papers.ca_file, strange.client_cert_file, strange.client_key_file)
        untrusted = replace(them.connection, sentinel=replace(sentinel, tls=foreign))
        await _refusal(untrusted, ServerUnreachable, "asked as a Sentinel, .*--sentinel-cert and --sentinel-key")
        nameless = replace(them.connection, sentinel=replace(sentinel, username=None))
        await _refusal(nameless, LoginRefused, "--sentinel-user and --sentinel-pass")
        data = replace(them.connection, tls=Tls(ca_file=papers.ca_file))
        await _refusal(data, ServerUnreachable, f"127.0.0.1:{them.replica_port} .*--cert and --key.*name it as master")


def _beside(folder: Path) -> Path:
    (folder / "stranger").mkdir()
    return folder / "stranger"


@contextlib.contextmanager
def naming(server: RunningServer, *ports: int, epochs: Sequence[int | None] = ()) -> Iterator[list[Address]]:
    """Sentinels that each name the server of one of these ports, whatever is true, with the `epochs` of a failover."""
    with contextlib.ExitStack() as stack:
        addresses = []
        for port, epoch in zip_longest(ports, epochs):
            answer = b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%d\r\n" % (len(str(port)), port)
            reply = b"-NOPERM no\r\n" if epoch is None else b"*2\r\n$12\r\nconfig-epoch\r\n$1\r\n%d\r\n" % epoch
            liar = stack.enter_context(lied_to(server.connection, {"SENTINEL MASTER": reply, "SENTINEL": answer}))
            addresses.append(liar.connection.address)
        yield addresses


async def test_a_master_that_cannot_be_reached_is_told_with_who_named_it(valkey: RunningServer) -> None:
    nobody = free_ports()[0]
    with naming(valkey, nobody) as addresses:
        words = f"127.0.0.1:{nobody} refuses connections: .* \\(the Sentinels name it as master of {MASTER}\\)"
        await _refusal(_asking(Connection(), *addresses), ServerUnreachable, words)


async def test_a_sentinel_that_takes_a_replica_for_the_master_is_told_once() -> None:
    with watched("valkey") as them, naming(them.master, them.replica_port) as addresses:
        async with opened(_asking(them.connection, *addresses)) as live:
            snapshot, again = await live.snapshot(), await live.snapshot()
    assert snapshot.server.role == again.server.role == "replica"
    (note,) = snapshot.notes
    assert f"name 127.0.0.1:{them.replica_port} as master of cache, and it says that it is a replica" in note
    assert again.notes == ()


async def test_one_sentinel_that_lies_is_outvoted() -> None:
    with watched("valkey") as them:
        ports = (them.replica_port, them.master_port, them.master_port)
        with naming(them.master, *ports) as addresses:
            async with opened(_asking(them.connection, *addresses)) as live:
                assert (await live.snapshot()).server.role == "master"


@pytest.mark.parametrize(
    ("epochs", "believed", "why"),
    [
        ((1, 3), 1, "it knows of a later failover"),
        ((3, 1), 0, "it knows of a later failover"),
        ((2, 2), 0, "it was given first; ask others with --sentinel"),
        ((None, None), 0, "it was given first; ask others with --sentinel"),
        ((None, 1), 1, "it knows of a later failover"),
    ],
)
async def test_two_sentinels_that_disagree(epochs: tuple[int | None, ...], believed: int, why: str) -> None:
    with watched("valkey") as them:
        ports = (them.master_port, them.replica_port)
        with naming(them.master, *ports, epochs=epochs) as addresses:
            async with opened(_asking(them.connection, *addresses)) as live:
                snapshot, again = await live.snapshot(), await live.snapshot()
    assert snapshot.server.address == Address(port=ports[believed])
    words = ["config-epoch unknown" if epoch is None else f"config-epoch {epoch}" for epoch in epochs]
    each = [
        f"{where} names 127.0.0.1:{port} ({word})" for where, port, word in zip(addresses, ports, words, strict=True)
    ]
    said = f"the Sentinels disagree about the master of cache: {each[0]}, {each[1]}"
    assert snapshot.notes[0] == f"{said}; {addresses[believed]} is believed, as {why}"
    assert not any("disagree" in note for note in again.notes)


async def test_the_master_that_most_sentinels_name_is_taken_without_a_word() -> None:
    with watched("valkey") as them:
        ports = (them.replica_port, them.master_port, them.master_port)
        with naming(them.master, *ports, epochs=(9, 1, 1)) as addresses:
            async with opened(_asking(them.connection, *addresses)) as live:
                assert (await live.snapshot()).notes == ()


async def test_none_of_several_sentinels() -> None:
    nobody = [Address(port=port) for port in free_ports(3)]
    await _refusal(_asking(Connection(), *nobody), ServerUnreachable, "none of the 3 Sentinels .* refuses connections")
