"""The report of a run, in one sentence, and what the replies about each key mean."""

from collections.abc import Mapping

from redis_oom_tui.formatting.sizes import count, number_of_keys, size
from redis_oom_tui.models.plan import Operation, Outcome

# A number that servers share may have changed unseen; and a key that expires sooner than asked is as it was.
_KEPT = {
    Operation.DELETE: ("was kept, as it had or may have changed", "were kept, as they had or may have changed"),
    Operation.EXPIRE: ("was left as it is", "were left as they are"),
}
_LOST = {
    Operation.DELETE: "may have been deleted by this tool, as the reply was lost",
    Operation.EXPIRE: "may have been given an expiry, as the reply was lost",
}
_REST = (
    (Outcome.FAILED, "failed", "failed"),
    (Outcome.NOT_ATTEMPTED, "was not attempted", "were not attempted"),
)


def report(
    deed: Operation,
    counts: Mapping[Outcome, int],
    total: int,
    fell: int | None,
    *,
    restarted: bool = False,
    earlier: int = 0,
) -> str:
    """What a run came to; `fell` is by how many bytes used_memory is lower than before it. After the server was
    `restarted` meanwhile, nobody knows. `earlier` of the keys that are gone were deleted by a run of the plan before.

    >>> report(Operation.DELETE, {Outcome.DELETED: 8, Outcome.CHANGED: 2}, 10, 2048)
    'Deleted 8 of 10 keys; 2 were kept, as they had or may have changed; used memory fell by 2.0 KiB.'
    """
    verb, done = ("Deleted", Outcome.DELETED) if deed is Operation.DELETE else ("Gave an expiry to", Outcome.EXPIRING)
    parts = [f"{verb} {count(counts.get(done, 0))} of {number_of_keys(total)}"]
    gone = f" ({count(earlier)} deleted by an earlier run of this plan)" if earlier else ""
    rest = (
        (Outcome.CHANGED, *_KEPT[deed]),
        (Outcome.GONE, f"was gone already{gone}", f"were gone already{gone}"),
        (Outcome.IN_DOUBT, _LOST[deed], _LOST[deed]),
        *_REST,
    )
    for outcome, one, many in rest:
        if number := counts.get(outcome):
            parts.append(f"{count(number)} {one if number == 1 else many}")
    # What the memory did where nothing was deleted is no doing of the run.
    acted = counts.get(done) or counts.get(Outcome.IN_DOUBT) or counts.get(Outcome.FAILED)
    if deed is Operation.DELETE and fell is not None and acted:
        parts.append(_memory_words(fell))
    elif deed is Operation.DELETE and restarted and acted:
        parts.append("the server restarted or failed over meanwhile, so what used memory fell by is not known")
    return "; ".join(parts) + "."


def _memory_words(fell: int) -> str:
    if fell >= 0:
        return f"used memory fell by {size(fell)}"
    return f"used memory is {size(-fell)} higher than before: others wrote meanwhile, or buffers grew"
