"""A policy that this tool does not know is called unknown, with what is therefore not judged, wherever it decides."""

from typing import Any

import pytest

from redis_oom_tui.models.action import HostMemory
from redis_oom_tui.models.address import Address, ClusterNode
from redis_oom_tui.models.snapshot import NodeView, Snapshot
from redis_oom_tui.rules.failover import promoted
from redis_oom_tui.rules.info import snapshot_from_info
from redis_oom_tui.rules.limit_change import propose_limit
from redis_oom_tui.rules.tuning import propose
from redis_oom_tui.rules.verdict import judge
from redis_oom_tui.rules.whatif import policy_view, write_path
from tests.rules.captured import REDIS_7_0
from tests.rules.snapshots import MIB, snapshot_of

UNJUDGED = "what it evicts, and when writes are refused under it, is not judged"


def parsed(info: dict[str, Any]) -> Snapshot:
    return snapshot_from_info(info, address=Address(), monotonic=1.0, wall=1.0)


def test_an_unknown_policy_is_a_doubt_and_stands_in_the_verdict() -> None:
    snapshot = parsed({**REDIS_7_0, "maxmemory_policy": "coldest"})
    reasons = {doubt.field: doubt.reason for doubt in snapshot.doubts}
    assert reasons["maxmemory_policy"] == f"is coldest, which this tool does not know: {UNJUDGED}"
    assert any(UNJUDGED in text for text in judge(snapshot).evidence)
    assert "maxmemory_policy" not in {doubt.field for doubt in parsed(REDIS_7_0).doubts}


def test_a_later_policy_of_a_known_form_is_judged_but_for_its_order() -> None:
    snapshot = parsed({**REDIS_7_0, "maxmemory_policy": "allkeys-coldest"})
    reasons = {doubt.field: doubt.reason for doubt in snapshot.doubts}
    assert reasons["maxmemory_policy"].endswith(": which keys it evicts first is not judged")


def test_close_to_the_limit_no_consequence_of_an_unknown_policy_is_made_up() -> None:
    reason = judge(snapshot_of(used=960 * MIB, policy="coldest")).reason
    assert "what its policy coldest evicts is not known" in reason
    view = policy_view("coldest", snapshot_of(used=960 * MIB), None)
    assert view.warnings[0] == f"This tool does not know the policy coldest: {UNJUDGED}."
    assert view.evictable_keys is view.enough is None
    last = write_path(snapshot_of(used=1200 * MIB, policy="coldest"))[-1]
    assert (last.end, UNJUDGED in last.answer) == (True, True)


@pytest.mark.parametrize(
    ("policy", "why"),
    [("coldest", "this tool does not know its policy coldest"), ("unknown", "its policy is not reported")],
)
def test_a_lower_limit_under_it_may_evict_or_refuse(policy: str, why: str) -> None:
    snapshot = snapshot_of(used=960 * MIB, policy=policy)
    lower = propose_limit(str(1000 * MIB), 500 * MIB, snapshot, HostMemory())
    assert lower.consequence.endswith(f"Whether that evicts data or refuses writes is not known: {why}.")
    assert f"It may evict 460.0 MiB of data at once, or refuse writes: {why}." in lower.warnings
    higher = propose_limit(str(1000 * MIB), 2000 * MIB, snapshot, HostMemory())
    assert higher.returns[0].endswith(f"may be evicted, or writes refused: {why}.")
    replica = snapshot_of(used=960 * MIB, limit=500 * MIB, policy=policy, role="replica")
    view = NodeView(ClusterNode("r:1", "2", Address(), primary="p:1"), replica)
    warned = propose_limit("1", 2000 * MIB, snapshot_of(used=960 * MIB), HostMemory(), (view,)).warnings
    assert any(f"it would evict or refuse writes ({why}) at once" in text for text in warned)
    promotion = promoted("r:1", replica, snapshot)
    assert promotion is not None
    assert "would evict or refuse writes" in promotion.what


def test_choosing_a_policy_that_only_the_server_knows_is_warned_of() -> None:
    offered = ("noeviction", "coldest")
    change = propose(
        "maxmemory-policy",
        "noeviction",
        "coldest",
        snapshot_of(),
        policies=offered,
        host_memory=HostMemory(),
        scan=None,
    )
    assert UNJUDGED in change.warnings[0]


def test_an_absurd_share_is_no_percentage() -> None:
    verdict = judge(snapshot_of(used=300 * MIB, limit=1, over_ms=100))
    assert verdict.reason.startswith("Refusing writes at over 100x the limit of 1 B: ")
    change = propose_limit("1048576", 1, snapshot_of(used=300 * MIB), HostMemory())
    assert "300.0 MiB in use would be over 100x the limit of 1 B: " in change.consequence
