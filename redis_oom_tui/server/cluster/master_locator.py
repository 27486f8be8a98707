"""Where one server is: as it was given, or as the Sentinels name it, who may name another any time."""

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.address import Connection
from redis_oom_tui.models.errors import ServerUnreachable, TriageError
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.cluster import sentinels


class MasterLocator:
    """`connection` leads to the server, as known by now. What there is to say of a change is said once, in `news`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._doubted = ""
        self._disagreed = ""
        self._news: tuple[str, ...] = ()

    async def find(self) -> bool:
        """Ask the Sentinels, if there are any; True where they name another address than before.

        Raises one of `models.errors` where none of them names the master.
        """
        sentinel = self.connection.sentinel
        if sentinel is None:
            return False
        named = await sentinels.master_of(self.connection, sentinel)
        if named.doubt and named.doubt != self._disagreed:
            self._news += (named.doubt,)
        self._disagreed = named.doubt
        if named.address == self.connection.address:
            return False
        self.connection = replace(self.connection, address=named.address)
        return True

    async def follow(self) -> bool:
        """Whether a failover was found: `connection` leads to the new master then. False where nobody tells."""
        before = self.connection.address
        try:
            moved = await self.find()
        except TriageError:
            return False
        if moved:
            told = f"failover: the Sentinels now name {self.connection.address} as master of {self._name()}"
            self._news = (f"{told}, in place of {before}", *self._news)
        return moved

    def doubt(self) -> None:
        """The server is a replica: say once of each address that the Sentinels take it for the master."""
        sentinel, where = self.connection.sentinel, str(self.connection.address)
        if sentinel is not None and self._doubted != where:
            self._doubted = where
            self._news += (sentinels.doubt(self.connection.address, sentinel),)

    def news(self) -> tuple[str, ...]:
        """What there is to say since this was asked last."""
        news, self._news = self._news, ()
        return news

    def named(self, error: ServerUnreachable) -> ServerUnreachable:
        """`error`, with who sent us there."""
        if self.connection.sentinel is None:
            return error
        return ServerUnreachable(f"{error}; the Sentinels name it as master of {self._name()}")

    def _name(self) -> str:
        sentinel = self.connection.sentinel
        return "" if sentinel is None else safe_text(sentinel.master, 80)
