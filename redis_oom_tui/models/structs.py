"""What the frozen structs share: `replace`, a copy with other fields, and a base for those that hold secrets."""

from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import Struct

__all__ = ["StructWithSecrets", "replace"]

# A type checker reads the standard library's function, whose arguments it checks against the fields: msgspec's takes
# anything.
if TYPE_CHECKING:
    from dataclasses import replace
else:
    from msgspec.structs import replace


class StructWithSecrets(Struct, frozen=True):
    """A struct that shows all but its `SECRET_FIELDS`, in a traceback too."""

    SECRET_FIELDS: ClassVar[frozenset[str]]

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name not in self.SECRET_FIELDS]

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"
