"""What `hogs` says to people: a summary, a table of keys or families, what grew, and a line of progress."""

from collections.abc import Iterable, Sequence

from redis_oom_tui.formatting.key_sizes import kind_of_sum, mark, mark_of_sum, range_cell
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, duration, known_bytes, percent, short_size, size
from redis_oom_tui.models.keys import KeyRow, SizeKind
from redis_oom_tui.models.scan import Comparison, PatternChange, PatternRow, ScanState, ScanView

_NAME = 200


def progress(view: ScanView) -> str:
    """The scan in one line while it runs."""
    left = "" if view.remaining_seconds is None else f", about {duration(view.remaining_seconds)} left"
    cost = f", {view.brake.words}" if view.brake.words else ""
    speed = f"{count(round(view.keys_per_second))} keys/s"
    return f"{percent(view.share_scanned)}: {count(view.scanned_keys)} keys, {speed}{left}{cost}"


def summary(view: ScanView) -> list[str]:
    """What was seen, how much of everything that is, and what was left out."""
    if not view.scanned_keys and view.state is ScanState.FAILED:
        return [f"none of {count(view.total_keys)} keys was seen", *map(safe_text, view.notes)]
    if view.complete and not view.scanned_keys and view.total_keys and not (view.refused_keys or view.vanished_keys):
        return [f"none of the {count(view.total_keys)} keys matches", *map(safe_text, view.notes)]
    held = known_bytes(view.bytes_seen, view.scanned_keys)
    about = mark_of_sum(kind_of_sum((row.type for row in view.types), held, view))
    lines = [f"{count(view.scanned_keys)} keys, {about}{size(held)}, {_reach(view)}"]
    if view.estimated_bytes is not None and not view.complete and view.bytes_seen:
        whole = view.estimated_bytes
        lines.append(
            f"all keys together: about {size(round(whole.value))}, "
            f"with 95 % certainty {size(round(whole.low))} to {size(round(whole.high))}"
        )
    if view.contradiction is not None:
        lines.append(safe_text(view.contradiction, 400))
    elif view.explained_share is not None:
        lines.append(f"{percent(view.explained_share)} of used_memory is in these keys")
    if view.scanned_keys and view.ttls_told:
        share = view.volatile_keys / view.scanned_keys
        expiring = size(known_bytes(view.volatile_bytes, view.volatile_keys))
        lines.append(f"{count(view.volatile_keys)} keys ({percent(share)}) have a TTL, {expiring}")
    if view.types:
        kinds = ", ".join(
            f"{safe_text(row.type, 20)} {_sum((row.type,), row.size, row.keys, view)} in {count(row.keys)}"
            for row in view.types
        )
        lines.append(f"by type: {kinds}")
    if view.vanished_keys:
        lines.append(f"{count(view.vanished_keys)} keys went away while they were looked at")
    if view.refused_keys:
        lines.append(f"{count(view.refused_keys)} keys may not be read by this user")
    return lines + [safe_text(note) for note in view.notes]


def _sum(types: Iterable[str], held: int, keys: int, view: ScanView) -> str:
    known = known_bytes(held, keys)
    return f"{mark_of_sum(kind_of_sum(types, known, view))}{size(known)}"


