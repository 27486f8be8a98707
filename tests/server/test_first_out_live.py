"""What is said to be evicted first is what a real server evicts first."""

import contextlib
from collections import Counter

import pytest
import redis

from redis_oom_tui.models.action import PolicyView
from redis_oom_tui.models.scan import ScanOptions
from redis_oom_tui.rules.whatif import policy_view
from redis_oom_tui.server.live import LiveServer
from tests.support.servers import RunningServer

# The largest pattern is never the one that goes first; `app:` holds patterns that only their second part tells apart.
PATTERNS = {b"app:big": 6000, b"app:small": 1500, b"lone": 800}
VALUE = b"v" * 200


def fill(server: RunningServer, options: dict[bytes, tuple[object, ...]], ttls: dict[bytes, int]) -> None:
    """Keys of each pattern, each with these options of RESTORE (IDLETIME, FREQ) and about this TTL in seconds."""
    with server.client() as client:
        client.set(b"model", VALUE)
        payload = client.dump(b"model")
        client.delete(b"model")
        pipe = client.pipeline(transaction=False)
        for pattern, keys in PATTERNS.items():
            for number in range(keys):
                ttl = ttls[pattern] * 1000 + number * 10 if pattern in ttls else 0
                pipe.execute_command("RESTORE", b"%b:%d" % (pattern, number), ttl, payload, *options.get(pattern, ()))
        pipe.execute()


async def foretold(server: RunningServer, policy: str) -> PolicyView:
    source = LiveServer(server.connection)
    await source.open()
    try:
        view = await source.scan(ScanOptions(idle=True)).run()
        return policy_view(policy, await source.snapshot(), view)
    finally:
        await source.close()


def evicted(server: RunningServer, share: float) -> Counter[bytes]:
    """Lower the limit until about this share of the keys has gone; how many of each pattern went."""
    with server.client() as client:
        empty = sum(PATTERNS.values())
        target = empty * (1 - share)
        client.config_set("maxmemory-samples", 10)
        limit = int(client.info("memory")["used_memory"])
        while client.dbsize() > target:
            limit -= 20_000
            client.config_set("maxmemory", limit)
            client.ping()
            for _ in range(20):
                if client.info("memory")["used_memory"] <= limit or client.dbsize() <= target:
                    break
                with contextlib.suppress(redis.OutOfMemoryError):  # until enough has gone
                    client.set(b"probe", b"v")
        client.config_set("maxmemory", 0)
        left = Counter(name.rpartition(b":")[0] for name in client.scan_iter(count=5000))
    return Counter({pattern: keys - left[pattern] for pattern, keys in PATTERNS.items()})


@pytest.mark.in_turn
@pytest.mark.parametrize(
    ("policy", "options", "ttls", "first"),
    [
        ("volatile-ttl", {}, {b"app:big": 90_000, b"app:small": 5000, b"lone": 40_000}, b"app:small"),
        ("volatile-ttl", {}, {b"app:big": 90_000, b"lone": 40_000}, b"lone"),
        (
            "allkeys-lru",
            {b"app:small": ("IDLETIME", 90_000), b"lone": ("IDLETIME", 500), b"app:big": ("IDLETIME", 10)},
            {},
            b"app:small",
        ),
        (
            "allkeys-lfu",
            {b"app:big": ("FREQ", 200), b"app:small": ("FREQ", 100), b"lone": ("FREQ", 2)},
            {},
            b"lone",
        ),
    ],
)
async def test_the_pattern_that_is_named_loses_most(
    server: RunningServer,
    policy: str,
    options: dict[bytes, tuple[object, ...]],
    ttls: dict[bytes, int],
    first: bytes,
) -> None:
    with server.client() as client:
        client.config_set("maxmemory-policy", policy)
    fill(server, options, ttls)
    view = await foretold(server, policy)
    lost = evicted(server, 0.04)
    assert lost.most_common(1)[0][0] == first, lost
    assert view.first_to_go[0] == first + b":*", view
    assert view.first_unknown is None


async def test_what_the_server_does_not_know_is_not_foretold(server: RunningServer) -> None:
    fill(server, {}, {})
    with server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    view = await foretold(server, "allkeys-lfu")
    assert view.first_to_go == ()
    assert "LFU" in (view.first_unknown or "")
    with server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lfu")
    assert (await foretold(server, "allkeys-lru")).first_to_go == ()
