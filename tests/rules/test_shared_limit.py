"""Selections of many nodes that share one limit hold what one selection over all keys would hold."""

from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Order, PlannedKey
from redis_oom_tui.rules.selection import Selected, SharedLimit

KEYS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50), st.integers(0, 50)), max_size=60)


@given(KEYS, st.integers(1, 20), st.sampled_from(Order))
def test_together_they_hold_the_first_of_all_keys(keys: list[tuple[int, int, int]], most: int, order: Order) -> None:
    criteria = Criteria(order=order)
    limit = SharedLimit(criteria, most)
    nodes = [Selected(criteria, shared=limit) for _ in range(4)]
    alone = Selected(criteria, most)
    for number, (node, size, idle) in enumerate(keys):
        key = PlannedKey(KeyId(0, b"%04d" % number), "string", size, idle_seconds=idle)
        nodes[node].add(key)
        alone.add(key)
        assert sum(one.held_keys for one in nodes) <= most
    assert {key.id for one in nodes for key in one.ordered()} == {key.id for key in alone.ordered()}
    assert sum(one.matched_keys for one in nodes) == len(keys)
