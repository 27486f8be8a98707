"""INFO's fields read one by one: what is missing or cannot be true is unknown, and the reason is kept."""

import math
import re
from collections.abc import Mapping, Sequence

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import size
from redis_oom_tui.models.snapshot import Doubt

# No server has, holds or counts more than this: 8 PiB, or 285 years of microseconds.
LARGEST = 2**53
# Ten times the largest machine that there is.
LARGEST_MACHINE = 2**48
FELL_BELOW_ZERO = "it fell below zero"
"""How the reason ends for an unsigned count from which more was taken than it held."""
_WRAPPED = 2**63
_LONGEST = 80
_NUMBER = re.compile(r"-?\d+(\.\d+)?%?")


class InfoFields:
    """Reads the fields of one INFO; `doubts` are those that were there and could not be believed, by name."""

    def __init__(self, info: Mapping[str, object]) -> None:
        self.info = info
        self._reasons: dict[str, str] = {}

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """What could not be believed, in the order in which it was found."""
        return tuple(Doubt(name, reason) for name, reason in self._reasons.items())

    def doubt(self, name: str, reason: str) -> None:
        """Note that `name` counts as unknown; the first reason stays."""
        self._reasons.setdefault(name, reason)

    def number(self, name: str, *, at_most: float = LARGEST) -> float | None:
        """A number from 0 to `at_most`; None where it is missing or is none."""
        if name not in self.info:
            return None
        value, reason = believed(self.info[name], at_most)
        if reason is not None:
            self.doubt(name, reason)
        return value

    def whole(self, *names: str, at_most: float = LARGEST) -> int | None:
        """The first of `names` that holds a believable whole number."""
        for name in names:
            value = self.number(name, at_most=at_most)
            if value is not None:
                return int(value)
        return None

    def positive(self, *names: str, why_not_zero: str = "") -> int | None:
        """As `whole`, where 0 cannot be; `why_not_zero` makes a doubt of a 0."""
        value = self.whole(*names)
        if value == 0 and why_not_zero:
            self.doubt(names[0], f"reads 0: {why_not_zero}")
        return value or None

    def memory(self, name: str, *, why_not_zero: str = "") -> int | None:
        """As `positive`, of memory that a machine really has."""
        value = self.number(name, at_most=LARGEST_MACHINE)
        if value == 0 and why_not_zero:
            self.doubt(name, f"reads 0: {why_not_zero}")
        return int(value) if value else None

    def read(self, kind: str, names: Sequence[str]) -> float | str | None:
        """What `models.structs.InfoField` describes."""
        match kind:
            case "whole":
                return self.whole(*names)
            case "positive":
                return self.positive(*names)
            case "memory":
                return self.memory(names[0])
            case "flag":
                return self.flag(names[0])
            case _:
                return self.text(names[0])

    def flag(self, name: str) -> bool:
        """Whether it is there and not 0."""
        return bool(self.whole(name))

    def text(self, name: str) -> str | None:
        """A word of the server's, made harmless."""
        value = self.info.get(name)
        return safe_text(str(value), _LONGEST) if isinstance(value, str | int | float) and value != "" else None


def believed(value: object, at_most: float = LARGEST) -> tuple[float | None, str | None]:
    """The number that `value` holds, or None and why it is not believed.

    >>> believed("12"), believed("54.84%")
    ((12.0, None), (54.84, None))
    >>> believed(-3)
    (None, 'reads -3, and cannot be below 0')
    >>> believed(2**64 - 7 * 2**20)
    (None, 'reads 18446744073702211584 (2^64 - 7.0 MiB): it fell below zero')
    >>> believed("many")
    (None, "reads 'many', which is not a number")
    """
    number = _number(value)
    if isinstance(number, int) and abs(number) > 2**64:
        return None, f"reads a number of {number.bit_length() * 3 // 10 + 1} digits, which cannot be"
    if number is None or not math.isfinite(number):
        return None, f"reads '{safe_text(str(value), 24)}', which is not a number"
    if number < 0:
        return None, f"reads {safe_text(str(value), 24)}, and cannot be below 0"
    if number >= _WRAPPED and int(number) <= 2**64:
        return None, f"reads {int(number)} (2^64 - {size(2**64 - int(number))}): {FELL_BELOW_ZERO}"
    if number > at_most:
        return None, f"reads {safe_text(str(value), 24)}, which cannot be"
    return float(number), None


def _number(value: object) -> int | float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        if _NUMBER.fullmatch(value) is None or len(value) > _LONGEST:
            return None
        value = value.rstrip("%")
        return float(value) if "." in value else int(value)
    return value if isinstance(value, int | float) else None
