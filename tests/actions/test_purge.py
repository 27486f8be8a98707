"""MEMORY PURGE on real servers: what RSS is after it is told once the server has measured that."""

from pathlib import Path

from tests.support.acting import operating
from tests.support.servers import RunningServer
from tests.support.waiting import until


async def test_what_was_given_back_is_told_though_info_is_late(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        # Measured once a second: INFO right after the purge tells of before it.
        client.config_set("hz", 1)
        pipeline = client.pipeline(transaction=False)
        for number in range(60_000):
            pipeline.set(f"key:{number}", "x" * 1000)
        pipeline.execute()
        until(lambda: client.info("memory")["used_memory_rss"] > 60_000_000, "all of it to be measured")
        client.flushall()
        jemalloc = str(client.info("memory")["mem_allocator"]).startswith("jemalloc")
        async with operating(server.connection, tmp_path) as operator:
            done = await operator.purge()
    before, after = done.figures["rss_before_bytes"], done.figures["rss_after_bytes"]
    assert before is not None
    assert after is not None
    assert not jemalloc or ("RSS went from " in done.sentence and after < before)
