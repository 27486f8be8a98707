"""A connection for acting that is known to reach the same server as before, and can be taken up again after a loss."""

import asyncio
import contextlib
import time
from collections.abc import Callable

from redis_oom_tui.models import timeouts
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.errors import ServerBusy, ServerUnreachable, TriageError
from redis_oom_tui.server.busy import not_busy
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations.exclusive_connection import ExclusiveConnection

_FIRST_WAIT = 0.1
_LONGEST_WAIT = 2.0


class OtherServer(TriageError):
    """The address is answered by another server now, or by the same one restarted: what was known does not hold."""

    @classmethod
    def at(cls, address: Address) -> "OtherServer":
        """The same, in a sentence."""
        return cls(
            f"{address} is another server than before, or was restarted (its run id changed): look again before acting"
        )


class PinnedConnection:
    """The changing connection to database `db`. `run_id` is the server's that it must be, None if not told."""

    def __init__(self, server: LiveServer, db: int, run_id: str | None) -> None:
        self._server = server
        self._run_id = run_id
        self._client_id: int | None = None
        self.db = db
        self.channel = ExclusiveConnection(server, db, changing=True)

    async def open(self) -> None:
        """Connect and make sure of the server. Raises OtherServer, or another of `models.errors`."""
        channel = ExclusiveConnection(self._server, self.db, changing=True)
        try:
            info, client_id = await channel.call([("INFO", "server"), ("CLIENT", "ID")])
        except TriageError:
            await channel.close()
            raise
        if isinstance(info, ServerBusy):
            # Who it is cannot be asked yet: nothing is sent to a server that may be another.
            await channel.close()
            raise info
        now = _run_id(info) if isinstance(info, bytes) else None
        if self._run_id is not None and now is not None and now != self._run_id:
            await channel.close()
            raise OtherServer.at(self._server.address)
        self._run_id = self._run_id or now
        self._client_id = client_id if isinstance(client_id, int) else None
        self.channel = channel

    async def reopen(self) -> None:
        """After a loss: connect again, patiently, and see to it that nothing sent on the old connection can still run.

        Raises OtherServer, or ServerUnreachable when the server did not come back within `timeouts.GIVE_UP`.
        """
        lost = self._client_id
        deadline, wait = time.monotonic() + timeouts.GIVE_UP, _FIRST_WAIT
        failure: TriageError | None = None
        while (left := deadline - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._taken_up(lost)
                return
            except OtherServer:
                raise
            except TriageError as error:
                failure = error
            except TimeoutError:
                break
            await asyncio.sleep(min(wait, max(0.0, deadline - time.monotonic())))
            wait = min(_LONGEST_WAIT, 2 * wait)
        with contextlib.suppress(TriageError):
            await self.channel.close()
        raise failure or ServerUnreachable(
            f"{self._server.address} did not answer for {timeouts.GIVE_UP:.0f} s", silent=True
        )

    async def _taken_up(self, lost: int | None) -> None:
        await self.channel.close()
        await self.open()
        # Once more from the start where this one is lost, too: only with the kill's reply is the old one gone.
        if lost is not None:
            (killed,) = await self.channel.call([("CLIENT", "KILL", "ID", lost)])
            if isinstance(killed, ServerBusy):
                raise killed

    async def close(self) -> None:
        """Let go of the connection."""
        await self.channel.close()


async def settled(channel: ExclusiveConnection, stopped: Callable[[], bool]) -> None:
    """Return once the server carries out commands again, or when `stopped`.

    Raises ServerBusy where that takes longer than `timeouts.BUSY`, ServerUnreachable where the server is lost.
    """

    async def ping() -> None:
        (reply,) = await channel.call([("PING",)])
        # Any other refusal is an answer.
        if isinstance(reply, ServerBusy) and not stopped():
            raise reply

    await not_busy(ping, stopped)


class PinnedConnections:
    """The lines of an action to `server`, made when they are first wanted: one to each database to act on its keys, and
    one to save them ahead of that.
    """

    def __init__(self, server: LiveServer, run_id: str | None) -> None:
        self._server = server
        self._run_id = run_id
        self._open: dict[tuple[int, bool], PinnedConnection] = {}

    async def to(self, db: int, *, ahead: bool = False) -> PinnedConnection:
        """The line to database `db`. Raises as `PinnedConnection.open` does."""
        line = self._open.get((db, ahead))
        if line is None:
            line = self._open[db, ahead] = PinnedConnection(self._server, db, self._run_id)
            await not_busy(line.open)
        return line

    async def close(self) -> None:
        """Disconnect them all: what the server holds for each, as much as a few hundred KB, is free at once."""
        for line in self._open.values():
            await line.channel.abandon()
            await line.close()


def _run_id(info: bytes) -> str | None:
    for line in info.decode("utf-8", "replace").splitlines():
        if line.startswith("run_id:"):
            return line[7:].strip()
    return None
