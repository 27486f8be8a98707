"""Families found before: most names are then looked up, a whole page in a few loops in C, and not taken apart again."""

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar, cast

from msgspec import Struct

from redis_oom_tui.rules import patterns

_CACHED = 30_000
_SHAPES_OF_ONE = 64

Family = TypeVar("Family", bound=Hashable)


class _Mould(Struct, Generic[Family], frozen=True):
    """Names that are alike but for one hash or UUID between `start` and `end`; `before` and `after` it, by shape."""

    before: bytes
    after: bytes
    start: int
    end: int
    family: Family

    def fits(self, shape: bytes) -> bool:
        """Whether a name of this mould and `shape` is one of them. Letters alone are a word, `defaced`, not a hash."""
        return (
            shape.startswith(self.before) and shape.endswith(self.after) and shape.find(b"0", self.start, self.end) >= 0
        )


class PatternCache(Generic[Family]):
    """Finds the family of a name by the name's shape, by its mould, by what it normalises to; failing that,
    `family` makes it of that."""

    def __init__(self, normaliser: patterns.Normaliser, family: Callable[[bytes], Family]) -> None:
        self._normaliser = normaliser
        self._family = family
        self._by_shape: dict[bytes, Family] = {}
        self._by_mould: dict[bytes, _Mould[Family]] = {}
        self._by_normal: dict[bytes, Family] = {}
        self._shapes_of: Counter[Family] = Counter()

    def families(self, names: list[bytes]) -> list[Family]:
        """The family of each."""
        shapes = patterns.shapes(names)
        found = [self._by_shape.get(shape) for shape in shapes]
        if None in found:
            missing = [index for index, family in enumerate(found) if family is None]
            moulds = patterns.moulds([shapes[index] for index in missing])
            for index, mould in zip(missing, moulds, strict=True):
                known = self._by_mould.get(mould)
                if known is not None and known.fits(shapes[index]):
                    found[index] = known.family
                else:
                    found[index] = self._learnt(names[index], shapes[index], mould)
            if len(self._by_shape) + len(self._by_normal) + len(self._by_mould) > _CACHED:
                self.forget()
        return cast("list[Family]", found)

    def forget(self) -> None:
        """Families have changed: look every name up anew."""
        for known in (self._by_shape, self._by_mould, self._by_normal, self._shapes_of):
            known.clear()

    def _learnt(self, name: bytes, shape: bytes, mould: bytes) -> Family:
        normal = self._normaliser.name(name)
        family = self._by_normal.get(normal)
        if family is None:
            family = self._by_normal[normal] = self._family(normal)
        # Numbers come in few shapes; random letters never come in the same one again.
        few = self._shapes_of[family] < _SHAPES_OF_ONE
        if few and len(name) <= patterns.LONGEST_NAME and patterns.settled(normal):
            self._shapes_of[family] += 1
            self._by_shape[shape] = family
            token = self._normaliser.token(name)
            if token is not None:
                start, end = token
                self._by_mould[mould] = _Mould(shape[:start], shape[end:], start, end, family)
        return family
