"""What only this tool knows, for Prometheus: the verdict, the pressure, refused writes by command, time to full.

Built on the official client library, the extra `prometheus`, so import this only where it is asked for. Figures of a
server that does not answer are left out, never repeated: Prometheus then knows that they are gone.
"""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct
from prometheus_client import CollectorRegistry, Metric, start_http_server, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from redis_oom_tui import __version__
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import known_bytes
from redis_oom_tui.models.alert import Event, EventKind
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.snapshot import LimitSource, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Forecast
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.monitor.output import Note, aside
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.monitor.watch import Listener
from redis_oom_tui.rules.alerts import AlertBook
from redis_oom_tui.rules.policies import evictable_keys

_TOP_PATTERNS = 20
_EXPECTED = (OSError, ValueError)
_FAREWELL_SECONDS = 5.0


class Exposed(Struct, frozen=True):
    """All that is exposed, as one value: another thread may read it at any moment."""

    server: str
    state: ServerState | None = None
    polls: int = 0
    events: tuple[tuple[EventKind, int], ...] = ()
    scan: ScanView | None = None


class Metrics(Listener):
    """The exposed value as Prometheus sees it: what `prometheus_client` calls a collector."""

    name = "the metrics"

    def __init__(self, book: AlertBook) -> None:
        self._book = book
        self._polls = 0
        self._events: Counter[EventKind] = Counter()
        self._lock = threading.Lock()
        self._exposed = Exposed(book.server)

    def on_state(self, state: ServerState) -> None:
        """Expose this look."""
        self._polls += 1
        self._expose(state=state, polls=self._polls)

    def on_event(self, event: Event) -> None:
        """Count the event."""
        self._events[event.kind] += 1
        self._expose(events=tuple(self._events.items()))

    def scanned(self, view: ScanView) -> None:
        """Expose the patterns of this scan."""
        self._expose(scan=view)

    def collect(self) -> Iterator[Metric]:
        """Every family of metrics, by what is known now."""
        exposed = self._exposed
        yield from _own(exposed)
        state = exposed.state
        if state is not None and state.answer is not None:
            yield from _server(exposed.server, state.answer)
            yield from _trend(exposed.server, state.forecast)
        if exposed.scan is not None:
            yield from _patterns(exposed.server, exposed.scan)

    def _expose(self, **changes: object) -> None:
        with self._lock:
            self._exposed = replace(self._exposed, **changes)  # type: ignore[arg-type]


class CombinedMetrics:
    """The metrics of several servers as one collector: the format has each family once."""

    def __init__(self, each: Sequence[Metrics]) -> None:
        self._each = each

    def collect(self) -> Iterable[Metric]:
        """Every family, with the samples of all servers."""
        families: dict[str, Metric] = {}
        for metrics in self._each:
            for family in metrics.collect():
                families.setdefault(family.name, Metric(family.name, family.documentation, family.type)).samples.extend(
                    family.samples
                )
        return families.values()


Values = list[tuple[tuple[str, ...], float]]


def _gauge(name: str, what: str, server: str, values: Values, labels: tuple[str, ...] = ()) -> Metric:
    family = GaugeMetricFamily(f"redis_oom_{name}", what, labels=("server", *labels))
    for label_values, value in values:
        family.add_metric((server, *label_values), value)
    return family


def _counter(name: str, what: str, server: str, values: Values, labels: tuple[str, ...] = ()) -> Metric:
    family = CounterMetricFamily(f"redis_oom_{name}", what, labels=("server", *labels))
    for label_values, value in values:
        family.add_metric((server, *label_values), value)
    return family


def _own(exposed: Exposed) -> Iterator[Metric]:
    server, state = exposed.server, exposed.state
    yield _gauge("build_info", "The version of redis-oom-tui", server, [((__version__,), 1.0)], ("version",))
    yield _counter("looks", "Polls of the server", server, [((), exposed.polls)])
    events: Values = [((kind.value,), float(number)) for kind, number in exposed.events]
    yield _counter("events", "Events reported, by kind", server, events, ("event",))
    if state is None:
        return
    yield _gauge("up", "Whether the server answered the last poll", server, [((), float(state.answer is not None))])
    yield _gauge("last_look_timestamp_seconds", "When it was last polled", server, [((), state.sample.at)])
    for name, what, holds in (
        ("verdict", "The verdict of the last poll", state.verdict_now.level),
        ("alert", "The active alert, with hold time and hysteresis", state.alert),
    ):
        yield _gauge(name, what, server, [((level.value,), float(level is holds)) for level in Level], ("level",))


def _trend(server: str, forecast: Forecast) -> Iterator[Metric]:
    if forecast.seconds_to_limit is None:
        return
    low, high = forecast.seconds_to_limit
    values: Values = [(("low",), low)] if high is None else [(("low",), low), (("high",), high)]
    yield _gauge("seconds_to_limit", "Time to maxmemory at this growth", server, values, ("end",))


