"""Which applications the keys of a scan are of; what is known of them is read when first asked."""

from collections import deque

from redis_oom_tui.models.application import Recognition
from redis_oom_tui.models.keys import PatternSample
from redis_oom_tui.models.scan import ScanView

# Screen, findings and policies ask about the same view, which is large to compare and the same object for all of them.
_LATEST: deque[tuple[ScanView, tuple[PatternSample, ...], Recognition]] = deque(maxlen=4)


def recognize(scan: ScanView, samples: tuple[PatternSample, ...] = ()) -> Recognition:
    """The applications in `scan`; `samples` of its patterns add the names of fields, where they were read."""
    for view, of, known in tuple(_LATEST):
        if view is scan and of is samples:
            return known
    from redis_oom_tui.rules.applications.recognizing import recognized  # noqa: PLC0415 - a start must not pay for it

    found = recognized(scan, samples)
    _LATEST.append((scan, samples, found))
    return found
