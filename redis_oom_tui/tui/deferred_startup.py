"""The coming of a server to a screen that is painted already."""

import asyncio
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.worker import WorkType

from redis_oom_tui.models.address import Address
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.errors import ServerBusy
from redis_oom_tui.models.keys import KeyDetails, KeyId
from redis_oom_tui.models.scan import ScanOptions
from redis_oom_tui.models.snapshot import ClientBuffer, Snapshot
from redis_oom_tui.ports import PendingServer, Scan

if TYPE_CHECKING:
    from redis_oom_tui.tui.server_session import ServerSession


class PlaceholderSource:
    """Stands for a source until that has come: it has an address and nothing else. Implements `ports.Source`."""

    def __init__(self, address: Address) -> None:
        self.address = address

    def _not_yet(self) -> ServerBusy:
        return ServerBusy(f"{self.address} has only just been reached: try again in a moment")

    async def open(self) -> None:
        """The knock has seen to it."""

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

    async def details(self, key: KeyId) -> KeyDetails | None:
        """Not yet."""
        del key
        raise self._not_yet()


class DeferredStartup:
    """Brings the server of a `PendingServer` to the app: first the source, then, once figures show, the operator."""

    def __init__(self, app: "ServerSession", joining: PendingServer | None) -> None:
        self._app = app
        self._joining = joining
        self._seen = asyncio.Event()
        self._waiting: list[Callable[[], None]] = []
        self.over = joining is None

    def begin(self) -> None:
        """Start polling: at once, or with the source that is to come."""
        if self._joining is None:
            self._app.start_polling()
        else:
            # Not a coroutine: an app that is being left drops it, and Python would complain of that.
            bringing: WorkType[None] = functools.partial(self._bring, self._joining)
            self._app.run_worker(bringing, name="joining", group="joining", exit_on_error=False)

    def seen(self) -> None:
        """A first reading has come, good or bad."""
        self._seen.set()

    def then(self, deed: Callable[[], None]) -> None:
        """Do this when all is there: now, or in a moment."""
        if self.over:
            deed()
        else:
            self._waiting.append(deed)

    async def _bring(self, joining: PendingServer) -> None:
        self._app.source = await asyncio.to_thread(joining.source)
        self._app.start_polling()
        await self._seen.wait()
        self._app.actions.take(await asyncio.to_thread(joining.operator))
        self.over = True
        self._app.operator_came()
        for deed in self._waiting:
            deed()
