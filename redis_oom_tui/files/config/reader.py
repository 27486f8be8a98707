"""The values of one table, read key by key: each checked, and each problem kept with its line."""

from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

from redis_oom_tui.files.config.table import Table
from redis_oom_tui.formatting.sizes import parse_duration, parse_size
from redis_oom_tui.models.errors import BadInput

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)
_LONGEST_SECONDS = 366 * 86400


class Section(Table):
    """A table whose values are read by kind: None, or `default`, where the key is absent or wrong."""

    def text(self, key: str) -> str | None:
        """A string that is not empty."""
        return self._read(key, _text)

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false."""
        value = self._read(key, _flag)
        return default if value is None else value

    def whole(self, key: str, low: int, high: int) -> int | None:
        """A whole number from `low` to `high`."""
        return self._read(key, lambda value: _whole(value, low, high))

    def size(self, key: str) -> int | None:
        """A size as redis.conf writes it, in bytes; not 0."""
        return self._read(key, _size)

    def seconds(self, key: str) -> float | None:
        """A length of time: seconds as a number, or a string such as "15m"."""
        return self._read(key, _seconds)

    def share(self, key: str) -> float | None:
        """A percentage from 0 to 100, as a share."""
        return self._read(key, _share)

    def strings(self, key: str) -> tuple[str, ...]:
        """A string, or a list of them."""
        return self._read(key, _strings) or ()

    def wholes(self, key: str, low: int, high: int) -> tuple[int, ...] | None:
        """A list of whole numbers."""
        return self._read(key, lambda value: tuple(_whole(item, low, high) for item in _list(value)))

    def choice(self, key: str, kind: type[E]) -> E | None:
        """One of an enumeration's values."""
        return self._read(key, lambda value: _choice(value, kind))

    def choices(self, key: str, kind: type[E]) -> tuple[E, ...]:
        """Some of an enumeration's values."""
        return self._read(key, lambda value: tuple(_choice(item, kind) for item in _list(value))) or ()

    def convert(self, key: str, convert: Callable[[str], T]) -> T | None:
        """What `convert` makes of a string; it raises BadInput with the reason."""
        return self._read(key, lambda value: convert(_text(value)))

    def _read(self, key: str, read: Callable[[object], T]) -> T | None:
        value = self.take(key)
        if value is None:
            return None
        try:
            return read(value)
        except BadInput as error:
            self.wrong(key, str(error))
            return None


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise BadInput("must be a string that is not empty")
    if "\0" in value:
        raise BadInput("must not hold a NUL character")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise BadInput("must be true or false")
    return value


def _whole(value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise BadInput(f"must be a whole number from {low} to {high}")
    return value


def _size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise BadInput('must be a size, such as "256mb"')
    size = parse_size(str(value))
    if size == 0:
        raise BadInput("must be more than 0")
    return size


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise BadInput('must be a length of time, such as 5 or "15m"')
    try:
        seconds = float(parse_duration(value)) if isinstance(value, str) else float(value)
    except OverflowError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_SECONDS:
        raise BadInput("must be a length of time from 0 to a year")
    return seconds


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise BadInput("must be a percentage from 0 to 100")
    return value / 100


def _list(value: object) -> list[object]:
    if not isinstance(value, list) or not value:
        raise BadInput("must be a list that is not empty")
    return value


def _strings(value: object) -> tuple[str, ...]:
    return (_text(value),) if isinstance(value, str) else tuple(_text(item) for item in _list(value))


def _choice(value: object, kind: type[E]) -> E:
    choices = [member.value for member in kind]
    if value not in choices:
        raise BadInput(f"must be one of {', '.join(choices)}")
    return kind(str(value))
