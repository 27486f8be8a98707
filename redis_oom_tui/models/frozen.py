"""`dataclass(frozen=True, slots=True)` as the standard library has it, but quick to define.

The standard decorator writes and compiles six methods for every class at import: half a millisecond a class, and with
more than a hundred classes a sixth of the time to the first figure on the screen. Here all but `__init__` are shared
functions, and that one is compiled for the first instance, which most classes never see in a run.
To a type checker it is the standard decorator itself.
"""

import dataclasses
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool, slots: bool) -> Callable[[type], type]:
        """A frozen, slotted class of values, nothing else: for the rest there is the standard decorator."""
        if not (frozen and slots):
            raise TypeError("what is not frozen and slotted wants the standard dataclass")
        return _frozen


def _frozen(cls: type) -> type:
    made: type = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    for name, method in (_shared(made) | {"__init__": _first(made)}).items():
        if name not in cls.__dict__:
            setattr(made, name, method)
    return made


def _shared(cls: type) -> dict[str, Callable[..., Any]]:
    fields = dataclasses.fields(cls)
    values = attrgetter(*(field.name for field in fields)) if fields else lambda _: ()
    shown = [field.name for field in fields if field.repr]

    def equal(self: object, other: object) -> bool:
        return bool(values(self) == values(other)) if other.__class__ is self.__class__ else NotImplemented

    def hashed(self: object) -> int:
        return hash(values(self))

    def represented(self: object) -> str:
        return f"{self.__class__.__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    return {
        "__eq__": equal,
        "__hash__": hashed,
        "__repr__": represented,
        "__setattr__": _refuse_to_set,
        "__delattr__": _refuse_to_delete,
        "__reduce__": _reduce,
    }


def _refuse_to_set(_self: object, name: str, _value: object) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_self: object, name: str) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _reduce(self: Any) -> tuple[type, tuple[object, ...]]:
    """For `copy` and `pickle`, which would assign to the slots of a bare instance."""
    return self.__class__, tuple(getattr(self, field.name) for field in dataclasses.fields(self))


def _first(cls: Any) -> Callable[..., None]:
    def first(self: object, *args: object, **given: object) -> None:
        cls.__init__ = _initialiser(cls)
        cls.__init__(self, *args, **given)

    return first


def _initialiser(cls: Any) -> Callable[..., None]:
    """The method that the standard decorator would have compiled: one assignment a field."""
    known: dict[str, Any] = {"_made": object()}
    parameters, lines = ["self"], []
    for field in dataclasses.fields(cls):
        name = value = field.name
        if field.default is not dataclasses.MISSING:
            known[f"_{name}"] = field.default
            parameters.append(f"{name}=_{name}")
        elif field.default_factory is not dataclasses.MISSING:
            known[f"_{name}"] = field.default_factory
            parameters.append(f"{name}=_made")
            value = f"_{name}() if {name} is _made else {name}"
        else:
            parameters.append(name)
        # The slot itself, which a refusing __setattr__ does not guard: half the time of object.__setattr__.
        known[f"_put_{name}"] = getattr(cls, name).__set__
        lines.append(f" _put_{name}(self, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()")
    exec(f"def __init__({', '.join(parameters)}):\n" + "\n".join(lines or [" pass"]), known)  # noqa: S102
    method: Callable[..., None] = known["__init__"]
    method.__qualname__ = f"{cls.__qualname__}.__init__"
    return method