def keys(rows: Sequence[KeyRow], view: ScanView) -> list[str]:
    """A table of keys. `~` marks an estimate, with its range in a column of its own; `!` one of which the server
    answered more than it uses in all; a `?` a key that does not tell its size.
    """
    several = len({row.id.db for row in rows}) > 1
    ranges = any(row.size is not None and row.size_kind is SizeKind.ESTIMATED for row in rows)
    head = f"{'bytes':>8}  {'from - to':>15}" if ranges else f"{'bytes':>8}"
    lines = [f"{head}  {'share':>5}  {'type':<7} {'ttl':>7} {'idle':>7}  {'db ' if several else ''}key"]
    for row in rows:
        share = None if not view.bytes_seen or row.size is None else row.size / view.bytes_seen
        ttl = duration(row.ttl_ms / 1000) if row.ttl_ms is not None else "-" if view.ttls_told else "?"
        idle = f"f{row.frequency}" if row.frequency is not None else duration(row.idle_seconds)
        held = f"{short_size(row.size):>7}{'!' if row.suspect else mark(row)}"
        held += f"  {range_cell(row):>15}" if ranges else ""
        db = f"{row.id.db:<2} " if several else ""
        kind = safe_text(row.type, 7)
        figures = f"{held}  {percent(share):>5}  {kind:<7} {ttl:>7} {idle:>7}"
        node = f"  @{safe_text(row.id.node, 60)}" if row.id.node else ""
        lines.append(f"{figures}  {db}{safe_text(row.id.key, _NAME)}{node}")
    return lines


def patterns(rows: Sequence[PatternRow], view: ScanView) -> list[str]:
    """A table of families, each level indented under the one that holds it."""
    several = len({row.db for row in rows}) > 1
    lines = [f"{'bytes':>8}  {'share':>5} {'keys':>12} {'average':>8} {'no ttl':>6}  {'db ' if several else ''}pattern"]
    for row in rows:
        held = known_bytes(row.size, row.keys)
        average = held // row.keys if row.keys and held is not None else None
        part = percent(None if held is None or view.refused_keys else row.share)
        no_ttl = row.no_ttl_keys / row.keys if row.keys and view.ttls_told else None
        db = f"{row.db if row.db is not None else '':<2} " if several else ""
        about = mark_of_sum(kind_of_sum((kind for kind, _ in row.types), held, view, exact=row.sizes_exact))
        figures = f"{about + short_size(held):>8}  {part:>5} {count(row.keys):>12} {short_size(average):>8}"
        lines.append(f"{figures} {percent(no_ttl):>6}  {db}{'  ' * (row.level - 1)}{safe_text(row.pattern, _NAME)}")
    return lines


def changes(comparison: Comparison, top: int) -> list[str]:
    """What grew and what shrank since an earlier scan."""
    since = duration(max(0.0, comparison.now_at - comparison.before_at))
    lines = [f"since the earlier scan, {since} ago:", *(f"note: {safe_text(note)}" for note in comparison.notes)]
    lines.append(f"{'grown by':>9} {'keys':>12} {'bytes now':>9}  pattern")
    several = len({change.db for change in comparison.patterns}) > 1
    # The note names the pattern by which the others can be compared.
    told = [change for change in comparison.patterns if change.within is None]
    shown = (comparison.whole, *told[:top])
    return lines + [_changed(change, several=several and change.db is not None) for change in shown]


def _changed(change: PatternChange, *, several: bool) -> str:
    grown = "?" if change.bytes_grown is None else f"{'+' if change.bytes_grown > 0 else ''}{_signed(change)}"
    more = "?" if change.keys_grown is None else f"{change.keys_grown:+,}"
    doubt = f"  ({change.doubt})" if change.doubt else ""
    name = safe_text(change.pattern, _NAME) + (f" of db {change.db}" if several else "")
    return f"{grown:>9} {more:>12} {short_size(change.bytes_now):>9}  {name}{doubt}"


def _signed(change: PatternChange) -> str:
    grown = change.bytes_grown or 0
    return f"-{short_size(-grown)}" if grown < 0 else short_size(grown)


def _reach(view: ScanView) -> str:
    took = f"in {view.elapsed_seconds:.1f} s"
    if view.complete:
        return f"{'all that this user may read' if view.refused_keys else 'all of them'}, {took}"
    # Of a scan that could not be gone on with, only the share is known.
    of = f"{percent(view.share_scanned)} of {f'{count(view.total_keys)} keys' if view.total_keys else 'all'}, {took}"
    ended = {
        ScanState.SAMPLED: "a sample",
        ScanState.STOPPED: "stopped early",
        ScanState.FAILED: "broken off",
    }.get(view.state, "so far")
    return f"{ended}: {of}"
