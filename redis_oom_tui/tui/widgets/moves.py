"""The keys that move a cursor in a list, the same in each of them."""

from textual.binding import Binding, BindingType

_FAR = 1_000_000


def moves(page: int, *, first: str = "First", last: str = "Last") -> list[BindingType]:
    """Bindings of `move(lines)`: by a line, by `page` lines, and to the ends, which are called `first` and `last`."""
    return [
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("pagedown", f"move({page})", "Page down", show=False),
        Binding("pageup", f"move(-{page})", "Page up", show=False),
        Binding("home,g", f"move(-{_FAR})", first, show=False),
        Binding("end,G", f"move({_FAR})", last, show=False),
    ]
