"""A server in the making: what clients do to it, by which a test brings it into a state."""

import socket
from collections.abc import Iterable, Sequence
from contextlib import ExitStack

import redis

from tests.support.servers import RunningServer
from tests.support.shapes import used_at_rest
from tests.support.waiting import until


class Scene:
    """A server in the making: `client` for the test's own hands, `hold` for connections that stay until the end."""

    def __init__(self, server: RunningServer, stack: ExitStack) -> None:
        self.server = server
        self.client: redis.Redis = stack.enter_context(server.client())
        self._stack = stack

    def hold(
        self, *commands: tuple[bytes, ...], raw: bytes = b"", count: int = 1, before: bytes = b""
    ) -> list[socket.socket]:
        """Connections that send this and then neither go on nor read."""
        lines = [self._stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(count)]
        for line in lines:
            line.connect(self.server.socket_path)
            line.sendall(before + b"".join(map(packed, commands)) + raw)
        return lines

    def keys(self, count: int, size: int, name: str = "k", ttl: int | None = None) -> None:
        """So many strings; writes that are refused are let go."""
        pipeline = self.client.pipeline(transaction=False)
        for number in range(count):
            pipeline.set(f"{name}:{number}", b"x" * size, ex=ttl)
        pipeline.execute(raise_on_error=False)

    def used(self) -> int:
        return int(self.client.info("memory")["used_memory"])

    def limit_at(self, share: float) -> None:
        """Set maxmemory so that what is used is `share` of it once buffers that are not needed any more are gone."""
        self.client.config_set("maxmemory", int(used_at_rest(self.client) / share))

    def wait(self, section: str, field: str, at_least: int) -> None:
        """Until INFO tells so much."""
        until(lambda: int(self.client.info(section)[field]) >= at_least, f"{field} {at_least}")

    def several(self, commands: Iterable[tuple[object, ...]]) -> None:
        pipeline = self.client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        pipeline.execute(raise_on_error=False)


def packed(words: Sequence[bytes]) -> bytes:
    """A command as it goes over the wire."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
