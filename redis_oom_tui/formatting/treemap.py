"""Rectangles whose areas are as sizes: for the report's picture of the keyspace and the screen's."""

from collections.abc import Sequence
from typing import NamedTuple


class Tile(NamedTuple):
    """A rectangle; (0, 0) is the upper left corner."""

    x: float
    y: float
    width: float
    height: float


def tiles(sizes: Sequence[float], tile: Tile) -> list[Tile]:
    """A tile for each size, in the same order; together they fill `room`. Sizes are above 0, the largest first.

    Rows are laid along the shorter side, and a row takes one more tile for as long as that makes its worst tile
    squarer: the "squarified" layout of Bruls, Huizing and van Wijk (2000).

    >>> [tuple(map(round, tile)) for tile in tiles([3, 1], Tile(0, 0, 8, 4))]
    [(0, 0, 6, 4), (6, 0, 2, 4)]
    """
    found: list[Tile] = []
    scale = tile.width * tile.height / sum(sizes) if sizes else 0.0
    areas = [size * scale for size in sizes]
    while len(found) < len(areas):
        row = _row(areas[len(found) :], min(tile.width, tile.height))
        laid, tile = _lay(row, tile)
        found += laid
    return found


def _row(areas: Sequence[float], side: float) -> Sequence[float]:
    number = 1
    while number < len(areas) and _worst(areas[: number + 1], side) <= _worst(areas[:number], side):
        number += 1
    return areas[:number]


def _worst(row: Sequence[float], side: float) -> float:
    """The ratio of the sides of the least square tile of a row along `side`."""
    total = sum(row)
    if not total or not side:
        return 1.0
    return max(max(side * side * area / total**2, total**2 / (side * side * area)) for area in row if area)


def _lay(row: Sequence[float], tile: Tile) -> tuple[list[Tile], Tile]:
    """The tiles of a row, and the room that is left beside it."""
    total, found = sum(row), list[Tile]()
    x, y, width, height = tile
    if width >= height:
        thick = total / height if height else 0.0
        for area in row:
            long = area / thick if thick else 0.0
            found.append(Tile(x, y, thick, long))
            y += long
        return found, Tile(x + thick, tile.y, max(0.0, width - thick), height)
    thick = total / width if width else 0.0
    for area in row:
        long = area / thick if thick else 0.0
        found.append(Tile(x, y, long, thick))
        x += long
    return found, Tile(tile.x, y + thick, width, max(0.0, height - thick))
