"""What `watch` writes: a line a tick for people, one JSON object a line for machines. Both are pure."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from redis_oom_tui.formatting import SCHEMA
from redis_oom_tui.formatting.check import memory_fields, server_fields
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.server import share_of_limit
from redis_oom_tui.formatting.sizes import count, full_in, lasting, number_of, size
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.alert import Event, EventKind, Silence
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.trend import Forecast, Rates, Trend
from redis_oom_tui.models.verdict import Level, Verdict

if TYPE_CHECKING:
    from redis_oom_tui.formatting.documents.watch import EventLine, TickLine

# syslog's numbers, which journald reads off the start of a line written to it.
_PRIORITY = {Level.OK: 6, Level.WARNING: 4, Level.CRITICAL: 2, Level.OOM: 2, Level.UNKNOWN: 3}
_WIDTH = max(len(level.value) for level in Level)


def priority(level: Level) -> str:
    """The prefix by which journald knows how urgent a line is.

    >>> priority(Level.OOM), priority(Level.OK)
    ('<2>', '<6>')
    """
    return f"<{_PRIORITY[level]}>"


def tick_line(snapshot: Snapshot, verdict: Verdict, rates: Rates, forecast: Forecast | None = None) -> str:
    """One look, for people: the level, what counts, what happened since the last one, where it leads, the sentence."""
    memory = snapshot.memory
    parts = [
        verdict.level.value.ljust(_WIDTH),
        f"{size(memory.used_bytes)} ({share_of_limit(memory)})",
        f"refused {_gain(rates.refused_writes, snapshot.counters.refused_writes_total)}",
        f"evicted {_gain(rates.evicted_keys, snapshot.counters.evicted_keys_total)}",
    ]
    if forecast is not None and forecast.seconds_to_limit is not None:
        parts.append(full_in(*forecast.seconds_to_limit))
    return "  ".join((*parts, safe_text(verdict.reason)))


def silence_line(silence: Silence, waiting: float) -> str:
    """A tick without an answer: for how long by now, once that is a second, and why.

    >>> silence_line(Silence(0, 0, "connection refused"), 12.0)
    'unknown   no answer for 12s  connection refused'
    >>> silence_line(Silence(0, 0, "connection refused"), 0.0)
    'unknown   no answer  connection refused'
    """
    return f"{Level.UNKNOWN.value.ljust(_WIDTH)}  no answer{lasting(waiting)}  {safe_text(silence.reason)}"


def event_line(event: Event) -> str:
    """An event, for people."""
    lasted = lasting(event.lasted_seconds, "lasted ")
    return f"EVENT {event.number} {event.kind.value}{f' ({lasted})' if lasted else ''}: {safe_text(event.reason)}"


def tick_object(
    snapshot: Snapshot, verdict: Verdict, rates: Rates, forecast: Forecast | None = None, *, alert: Level
) -> "TickLine":
    """One look, for machines: the fields of `check --json`, with what happened since the last one."""
    address, counters = snapshot.server.address, snapshot.counters
    soonest, latest = (forecast and forecast.seconds_to_limit) or (None, None)
    return {
        "schema": SCHEMA,
        "type": "tick",
        "at": iso(snapshot.taken_at),
        "verdict": verdict.level.value,
        "rule": verdict.rule,
        "reason": safe_text(verdict.reason),
        "alert": alert.value,
        "server": server_fields(address, snapshot),
        "memory": memory_fields(snapshot.memory),
        "keys_total": snapshot.keys,
        "keys_with_ttl_total": snapshot.expires,
        "refused_writes_total": counters.refused_writes_total,
        "evicted_keys_total": counters.evicted_keys_total,
        "since_last": {
            "seconds": rates.seconds,
            "refused_writes": rates.refused_writes,
            "refused_by_command": {safe_text(name): number for name, number in rates.refused_by_command.items()},
            "evicted_keys": rates.evicted_keys,
            "growth_bytes": rates.growth_bytes,
            "restarted": rates.restarted,
        },
        "trend": None if forecast is None or forecast.trend is Trend.UNKNOWN else forecast.trend.value,
        "full_in_low_seconds": soonest,
        "full_in_high_seconds": latest,
    }


def silence_object(silence: Silence, waiting: float, *, address: Address, alert: Level) -> "TickLine":
    """A tick without an answer, for machines."""
    return {
        "schema": SCHEMA,
        "type": "tick",
        "at": iso(silence.at),
        "verdict": Level.UNKNOWN.value,
        "rule": "unknown",
        "reason": safe_text(silence.reason),
        "alert": alert.value,
        "server": server_fields(address, None),
        "memory": memory_fields(None),
        "silent_seconds": waiting,
    }


def event_object(event: Event) -> "EventLine":
    """An event, for machines and hooks."""
    figures = event.figures
    return {
        "schema": SCHEMA,
        "type": "event",
        "number": event.number,
        "event": event.kind.value,
        "at": iso(event.at),
        "server": event.server,
        "level": event.level.value,
        "before": event.before.value,
        "rule": event.rule,
        "reason": safe_text(event.reason),
        "lasted_seconds": event.lasted_seconds,
        "used_bytes": figures.used_bytes,
        "maxmemory_bytes": figures.maxmemory_bytes,
        "limit_source": figures.limit_source.value,
        "pressure": figures.pressure,
        "policy": None if figures.policy is None else safe_text(figures.policy),
        "refused_writes_total": figures.refused_writes_total,
        "evicted_keys_total": figures.evicted_keys_total,
    }


def missing_line(lines: int) -> str:
    """What stands where lines fell out because nobody took them, for people."""
    return f"({number_of(lines, 'line')} dropped: output is too slow)\n"


def missing_object(lines: int) -> str:
    """The same for machines, as a whole line."""
    return json_line({"schema": SCHEMA, "type": "missing", "lines": lines}) + "\n"


def event_title(event: Event) -> str:
    """An event in one line that stands alone, for a chat or a subject.

    >>> from redis_oom_tui.models.verdict import Level
    >>> event_title(Event(1, EventKind.OOM, 0.0, "cache-1:6379", Level.OOM, Level.OK, "Refusing writes at 100%."))
    'OOM on cache-1:6379: Refusing writes at 100%.'
    """
    word = "OOM" if event.kind is EventKind.OOM else event.kind.value.capitalize()
    return f"{word} on {event.server}: {safe_text(event.reason)}"


def json_line(value: Mapping[str, object]) -> str:
    """One JSON object without a line break; ASCII, for logs of every kind."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def iso(moment: float) -> str:
    """A moment in UTC.

    >>> iso(0)
    '1970-01-01T00:00:00.000Z'
    """
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _gain(gain: int | None, total: int | None) -> str:
    return f"+{count(gain)}" if gain is not None else f"{count(total)} in all"
