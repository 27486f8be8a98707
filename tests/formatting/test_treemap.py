"""The tiles of a picture fill their room, each as large as its size."""

from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.formatting.charts import Tile, tiles

sizes = st.lists(st.integers(1, 10**12), max_size=60).map(lambda found: sorted(found, reverse=True))


@given(sizes, st.floats(1, 500), st.floats(1, 500))
def test_each_tile_is_as_large_as_its_size(found: list[int], width: float, height: float) -> None:
    laid = tiles(found, Tile(0, 0, width, height))
    assert len(laid) == len(found)
    for size, tile in zip(found, laid, strict=True):
        assert abs(tile.width * tile.height - width * height * size / sum(found)) < 1e-6 * width * height


@given(sizes, st.floats(1, 500), st.floats(1, 500))
def test_no_tile_leaves_the_room_or_covers_another(found: list[int], width: float, height: float) -> None:
    laid, least = tiles(found, Tile(0, 0, width, height)), 1e-6 * (width + height)
    for tile in laid:
        assert -least <= tile.x <= tile.x + tile.width <= width + least
        assert -least <= tile.y <= tile.y + tile.height <= height + least
    for number, one in enumerate(laid):
        for other in laid[:number]:
            across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
            down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
            assert across <= least or down <= least


def test_equal_sizes_become_squares() -> None:
    assert {(tile.width, tile.height) for tile in tiles([1] * 16, Tile(0, 0, 8, 8))} == {(2.0, 2.0)}
