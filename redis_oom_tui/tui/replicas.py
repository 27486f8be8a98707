"""Looks at a master's replicas now and then, beside the polls, which must not wait for one behind a firewall."""

import asyncio
import contextlib

from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.snapshot import NodeView, Snapshot
from redis_oom_tui.ports import SeesReplicas, Source

_EVERY_SECONDS = 30.0


class ReplicaLook:
    """What the replicas of `source` last said. Asks nothing where there are none, or where `source` cannot ask."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._views: tuple[NodeView, ...] = ()
        self._due = 0.0
        self._asking: asyncio.Task[None] | None = None

    def seen(self, snapshot: Snapshot) -> tuple[NodeView, ...]:
        """As last told; `snapshot` says whether there are replicas, and what time it is. Begins a new look when due."""
        if not snapshot.activity.connected_replicas or snapshot.fleet is not None:
            self._views, self._due = (), 0.0
        elif snapshot.taken_monotonic >= self._due and self._asking is None and isinstance(self._source, SeesReplicas):
            self._due = snapshot.taken_monotonic + _EVERY_SECONDS
            self._asking = asyncio.create_task(self._ask(self._source))
        return self._views

    async def _ask(self, source: SeesReplicas) -> None:
        # A master that cannot be asked is the poll's own failure: it is told there.
        with contextlib.suppress(TriageError):
            self._views = await source.replicas()
        self._asking = None

    def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
