"""Who a client is, in words."""

from redis_oom_tui.models.snapshot import ClientBuffer
from redis_oom_tui.rules.clients import Hog, kind_of


def words(**about) -> str:
    client = ClientBuffer(7, **about)
    return Hog(client, kind_of(client)).words


def test_a_client_is_told_by_its_name_and_address():
    told = words(address="10.0.0.7:4431", name=b"feed", command=b"subscribe", subscriptions=1, library=b"jedis")
    assert told == "a subscriber named feed from 10.0.0.7:4431 (lib jedis, last SUBSCRIBE)"


def test_over_a_unix_socket_the_address_tells_nothing_and_is_left_out():
    assert words(address="[/run/valkey.sock:0]:0", name=b"api", command=b"get") == "a client named api (last GET)"
    assert words(address="/run/redis.sock:0") == "a client"
