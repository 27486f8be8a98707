"""Somebody's script that keeps a server busy for a while."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from tests.support.servers import RunningServer

SOON = "lua-time-limit 50"
"""A line of configuration: a script is called busy soon."""
_ENDLESS = "while true do redis.call('TIME') end"


class Script:
    """A script that is ended so many seconds after the server called itself busy: `start` sends it, once."""

    def __init__(self, server: RunningServer, seconds: float) -> None:
        self._server = server
        self._timer = threading.Timer(seconds, self.kill)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._sent = False

    def start(self) -> None:
        """Send it, and return when the server says that it is busy."""
        if self._sent:
            return
        self._sent = True
        self._thread.start()
        while not self._busy():
            assert self._thread.is_alive()
        self._timer.start()

    def _run(self) -> None:
        try:
            with self._server.client(socket_timeout=60) as client:
                client.eval(_ENDLESS, 0)
        except redis.ResponseError as error:
            if "killed" not in str(error):
                raise

    def _busy(self) -> bool:
        try:
            with self._server.client(socket_timeout=10) as client:
                client.ping()
        except redis.ResponseError as error:
            return "BUSY" in str(error)
        return False

    def kill(self) -> None:
        """End it now."""
        self._timer.cancel()
        with self._server.client() as client:
            client.script_kill()

    def join(self) -> None:
        """Wait for its end; a test that never sent it shows nothing."""
        assert self._sent
        self._thread.join(60)


@contextmanager
def script(server: RunningServer, seconds: float) -> Iterator[Script]:
    """One that has ended when the context does."""
    made = Script(server, seconds)
    yield made
    made.join()
