"""On which line of a TOML file each key stands: tomllib reads values and forgets where they were."""

import tomllib
from collections.abc import Iterator

Path = tuple[str, ...]


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
