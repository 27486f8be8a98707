"""The cursor space in parts: on every server, each key is seen, whatever its table does meanwhile."""

import random

import pytest
import redis

from redis_oom_tui.server.scan.cursor_ranges import (
    CursorRange,
    counts_in_reversed_bits,
    divided,
    reversed_bits,
    share_scanned,
)
from tests.support.servers import RunningServer

_MANY = 500_000  # enough to be divided in sixteen


def names(first: int, last: int) -> list[bytes]:
    return [b"key:%d" % number for number in range(first, last)]


def put(client: "redis.Redis", keys: list[bytes]) -> None:
    for start in range(0, len(keys), 5000):
        client.mset(dict.fromkeys(keys[start : start + 5000], b"v"))


class Parts:
    """Sixteen walks, followed in a random order, a page at a time."""

    def __init__(self, client: "redis.Redis", seed: int = 1) -> None:
        self.client = client
        self.cursor_ranges = divided(0, _MANY)
        self.random = random.Random(seed)
        self.given: list[bytes] = []

    def step(self) -> bool:
        open_walks = [cursor_range for cursor_range in self.cursor_ranges if not cursor_range.done]
        if not open_walks:
            return False
        cursor_range = self.random.choice(open_walks)
        page = cursor_range.page
        cursor_range.page = []
        if not cursor_range.ended:
            cursor, keys = self.client.execute_command(
                "SCAN", cursor_range.cursor, "COUNT", self.random.choice([7, 50, 200])
            )
            cursor_range.advance(int(cursor), list(keys))
            if cursor_range.ended:
                for following in self.cursor_ranges:
                    if following.before is cursor_range:
                        cursor_range.cross(following)
        self.given += page
        return True

    def until(self, share: float) -> None:
        while share_scanned(self.cursor_ranges) < share and self.step():
            pass

    def to_the_end(self) -> list[bytes]:
        while self.step():
            pass
        return self.given


@pytest.mark.in_turn
@pytest.mark.parametrize("keys", [5000, 33_000])
def test_each_key_once_while_the_table_rests(server: RunningServer, keys: int) -> None:
    with server.client() as client:
        put(client, names(0, keys))
        given = Parts(client).to_the_end()
    assert sorted(given) == sorted(names(0, keys))


@pytest.mark.in_turn
@pytest.mark.parametrize("keys", [0, 1, 5, 100])
def test_no_key_is_missed_where_the_table_has_fewer_places_than_parts(server: RunningServer, keys: int) -> None:
    with server.client() as client:
        put(client, names(0, keys))
        given = Parts(client).to_the_end()
    assert set(given) == set(names(0, keys))


@pytest.mark.in_turn
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_no_key_is_missed_while_the_table_grows(server: RunningServer, share: float) -> None:
    with server.client() as client:
        put(client, names(0, 4000))
        parts = Parts(client)
        parts.until(share)
        for start in range(4000, 40_000, 3000):
            put(client, names(start, start + 3000))
            for _ in range(8):
                parts.step()
        given = parts.to_the_end()
    assert set(given) >= set(names(0, 4000))
    assert len(given) - len(set(given)) < 0.01 * len(given) + 50


@pytest.mark.in_turn
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_no_key_is_missed_while_the_table_shrinks(server: RunningServer, share: float) -> None:
    with server.client() as client:
        put(client, names(0, 30_000))
        parts = Parts(client)
        parts.until(share)
        for start in range(1000, 30_000, 5000):
            client.unlink(*names(start, min(start + 5000, 30_000)))
            for _ in range(8):
                parts.step()
        # The server's cron shrinks the table; every read moves it on.
        for _ in range(2000):
            client.exists(b"key:1")
        given = parts.to_the_end()
    assert set(given) >= set(names(0, 1000))


def test_a_scan_in_the_middle_of_a_rehash(server: RunningServer) -> None:
    with server.client() as client:
        client.config_set("activerehashing", "no")
        put(client, names(0, 32_768))
        put(client, names(32_768, 32_800))
        given = Parts(client).to_the_end()
    assert set(given) == set(names(0, 32_800))
    assert len(given) < 1.02 * 32_800


def test_the_cursor_tells_how_far_a_walk_is(server: RunningServer) -> None:
    with server.client() as client:
        put(client, names(0, 20_000))
        cursor_range = CursorRange(0)
        seen = 0
        while not cursor_range.ended:
            cursor, keys = client.execute_command("SCAN", cursor_range.cursor, "COUNT", 100)
            cursor_range.advance(int(cursor), list(keys))
            seen += len(keys)
            assert abs(cursor_range.share - seen / 20_000) < 0.05
        first = int(client.execute_command("SCAN", 0, "COUNT", 50)[0])
    assert counts_in_reversed_bits(first, 50, 20_000)


def test_other_ways_to_count_are_recognised() -> None:
    assert not counts_in_reversed_bits(51, 50, 100_000_000)
    assert not counts_in_reversed_bits(0, 50, 100_000)


def test_what_is_remembered_of_a_part_is_bounded() -> None:
    cursor_ranges = divided(0, _MANY)
    for page in range(50):
        cursor_ranges[1].advance(cursor_ranges[1].part + 16, names(page * 200, page * 200 + 200))
    assert cursor_ranges[1].head is not None
    assert len(cursor_ranges[1].head) < 3000


def test_the_parts_follow_each_other_in_cursor_order() -> None:
    cursor_ranges = divided(0, _MANY)
    order = [reversed_bits(cursor_range.cursor) for cursor_range in cursor_ranges]
    assert order == sorted(order)
    assert len(cursor_ranges) == 16
    assert len(divided(0, 10)) == 1
