"""The form of a cleanup: what a person fills in, line by line, and the criteria that it means."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from redis_oom_tui.formatting.criteria import one_line
from redis_oom_tui.formatting.sanitize import escape_exact, unescape_exact
from redis_oom_tui.formatting.sizes import parse_duration, parse_size, plain_number
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyId, KeyPattern
from redis_oom_tui.models.plan import Criteria, Operation, Order, TtlFilter
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import key_patterns

ANY = "any"
TYPES = (ANY, "string", "hash", "list", "set", "zset", "stream")


class Form(Struct, frozen=True):
    """The form as it stands, in the words that were typed; `marks` are keys by name (marked rows, one key,
    orphans), to which the rest then applies.

    `chosen` is a pattern that was taken from a row; `pattern` is then its text, and stands for it until it is edited.
    """

    match: str = ""
    pattern: str = ""
    type: str = ANY
    database: str = ""
    idle: str = ""
    ttl: str = TtlFilter.ANY.value
    larger: str = ""
    max_keys: str = ""
    max_bytes: str = ""
    order: str = Order.LARGEST.value
    operation: str = Operation.DELETE.value
    within: str = "10m"
    marks: tuple[KeyId, ...] = ()
    chosen: KeyPattern | None = None
    node: str = ""
    hidden: int = 0
    origin: str = ""


class Entry(Struct, frozen=True):
    """A line of the form: its field, what it is called, what may be typed or chosen there."""

    field: str
    label: str
    hint: str
    choices: tuple[str, ...] = ()


ENTRIES = (
    Entry("match", "Key pattern", "globs such as session:*, cart:*; bytes as \\xNN"),
    Entry("pattern", "Pattern", "as in Hogs: user:<id>, or user:* for all below it"),
    Entry("type", "Type", "", TYPES),
    Entry("database", "Database", "db numbers, comma-separated; empty = all"),
    Entry("node", "Node", "a primary of the cluster, HOST:PORT; empty = all of them"),
    Entry("idle", "Idle longer than", "e.g. 30d or 12h; needs idle times that can be trusted"),
    Entry("ttl", "TTL", "", tuple(TtlFilter)),
    Entry("larger", "Larger than", "a size, e.g. 1mb"),
    Entry("max_keys", "Max keys", "a number"),
    Entry("max_bytes", "Max bytes", "a size, e.g. 2gb"),
    Entry("order", "Order", "", tuple(Order)),
    Entry("operation", "Action", "", tuple(Operation)),
    Entry("within", "Spread expiry", "TTLs are spread over this period, e.g. 10m"),
)


def entries(form: Form) -> tuple[Entry, ...]:
    """The lines that apply: a time to expire within only where keys expire, an order only where there is a limit, a
    pattern only where one was taken from a row, a node only where one was proposed.
    """
    left_out = {field for field, text in (("pattern", form.pattern), ("node", form.node)) if not text}
    if form.operation != Operation.EXPIRE:
        left_out.add("within")
    if not form.max_keys and not form.max_bytes:
        left_out.add("order")
    return tuple(entry for entry in ENTRIES if entry.field not in left_out)


def value(form: Form, entry: Entry) -> str:
    """What stands in a line."""
    return str(getattr(form, entry.field))


def with_value(form: Form, entry: Entry, text: str) -> Form:
    """The form with another text in that line. Raises BadInput where the text means nothing there."""
    changed = _replaced(form, entry, text if entry.field in {"match", "pattern"} else text.strip())
    criteria(changed)
    expire_seconds(changed)
    return changed


def turned(form: Form, entry: Entry, by: int = 1) -> Form:
    """The form with the next choice in that line. What stands there may be none of them, such as a module's type."""
    now = value(form, entry)
    choices = entry.choices if now in entry.choices else (now, *entry.choices)
    return _replaced(form, entry, choices[(choices.index(now) + by) % len(choices)])


def _replaced(form: Form, entry: Entry, text: str) -> Form:
    changes: dict[str, Any] = {entry.field: text}
    return replace(form, **changes)


def from_criteria(found: Criteria, *, origin: str = "", hidden: int = 0) -> Form:
    """The form that means these criteria, of which at most one is a pattern as a scan counts it."""
    chosen = next(iter(found.key_patterns), None)
    return Form(
        pattern="" if chosen is None else one_line(chosen),
        chosen=chosen,
        match=",".join(escape_exact(pattern).replace(",", "\\x2c") for pattern in found.patterns),
        type=",".join(found.types) or ANY,
        database=",".join(map(str, found.databases or ())),
        idle=f"{found.idle_over_seconds}s" if found.idle_over_seconds is not None else "",
        ttl=found.ttl.value,
        larger=str(found.larger_than_bytes) if found.larger_than_bytes is not None else "",
        max_keys=str(found.max_keys) if found.max_keys is not None else "",
        max_bytes=str(found.max_bytes) if found.max_bytes is not None else "",
        order=found.order.value,
        marks=found.keys,
        node=found.node,
        hidden=hidden,
        origin=origin,
    )


def _key_patterns(form: Form) -> tuple[KeyPattern, ...]:
    # First of all: the text of the one key with an empty name is empty, too.
    if form.chosen is not None and form.pattern == one_line(form.chosen):
        return (form.chosen,)
    delimiters = b":" if form.chosen is None else form.chosen.delimiters
    return (key_patterns.read(form.pattern, delimiters),) if form.pattern else ()


def criteria(form: Form) -> Criteria:
    """What the form means. Raises BadInput for a line that means nothing."""
    return Criteria(
        patterns=tuple(unescape_exact(piece.strip()) for piece in form.match.split(",") if piece.strip()),
        types=() if form.type == ANY else tuple(form.type.split(",")),
        databases=_databases(form.database),
        idle_over_seconds=_optional(form.idle, parse_duration),
        ttl=TtlFilter(form.ttl),
        larger_than_bytes=_optional(form.larger, parse_size),
        keys=form.marks,
        max_keys=_optional(form.max_keys, _whole),
        max_bytes=_optional(form.max_bytes, parse_size),
        order=Order(form.order),
        key_patterns=_key_patterns(form),
        node=form.node,
    )


def expire_seconds(form: Form) -> int | None:
    """The span over which keys expire, where they are to."""
    return parse_duration(form.within) if form.operation == Operation.EXPIRE else None


def _optional(text: str, read: Callable[[str], int]) -> int | None:
    return read(text) if text.strip() else None


def _whole(text: str) -> int:
    number = plain_number(text.strip())
    if number is None:
        raise BadInput(f"{text!r} is not a whole number")
    return number


def _databases(text: str) -> tuple[int, ...] | None:
    pieces = [piece for piece in text.split(",") if piece.strip()]
    return tuple(_whole(piece) for piece in pieces) or None
