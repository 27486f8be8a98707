"""What a scan of two seconds tells of all keys: how often its intervals hold the truth, and how wide they are."""

import argparse
import asyncio
from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

from redis_oom_tui.models.scan import Pace, PatternRow, ScanOptions, ScanState, ScanView
from redis_oom_tui.server.live import LiveServer
from tests.benchmarks.figures import Column, Table
from tests.support.servers import RunningServer

_SECONDS = 2.0
_TOP = 10
_LARGE_SHARE, _SMALL_SHARE = 0.05, 0.01
_COLUMNS = (
    Column("trials"),
    Column("keys seen"),
    Column("largest ten named", ".1%"),
    Column("inside the 95% interval", ".1%"),
    Column("error, median", ".1%"),
    Column("error, p95", ".1%"),
    Column("widest interval over 5% of the bytes, ±", ".1%"),
)


class Trial(NamedTuple):
    """One scan of two seconds: shares of the ten largest named, of intervals that held, and relative errors."""

    seen: int
    named: float
    held: list[bool]
    errors: list[float]
    widest: float


def truth(server: RunningServer, given: argparse.Namespace) -> Iterator[Table]:
    """The server is started anew from its dump before each trial: another process walks its keys in another order."""
    with server.client(socket_timeout=120) as client:
        client.save()
    # Loaded from a dump, a set takes less than one that grew: the whole scan, too, is of a loaded server.
    server.kill()
    server.start()
    whole = asyncio.run(_scan(server, None))
    if whole.state is not ScanState.COMPLETE:
        raise RuntimeError(whole.error)
    known = {row.pattern: row for row in whole.patterns}
    found = []
    for _ in range(given.trials):
        server.kill()
        server.start()
        found.append(_compare(asyncio.run(_scan(server, _SECONDS)), known))
    limit = "The goal: 95% inside, and no interval wider than ±10% for a pattern over 5% of the bytes."
    title = f"What {_SECONDS:.0f} seconds at the default pace tell of {given.keys:,} keys"
    table = Table("truth", title, _COLUMNS, limit)
    held = [one for trial in found for one in trial.held]
    errors = sorted(error for trial in found for error in trial.errors)
    table.row(
        "patterns by bytes",
        len(found),
        median(trial.seen for trial in found),
        sum(trial.named for trial in found) / len(found),
        sum(held) / len(held),
        median(errors),
        errors[int(len(errors) * 0.95)],
        max(trial.widest for trial in found),
    )
    yield table


async def _scan(server: RunningServer, seconds: float | None) -> ScanView:
    source = LiveServer(server.connection)
    await source.open()
    try:
        running = source.scan(ScanOptions(pace=Pace.FULL_SPEED if seconds is None else Pace.NORMAL))
        if seconds is not None:
            asyncio.get_running_loop().call_later(seconds, running.stop)
        return await running.run()
    finally:
        await source.close()


def _compare(view: ScanView, known: dict[bytes, PatternRow]) -> Trial:
    # Below one percent, many patterns are about as large, and which of them comes first means nothing.
    largest = {row.pattern for row in _largest(list(known.values())) if row.share > _SMALL_SHARE}
    named = {row.pattern for row in _largest(list(view.patterns))}
    held, errors, widths = [], [], [0.0]
    for row in view.patterns:
        estimate, real = row.estimated_bytes, known.get(row.pattern)
        if estimate is None or real is None or real.pattern not in largest:
            continue
        held.append(estimate.low <= real.size <= estimate.high)
        errors.append(abs(estimate.value - real.size) / real.size)
        if real.share > _LARGE_SHARE:
            widths.append((estimate.high - estimate.low) / 2 / estimate.value)
    return Trial(view.scanned_keys, len(largest & named) / len(largest), held, errors, max(widths))


def _largest(rows: list[PatternRow]) -> list[PatternRow]:
    return sorted(rows, key=lambda row: -_bytes(row))[:_TOP]


def _bytes(row: PatternRow) -> float:
    return row.size if row.estimated_bytes is None else row.estimated_bytes.value
