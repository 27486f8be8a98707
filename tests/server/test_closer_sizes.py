"""Sizes are measured closer where that decides: bounds in bytes, and sums that cannot be true."""

import re
from pathlib import Path

import pytest

from redis_oom_tui.models.keys import SizeKind
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.models.scan import Pace, ScanOptions
from redis_oom_tui.rules import sizing
from redis_oom_tui.server.live import LiveServer
from tests.support.acting import operating, planned
from tests.support.servers import RunningServer
from tests.support.sources import opened

MIB = 1024 * 1024


async def test_where_the_sum_cannot_be_true_a_sample_is_measured_as_a_whole(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the hash seed of the process the first elements tell half or twice of it; the sample tells what it is."""
    monkeypatch.setattr(sizing, "_TOO_MUCH", 0.0)
    fields = {f"field:{n}": "v" * 10 for n in range(40)} | {"payload": "p" * 4000}
    with server.client() as client:
        pipeline = client.pipeline(transaction=False)
        for n in range(4000):
            pipeline.hset(f"job:{n}", mapping=fields)
        pipeline.execute()
        for n in range(4000):
            pipeline.memory_usage(f"job:{n}", samples=0)
        held = sum(pipeline.execute())
    async with opened(server.connection) as live:
        assert isinstance(live, LiveServer)
        view = await live.scan(ScanOptions(pace=Pace.FULL_SPEED)).run()
    assert view.complete
    found = re.search(
        r"Measured as a whole, (\d+) of the collections hold .* all keys hold about ([0-9.]+) MiB",
        str(view.contradiction),
    )
    assert found is not None, view.contradiction
    assert int(found[1]) >= 100
    assert float(found[2]) * MIB == pytest.approx(held, rel=0.35)


@pytest.mark.in_turn
@pytest.mark.parametrize("kind", ["hash", "set", "zset"])
async def test_a_bound_in_bytes_lets_in_what_could_be_measured_as_a_whole(
    server: RunningServer, tmp_path: Path, kind: str
) -> None:
    """Elements that are all alike: more samples tell the same, so only their greatest number says that it was all."""
    with server.client() as client:
        for n in range(1000):
            value = f"{n:04}" + "v" * 3000
            if kind == "hash":
                client.hset("even", f"{n:04}", value)
            elif kind == "set":
                client.sadd("even", value)
            else:
                client.zadd("even", {value: n})
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, Criteria(patterns=(b"even",), max_bytes=10 * MIB))
    (key,) = plan.keys
    assert kind == "set" or key.size_kind is SizeKind.EXACT
    assert key.size == pytest.approx(3 * MIB, rel=0.5)
