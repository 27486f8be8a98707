"""A backup put back into a cluster: each key on the node that serves its slot now."""

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from redis_oom_tui.actions.cluster.key_placement import Place, PlacementNodes, place_of
from redis_oom_tui.actions.restoring import BackupRestorer
from redis_oom_tui.files.backup import read_head, read_records
from redis_oom_tui.files.backup_check import inspect, must_be_whole
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.action import BackupInspection, RestoreOutcome, RestoreReport
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.server.active_clock import ActiveClock
from redis_oom_tui.server.scan.tasks import run_all

Restorers = Callable[[Place, Callable[[KeyId], bool]], BackupRestorer]
"""Makes a restorer there, of the keys that are its."""
_ROUNDS = 4


class ClusterRestorer:
    """A backup being put back on every node at once. Implements `ports.Restoring`.

    A key that a node sends on, as its slot has moved or is half moved, is put back where it was sent.
    """

    def __init__(self, path: Path, nodes: PlacementNodes, restorers: Restorers, *, damaged_ok: bool = False) -> None:
        self._path = path
        self._damaged_ok = damaged_ok
        self._inspection = BackupInspection(str(path), 0)
        self._head = read_head(path, damaged_ok=damaged_ok)
        self._nodes = nodes
        self._make = restorers
        self._parts: list[tuple[Place, BackupRestorer]] = []
        self._clock = ActiveClock()
        self._ended: RestoreReport | None = None
        self._stop = False

    def stop(self) -> None:
        """End after the batches in flight."""
        self._stop = True
        for _, part in self._parts:
            part.stop()

    def view(self) -> RestoreReport:
        """How far it is, all nodes together."""
        return self._ended or self._together([(place, part.view()) for place, part in self._parts])

    async def run(self) -> RestoreReport:
        """Put back what is not there, on every node."""
        self._clock.start()
        try:
            self._inspection = await asyncio.to_thread(inspect, self._path)
            must_be_whole(self._inspection, damaged_ok=self._damaged_ok)
            await self._nodes.refresh()
        except TriageError as error:
            self._clock.stop()
            self._ended = RestoreReport(
                str(self._path),
                self._head.keys,
                ended=str(error),
                failed=True,
                resumable=not self._inspection.damaged,
                file_damaged=self._inspection.damaged,
            )
            return self._ended
        wanted = {Place(name): self._owned_by(name) for name in await asyncio.to_thread(self._owners)}
        for left in reversed(range(_ROUNDS)):
            wanted = await self._round(wanted, follow=left > 0)
            if not wanted or self._stop:
                break
        self._clock.stop()
        self._ended = self._together([(place, part.view()) for place, part in self._parts], ended=True)
        return self._ended

    def _owners(self) -> list[str]:
        """The nodes that serve keys of the file: one as a rule, and the others have no part in it."""
        primaries = [node.name for node in self._nodes.topology.primaries]
        records = read_records(self._path, damaged_ok=self._damaged_ok)
        serving = {self._nodes.owner(record.id.key) for record in records if record is not None}
        return [name for name in primaries if name in serving] or primaries[:1]

    def _owned_by(self, name: str) -> Callable[[KeyId], bool]:
        return lambda key: self._nodes.owner(key.key) == name

    async def _round(
        self, wanted: Mapping[Place, Callable[[KeyId], bool]], *, follow: bool
    ) -> dict[Place, Callable[[KeyId], bool]]:
        """Put back what is `wanted` where; what is to be put back elsewhere, if anybody is to `follow` it there."""
        parts = [(place, self._make(place, mine)) for place, mine in wanted.items()]
        self._parts += parts
        for _, part in parts:
            part.elsewhere = {} if follow else None
            if self._stop:
                part.stop()
        await run_all([part for _, part in parts])
        return await self._sent_on(parts)

    async def _sent_on(self, parts: Sequence[tuple[Place, BackupRestorer]]) -> dict[Place, Callable[[KeyId], bool]]:
        sent: dict[Place, set[KeyId]] = defaultdict(set)
        if any(part.elsewhere for _, part in parts):
            with contextlib.suppress(TriageError):
                await self._nodes.refresh()
        for place, part in parts:
            for key, refusal in (part.elsewhere or {}).items():
                # Where nobody serves its slot now, the one that was asked will say so once more.
                sent[place_of(self._nodes, key.key, place, refusal) or place].add(key)
        return {place: keys.__contains__ for place, keys in sent.items()}

    def _together(self, reports: Sequence[tuple[Place, RestoreReport]], *, ended: bool = False) -> RestoreReport:
        counts: Counter[RestoreOutcome] = Counter()
        for _, report in reports:
            counts.update({outcome: number for outcome, number in report.counts.items() if _told(outcome)})
        left_out = sum(report.left_out_keys for _, report in reports)
        missed = self._head.keys + self._head.left_out_keys - sum(counts.values()) - left_out
        failed = any(report.failed for _, report in reports)
        if missed > 0 and (failed or self._stop or not ended):
            counts[RestoreOutcome.NOT_ATTEMPTED] = missed
        # A backup is of one node's keys as a rule: the others have nothing to say.
        told = [(place, report) for place, report in reports if report.total_keys or report.failed] or reports
        words = [f"{safe_text(place.node, 80)}: {report.ended}" for place, report in told if report.ended]
        words += [self._inspection.note] if self._inspection.note else []
        return RestoreReport(
            path=str(self._path),
            total_keys=sum(counts.values()) + left_out,
            counts=dict(counts),
            left_out_keys=left_out,
            left_out=tuple(name for _, report in reports for name in report.left_out)[:1000],
            elapsed_seconds=self._clock.elapsed,
            ended=" ".join(words) if ended else None,
            failed=failed,
            resumable=any(report.resumable for _, report in reports),
            file_note=self._inspection.note,
            file_damaged=self._inspection.damaged,
        )


def _told(outcome: RestoreOutcome) -> bool:
    """A node cannot tell how many of the file's keys are another's: what was not attempted is counted for all."""
    return outcome is not RestoreOutcome.NOT_ATTEMPTED
