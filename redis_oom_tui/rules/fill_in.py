"""What CONFIG GET tells of the limit and the policy that INFO leaves out."""

from collections.abc import Mapping
from dataclasses import replace

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.snapshot import NOT_REPORTED, Doubt, LimitSource, Snapshot
from redis_oom_tui.rules.policies import UNKNOWN

_ELSEWHERE = f"{NOT_REPORTED} by INFO: CONFIG GET's answer stands for it"


def with_settings(snapshot: Snapshot, settings: Mapping[str, str]) -> Snapshot:
    """`snapshot` with a limit and a policy that only CONFIG GET reports.

    A 0 is not taken for "no limit": services that hide their limit answer so.
    """
    memory = snapshot.memory
    limit, policy = settings.get("maxmemory", ""), settings.get("maxmemory-policy", "")
    filled = {}
    if memory.limit_source is not LimitSource.SERVER and limit.isdecimal() and 0 < int(limit) < 2**53:
        memory = replace(memory, maxmemory_bytes=int(limit), limit_source=LimitSource.SERVER)
        filled["maxmemory"] = _ELSEWHERE
    if memory.policy == UNKNOWN and policy:
        memory = replace(memory, policy=safe_text(policy, 40))
        filled["maxmemory_policy"] = _ELSEWHERE
    if not filled:
        return snapshot
    doubts = tuple(Doubt(doubt.field, filled.get(doubt.field, doubt.reason)) for doubt in snapshot.doubts)
    return replace(snapshot, memory=memory, doubts=doubts)
