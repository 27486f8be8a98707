"""Somebody's script that keeps a server busy for a while."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from tests.support.servers import RunningServer

SOON = "lua-time-limit 50"
"""A line of configuration: a script is called busy soon."""
_SCRIPT = """
local began = redis.call('TIME')
repeat
  local now = redis.call('TIME')
until (now[1] - began[1]) + (now[2] - began[2]) / 1000000 > tonumber(ARGV[1])
return 1
"""


class Script:
    """A script of so many seconds: `start` sends it, once."""

    def __init__(self, server: RunningServer, seconds: float) -> None:
        self._server = server
        self._seconds = seconds
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Send it, and return when the server says that it is busy."""
        if self._thread is not None:
            return
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        while not self._busy():
            pass

    def _run(self) -> None:
        with self._server.client(socket_timeout=60) as client:
            client.eval(_SCRIPT, 0, self._seconds)

    def _busy(self) -> bool:
        try:
            with self._server.client(socket_timeout=10) as client:
                client.ping()
        except redis.ResponseError as error:
            return "BUSY" in str(error)
        return False

    def join(self) -> None:
        """Wait for its end."""
        if self._thread is not None:
            self._thread.join(60)


@contextmanager
def script(server: RunningServer, seconds: float) -> Iterator[Script]:
    """One that has ended when the context does."""
    made = Script(server, seconds)
    try:
        yield made
    finally:
        made.join()
