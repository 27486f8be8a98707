"""Who a client is, in words; and whose buffers are worth a line."""

from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.rules.clients import HOG_BYTES, OWN_NAME, ClientKind, Hog, kind_of, noteworthy_bytes, others
from redis_oom_tui.rules.verdict.facts import Facts
from redis_oom_tui.rules.verdict.holders import buffers_step
from tests.rules.snapshots import MIB, snapshot_of


def words(**about) -> str:
    client = ClientBuffer(7, **about)
    return Hog(client, kind_of(client)).words


def test_a_client_is_told_by_its_name_and_address():
    sentence = words(address="10.0.0.7:4431", name=b"feed", command=b"subscribe", subscriptions=1, library=b"jedis")
    assert sentence == "a subscriber named feed from 10.0.0.7:4431 (lib jedis, last SUBSCRIBE)"


def test_over_a_unix_socket_the_address_tells_nothing_and_is_left_out():
    assert words(address="[/run/valkey.sock:0]:0", name=b"api", command=b"get") == "a client named api (last GET)"
    assert words(address="/run/redis.sock:0") == "a client"


def client(number: int, name: bytes, held: int) -> ClientBuffer:
    return ClientBuffer(number, f"10.0.0.{number}:1", name, total_bytes=held)


def test_the_tools_own_connections_are_left_out_unless_they_hold_much() -> None:
    clients = [client(1, OWN_NAME, 20_000), client(2, b"app", 1_600), client(3, OWN_NAME, HOG_BYTES)]
    assert [hog.client.id for hog in others(clients)] == [3, 2]


def test_what_is_worth_a_line_follows_the_memory_within_bounds() -> None:
    assert noteworthy_bytes(0) == 64 * 1024
    assert noteworthy_bytes(200 * 2**20) == round(200 * 2**20 * 0.001)
    assert noteworthy_bytes(2**40) == HOG_BYTES


def test_a_command_that_still_comes_is_told_from_one_that_never_ends() -> None:
    def kind(**about) -> ClientKind:
        return kind_of(ClientBuffer(7, "", total_bytes=9_000_000, query_bytes=9_000_000, **about))

    assert kind(command=b"set", age_seconds=60) is ClientKind.LARGE_VALUE
    assert kind(command=b"NULL", age_seconds=60) is ClientKind.LARGE_VALUE
    assert kind(command=b"NULL", age_seconds=2, idle_seconds=2) is ClientKind.SENDER
    assert kind(command=b"get", age_seconds=1) is ClientKind.SENDER
    assert kind(command=b"set", age_seconds=60, idle_seconds=9) is ClientKind.STALLED


def test_a_step_against_clients_says_how_many_they_are() -> None:
    def step(number: int) -> str:
        about = {"total_bytes": 20 * MIB, "query_bytes": 20 * MIB, "command": b"set", "age_seconds": 60}
        clients = tuple(ClientBuffer(index, "", **about) for index in range(1, number + 1))
        memory = {"clients_normal_bytes": 20 * number * MIB}
        return buffers_step(Facts(snapshot_of(memory=memory), clients=clients))

    assert step(1).endswith("Killing a client helps until it sends the next.")
    assert step(3).endswith("Killing a client helps until it sends the next. There are 3 such clients.")
