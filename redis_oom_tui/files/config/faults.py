"""What is wrong with a TOML file, each with its line: tomllib reads values and forgets where they were."""

import tomllib
from collections.abc import Iterator, Mapping

from msgspec import Struct, field

from redis_oom_tui.formatting.sanitize import safe_text

Path = tuple[str, ...]


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


def key_lines(text: str) -> dict[Path, int]:
    """The first line, counted from 1, of every table and key of `text`, which must be valid TOML.

    >>> key_lines("a = 1\\n\\n[t.u]\\nb = { c = 2 }\\n")[("t", "u", "b", "c")]
    4
    """
    lines = text.splitlines()
    found: dict[Path, int] = {}
    table: Path = ()
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


def _paths(value: object, above: Path = ()) -> Iterator[Path]:
    if isinstance(value, list):
        for item in value:
            yield from _paths(item, above)
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*above, key)
            yield from _paths(inner, (*above, key))
