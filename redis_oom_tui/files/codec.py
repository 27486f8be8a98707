"""The values that travel, as JSON and back: by their own fields, with what equals its default left out.

Bytes are written by `words.hostile.exact`, so that any name comes back as it was.
"""

import functools
import types
from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import structs

from redis_oom_tui.formatting.sanitize import escape_exact, unescape_exact
from redis_oom_tui.formatting.typed import number, text, whole
from redis_oom_tui.models.errors import BadInput

T = TypeVar("T")


def encode(value: Any) -> Any:
    """`value`, a frozen struct or anything that its fields hold, as what `json.dumps` takes."""
    if isinstance(value, msgspec.Struct):
        told = structs.asdict(value)
        defaults = _defaults(type(value))
        return {name: encode(part) for name, part in told.items() if name not in defaults or part != defaults[name]}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return escape_exact(value)
    if isinstance(value, Mapping):
        return {str(name): encode(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return [encode(part) for part in value]
    return value


def decode(kind: type[T], data: Any) -> T:
    """What `encode` wrote, as a `kind` again. Raises BadInput where it is not that."""
    try:
        value: T = _decode(kind, data)
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise BadInput(f"a {kind.__name__} in the file cannot be read ({error})") from None
    return value


def _decode(kind: Any, data: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (types.UnionType, Union):
        plain = [argument for argument in arguments if argument is not type(None)]
        return None if data is None else _decode(plain[0], data)
    if origin is tuple:
        return _tuple(arguments, data)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return types.MappingProxyType({_decode(arguments[0], k): _decode(arguments[1], v) for k, v in data.items()})
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = _hints(kind)
        return kind(**{name: _decode(hints[name], part) for name, part in data.items() if name in hints})
    return _scalar(kind, data)


def _tuple(arguments: tuple[Any, ...], data: Any) -> tuple[Any, ...]:
    if not isinstance(data, list):
        raise TypeError("a list was expected")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_decode(arguments[0], part) for part in data)
    return tuple(_decode(argument, part) for argument, part in zip(arguments, data, strict=True))


def _scalar(kind: Any, data: Any) -> Any:
    if kind is bytes:
        return unescape_exact(data)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(data)
    if kind is float:
        return float(number(data))
    if kind is int:
        return whole(data)
    if kind is str:
        return text(data)
    if isinstance(kind, type) and not isinstance(data, kind):
        raise TypeError(f"{kind.__name__} was expected")
    return data


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return {field.name: field.type for field in structs.fields(kind)}


@functools.cache
def _defaults(kind: type) -> dict[str, Any]:
    found = {}
    for field in structs.fields(kind):
        if field.default is not msgspec.NODEFAULT:
            found[field.name] = field.default
        elif field.default_factory is not msgspec.NODEFAULT:
            found[field.name] = field.default_factory()
    return found
