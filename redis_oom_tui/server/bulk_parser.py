"""redis-py's hiredis parser, made to read many replies at once."""

from typing import Any

from redis.asyncio import connection as driver

try:
    from redis._parsers import _AsyncHiredisParser
except ImportError:  # a redis-py that keeps it elsewhere: the replies are then read one by one
    _AsyncHiredisParser = None  # type: ignore[assignment,misc,unused-ignore]


def bulk_parser() -> type[Any] | None:
    """redis-py's hiredis parser, able to take the next replies for one array; None where that cannot work."""
    if _AsyncHiredisParser is None or driver.DefaultParser is not _AsyncHiredisParser:
        return None

    class BulkParser(_AsyncHiredisParser):
        """Replies are cheapest as one array that hiredis builds in C. The server sends no such array: we do.

        Where more replies may have come than are asked for, they are taken one by one, but without redis-py between.
        """

        def on_connect(self, connection: Any) -> None:
            super().on_connect(connection)  # type: ignore[no-untyped-call]
            # Where redis-py keeps its reader elsewhere, the replies are read one by one.
            known = hasattr(getattr(self, "_reader", None), "feed")
            connection.expect = self.expect if known else None
            connection.several = self.several if known else None
            # What the reader says where a reply has not come as a whole.
            reader: Any = self._reader
            self._nothing = reader.gets() if known else None

        def expect(self, replies: int) -> None:
            """Let the next `replies` replies come as one list, errors in their places."""
            reader: Any = self._reader
            reader.feed(b"*%d\r\n" % replies)

        async def several(self, replies: int) -> list[Any]:
            """The next `replies` replies, errors in their places; those behind them may have come already."""
            reader: Any = self._reader
            found: list[Any] = []
            while len(found) < replies:
                reply = reader.gets()
                if reply is self._nothing:
                    await self.read_from_socket()  # type: ignore[no-untyped-call]
                else:
                    found.append(reply)
            return found

    return BulkParser
