"""The parts of used_memory add up to it, also where the server's own figures do not."""

from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.models.address import Address
from redis_oom_tui.models.breakdown import Share
from redis_oom_tui.models.snapshot import Memory
from redis_oom_tui.rules.breakdown import break_down, counted_buffers
from redis_oom_tui.rules.info import snapshot_from_info
from tests.rules.captured import REDIS_6_2, VALKEY_9_1

BYTES = st.none() | st.integers(0, 2**53)


@given(used=st.integers(0, 2**50), rest=st.lists(BYTES, min_size=10, max_size=10))
def test_the_parts_always_sum_to_used_memory(used: int, rest: list[int | None]) -> None:
    names = ("rss_bytes", "startup_bytes", "overhead_bytes", "dataset_bytes", "clients_normal_bytes")
    more = (
        "clients_replicas_bytes",
        "replication_backlog_bytes",
        "aof_buffer_bytes",
        "cluster_links_bytes",
        "scripts_bytes",
    )
    breakdown = break_down(Memory(used_bytes=used, **dict(zip(names + more, rest, strict=True))))
    assert sum(part.size for part in breakdown.parts) == used
    assert all(part.size > 0 for part in breakdown.parts)


def test_a_server_at_its_limit_by_data() -> None:
    memory = snapshot_from_info(REDIS_6_2, address=Address(), monotonic=0, wall=0).memory
    breakdown = break_down(memory)
    assert breakdown.size(Share.DATA) == memory.dataset_bytes
    assert breakdown.size(Share.CLIENTS) == 20504
    assert breakdown.size(Share.TABLES) == 832352 - 809808 - 20504


def test_unbelievable_clients_are_kept_apart() -> None:
    memory = snapshot_from_info(VALKEY_9_1, address=Address(), monotonic=0, wall=0).memory
    breakdown = break_down(memory)
    assert breakdown.size(Share.CLIENTS) == 0
    assert breakdown.clients_unbelievable == 167772160
    assert counted_buffers(memory) == 0


def test_without_the_overhead_nothing_is_called_data() -> None:
    breakdown = break_down(Memory(used_bytes=100, clients_normal_bytes=30))
    assert breakdown.size(Share.REST) == 70
    assert breakdown.size(Share.DATA) == 0
