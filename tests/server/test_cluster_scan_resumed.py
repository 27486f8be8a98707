"""A cluster's scan that an earlier process began: both parts together are the whole, whatever happened in between."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from redis.crc import key_slot

from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.scan import Pace, ScanOptions, ScanState, ScanView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.cluster.scan import ClusterScan
from redis_oom_tui.server.cluster.scan_state import ClusterCheckpoint
from tests.server.test_cluster_scan import KEYS, fill
from tests.support.cluster import RunningCluster, clustered, moved_slot, take_over
from tests.support.servers import available
from tests.support.sources import cluster_opened


async def _broken_off(cluster: RunningCluster, **options: Any) -> tuple[ScanView, dict[str, Any]]:
    """A scan that was stopped in the middle, and what its file would keep of it."""
    async with cluster_opened(cluster.connection) as source:
        scan = source.scan(ScanOptions(sample=KEYS // 3, pace=Pace.NORMAL, **options))
        view = await scan.run()
        kept: dict[str, Any] = json.loads(json.dumps(scan.progress()))
    assert 0 < view.scanned_keys < KEYS
    return view, kept


async def _resumed(cluster: RunningCluster, kept: dict[str, Any]) -> ScanView:
    async with cluster_opened(cluster.connection) as source:
        scan = source.resumed(kept)
        assert scan.progress() == kept
        view = await scan.run()
        assert scan.progress() is None
        return view


@pytest.mark.parametrize("flavour", available())
async def test_both_parts_together_are_the_whole(flavour: str) -> None:
    with clustered(replicas=False, flavour=flavour) as cluster:
        fill(cluster)
        async with cluster_opened(cluster.connection) as source:
            whole = await source.scan(ScanOptions(pace=Pace.FULL_SPEED)).run()
        first, kept = await _broken_off(cluster)
        view = await _resumed(cluster, kept)
    assert (view.state, view.error, view.scanned_keys) == (ScanState.COMPLETE, None, KEYS)
    assert (view.bytes_seen, view.types) == (whole.bytes_seen, whole.types)
    assert [(row.pattern, row.keys, row.size) for row in view.patterns] == [
        (row.pattern, row.keys, row.size) for row in whole.patterns
    ]
    # What a node uses moves by itself.
    shares = [sorted((replace(share, used_bytes=0) for share in one.nodes), key=str) for one in (view, whole)]
    assert shares[0] == shares[1]
    assert view.explained_share is not None
    assert view.elapsed_seconds > first.elapsed_seconds
    assert any("earlier run" in note for note in view.notes)


def _slots_move(cluster: RunningCluster) -> None:
    mine = sorted(slot for slot in _slots() if cluster.owner(slot) is cluster.primaries[0])
    for slot in (mine[0], mine[-1]):
        moved_slot(cluster, slot, cluster.primaries[1])


def _primary_is_lost(cluster: RunningCluster) -> None:
    cluster.primaries[1].server.kill()
    take_over(cluster.replicas[1])


def _slots() -> set[int]:
    return {key_slot(b"user:%d:cart" % number) for number in range(KEYS)}


@pytest.mark.parametrize("happens", [_slots_move, _primary_is_lost])
async def test_what_happened_in_between_counts_no_key_twice(happens: Callable[[RunningCluster], None]) -> None:
    with clustered() as cluster:
        fill(cluster)
        _, kept = await _broken_off(cluster)
        happens(cluster)
        view = await _resumed(cluster, kept)
    assert (view.state, view.scanned_keys) == (ScanState.COMPLETE, KEYS), view.error


async def test_a_node_goes_on_with_all_that_it_had_counted() -> None:
    """What may not be read, and the bytes by type, tell whether the sizes can be true."""
    with clustered(replicas=False) as cluster:
        fill(cluster)
        _, kept = await _broken_off(cluster)
        kept["nodes"][0]["place"]["refused"] = 3
        async with cluster_opened(cluster.connection) as source:
            again = [one.place for one in ClusterCheckpoint(kept, None).scans(source.members.node)]
    assert again[0].refused == 3
    assert all(sum(held for _, held in place.type_bytes) == place.counts[1] > 0 for place in again)


async def test_no_place_is_kept_where_a_server_has_no_run_id() -> None:
    with clustered(replicas=False) as cluster:
        fill(cluster)
        async with cluster_opened(cluster.connection) as source:
            scan = source.scan(ScanOptions(sample=KEYS // 3, pace=Pace.NORMAL))
            assert isinstance(scan, ClusterScan)
            await scan.run()
            assert scan.progress() is not None
            scan._standing.scans[0].standing.run_id = None  # as a service that hides it
            assert scan.progress() is None


async def test_a_damaged_position_is_refused() -> None:
    with clustered(replicas=False) as cluster:
        fill(cluster)
        _, kept = await _broken_off(cluster)
        async with cluster_opened(cluster.connection) as source:
            node = kept["nodes"][0]
            place = node["place"]
            for part, value in (("last_slot", 16_384), ("seen", [[-1, 1]]), ("counts", [0]), ("begun", [7])):
                kept["nodes"][0] = node | {"place": place | {part: value}}
                with pytest.raises(BadInput, match="damaged: start a new one"):
                    source.resumed(kept)
            kept["nodes"][0] = node | {"walks": [[]]}
            with pytest.raises(BadInput, match="damaged: start a new one"):
                source.resumed(kept)
