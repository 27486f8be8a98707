"""Whose buffers are worth a line: never the tool's own, unless it is a hog itself."""

from redis_oom_tui.models.snapshot import ClientBuffer
from redis_oom_tui.rules.clients import HOG_BYTES, OWN_NAME, noteworthy_bytes, others


def client(number: int, name: bytes, held: int) -> ClientBuffer:
    return ClientBuffer(number, f"10.0.0.{number}:1", name, total_bytes=held)


def test_the_tools_own_connections_are_left_out_unless_they_hold_much() -> None:
    clients = [client(1, OWN_NAME, 20_000), client(2, b"app", 1_600), client(3, OWN_NAME, HOG_BYTES)]
    assert [hog.client.id for hog in others(clients)] == [3, 2]


def test_what_is_worth_a_line_follows_the_memory_within_bounds() -> None:
    assert noteworthy_bytes(0) == 64 * 1024
    assert noteworthy_bytes(200 * 2**20) == round(200 * 2**20 * 0.001)
    assert noteworthy_bytes(2**40) == HOG_BYTES
