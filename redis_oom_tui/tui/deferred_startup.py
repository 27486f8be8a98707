"""The coming of a server to a screen that is painted already."""

import asyncio
import contextlib
import functools
from collections.abc import Callable

from textual.worker import WorkType

from redis_oom_tui.models.address import Address, ClientBuffer
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.errors import ServerBusy
from redis_oom_tui.models.keys import KeyDetails, KeyId
from redis_oom_tui.models.scan import ScanOptions
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.ports.operator import Operator, PendingServer
from redis_oom_tui.ports.source import Scan, Source
from redis_oom_tui.tui.host import Workers

# The operator is loaded once figures show, as loading takes time on a small machine.
_FIRST_POLL_SECONDS = 2.0


class PlaceholderSource:
    """Stands for a source until that has come: it has an address and nothing else. Implements `ports.Source`."""

    def __init__(self, address: Address) -> None:
        self.address = address

    def _not_yet(self) -> ServerBusy:
        return ServerBusy(f"still connecting to {self.address}, try again in a moment")

    async def open(self) -> None:
        """The preflight connection has seen to it."""

    async def close(self) -> None:
        """Nothing is held."""

    async def capabilities(self) -> Capabilities:
        """Nothing is known."""
        return Capabilities()

    async def snapshot(self) -> Snapshot:
        """Not yet."""
        raise self._not_yet()

    async def clients(self) -> tuple[ClientBuffer, ...]:
        """Not yet."""
        raise self._not_yet()

    def scan(self, options: ScanOptions) -> Scan:
        """Not yet."""
        del options
        raise self._not_yet()

    async def details(self, key: KeyId, *, touch: bool = False) -> KeyDetails | None:
        """Not yet."""
        del key, touch
        raise self._not_yet()


class DeferredStartup:
    """Brings the server of a `PendingServer`: the source to `show`, then, once figures show, the operator to `act`.

    Without one it is over from the start, and `begin` has nothing to do.
    """

    def __init__(
        self,
        workers: Workers,
        pending: PendingServer | None,
        *,
        show: Callable[[Source], None],
        act: Callable[[Operator], None],
    ) -> None:
        self._workers = workers
        self._pending = pending
        self._show = show
        self._act = act
        self._seen = asyncio.Event()
        self._waiting: dict[object, Callable[[], None]] = {}
        self.over = pending is None

    def begin(self) -> None:
        """Bring what is still to come."""
        if self._pending is not None:
            # Not a coroutine: an app that is being left drops it, and Python would complain of that.
            bringing: WorkType[None] = functools.partial(self._bring, self._pending)
            self._workers.run_worker(bringing, name="startup", group="startup", exit_on_error=False)

    def seen(self) -> None:
        """A first poll has ended, well or not."""
        self._seen.set()

    def then(self, act: Callable[[], None], *, in_place_of: object = None) -> None:
        """Do this when all is there: now, or in a moment; of what waits `in_place_of` the same, the last is done."""
        if self.over:
            act()
        else:
            self._waiting[in_place_of or act] = act

    async def _bring(self, pending: PendingServer) -> None:
        self._show(await asyncio.to_thread(pending.source))
        # A server that falls silent right then is waited for no longer: what can be done is told all the same.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._seen.wait(), _FIRST_POLL_SECONDS)
        operator = await asyncio.to_thread(pending.operator)
        self.over = True
        self._act(operator)
        for act in self._waiting.values():
            act()
