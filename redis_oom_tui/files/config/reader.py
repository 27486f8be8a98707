"""One table of the file, read into a struct whose fields say how each key is written; every fault has its line."""

import difflib
import math
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Annotated, Any, Self, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, field, structs

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import parse_duration, parse_size
from redis_oom_tui.models.config import TEXT, Text
from redis_oom_tui.models.errors import BadInput

S = TypeVar("S", bound=Struct)
T = TypeVar("T")
KeyPath = tuple[str, ...]

# So much of a name is no accident.
_LEAST_BEGINNING = 3


class Problem(Struct, frozen=True):
    """What is wrong with one key. `line` is None where the key should be there and is not."""

    key: str
    sentence: str
    line: int | None = None


class Problems(Struct):
    """All that is wrong with a file, in the order of its sections."""

    lines: Mapping[KeyPath, int]
    found: list[Problem] = field(default_factory=list)

    def add(self, path: KeyPath, sentence: str) -> None:
        """Keep one more, with the line of its key or, where that is not there, of the nearest table around it."""
        line = next((self.lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self.lines), None)
        self.found.append(Problem(".".join(safe_text(part, 60) for part in path), sentence, line))


def key_lines(text: str) -> dict[KeyPath, int]:
    """The first line, counted from 1, of every table and key of `text`, which must be valid TOML.

    >>> key_lines("a = 1\\n\\n[t.u]\\nb = { c = 2 }\\n")[("t", "u", "b", "c")]
    4
    """
    lines = text.splitlines()
    found: dict[KeyPath, int] = {}
    table: KeyPath = ()
    index = 0
    while index < len(lines):
        length, value = _statement(lines, index)
        header = lines[index].lstrip().startswith("[")
        paths = list(_paths(value))
        for path in paths:
            found.setdefault(path if header else table + path, index + 1)
        if header and paths:
            table = paths[-1]
        index += length
    return found


def _statement(lines: list[str], start: int) -> tuple[int, dict[str, object]]:
    """How many lines the statement at `start` takes, and what it says alone: it grows until it is valid."""
    for end in range(start + 1, len(lines) + 1):
        try:
            return end - start, tomllib.loads("\n".join(lines[start:end]))
        except tomllib.TOMLDecodeError:
            continue
    return 1, {}


def _paths(value: object, above: KeyPath = ()) -> Iterator[KeyPath]:
    if isinstance(value, list):
        for item in value:
            yield from _paths(item, above)
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*above, key)
            yield from _paths(inner, (*above, key))


class Section:
    """The table at `path`."""

    def __init__(self, value: object, path: KeyPath, problems: Problems) -> None:
        self.path = path
        self.problems = problems
        self._known: set[str] = set()
        self._values: dict[str, object] = {}
        if isinstance(value, dict):
            self._values = value
        elif value is not None:
            problems.add(path, "must be a table of keys")

    def read(self, base: S) -> S:
        """`base` with what the table gives in place of its fields, each by the name and in the form that it declares.

        A field without a form is not one of the table's keys.
        """
        given = {}
        for key in structs.fields(base):
            form = _form(key.type)
            if form is not None:
                value = self.get(key.encode_name, partial(_converted, kind=form[0], form=form[1]))
                if value is not None:
                    given[key.name] = value
        return structs.replace(base, **given)

    def get(self, key: str, read: Callable[[object], T]) -> T | None:
        """What `read` makes of the value of `key`; it raises BadInput with the fault. None where it is absent."""
        value = self.take(key)
        if value is None:
            return None
        try:
            return read(value)
        except BadInput as error:
            self.wrong(key, str(error))
            return None

    def text(self, key: str) -> str | None:
        """A string that is not empty."""
        return self.get(key, partial(_converted, kind=Text, form=TEXT))

    def table(self, key: str) -> Self:
        """The table under `key`; an empty one where it is absent."""
        return type(self)(self.take(key), (*self.path, key), self.problems)

    def tables(self, key: str) -> Iterable[Self]:
        """The tables under `key`, by the names that the file gave them."""
        outer = self.table(key)
        return [outer.table(name) for name in outer._values]

    def names(self) -> tuple[str, ...]:
        """The keys that the file gives here."""
        return tuple(self._values)

    def has(self, key: str) -> bool:
        """Whether the file gives `key`."""
        self._known.add(key)
        return key in self._values

    def take(self, key: str) -> object:
        """What stands under `key`, unchecked; None where it is absent."""
        self._known.add(key)
        return self._values.get(key)

    def wrong(self, key: str, sentence: str) -> None:
        """Keep a problem with `key` that only its neighbours show."""
        self.problems.add((*self.path, key), sentence)

    def finish(self) -> None:
        """Report every key that nobody asked for."""
        for key in self._values:
            if key not in self._known:
                near = self._near(key)
                hint = f"did you mean {near}?" if near else f"known here: {', '.join(sorted(self._known))}"
                self.wrong(key, f"is not known here; {hint}")

    def _near(self, key: str) -> str:
        """The known key that was meant, '' where none is near: one that begins so is nearer than one that looks so."""
        longer = sorted(name for name in self._known if len(key) >= _LEAST_BEGINNING and name.startswith(key))
        return next(iter(longer or difflib.get_close_matches(key, self._known, n=1)), "")


def _form(kind: Any) -> tuple[Any, Meta] | None:
    """The type of a field and how it is written; None where it does not say."""
    for one in (kind, *get_args(kind)):
        if get_origin(one) is Annotated and isinstance(one.__metadata__[0], Meta):
            return one, one.__metadata__[0]
    return None


def _converted(value: object, kind: Any, form: Meta) -> Any:
    """`value` as the file has it, as a `kind`. Raises BadInput."""
    if form.title == "seconds" and isinstance(value, str):
        value = parse_duration(value)
    elif form.title == "size" and isinstance(value, str):
        value = parse_size(value)
    elif form.title == "texts" and isinstance(value, str):
        value = [value]
    try:
        found = msgspec.convert(value, kind)
        if isinstance(found, float) and not math.isfinite(found):
            raise OverflowError
    except (msgspec.ValidationError, OverflowError):
        raise BadInput(form.description or f"must be one of {', '.join(_choices(kind))}") from None
    return found / 100 if form.title == "percent" else found


def _choices(kind: Any) -> list[str]:
    plain = get_args(kind)[0]
    return [member.value for member in (get_args(plain)[0] if get_origin(plain) is tuple else plain)]
