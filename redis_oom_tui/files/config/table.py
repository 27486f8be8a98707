"""One table of the file: what stands in it, which keys were asked for, and each problem with its line."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Self

from msgspec import Struct, field

from redis_oom_tui.files.config.lines import Path
from redis_oom_tui.formatting.sanitize import safe_text


class Problem(Struct, frozen=True):
    """What is wrong with one key. `line` is None where the key should be there and is not."""

    key: str
    sentence: str
    line: int | None = None


class Problems(Struct):
    """All that is wrong with a file, in the order of its sections."""

    lines: Mapping[Path, int]
    found: list[Problem] = field(default_factory=list)

    def add(self, path: Path, sentence: str) -> None:
        """Keep one more, with the line of its key or, where that is not there, of the nearest table around it."""
        line = next((self.lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self.lines), None)
        self.found.append(Problem(".".join(safe_text(part, 60) for part in path), sentence, line))


class Table:
    """A table at `path`."""

    def __init__(self, value: object, path: Path, problems: Problems) -> None:
        self.path = path
        self.problems = problems
        self._known: set[str] = set()
        self._values: dict[str, object] = {}
        if isinstance(value, dict):
            self._values = value
        elif value is not None:
            problems.add(path, "must be a table of keys")

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

    def is_table(self, key: str) -> bool:
        """Whether `key` holds a table, where another value may stand there as well."""
        return isinstance(self.take(key), dict)

    def wrong(self, key: str, sentence: str) -> None:
        """Keep a problem with `key` that only its neighbours show."""
        self.problems.add((*self.path, key), sentence)

    def finish(self) -> None:
        """Report every key that nobody asked for."""
        for key in self._values:
            if key not in self._known:
                near = difflib.get_close_matches(key, self._known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(self._known))}"
                self.wrong(key, f"is not known here; {hint}")

    def take(self, key: str) -> object:
        """What stands under `key`, unchecked; None where it is absent."""
        self._known.add(key)
        return self._values.get(key)
