"""What may be read of a server, and work on it that is followed while it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:  # words about types alone: whoever needs the models has them already
    from collections.abc import Mapping
    from typing import Any

    from redis_oom_tui.models.address import Address, ClientBuffer, LargeCommand
    from redis_oom_tui.models.capabilities import Capabilities
    from redis_oom_tui.models.keys import HotKeys, KeyDetails, KeyId, PatternSample
    from redis_oom_tui.models.scan import Pace, ScanOptions, ScanView
    from redis_oom_tui.models.snapshot import ClusterView, NodeView, Snapshot

_Result_co = TypeVar("_Result_co", covariant=True)
_View_co = TypeVar("_View_co", covariant=True)


class StoppableJob(Protocol[_Result_co]):
    """Work under way: start `run` in a worker that outlives whoever asked; the rest may be called meanwhile."""

    async def run(self) -> _Result_co:
        """To the end, a stop or a failure."""

    def stop(self) -> None:
        """End after the page or batch in flight; what was done or found so far is kept, marked as incomplete."""


class Job(StoppableJob[_Result_co], Protocol[_Result_co, _View_co]):
    """Work that is followed while it goes on: `view` and `stop` may be called meanwhile, in the same event loop."""

    def view(self) -> _View_co:
        """How far it is."""


class Scan(Job["ScanView", "ScanView"], Protocol):
    """A scan under way, and its last view. Views are bounded and cheap. It never raises for a server's fault."""

    def pause(self) -> None:
        """Send nothing more until `resume`."""

    def resume(self) -> None:
        """Continue where it paused."""

    def set_pace(self, pace: Pace) -> None:
        """Change how hard it leans on the server from the next page on."""


@runtime_checkable
class KeepsItsPlace(Protocol):
    """A scan that another process may resume."""

    def progress(self) -> Mapping[str, Any] | None:
        """Where it stopped, in plain values (JSON's); None where nothing is left to do, or it cannot be resumed."""


class PolledSource(Protocol):
    """A server that can be polled. Its errors are `models.errors`, each one plain sentence."""

    @property
    def address(self) -> Address:
        """Where it is, for people."""

    async def open(self) -> None:
        """Connect and ask who is there and what it can do."""

    async def close(self) -> None:
        """Let go of every connection; never raises. It may be opened again."""

    async def snapshot(self) -> Snapshot:
        """One INFO, parsed."""


class Source(PolledSource, Protocol):
    """A server that can be read."""

    async def capabilities(self) -> Capabilities:
        """What may be used, as known by now."""

    async def clients(self) -> tuple[ClientBuffer, ...]:
        """CLIENT LIST, the largest holders of memory first."""

    def scan(self, options: ScanOptions) -> Scan:
        """A scan that has not started yet."""

    async def details(self, key: KeyId, *, touch: bool = False) -> KeyDetails | None:
        """A closer read of one key; None where it is gone. It leaves no trace, unless `touch` allows that the server
        counts it as a use of the key (its idle time is 0 then, its LFU counter may rise) to have the value read.
        """


@runtime_checkable
class GoesOn(Protocol):
    """A source that resumes a scan that an earlier process began on the same run of the same server."""

    def resumed(self, progress: Mapping[str, Any], *, pace: Pace | None = None, sample: int | None = None) -> Scan:
        """The scan that gave `progress`, not started again yet; raises BadInput where that is damaged."""


@runtime_checkable
class ClusteredSource(Source, Protocol):
    """A cluster: a source whose snapshots show the worst primary, and each of its nodes."""

    async def cluster(self) -> ClusterView:
        """Every node asked at once, worst first; one that did not answer is there with the reason."""

    def node(self, name: str) -> Source:
        """The node called `name`, as a source of its own."""

    def pin(self, name: str | None) -> None:
        """Let the snapshots show the node called `name` from the next one on; None for the worst primary again."""


@runtime_checkable
class SamplesValues(Protocol):
    """A source that also reads small samples of the largest patterns, where that leaves no trace."""

    async def samples(self, scan: ScanView, *, applications_only: bool = False) -> tuple[PatternSample, ...]:
        """A few keys of each of the largest patterns of `scan`, boiled down to figures: bounded, traceless.

        With `applications_only`, what says whose the keys are and how many jobs are done: the lengths of indexes, and a
        few values.
        """


@runtime_checkable
class Replayable(Protocol):
    """A source whose moments can be moved along: a recording."""

    @property
    def position(self) -> tuple[int, int]:
        """Which poll is shown, from 1, and how many there are."""

    @property
    def held(self) -> bool:
        """Whether it stays at the moment shown."""

    def hold(self, held: bool) -> None:
        """Stay at the moment shown, or run on from it."""

    def move(self, polls: int) -> None:
        """Go forward or back by so many polls."""

    def wall(self) -> float:
        """The time of day then (Unix seconds)."""

    def scan_so_far(self) -> ScanView | None:
        """The last scan that had ended by then."""

    def samples_so_far(self) -> tuple[PatternSample, ...]:
        """The samples last read by then."""


@runtime_checkable
class TellsSettings(Protocol):
    """A source that also tells the settings which a diagnosis looks at."""

    async def settings(self) -> Mapping[str, str]:
        """Settings by name, those that may not be read left out: empty where CONFIG is not available."""


@runtime_checkable
class TellsLargeCommands(Protocol):
    """A source that also reads the server's logs of large or slow commands."""

    async def large_commands(self) -> tuple[LargeCommand, ...]:
        """Who sent large values of late; empty where no log may be read."""


@runtime_checkable
class SeesReplicas(Protocol):
    """A source that also asks the replicas of a master without a cluster; in a cluster they are among its nodes."""

    async def replicas(self) -> tuple[NodeView, ...]:
        """What each replica says of itself, or why it does not; it may take a second or two: to be asked seldom."""


@runtime_checkable
class TellsHotKeys(Protocol):
    """A source that also reads which keys are hottest, where the server tracks that."""

    async def hot_keys(self) -> tuple[HotKeys, ...]:
        """What was tracked, by each primary of a cluster. Raises CommandRefused where no server can."""
