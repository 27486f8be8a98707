"""A recording as a source: each poll is answered with the next moment, and the time line can be moved along."""

from collections.abc import Mapping

from redis_oom_tui.files.recorded_time import RecordedTime
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.errors import ServerUnreachable
from redis_oom_tui.models.keys import KeyDetails, KeyId
from redis_oom_tui.models.scan import Pace, ScanOptions, ScanState, ScanView
from redis_oom_tui.models.snapshot import ClientBuffer, NodeView, Snapshot
from redis_oom_tui.models.values import FamilySample

_NO_CHANGES = "this is a recording: nothing can be changed in the past"
_CHANGES = (
    Feature.CONFIG_SET,
    Feature.CONFIG_REWRITE,
    Feature.CLIENT_KILL,
    Feature.MEMORY_PURGE,
    Feature.SCRIPT,
    Feature.UNLINK,
    Feature.EXPIRE,
    Feature.RESTORE,
)


class ReplaySource(RecordedTime):
    """The past of one server. Implements `ports.Source`, and `ports.Timeline` by what it is made of."""

    @property
    def address(self) -> Address:
        """Where the recorded server was."""
        return self._recording.address

    async def open(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def capabilities(self) -> Capabilities:
        """What could be read then; nothing can be changed now."""
        moment = self.last("capabilities")
        known = moment.capabilities if moment is not None and moment.capabilities else Capabilities()
        for feature in _CHANGES:
            known = known.without(feature, _NO_CHANGES)
        return known

    async def snapshot(self) -> Snapshot:
        """The moment shown, or the next one where it was already told and the time line runs on."""
        moment = self.next_poll()
        if moment.snapshot is None:
            raise ServerUnreachable(moment.lost or "the server was lost")
        return moment.snapshot

    async def clients(self) -> tuple[ClientBuffer, ...]:
        """The last list told by then."""
        moment = self.last("clients")
        return moment.clients or () if moment is not None else ()

    async def settings(self) -> Mapping[str, str]:
        """The settings as last told by then."""
        moment = self.last("settings")
        return moment.settings or {} if moment is not None else {}

    async def replicas(self) -> tuple[NodeView, ...]:
        """What the replicas had last said by then."""
        moment = self.last("replicas")
        return moment.replicas or () if moment is not None else ()

    async def samples(self, scan: ScanView) -> tuple[FamilySample, ...]:  # noqa: ARG002 - the port asks for it
        """The samples last read by then."""
        return self.samples_so_far()

    def scan(self, options: ScanOptions) -> "ReplayScan":  # noqa: ARG002 - the port asks for it
        """The last scan that had ended by then, whatever `options` ask for."""
        missing = ScanView(ScanState.FAILED, error="no scan was recorded up to this moment")
        return ReplayScan(self.scan_so_far() or missing)

    async def details(self, key: KeyId) -> KeyDetails | None:
        """What the scan told of the key; its value was never kept."""
        view = self.scan_so_far()
        row = next((row for row in view.top if row.id == key), None) if view else None
        return None if row is None else KeyDetails(row, preview_withheld="A recording keeps no values.")

    def scan_so_far(self) -> ScanView | None:
        """The last scan that had ended by then; None before the first."""
        moment = self.last("scan")
        return moment.scan if moment is not None else None

    def samples_so_far(self) -> tuple[FamilySample, ...]:
        """The samples last read by then."""
        moment = self.last("samples")
        return moment.samples or () if moment is not None else ()


class ReplayScan:
    """A scan that ended long ago."""

    def __init__(self, view: ScanView) -> None:
        self._view = view

    async def run(self) -> ScanView:
        """The view that it ended with."""
        return self._view

    def view(self) -> ScanView:
        """The same."""
        return self._view

    def pause(self) -> None:
        """It does not run."""

    def resume(self) -> None:
        """It does not run."""

    def stop(self) -> None:
        """It has ended."""

    def set_pace(self, pace: Pace) -> None:
        """It has ended."""
