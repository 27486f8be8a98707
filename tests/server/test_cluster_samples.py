"""Values sampled for findings in a cluster: patterns spread over its nodes, and one that is on a single node."""

from redis.crc import key_slot

from redis_oom_tui.models.scan import Pace, ScanOptions
from redis_oom_tui.rules.findings import find
from redis_oom_tui.server.cluster.source import ClusterSource
from tests.server.test_savings_live import documents
from tests.support.cluster import clustered


async def test_patterns_on_any_node_are_looked_into() -> None:
    with clustered(replicas=False) as cluster:
        last = cluster.primaries[-1]
        tag = next(b"%d" % n for n in range(1000) if cluster.owner(key_slot(b"%d" % n)) is last)
        named = [(b"cart:%d" % n, text) for n, text in documents(3)]
        named += [(b"{%s}:order:%d" % (tag, n), text) for n, text in documents(4)]
        for node in cluster.primaries:
            with node.server.client() as client:
                pipeline = client.pipeline(transaction=False)
                for name, text in named:
                    if cluster.owner(key_slot(name)) is node:
                        pipeline.set(name, text)
                pipeline.execute()
        source = ClusterSource(cluster.connection)
        try:
            await source.open()
            await source.snapshot()
            scan = await source.scan(ScanOptions(pace=Pace.FULL_SPEED)).run()
            source.pin(cluster.primaries[0].name)
            snapshot = await source.snapshot()
            samples = await source.samples(scan)
        finally:
            await source.close()
    by_pattern = {sample.pattern: sample for sample in samples}
    assert len(by_pattern) == len(samples)
    assert by_pattern[b"cart:*"].sampled_keys == 32
    tagged = next(sample for pattern, sample in by_pattern.items() if b"order" in pattern)
    assert tagged.sampled_keys == 32
    assert tagged.zlib_ratios is not None
    found = [finding for finding in find(snapshot, scan, values=samples) if finding.id == "compressible"]
    assert len(found) == 2
