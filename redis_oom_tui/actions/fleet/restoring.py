"""A backup put back into a cluster: each key on the node that serves its slot now."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from redis_oom_tui.actions.restoring import BackupRestorer
from redis_oom_tui.files.backup import read_head
from redis_oom_tui.models.action import RestoreOutcome, RestoreReport
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.words.hostile import safe_text

Restorers = Callable[[], Mapping[str, BackupRestorer]]
"""Makes a restorer for each primary, of the keys that it serves."""


class FleetRestorer:
    """A backup being put back on every node at once. Implements `ports.Restoring`."""

    def __init__(self, path: Path, restorers: Restorers, refresh: Callable[[], Awaitable[bool]]) -> None:
        self._path = path
        self._head = read_head(path)
        self._make = restorers
        self._refresh = refresh
        self._parts: Mapping[str, BackupRestorer] = {}
        self._started = time.monotonic()
        self._ended: RestoreReport | None = None
        self._stop = False

    def stop(self) -> None:
        """End after the batches in flight."""
        self._stop = True
        for part in self._parts.values():
            part.stop()

    def view(self) -> RestoreReport:
        """How far it is, all nodes together."""
        return self._ended or self._together({name: part.view() for name, part in self._parts.items()})

    async def run(self) -> RestoreReport:
        """Put back what is not there, on every node."""
        self._started = time.monotonic()
        try:
            await self._refresh()
        except TriageError as error:
            self._ended = RestoreReport(str(self._path), self._head.keys, ended=str(error), failed=True, resumable=True)
            return self._ended
        self._parts = self._make()
        if self._stop:
            self.stop()
        reports = await asyncio.gather(*(part.run() for part in self._parts.values()))
        self._ended = self._together(dict(zip(self._parts, reports, strict=True)), ended=True)
        return self._ended

    def _together(self, reports: Mapping[str, RestoreReport], *, ended: bool = False) -> RestoreReport:
        counts: Counter[RestoreOutcome] = Counter()
        for report in reports.values():
            counts.update({outcome: number for outcome, number in report.counts.items() if _told(outcome)})
        left_out = sum(report.left_out_keys for report in reports.values())
        missed = self._head.keys + self._head.left_out_keys - sum(counts.values()) - left_out
        failed = any(report.failed for report in reports.values())
        if missed > 0 and (failed or self._stop or not ended):
            counts[RestoreOutcome.NOT_ATTEMPTED] = missed
        # A backup is of one node's keys as a rule: the others have nothing to say.
        told = {name: report for name, report in reports.items() if report.total_keys or report.failed} or reports
        words = [f"{safe_text(name, 80)}: {report.ended}" for name, report in told.items() if report.ended]
        return RestoreReport(
            path=str(self._path),
            total_keys=sum(counts.values()) + left_out,
            counts=dict(counts),
            left_out_keys=left_out,
            left_out=tuple(name for report in reports.values() for name in report.left_out)[:1000],
            elapsed_seconds=time.monotonic() - self._started,
            ended=" ".join(words) if ended else None,
            failed=failed,
            resumable=any(report.resumable for report in reports.values()),
        )


def _told(outcome: RestoreOutcome) -> bool:
    """A node cannot tell how many of the file's keys are another's: what was not attempted is counted for all."""
    return outcome is not RestoreOutcome.NOT_ATTEMPTED
