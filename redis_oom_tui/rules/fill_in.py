"""What CONFIG GET tells of the limit and the policy that INFO leaves out."""

from collections.abc import Mapping

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.snapshot import NOT_REPORTED, Doubt, LimitSource, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.policies import UNKNOWN, not_judged

# Python itself refuses to read a number of thousands of digits.
_DIGITS = 20
_ELSEWHERE = f"{NOT_REPORTED} by INFO: CONFIG GET's answer stands for it"


def with_settings(snapshot: Snapshot, settings: Mapping[str, str]) -> Snapshot:
    """`snapshot` with a limit and a policy that only CONFIG GET reports.

    A 0 is not taken for "no limit": services that hide their limit answer so.
    """
    snapshot = with_write_settings(snapshot, settings)
    memory = snapshot.memory
    limit, policy = settings.get("maxmemory", ""), settings.get("maxmemory-policy", "")
    filled = {}
    if memory.limit_source is not LimitSource.SERVER and 0 < _number(limit) < 2**53:
        memory = replace(memory, maxmemory_bytes=_number(limit), limit_source=LimitSource.SERVER)
        filled["maxmemory"] = _ELSEWHERE
    if memory.policy == UNKNOWN and policy:
        memory = replace(memory, policy=safe_text(policy, 40))
        unjudged = not_judged(memory.policy)
        unknown = f", {memory.policy}, which this tool does not know: {unjudged}" if unjudged else ""
        filled["maxmemory_policy"] = _ELSEWHERE + unknown
    if not filled:
        return snapshot
    doubts = tuple(Doubt(doubt.field, filled.get(doubt.field, doubt.reason)) for doubt in snapshot.doubts)
    return replace(snapshot, memory=memory, doubts=doubts)


def with_write_settings(snapshot: Snapshot, settings: Mapping[str, str]) -> Snapshot:
    """`snapshot` with what CONFIG GET tells of when the server refuses every write."""
    activity = snapshot.activity
    wanted, stops = settings.get("min-replicas-to-write", ""), settings.get("stop-writes-on-bgsave-error")
    if wanted.isdecimal():
        activity = replace(activity, wanted_replicas=_number(wanted))
    if stops is not None and "save" in settings:
        activity = replace(activity, save_needed=stops == "yes" and bool(settings["save"].strip()))
    return snapshot if activity is snapshot.activity else replace(snapshot, activity=activity)


def _number(text: str) -> int:
    """A whole number of a length that a server can mean; 0 for all else.

    >>> _number("12"), _number("many"), _number("9" * 5000)
    (12, 0, 0)
    """
    return int(text) if text.isdecimal() and len(text) <= _DIGITS else 0