def _server(server: str, snapshot: Snapshot) -> Iterator[Metric]:
    memory, counters = snapshot.memory, snapshot.counters
    evictable = evictable_keys(memory.policy, snapshot)
    gauges: tuple[tuple[str, str, float | None], ...] = (
        ("pressure_ratio", "Counted memory over maxmemory; absent without a limit", memory.pressure),
        ("used_bytes", "used_memory", memory.used_bytes),
        ("counted_bytes", "What the server compares with maxmemory", memory.counted_bytes),
        ("maxmemory_bytes", "maxmemory, or --limit; absent without a limit", memory.maxmemory_bytes),
        ("limit_known", "Whether the limit, or that there is none, is known", float(not memory.limit_unknown)),
        (
            "limit_stated",
            "Whether maxmemory_bytes is stated (--limit)",
            float(memory.limit_source is LimitSource.OPERATOR),
        ),
        ("evictable_keys", "Keys that the policy may evict", evictable),
    )
    for name, what, value in gauges:
        if value is not None:
            yield _gauge(name, what, server, [((), float(value))])
    totals = (
        ("refused_writes", "Writes refused for lack of memory", counters.refused_writes_total),
        ("evicted_keys", "Keys evicted", counters.evicted_keys_total),
    )
    for name, what, total in totals:
        if total is not None:
            yield _counter(name, what, server, [((), float(total))])
    refused: Values = [((safe_text(name, 60),), float(n)) for name, n in counters.refused_by_command.items()]
    yield _counter("rejected_calls", "Calls refused before they ran, by command", server, refused, ("command",))


def _patterns(server: str, view: ScanView) -> Iterator[Metric]:
    # The top of the tree alone: its families do not overlap, so that sums are true.
    top = sorted((row for row in view.patterns if row.level == 1), key=lambda row: -row.size)[:_TOP_PATTERNS]
    named = [(safe_text(row.pattern, 100), "" if row.db is None else str(row.db), row) for row in top]
    labels = ("pattern", "db")
    sizes: Values = [((name, db), float(row.size)) for name, db, row in named if known_bytes(row.size, row.keys)]
    yield _gauge("pattern_bytes", "Bytes by key pattern, in the last scan", server, sizes, labels)
    keys: Values = [((name, db), float(row.keys)) for name, db, row in named]
    yield _gauge("pattern_keys", "Keys by key pattern, in the last scan", server, keys, labels)
    if known_bytes(view.volatile_bytes, view.volatile_keys) is not None:
        held: Values = [((), view.volatile_bytes)]
        yield _gauge("evictable_bytes", "Bytes of keys with a TTL, in the last scan", server, held)


class Endpoint:
    """An HTTP endpoint for a Prometheus server to scrape; open from when it is made."""

    def __init__(self, metrics: Metrics | CombinedMetrics, host: str, port: int) -> None:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(metrics)
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise BadInput(f"--prometheus {safe_text(host, 100)}:{port} cannot be opened: {reason}") from None
        self.port = int(self._server.server_port)

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class TextFile(Listener):
    """A file for node_exporter's textfile collector, replaced whole after each tick.

    A disk that hangs makes ticks fall out of the file; it makes nobody wait. A failure is said when it begins.
    """

    name = "the Prometheus file"

    def __init__(self, metrics: Metrics | CombinedMetrics, path: Path, log: Callable[[Note], None]) -> None:
        if not path.parent.is_dir():
            raise BadInput(f"--prometheus-file: there is no directory {safe_text(str(path.parent), 200)}")
        # It is replaced, whatever it is: /dev/null would be gone for everybody.
        if path.exists() and not path.is_file():
            raise BadInput(f"--prometheus-file: {safe_text(str(path), 200)} is not a plain file")
        registry = CollectorRegistry(auto_describe=False)
        registry.register(metrics)
        self._write = lambda: write_to_textfile(str(path), registry)
        self._log = log
        self._due = asyncio.Event()
        self._at = 0.0
        self._failing = False

    def on_state(self, state: ServerState) -> None:
        """The file is due."""
        self._at = state.sample.at
        self._due.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Write the file whenever it is due, until `stop` is set."""
        writing = asyncio.create_task(self._write_when_due())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((writing, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (writing, stopping):
                task.cancel()
            await asyncio.wait((writing, stopping))
        if not writing.cancelled():
            writing.result()
        if self._due.is_set():
            # The last look is in the file too.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL_SECONDS):
                    await self._write_once()

    async def _write_when_due(self) -> None:
        while True:
            await self._due.wait()
            await self._write_once()

    async def _write_once(self) -> None:
        self._due.clear()
        try:
            await aside(self._write, name="prometheus-file", expected=_EXPECTED)
            self._failing = False
        except asyncio.CancelledError:
            self._due.set()  # nobody knows whether it was written
            raise
        except _EXPECTED as error:
            if not self._failing:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                self._log(Note("metrics", f"the Prometheus file cannot be written: {reason}", self._at, Level.WARNING))
            self._failing = True
