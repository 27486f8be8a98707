"""What a recording holds of a struct: plain values of JSON, bytes as escaped text, and back."""

import functools
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import Struct, structs

from redis_oom_tui.formatting.sanitize import escape_exact
from redis_oom_tui.formatting.typed import Damaged, converted, exact_bytes

T = TypeVar("T")
# Servers tell counters of 64 bits, and sums of them are kept: what is larger was never ours, and is too large a float.
_LARGEST = 2**100


def encode(value: Any) -> Any:
    """`value`, a struct or anything that its fields hold, as plain values."""
    if isinstance(value, Struct):
        fields = ((written, getattr(value, name), default) for name, written, default in _fields(type(value)))
        return {written: encode(part) for written, part, default in fields if part != default}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return escape_exact(value)
    if isinstance(value, Mapping):
        return {str(name): encode(part) for name, part in value.items()}
    return [encode(part) for part in value] if isinstance(value, tuple) else value


def decode(kind: type[T], data: object) -> T:
    """What `encode` wrote, as a `kind` again. Raises Damaged where it is not that."""
    return converted(_with_bytes(kind, data), kind, with_bytes=True)


def _with_bytes(kind: Any, data: Any) -> Any:
    """`data` with bytes for the texts that stand where `kind` has bytes; the rest is checked later."""
    if isinstance(data, str):
        return exact_bytes(data) if bytes in (kind, *get_args(kind)) else data
    if isinstance(data, int) and not -_LARGEST < data < _LARGEST:
        raise Damaged("a number in it is too large")
    if not isinstance(data, dict | list):
        return data
    inner = _inner(kind)
    if isinstance(data, list):
        return [_with_bytes(inner(place), part) for place, part in enumerate(data)]
    return {name: _with_bytes(inner(name), part) for name, part in data.items()}


@functools.cache
def _inner(kind: Any) -> Callable[[Any], Any]:
    """The kind of what stands under a name, or at a place, within a value of `kind`."""
    for one in (kind, *get_args(kind)):
        origin, arguments = get_origin(one), get_args(one)
        if isinstance(one, type) and issubclass(one, Struct):
            return {field.encode_name: field.type for field in structs.fields(one)}.get
        if origin is tuple:
            return _always(arguments[0]) if arguments[-1] is ... else dict(enumerate(arguments)).get
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return _always(arguments[1])
    return _always(None)


def _always(kind: Any) -> Callable[[Any], Any]:
    return lambda _: kind


@functools.cache
def _fields(kind: type[Struct]) -> tuple[tuple[str, str, Any], ...]:
    """The fields of `kind`: the name of each, the name in the file, its default."""
    return tuple(
        (
            field.name,
            field.encode_name,
            field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory(),
        )
        for field in structs.fields(kind)
    )
