"""INFO keysizes: on a real Redis 8, in the form of 8.6 that no server here has, and added up over a cluster."""

import pytest

from redis_oom_tui.formatting.key_sizes import instant_document, summary, table
from redis_oom_tui.models.address import Address, ClusterNode
from redis_oom_tui.models.keys import KeySizes, Measure, SizeBucket, SizeHistogram
from redis_oom_tui.models.snapshot import ClusterView, Database, NodeView, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.breakdown import key_sizes, size_histograms
from tests.rules.snapshots import MIB, snapshot_of

STRINGS = {"db0_distrib_strings_sizes": {"0": "1", "4": "7", "1K": "3", "2M": "2"}}
# The form of Redis 8.6 with key-memory-histograms, from its documentation.
WITH_MEMORY = {
    **STRINGS,
    "db0_distrib_hashes_items": {"512": "4"},
    "db0_distrib_hashes_sizes": {"64K": "4"},
    "db3_distrib_lists_items": {"1": "2"},
}


def seen(info: dict[str, object], *, keys: int, used: int = 100 * MIB) -> Snapshot:
    return replace(snapshot_of(used, keys=keys), size_histograms=size_histograms(info))


def sizes_of(info: dict[str, object], **figures: int) -> KeySizes:
    sizes = key_sizes(seen(info, **figures))
    assert sizes is not None
    return sizes


def test_a_label_is_the_lower_edge_of_a_bucket_that_ends_before_its_double() -> None:
    (strings,) = size_histograms(STRINGS)
    assert strings == SizeHistogram(
        0,
        "string",
        Measure.VALUE,
        (SizeBucket(0, 0, 1), SizeBucket(4, 7, 7), SizeBucket(1024, 2047, 3), SizeBucket(2 * MIB, 4 * MIB - 1, 2)),
    )
    assert strings.keys == 13


def test_what_is_told_in_bytes_is_a_range_and_keys_of_other_types_are_not_counted() -> None:
    sizes = sizes_of(STRINGS, keys=20)
    assert (sizes.low_bytes, sizes.high_bytes) == (28 + 3072 + 4 * MIB, 49 + 6141 + 8 * MIB - 2)
    assert (sizes.counted_keys, sizes.uncounted_keys) == (13, 7)
    assert any("7 keys not counted" in line for line in summary(sizes))
    assert instant_document(sizes)["explained_share_low"] == 0.04


def test_bytes_beside_elements_count_the_same_keys_once() -> None:
    sizes = sizes_of(WITH_MEMORY, keys=19)
    assert sizes.counted_keys == 13 + 4 + 2
    assert sizes.elements_only == ("list",)
    assert sizes.low_bytes == 28 + 3072 + 4 * MIB + 4 * 64 * 1024
    first, second = table(sizes, 2)[1:3]
    assert first.split()[:2] == ["string", "db"]
    assert "64.0K to 128.0K memory" in second
    one_database = key_sizes(replace(seen(WITH_MEMORY, keys=19), databases=(Database(3, 2, 0),)), db=3)
    assert one_database is not None
    assert {one.db for one in one_database.histograms} == {3}


def test_no_more_is_explained_than_is_used() -> None:
    sizes = sizes_of(STRINGS, keys=13, used=5 * MIB)
    assert sizes.high_bytes == 5 * MIB
    assert instant_document(sizes)["explained_share_high"] == 1.0


@pytest.mark.parametrize(
    "junk",
    [
        {"db0_distrib_strings_sizes": "17"},
        {"db0_distrib_strings_sizes": {"-1": "3", "1Q": "2", "8": "-4", "16": "many", "32": "0", "9" * 40: "1"}},
        {"db0_distrib_graphs_sizes": {"1": "1"}, "dbx_distrib_sets_items": {"1": "1"}},
    ],
)
def test_nonsense_tells_nothing(junk: dict[str, object]) -> None:
    assert size_histograms(junk) == ()
    assert key_sizes(seen(junk, keys=5)) is None


def test_a_server_without_keys_needs_to_tell_nothing() -> None:
    sizes = sizes_of({}, keys=0)
    assert (sizes.counted_keys, sizes.low_bytes, table(sizes, 20)) == (0, None, [])


def test_a_cluster_is_the_sum_of_its_primaries_and_one_that_is_lost_is_said() -> None:
    nodes = [ClusterNode(f"{name}:1", name, Address(name, 1), f"{name}:1", ((0, 5),)) for name in "abc"]
    one = seen(STRINGS, keys=13)
    whole = ClusterView((NodeView(nodes[0], one), NodeView(nodes[1], one)))
    sizes = key_sizes(replace(one, cluster=whole))
    assert sizes is not None
    assert (sizes.counted_keys, sizes.total_keys, sizes.used_bytes) == (26, 26, 200 * MIB)
    assert sizes.histograms[0].buckets[1].keys == 14
    lost = key_sizes(replace(one, cluster=ClusterView((NodeView(nodes[0], one), NodeView(nodes[2])))))
    assert lost is not None
    assert lost.total_keys is lost.uncounted_keys is None
    assert "did not answer" in "\n".join(summary(lost))
