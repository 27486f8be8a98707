"""A way to a server on which one thing goes wrong: at the n-th connection or command, once or from then on."""

from redis_oom_tui.models.address import Connection
from tests.support.proxy import Streams, _command, _Proxy, _reply
from tests.support.waiting import be_late

REFUSALS = {
    "LOADING": b"-LOADING Redis is loading the dataset in memory\r\n",
    "BUSY": b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n",
    "NOAUTH": b"-NOAUTH Authentication required.\r\n",
    "WRONGPASS": b"-WRONGPASS invalid username-password pair or user is disabled.\r\n",
    "MISCONF": b"-MISCONF Redis is configured to save RDB snapshots, but it is currently not able to persist\r\n",
    "CLUSTERDOWN": b"-CLUSTERDOWN The cluster is down\r\n",
    "bare MOVED": b"-MOVED\r\n",
    "odd ASK": b"-ASK x y\r\n",
}
"""Error replies, after which the connection goes on."""
NONSENSE = {
    "noise": bytes(range(256)),
    "http": b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
    "nil": b"$-1\r\n",
    "number": b":7\r\n",
    "word": b"+word\r\n",
    "empty array": b"*0\r\n",
    "nested": b"*2\r\n*1\r\n:1\r\n$1\r\nx\r\n",
    "bytes": b"$4\r\n\xff\xfe\x00\x01\r\n",
}
"""What no server answers to the question: of another type, or of none."""
FAULTS = ("hang up", "reset", "silence", "cut", "maxclients", *REFUSALS, *NONSENSE)


class Faulty(_Proxy):
    """Carries everything, but for the fault: at connection or command number `at` (from 1), of all in their order.

    `met` says that it came to that. With `lasting` all later ones meet it as well. Where replies name the server's own
    port, as a cluster's do, they name this one: nobody gets around it. Both have five digits.
    """

    def __init__(self, upstream: Connection, fault: str, *, connection: bool, at: int, lasting: bool = False) -> None:
        super().__init__(upstream)
        self._fault = fault
        self._connection = connection
        self._at = at
        self._lasting = lasting
        self._connections = 0
        self._commands = 0
        self.met = False

    def _now(self, number: int) -> bool:
        now = number >= self._at if self._lasting else number == self._at
        self.met = self.met or now
        return now

    async def serve(self, client: Streams, server: Streams) -> None:
        """One command after the other."""
        self._connections += 1
        broken = self._connection and self._now(self._connections)
        while True:
            raw, _ = await _command(client[0])
            self._commands += 1
            if broken or (not self._connection and self._now(self._commands)):
                if not await self._spoil(raw, client, server):
                    return
                continue
            server[1].write(raw)
            client[1].write(self._renamed(await _reply(server[0])))
            await client[1].drain()

    def _renamed(self, reply: bytes) -> bytes:
        there, here = self.upstream.address, self.connection.address
        return reply if there.socket_path is not None else reply.replace(b":%d" % there.port, b":%d" % here.port)

    async def _spoil(self, raw: bytes, client: Streams, server: Streams) -> bool:
        """Whether the connection goes on."""
        fault = self._fault
        if fault == "silence":
            await be_late(30)
        elif fault == "reset":
            client[1].transport.abort()
        elif fault == "cut":
            server[1].write(raw)
            reply = await _reply(server[0])
            client[1].write(reply[: len(reply) // 2])
            await client[1].drain()
        elif fault == "maxclients":
            client[1].write(b"-ERR max number of clients reached\r\n")
        elif fault in REFUSALS or fault in NONSENSE:
            client[1].write(REFUSALS.get(fault) or NONSENSE[fault])
            await client[1].drain()
            return True
        return False
