"""The bottom line: the keys that work here, from the live bindings; repainted only when they change."""

from collections.abc import Sequence

from textual import events
from textual.app import App
from textual.binding import ActiveBinding
from textual.screen import Screen

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.tui.drawing import Line, Piece, spread, wrap
from redis_oom_tui.tui.drawing import width as cells_of
from redis_oom_tui.tui.widgets.line_widget import LineWidget

_SPELLED = ("enter", "space", "tab", "down", "up", "left", "right", "home", "end", "backspace", "f1")
# Short and calm: a key's own sign rather than its name.
_NAMES = {
    "question_mark": "?",
    "slash": "/",
    "escape": "Esc",
    "plus": "+",
    "minus": "-",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "asterisk": "*",
    "full_stop": ".",
    "comma": ",",
    "equals_sign": "=",
    "tilde": "~",
    "delete": "Del",
    **{key: key.capitalize() for key in _SPELLED},
}


def key_name(key: str) -> str:
    """A key as it stands on the keyboard.

    >>> key_name("question_mark"), key_name("ctrl+p"), key_name("x"), key_name("upper_s")
    ('?', '^P', 'x', 'S')
    """
    if key.startswith("ctrl+"):
        return f"^{key_name(key[5:]).upper()}"
    if key.startswith("upper_"):
        return key[6:].upper()
    return _NAMES.get(key, key)


class KeyBar(LineWidget):
    """Pane keys from the left, the keys that work everywhere at the right; what does not fit is in the help."""

    always = ("show_help", "quit")
    _message: tuple[str, str] | None = None

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.redraw())

    def say(self, sentence: str, role: str) -> None:
        """Show a sentence in place of the keys, in as many lines as it needs, until `clear_message`."""
        self._message = (safe_text(sentence, 600), role)
        # A first sentence may come before the first layout.
        width = self.size.width or (self.app.size.width if self.is_attached else 0)
        self.styles.height = min(4, len(wrap(self._message[0], max(8, width - 4))))
        self.redraw()

    def clear_message(self) -> None:
        """Show the keys again."""
        if self._message is not None:
            self._message = None
            self.styles.height = 1
            self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """The one line of keys, or the message."""
        if self._message is not None:
            sentence, role = self._message
            return [((" ", role), (line, role)) for line in wrap(sentence, max(8, width - 4))][:height]
        left, right = self._shown(width)
        return (spread(self._pieces(left), self._pieces(right), width),)

    def _shown(self, width: int) -> tuple[list[ActiveBinding], list[ActiveBinding]]:
        """What there is room for: the entries at the left, and those at the right."""
        left, right = self._entries()
        space = width - cells_of(self._pieces(right)) - 1
        while left and cells_of(self._pieces(left)) > space:
            left.pop()
        return left, right

    def _entries(self) -> tuple[list[ActiveBinding], list[ActiveBinding]]:
        seen: dict[str, ActiveBinding] = {}
        for active in self.screen.active_bindings.values():
            if active.binding.show:
                seen.setdefault(active.binding.action, active)
        left = sorted((active for action, active in seen.items() if action not in self.always), key=_rank)
        return left, [seen[action] for action in self.always if action in seen]

    def _pieces(self, entries: list[ActiveBinding]) -> list[Piece]:
        pieces: list[Piece] = []
        for active in entries:
            binding = active.binding
            pieces.append((f" {binding.key_display or key_name(binding.key)}", "key" if active.enabled else "rule"))
            # `~` stands for what was cut: a question to come is left unsaid there.
            verb = binding.description if self.style.glyphs.cut == "…" else binding.description.rstrip("…")
            pieces.append((f" {verb} ", "dim" if active.enabled else "rule"))
        return pieces

    async def on_click(self, event: events.Click) -> None:
        """A click on a key's name does what the key does; one on a sentence, or beside the names, does nothing."""
        if self._message is not None:
            return
        left, right = self._shown(self.size.width)
        for start, entries in ((0, left), (self.size.width - cells_of(self._pieces(right)), right)):
            x = start
            for active in entries:
                before, x = x, x + cells_of(self._pieces([active]))
                if before <= event.x < x:
                    await self.app.run_action(active.binding.action, active.node)
                    return


def _rank(active: ActiveBinding) -> int:
    """What a pane is for stands before how its tables are moved in, and that before what works everywhere."""
    return 2 if isinstance(active.node, App | Screen) else 1 if isinstance(active.node, LineWidget) else 0
