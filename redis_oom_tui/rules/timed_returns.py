"""Settings that were to go back by themselves, and did not: the tool that was to see to it was killed meanwhile."""

from collections.abc import Iterable, Sequence

from redis_oom_tui.formatting.settings import shown_value
from redis_oom_tui.formatting.sizes import duration
from redis_oom_tui.models.action import AuditEntry
from redis_oom_tui.models.settings import Setting

# A return takes a moment, and is tried again for some seconds where the server is away.
_LATE_SECONDS = 5.0


def overdue(history: Iterable[AuditEntry], now: float) -> tuple[AuditEntry, ...]:
    """The changes of which nothing tells that they went back, were kept, or were changed again; `now` is Unix seconds.

    The newest first. One that is due but a moment ago is not among them.
    """
    settled: set[tuple[str, str]] = set()
    found: list[AuditEntry] = []
    for entry in sorted(history, key=lambda one: one.at, reverse=True):
        place = entry.server, _setting(entry)
        if not entry.ok or not place[1] or place in settled:
            continue
        settled.add(place)
        if entry.action == "set" and entry.returns_at is not None and entry.returns_at + _LATE_SECONDS < now:
            found.append(entry)
    return tuple(found)


def not_returned(
    history: Iterable[AuditEntry], server: str, settings: Sequence[Setting], now: float, *, unread: bool = False
) -> tuple[str, ...]:
    """A sentence for each setting of `server` that still has the value that was to hold for a while only; with `unread`
    also for one whose value is not among `settings`.
    """
    values = {setting.name: setting.value for setting in settings}
    told: list[str] = []
    for entry in overdue(history, now):
        if entry.server != server or entry.change is None or entry.returns_at is None:
            continue
        name, old = entry.change.change.name, entry.change.change.old
        if old is not None and values.get(name) == entry.change.now != old:
            ago, was, still = duration(now - entry.returns_at), shown_value(name, old), shown_value(name, values[name])
            told.append(
                f"{name} was to go back to {was} {ago} ago, and the tool was killed before it did: it is {still} still"
            )
        elif unread and old is not None and name not in values:
            ago, was = duration(now - entry.returns_at), shown_value(name, old)
            told.append(f"{name} was to go back to {was} {ago} ago, and nothing tells that it did: look at it")
    return tuple(told)


def _setting(entry: AuditEntry) -> str:
    """What an entry is about, where that is a setting that was changed or kept."""
    if entry.change is not None:
        return entry.change.change.name
    return entry.what.partition(" ")[0] if entry.action == "keep" else ""
