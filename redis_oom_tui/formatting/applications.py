"""The applications that were recognized in a scan: a table for people, and as JSON."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from redis_oom_tui.formatting.columns import Column, text_table
from redis_oom_tui.formatting.pattern_columns import name_of
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, known_bytes, percent, short_size
from redis_oom_tui.models.application import Confidence, Recognition, Recognized
from redis_oom_tui.models.scan import PatternRow, ScanView

if TYPE_CHECKING:
    from redis_oom_tui.formatting.documents.hogs import ApplicationFields, KindFields


def application_lines(recognition: Recognition, view: ScanView) -> list[str]:
    """A table of the applications; empty where none was recognized."""
    return text_table(recognition.found, application_columns(view)) if recognition.found else []


def application_columns(view: ScanView) -> tuple[Column[Recognized], ...]:
    """Columns of the applications in a scan, with their largest kinds of keys."""
    return (
        Column("size", "BYTES", 7, lambda one, _: short_size(known_bytes(one.size, one.keys)), align="right"),
        Column("share", "%", 6, lambda one, _: _share(one, view), align="right", heading="share"),
        Column("keys", "KEYS", 9, lambda one, _: count(one.keys), align="right"),
        Column("name", "APPLICATION", 20, lambda one, _: application_text(one)),
        Column("kinds", "MOST OF IT", 0, lambda one, _: _largest_kinds(one)),
    )


def _share(one: Recognized, view: ScanView) -> str:
    return percent(one.size / view.bytes_seen) if view.bytes_seen else "?"


def application_text(one: Recognized) -> str:
    """Its name, how sure it is, and its prefix where that is none of its own."""
    doubt = "" if one.confidence is Confidence.HIGH else f" ({one.confidence})"
    prefix = one.prefix.rstrip(b":")
    where = "" if prefix in (b"", one.application.prefix.encode()) else f" at {safe_text(name_of(one.prefix), 30)}"
    return f"{one.application.name}{doubt}{where}"


_KINDS_SHOWN = 3


def _largest_kinds(one: Recognized) -> str:
    found = _by_size(one)[:_KINDS_SHOWN]
    if one.finished:
        done = Counter[str]()
        for jobs in one.finished:
            done[jobs.state] += jobs.size
        states = ", ".join(f"{state} jobs ~{short_size(held)}" for state, held in done.most_common(_KINDS_SHOWN))
        return f"{states}; {_kinds(found)}"
    return _kinds(found)


def _kinds(found: Iterable[tuple[str, Sequence[PatternRow]]]) -> str:
    return ", ".join(f"{kind} {short_size(sum(row.size for row in rows))}" for kind, rows in found)


def _by_size(one: Recognized) -> list[tuple[str, Sequence[PatternRow]]]:
    return sorted(one.rows.items(), key=lambda item: -sum(row.size for row in item[1]))


def application_documents(recognition: Recognition) -> "list[ApplicationFields]":
    """Each application in JSON."""
    return [_document(one) for one in recognition.found]


def _document(one: Recognized) -> "ApplicationFields":
    application = one.application
    return {
        "name": application.name,
        "confidence": one.confidence.value,
        "db": one.db,
        "prefix": name_of(one.prefix),
        "keys": one.keys,
        "bytes": known_bytes(one.size, one.keys),
        "policy": application.policy or None,
        "kinds": [_kind(one, kind, rows) for kind, rows in _by_size(one)],
        "finished": [
            {
                "state": jobs.state,
                "instance": None if jobs.instance is None else name_of(jobs.instance),
                "jobs": jobs.jobs,
                "of_jobs": jobs.of_jobs,
                "exact": jobs.exact,
                "bytes": jobs.size,
                "bytes_low": jobs.low,
                "bytes_high": jobs.high,
            }
            for jobs in one.finished
        ],
        "settings": [
            {
                "name": setting.name,
                "bounds": list(setting.bounds),
                "default": setting.default,
                "value": setting.value,
                "where": setting.where or None,
                "link": setting.link or application.link,
            }
            for setting in application.settings
            if any(kind in one.rows for kind in setting.bounds)
        ],
    }


def _kind(one: Recognized, kind_id: str, rows: Sequence[PatternRow]) -> "KindFields":
    kind = one.application.kind(kind_id)
    keys, held = sum(row.keys for row in rows), sum(row.size for row in rows)
    return {
        "kind": kind_id,
        "use": kind.use.value,
        "loss": kind.loss.value,
        "keys": keys,
        "bytes": known_bytes(held, keys),
    }
