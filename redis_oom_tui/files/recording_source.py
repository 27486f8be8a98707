"""A source that is written down while it is watched: everything passes through unchanged."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from redis_oom_tui.files.disk import shown
from redis_oom_tui.files.recordings import Moment, Recorder
from redis_oom_tui.models.address import Address, ClientBuffer
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.keys import KeyDetails, KeyId, PatternSample
from redis_oom_tui.models.scan import Pace, ScanOptions, ScanView
from redis_oom_tui.models.snapshot import ClusterView, NodeView, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.ports.source import (
    ClusteredSource,
    GoesOn,
    KeepsItsPlace,
    SamplesValues,
    Scan,
    SeesReplicas,
    Source,
    TellsSettings,
)

Note = Callable[..., None]


class RecordingSource:
    """`inner`, with each answer of it kept by `recorder`. Implements `ports.Source`.

    What only some sources can do, subclasses do for those: whoever asks by `isinstance` looks at the class. `recording`
    picks the one for a source.
    """

    def __init__(
        self,
        inner: Source,
        recorder: Recorder,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._inner = inner
        self._recorder = recorder
        self._monotonic = monotonic
        self._wall = wall
        self._known: Capabilities | None = None
        self._end_noted = False
        self._settings: Mapping[str, str] = {}

    @property
    def address(self) -> Address:
        return self._inner.address

    async def open(self) -> None:
        """Open the source."""
        await self._inner.open()

    async def close(self) -> None:
        """Close the source and the file."""
        await self._inner.close()
        self._recorder.close()

    async def capabilities(self) -> Capabilities:
        """Kept each time they change."""
        capabilities = await self._inner.capabilities()
        if capabilities != self._known:
            self._known = capabilities
            self._note(capabilities=capabilities)
        return capabilities

    async def snapshot(self) -> Snapshot:
        """Kept, as is the sentence of a failure. Its notes say once that the recording has ended early."""
        try:
            snapshot = await self._inner.snapshot()
        except TriageError as error:
            self._note(lost=str(error))
            raise
        self._recorder.add(Moment(snapshot.taken_monotonic, snapshot.taken_at, snapshot=snapshot))
        why = self._recorder.ended_early
        if not why or self._end_noted:
            return snapshot
        self._end_noted = True
        return replace(
            snapshot, notes=(*snapshot.notes, f"the recording {shown(self._recorder.path)} ends here: {why}")
        )

    async def clients(self) -> tuple[ClientBuffer, ...]:
        """Kept, the largest fifty."""
        clients = await self._inner.clients()
        self._note(clients=clients)
        return clients

    async def settings(self) -> Mapping[str, str]:
        """Kept each time they change; empty where the source does not tell them."""
        settings = await self._inner.settings() if isinstance(self._inner, TellsSettings) else {}
        if settings != self._settings:
            self._settings = settings
            self._note(settings=settings)
        return settings

    async def samples(self, scan: ScanView, *, applications_only: bool = False) -> tuple[PatternSample, ...]:
        """Kept: figures only; none where the source reads no samples."""
        inner = self._inner
        samples = (
            await inner.samples(scan, applications_only=applications_only) if isinstance(inner, SamplesValues) else ()
        )
        self._note(samples=samples)
        return samples

    async def replicas(self) -> tuple[NodeView, ...]:
        """Kept; none where the source asks no replicas."""
        views = await self._inner.replicas() if isinstance(self._inner, SeesReplicas) else ()
        self._note(replicas=views)
        return views

    def scan(self, options: ScanOptions) -> Scan:
        """Kept once it ends."""
        return _recording_scan(self._inner.scan(options), self._note)

    async def details(self, key: KeyId, *, touch: bool = False) -> KeyDetails | None:
        """Not kept: a preview of a value has no place in a file."""
        return await self._inner.details(key, touch=touch)

    def _note(self, **what: Any) -> None:
        self._recorder.add(Moment(self._monotonic(), self._wall(), **what))


class RecordingServer(RecordingSource):
    """A server whose scans can be resumed. Implements `ports.GoesOn`."""

    def __init__(self, inner: Source, recorder: Recorder, **clocks: Callable[[], float]) -> None:
        super().__init__(inner, recorder, **clocks)
        if not isinstance(inner, GoesOn):
            raise TypeError("a source whose scans can be resumed was expected")
        self._resuming: GoesOn = inner

    def resumed(self, progress: Mapping[str, Any], *, pace: Pace | None = None, sample: int | None = None) -> Scan:
        """Kept once it ends, as any scan."""
        return _recording_scan(self._resuming.resumed(progress, pace=pace, sample=sample), self._note)


class RecordingNodes(RecordingSource):
    """A cluster. Implements `ports.ClusteredSource`; what a single node is asked is not kept."""

    def __init__(self, inner: ClusteredSource, recorder: Recorder, **clocks: Callable[[], float]) -> None:
        super().__init__(inner, recorder, **clocks)
        self._cluster = inner

    async def cluster(self) -> ClusterView:
        """Every node; kept with the snapshots."""
        return await self._cluster.cluster()

    def node(self, name: str) -> Source:
        return self._cluster.node(name)

    def pin(self, name: str | None) -> None:
        self._cluster.pin(name)


class RecordingCluster(RecordingNodes, RecordingServer):
    """A cluster whose scans can be resumed. Implements `ports.ClusteredSource` and `ports.GoesOn`."""


def recording(inner: Source, recorder: Recorder, **clocks: Callable[[], float]) -> RecordingSource:
    """`inner`, with each answer of it kept by `recorder`, and all that it can do."""
    if isinstance(inner, ClusteredSource):
        kind = RecordingCluster if isinstance(inner, GoesOn) else RecordingNodes
        return kind(inner, recorder, **clocks)
    if isinstance(inner, GoesOn):
        return RecordingServer(inner, recorder, **clocks)
    return RecordingSource(inner, recorder, **clocks)


def _recording_scan(inner: Scan, note: Note) -> "_RecordingScan":
    return _ResumableScan(inner, note) if isinstance(inner, KeepsItsPlace) else _RecordingScan(inner, note)


class _RecordingScan:
    def __init__(self, inner: Scan, note: Note) -> None:
        self._inner = inner
        self._note = note

    async def run(self) -> ScanView:
        view = await self._inner.run()
        self._note(scan=view)
        return view

    def view(self) -> ScanView:
        return self._inner.view()

    def pause(self) -> None:
        self._inner.pause()

    def resume(self) -> None:
        self._inner.resume()

    def stop(self) -> None:
        self._inner.stop()

    def set_pace(self, pace: Pace) -> None:
        self._inner.set_pace(pace)


class _ResumableScan(_RecordingScan):
    """A scan that another process may go on with. Implements `ports.KeepsItsPlace`."""

    def progress(self) -> Mapping[str, Any] | None:
        scan: object = self._inner
        return scan.progress() if isinstance(scan, KeepsItsPlace) else None
