"""Tables of figures: printed beside those of the run before, kept in a file, and written into docs/performance.md."""

import json
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

_ROOT = Path(__file__).parents[2]
PAGE = _ROOT / "docs" / "performance.md"
KEPT = Path(__file__).with_name("figures.json")
_NOTHING = ""


class Column(NamedTuple):
    """A column of numbers: its title with the unit, and the format of one of them (`1.2f`, with `x` for a ratio)."""

    title: str
    form: str = ",.0f"

    def cell(self, value: float | None) -> str:
        """The number as it is shown; nothing where none was measured."""
        if value is None:
            return _NOTHING
        return f"{value:{self.form.removesuffix('x')}}" + ("×" if self.form.endswith("x") else "")


class Table:
    """Rows of numbers under a `name` that stays the same from run to run. `limit` says what bounds them, in words."""

    def __init__(self, name: str, title: str, columns: Sequence[Column], limit: str = "") -> None:
        self.name = name
        self.title = title
        self.limit = limit
        self._columns = tuple(columns)
        self._rows: dict[str, tuple[float | None, ...]] = {}

    def row(self, label: str, *values: float | None) -> None:
        """Add a row; a number that was not measured is None."""
        if len(values) != len(self._columns):
            raise ValueError(f"{label}: {len(values)} numbers for {len(self._columns)} columns")
        self._rows[label] = values

    def text(self, before: dict[str, Any] | None) -> str:
        """The table for a terminal; under each row the figures of the run before, where it had that row."""
        old_rows = {} if before is None else before["rows"]
        lines = [["", *[column.title for column in self._columns]]]
        for label, values in self._rows.items():
            lines.append([label, *[column.cell(value) for column, value in zip(self._columns, values, strict=True)]])
            if label in old_rows:
                olds = [old_rows[label].get(column.title) for column in self._columns]
                lines.append(["  before", *[column.cell(old) for column, old in zip(self._columns, olds, strict=True)]])
        widths = [max(len(line[at]) for line in lines) for at in range(len(self._columns) + 1)]
        printed = [self.title]
        for line in lines:
            cells = [f"{cell:>{width}}" for cell, width in zip(line[1:], widths[1:], strict=True)]
            printed.append(f"{line[0]:{widths[0]}}  {'  '.join(cells)}".rstrip())
        return "\n".join([*printed, *([self.limit] if self.limit else [])])

    def markdown(self) -> str:
        """The table for the page, with the day and the machine, and what bounds the figures."""
        head = "| " + " | ".join(["", *[column.title for column in self._columns]]).strip() + " |"
        lines = [f"|{head[1:]}", "|---" * (len(self._columns) + 1) + "|"]
        for label, values in self._rows.items():
            cells = [column.cell(value) for column, value in zip(self._columns, values, strict=True)]
            lines.append("| " + " | ".join([label.replace("|", "\\|"), *cells]) + " |")
        page = [f"{self.title}. Measured on {time.strftime('%-d %B %Y')} ({_machine()}).", "", *lines]
        return "\n".join([*page, *(["", self.limit] if self.limit else [])])

    def kept(self) -> dict[str, Any]:
        """What the file keeps of it."""
        rows = {
            label: {column.title: value for column, value in zip(self._columns, values, strict=True)}
            for label, values in self._rows.items()
        }
        return {"measured": time.strftime("%Y-%m-%d"), "machine": _machine(), "rows": rows}


def publish(table: Table, *, write: bool) -> None:
    """Print a table beside the last kept run; with `write`, keep it, and replace the old one in the page."""
    kept: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    print(table.text(kept.get(table.name)), flush=True)
    print()
    if write:
        kept[table.name] = table.kept()
        KEPT.write_text(json.dumps(kept, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
        PAGE.write_text(replaced(PAGE.read_text(), table.name, table.markdown()))


def replaced(page: str, name: str, text: str) -> str:
    """The page with `text` between the two marks of `name`; it is an error where they are not there."""
    begin, end = f"<!-- figures: {name} -->\n", f"<!-- end of {name} -->\n"
    head, found, rest = page.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{PAGE.name} has no place for the figures of {name}")
    return f"{head}{begin}{text}\n{end}{tail}"


def _machine() -> str:
    return f"{platform.machine()}, Python {platform.python_version()}"
