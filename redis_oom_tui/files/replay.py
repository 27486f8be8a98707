"""A recording as a source: each poll is answered with the next moment, and the time line can be moved along."""

import time
from bisect import bisect_left
from collections.abc import Callable, Mapping

from redis_oom_tui.files.recordings import Moment, Recording
from redis_oom_tui.models.address import Address, ClientBuffer
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.errors import BadInput, ServerUnreachable
from redis_oom_tui.models.keys import KeyDetails, KeyId, PatternSample
from redis_oom_tui.models.scan import Pace, ScanOptions, ScanState, ScanView
from redis_oom_tui.models.snapshot import NodeView, Snapshot

_KINDS = ("capabilities", "clients", "settings", "scan", "samples", "replicas")


class RecordedTime:
    """A recording played back. Implements `ports.Timeline`.

    A poll is a moment with a snapshot, or one in which the server was lost. The clocks are those of the recording.
    """

    def __init__(self, recording: Recording, clock: Callable[[], float] = time.monotonic) -> None:
        self._recording = recording
        self._clock = clock
        self._polls = recording.moments.where("snapshot", "lost")
        self._places = {kind: recording.moments.where(kind) for kind in _KINDS}
        self._decoded: dict[str, tuple[int, Moment]] = {}
        self._at = 0
        self._since = clock()
        self._shown = False
        self._held = False

    @property
    def position(self) -> tuple[int, int]:
        """Which poll is shown, from 1, and how many there are."""
        return self._at + 1, len(self._polls)

    @property
    def held(self) -> bool:
        """Whether it stays at the moment shown."""
        return self._held

    def hold(self, held: bool) -> None:
        """Stay at the moment shown, or run on from it."""
        self._held = held
        self._since = self._clock()

    def monotonic(self) -> float:
        """The recorder's clock: that of the moment shown, running on until the next one is."""
        return self._moment.monotonic + self._passed

    def wall(self) -> float:
        """The time of day then (Unix seconds)."""
        return self._moment.at + self._passed

    def move(self, polls: int) -> None:
        """Go forward or back by so many polls; the next answer is from there."""
        self._go(max(0, min(len(self._polls) - 1, self._at + polls)))
        self._shown = False

    def next_poll(self) -> Moment:
        """The moment shown, or the one after it where it was already told and the time line runs on."""
        if self._shown and not self._held and self._at + 1 < len(self._polls):
            self._go(self._at + 1)
        self._shown = True
        return self._moment

    def last(self, kind: str) -> Moment | None:
        """The last moment of a kind up to the one shown; what was asked right after a poll belongs to it."""
        polls, places = self._polls, self._places[kind]
        end = polls[self._at + 1] if self._at + 1 < len(polls) else len(self._recording.moments)
        before = bisect_left(places, end)
        return self._decode(kind, places[before - 1]) if before else None

    @property
    def _moment(self) -> Moment:
        return self._decode("poll", self._polls[self._at])

    @property
    def _passed(self) -> float:
        at_the_end = self._at + 1 == len(self._polls)
        return 0.0 if self._held or at_the_end else self._clock() - self._since

    def _go(self, place: int) -> None:
        self._at = place
        self._since = self._clock()

    def _decode(self, kind: str, place: int) -> Moment:
        known = self._decoded.get(kind)
        if known is None or known[0] != place:
            known = self._decoded[kind] = (place, self._read(place))
        return known[1]

    def _read(self, place: int) -> Moment:
        """The moment there; of one that cannot be read, its times are known, and it reads as a server that was lost."""
        try:
            return self._recording.moments[place]
        except BadInput as error:
            about = self._recording.moments.place(place)
            return Moment(about.monotonic, about.at, lost=str(error))


_NO_CHANGES = "this is a recording: nothing can be changed"
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

    async def samples(self, scan: ScanView, *, applications_only: bool = False) -> tuple[PatternSample, ...]:  # noqa: ARG002 - the port asks for it
        """The samples last read by then."""
        return self.samples_so_far()

    def scan(self, options: ScanOptions) -> "ReplayScan":  # noqa: ARG002 - the port asks for it
        """The last scan that had ended by then, whatever `options` ask for."""
        missing = ScanView(ScanState.FAILED, error="no scan was recorded up to this moment")
        return ReplayScan(self.scan_so_far() or missing)

    async def details(self, key: KeyId, *, touch: bool = False) -> KeyDetails | None:  # noqa: ARG002 - as the port has it
        """What the scan told of the key; its value was never kept."""
        view = self.scan_so_far()
        row = next((row for row in view.top if row.id == key), None) if view else None
        return None if row is None else KeyDetails(row, preview_withheld="Values are not recorded.")

    def scan_so_far(self) -> ScanView | None:
        """The last scan that had ended by then; None before the first."""
        moment = self.last("scan")
        return moment.scan if moment is not None else None

    def samples_so_far(self) -> tuple[PatternSample, ...]:
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
