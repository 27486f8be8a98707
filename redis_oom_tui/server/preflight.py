"""The first looks at a server, over a plain connection and in a thread, while the driver is still being loaded.

Loading the driver takes longer than most servers take to answer. So a thread of its own asks over a plain connection
what the driver would ask, by the same allowlist and with the same set-up commands. Whatever it does not understand is
left to the driver, which has a sentence for it.
"""

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import hiredis
from msgspec import Struct

from redis_oom_tui.models import errors
from redis_oom_tui.models.address import Address, Connection
from redis_oom_tui.models.errors import ServerUnreachable
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.command_allowlist import CommandAllowlist
from redis_oom_tui.server.resp import packed

Words = tuple[bytes, ...]

# As on the driver's connections (`client.py`), but for NO-TOUCH: no key is looked at here. A server that does not know
# one of them refuses it, and that is all.
_SETUP: tuple[Words, ...] = ((b"CLIENT", b"SETNAME", b"redis-oom-tui"), (b"CLIENT", b"NO-EVICT", b"ON"))
_READ_BYTES = 65_536
_MOST_BYTES = 64 * 2**20


class LeftToTheDriver(Exception):
    """The server answered something that only redis-py has words for."""


class RawConnection:
    """Connects at once; raises OSError where that fails, TimeoutError for silence, both for `ask` too."""

    @staticmethod
    def suits(connection: Connection) -> bool:
        """Whether it can get there: over TLS, to a cluster and through Sentinels it cannot."""
        return connection.tls is None and connection.sentinel is None and not connection.cluster

    def __init__(self, connection: Connection) -> None:
        self._allowlist = CommandAllowlist(read_only=True)
        self._reader = hiredis.Reader()
        self._login = _login(connection)
        self._introduced = False
        self._socket = _connected(connection)
        self._socket.settimeout(connection.read_timeout_seconds)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def ask(self, *commands: Words) -> list[Any]:
        """The replies, all in one round trip, with the login and the set-up commands before the first.

        A refusal is a `hiredis.ReplyError` among them. Raises LeftToTheDriver where the login is refused.
        """
        before = () if self._introduced else (*self._login, *_SETUP)
        self._introduced = True
        replies = self._exchange((*before, *commands))
        if any(reply != b"OK" for reply in replies[: len(before) and len(self._login)]):
            raise LeftToTheDriver
        return replies[len(before) :]

    def _exchange(self, commands: Sequence[Words]) -> list[Any]:
        for command in commands:
            self._allowlist.admit(command)
        self._socket.sendall(b"".join(map(packed, commands)))
        replies: list[Any] = []
        taken = 0
        while len(replies) < len(commands):
            data = self._socket.recv(_READ_BYTES)
            taken += len(data)
            if not data or taken > _MOST_BYTES:
                raise LeftToTheDriver
            replies += self._complete(data)
        return replies

    def _complete(self, data: bytes) -> list[Any]:
        """The replies that `data` brings to their end."""
        self._reader.feed(data)
        replies: list[Any] = []
        try:
            while (reply := self._reader.gets()) is not False:
                replies.append(reply)
        except hiredis.ProtocolError:
            raise LeftToTheDriver from None
        return replies


def _connected(connection: Connection) -> socket.socket:
    where, patience = connection.address, connection.connect_timeout_seconds
    if where.socket_path is None:
        line = socket.create_connection((where.host, where.port), timeout=patience)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return line
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(patience)
    try:
        line.connect(where.socket_path)
    except OSError:
        line.close()
        raise
    return line


def _login(connection: Connection) -> tuple[Words, ...]:
    if connection.username is None and connection.password is None:
        return ()
    password = b"" if connection.password is None else connection.password.reveal().encode()
    return ((b"AUTH", *(() if connection.username is None else (connection.username.encode(),)), password),)


if TYPE_CHECKING:
    from redis_oom_tui.models.address import ClientBuffer
    from redis_oom_tui.models.capabilities import Capabilities
    from redis_oom_tui.models.snapshot import Snapshot

_INFO: Words = (b"INFO", b"all")
_STEP_SECONDS = 0.25
_CLIENTS: Words = (b"CLIENT", b"LIST")


class RawSample(Struct, frozen=True):
    """One look as it came: INFO, and with a closer one CONFIG GET's replies and CLIENT LIST. Times in seconds.

    `too_long` says why CLIENT LIST was not asked for, where it was not.
    """

    address: Address
    info: bytes
    more: tuple[Any, ...]
    monotonic: float
    wall: float
    took: float
    stated_limit: int | None = None
    too_long: str | None = None

    def snapshot(self) -> "Snapshot":
        """What INFO said. Raises NotRedis for a Sentinel, and CommandRefused where used_memory is held back."""
        from redis_oom_tui.rules.info import snapshot_from_info  # noqa: PLC0415 - the server is asked before it loads

        return snapshot_from_info(
            self.fields(),
            address=self.address,
            monotonic=self.monotonic,
            wall=self.wall,
            took=self.took,
            stated_limit=self.stated_limit,
        )

    def fields(self) -> Mapping[str, object]:
        """INFO's fields as text."""
        from redis_oom_tui.server.replies import info_in  # noqa: PLC0415 - likewise

        return info_in(self.info)

    def settings(self) -> Mapping[str, str]:
        """The settings that a diagnosis looks at, as far as they may be read."""
        from redis_oom_tui.server.replies import settings_in  # noqa: PLC0415 - likewise

        return settings_in(self.more[:-1])

    def capabilities(self) -> "Capabilities":
        """What was found to be refused: the settings, as far as this look asked for them, and too long a list."""
        from redis_oom_tui.models.capabilities import Feature  # noqa: PLC0415 - likewise
        from redis_oom_tui.server.replies import refused_settings  # noqa: PLC0415 - likewise

        known = refused_settings(self.more[:-1])
        return known if self.too_long is None else known.without(Feature.CLIENT_LIST, self.too_long)

    def clients(self) -> "tuple[ClientBuffer, ...]":
        """The clients, the largest holders of memory first; none where they may not be listed."""
        from redis_oom_tui.server.replies import client_buffers, clients_in  # noqa: PLC0415 - likewise

        lines = self.more[-1] if self.more else None
        return client_buffers(clients_in(lines)) if isinstance(lines, bytes) else ()


