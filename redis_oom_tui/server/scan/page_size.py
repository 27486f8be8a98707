"""How many keys SCAN is asked for at once, by how long names are: a thousand of 100 KB would be a reply of 100 MB."""

from collections.abc import Sequence

_MOST_BYTES = 256 * 1024
# Before anything is known of the names.
_FIRST = 16


class PageSize:
    """COUNT for the next page, from what the last ones brought.

    >>> pages = PageSize()
    >>> pages.count(1000), pages.count(8)
    (16, 8)
    >>> pages.came([b"k" * 100_000] * 16, 16); pages.count(1000)
    2
    >>> for _ in range(8): pages.came([b"short"] * 64, 64)
    >>> pages.count(1000)
    671
    """

    def __init__(self) -> None:
        self._each = _MOST_BYTES / _FIRST

    def count(self, wanted: int) -> int:
        """So many keys, `wanted` at most."""
        return max(1, min(wanted, int(_MOST_BYTES / self._each)))

    def came(self, names: Sequence[bytes], count: int) -> None:
        """A page of `count` brought these names: longer ones count at once, shorter ones little by little."""
        self._each = max(sum(map(len, names)) / max(1, count), self._each / 2, 1.0)
