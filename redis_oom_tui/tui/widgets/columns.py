"""Columns as values: one tuple of them makes a table's header, its cells, its sorting and its help."""

from collections.abc import Sequence
from typing import TypeVar

from redis_oom_tui.formatting.columns import Column
from redis_oom_tui.tui.drawing import Line, Piece, pad
from redis_oom_tui.tui.glyphs import Glyphs

R = TypeVar("R")

_LEAST_FLEXIBLE = 16
_GAP = 1


def fitting(columns: Sequence[Column[R]], room: int) -> list[tuple[Column[R], int]]:
    """The columns that fit into `room` cells, each with its width."""
    shown = [column for column in columns if column.title]
    while True:
        fixed = sum(column.width + _GAP for column in shown if column.width)
        rest = room - fixed
        flexible = any(not column.width for column in shown)
        victim = max(shown, key=lambda column: column.yields, default=None)
        enough = rest >= (_LEAST_FLEXIBLE if flexible else -_GAP)
        if enough or victim is None or not victim.yields:
            return [(column, column.width or max(1, rest)) for column in shown]
        shown.remove(victim)


def header(columns: Sequence[tuple[Column[R], int]], sorted_by: str, falling: bool, glyphs: Glyphs) -> Line:
    """The titles, the sorted one with its direction."""
    line: list[Piece] = []
    for column, width in columns:
        here = column.id == sorted_by
        arrow = glyphs.down if falling else glyphs.up
        title = f"{column.title}{arrow}" if here else column.title
        line.append((pad(title, width, column.align), "head_sorted" if here else "head"))
        line.append((" " * _GAP, "head"))
    return tuple(line)


def cells_of(row: R, columns: Sequence[tuple[Column[R], int]], role: str | None) -> list[Piece]:
    """A row's cells, all in `role` where one is given."""
    line: list[Piece] = []
    for column, width in columns:
        own = role or (column.role(row) if column.role is not None else "text")
        line.append((pad(column.text(row, width), width, column.align), own))
        line.append((" " * _GAP, role or "text"))
    return line


def ordered(rows: Sequence[R], column: Column[R], falling: bool) -> list[R]:
    """The rows by that column, those of which it is unknown at the end; equals keep their order."""
    known = [row for row in rows if column.order(row) is not None]
    unknown = [row for row in rows if column.order(row) is None]
    return sorted(known, key=column.order, reverse=falling) + unknown


def column_at(columns: Sequence[tuple[Column[R], int]], x: int) -> Column[R] | None:
    """The column that stands at that cell."""
    for column, width in columns:
        if x < width + _GAP:
            return column
        x -= width + _GAP
    return None