class Preflight:
    """Asks at once, in a thread of its own that ends with the process: once, or closer again after `again_after`."""

    def __init__(self, connection: Connection, *, again_after: float | None = None) -> None:
        self._connection = connection
        self._again_after = again_after
        self._samples: list[RawSample] = []
        self._first = threading.Event()
        self.silent = False
        # Set where nobody is there: then the driver has no more to say, and need not be loaded for it.
        self.unreachable: ServerUnreachable | None = None
        self._thread = threading.Thread(target=self._ask, name="preflight", daemon=True)
        self._thread.start()

    @staticmethod
    def suits(connection: Connection) -> bool:
        """Whether a plain line gets there."""
        return RawConnection.suits(connection)

    @property
    def over(self) -> bool:
        """Whether the first look was had, or has failed."""
        return self._first.is_set()

    def first(self, patience: float | None = None) -> RawSample | None:
        """The first look: waits for it, so many seconds at most; None where it is not to be had, or not yet."""
        self._first.wait(patience)
        return self._samples[0] if self._samples else None

    def closer(self) -> RawSample | None:
        """The second look, with settings and clients; None where it is not to be had. `silent` says that it was
        waited for in vain."""
        self._thread.join()
        return self._samples[1] if len(self._samples) > 1 else None

    def again(self, seconds: float, enough: Callable[[RawSample], bool]) -> None:
        """More looks over a line of their own, until so long after the first one, or until one is `enough`.

        Raises what `RawConnection` raises.
        """
        until = self._samples[0].monotonic + seconds
        line = RawConnection(self._connection)
        try:
            while (left := until - time.monotonic()) > 0:
                time.sleep(min(left, _STEP_SECONDS))
                self._take_sample(line)
                if enough(self._samples[-1]):
                    break
        finally:
            line.close()

    def latest(self) -> RawSample:
        """The last look, after a first one."""
        return self._samples[-1]

    def _ask(self) -> None:
        try:
            line = RawConnection(self._connection)
            try:
                self._take_sample(line)
                self._first.set()
                if self._again_after is not None:
                    time.sleep(max(0.0, self._again_after - (time.monotonic() - self._samples[0].monotonic)))
                    self._take_closer(line)
            finally:
                line.close()
        except TimeoutError:
            self.silent = True
        except (ConnectionRefusedError, FileNotFoundError, socket.gaierror) as error:
            self.unreachable = _nobody(error, self._connection.address)
        except (OSError, ValueError, LeftToTheDriver):
            pass
        finally:
            self._first.set()

    def _take_closer(self, line: RawConnection) -> None:
        """With CLIENT LIST only where its reply has room below maxmemory: a full server would evict for it."""
        too_long = _too_long(self._samples[0])
        self._take_sample(line, *_settings(), *(() if too_long else (_CLIENTS,)))
        if too_long:
            last = self._samples[-1]
            self._samples[-1] = replace(last, more=(*last.more, None), too_long=too_long)

    def _take_sample(self, line: RawConnection, *more: Words) -> None:
        began = time.monotonic()
        info, *others = line.ask(_INFO, *more)
        if not isinstance(info, bytes) or b"redis_version:" not in info:
            raise LeftToTheDriver
        now = time.monotonic()
        where, stated = self._connection.address, self._connection.stated_limit_bytes
        self._samples.append(RawSample(where, info, tuple(others), now, time.time(), now - began, stated))


def _nobody(error: OSError, where: Address) -> ServerUnreachable:
    if isinstance(error, ConnectionRefusedError):
        return ServerUnreachable(errors.refuses_connections(where))
    if isinstance(error, FileNotFoundError):
        return ServerUnreachable(errors.does_not_exist(where))
    return ServerUnreachable(errors.cannot_be_resolved(where))


def _too_long(sample: RawSample) -> str | None:
    from redis_oom_tui.rules.headroom import headroom_in, list_of_clients  # noqa: PLC0415 - not before the first look

    fields = sample.fields()
    clients = str(fields.get("connected_clients", ""))
    free = headroom_in(fields, sample.stated_limit)
    return list_of_clients(int(clients) if clients.isdecimal() else None, free)


def _settings() -> tuple[Words, ...]:
    from redis_oom_tui.server.replies import PATTERNS  # noqa: PLC0415 - not before the first look

    return tuple((b"CONFIG", b"GET", pattern.encode()) for pattern in PATTERNS)
