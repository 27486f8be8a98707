"""The keys of a database, read beside others at work: all of them once, and few at a time."""

from typing import Any

import pytest

from redis_oom_tui.models.plan import Criteria, TtlFilter
from redis_oom_tui.server.call_throttle import CallThrottle
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations.key_reader import KeyReader
from redis_oom_tui.server.scan.connection import ThrottledConnection
from tests.support.acting import fill
from tests.support.servers import RunningServer

_OTHERS, _PING = 10_000.0, 0.001
# A call of at most this many keys beside others; of each key four things are asked, and twice the time.
_MOST_KEYS, _ASKED, _TIMES = 64, 4, 10


@pytest.mark.parametrize(
    ("criteria", "matching"),
    [
        (Criteria(), 6_000),
        (Criteria(patterns=(b"hot:*",)), 3_000),
        (Criteria(patterns=(b"*:7",)), 2),
        (Criteria(patterns=(b"warm:*", b"none:*")), 0),
        (Criteria(patterns=(b"hot:*",), ttl=TtlFilter.WITHOUT), 3_000),
        (Criteria(patterns=(b"*",), types=("string", "hash")), 6_000),
    ],
)
async def test_beside_others_every_key_is_read_once_and_few_in_a_call(
    valkey: RunningServer, monkeypatch: pytest.MonkeyPatch, criteria: Criteria, matching: int
) -> None:
    with valkey.client() as client:
        fill(client, [b"hot:%d" % n for n in range(3_000)] + [b"cold:%d" % n for n in range(3_000)])
    throttle = CallThrottle()
    throttle.rate.rested([_PING], _OTHERS)
    asked: list[int] = []
    exchange = ThrottledConnection.exchange

    async def counted(self: ThrottledConnection, buffer: bytes, replies: int) -> list[Any]:
        asked.append(replies)
        return await exchange(self, buffer, replies)

    monkeypatch.setattr(ThrottledConnection, "exchange", counted)
    live = LiveServer(valkey.connection)
    reader = KeyReader(live, 0, criteria, throttle, frequencies=False)
    names: list[bytes] = []
    last: list[bool] = []
    scanned = 0
    try:
        await reader.open()
        async for page in reader.pages():
            names += [row.id.key for row in page.rows]
            last.append(page.last)
            scanned += page.scanned
    finally:
        await reader.close()
        await live.close()
    assert len(names) == len(set(names)) == matching
    assert last[-1]
    assert not any(last[:-1])
    if len(criteria.patterns) != 1:
        assert scanned == 6_000, "a page of names of which none matches counts as well, the last one too"
    assert max(asked) <= _ASKED * _MOST_KEYS + _TIMES
    if matching < 10:
        assert len(asked) < 200, "keys that do not match are passed many at a time"
