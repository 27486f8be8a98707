"""The box that a dialog stands in: as large as its text needs and the terminal has."""

from typing import cast

from textual.containers import Vertical

from redis_oom_tui.tui.dialogs.controls import FootLine, ScrollText
from redis_oom_tui.tui.glyphs import ASCII
from redis_oom_tui.tui.host import Host

_WIDEST = 78
_BORDERED_FROM = 16
_AIR = 2


class Box(Vertical):
    """Holds the title, the text, its foot, the fields and the buttons; gives the text what the others leave."""

    DEFAULT_CSS = """
    Box { background: $panel; border: solid $accent; height: auto; padding: 0; }
    Box.-plain { border: none; }
    Box.-ascii { border: ascii $accent; }
    Box.-danger { border: solid $error; }
    Box.-danger.-ascii { border: ascii $error; }
    Box.-danger.-plain { border: none; }
    Box.-airy TitleLine, Box.-airy #fields { margin-bottom: 1; }
    """

    def __init__(self, *, danger: bool) -> None:
        super().__init__(id="box")
        self.set_class(danger, "-danger")

    def fit(self) -> None:
        """Take the size that suits the terminal, the text and the fields as they are now."""
        columns, rows = self.app.size
        plain = rows < _BORDERED_FROM
        self.set_class(plain, "-plain")
        self.set_class(cast("Host", self.app).pen.glyphs is ASCII, "-ascii")
        edge = 0 if plain else 2
        width = columns if plain else min(columns, _WIDEST)
        self.styles.width = width
        text = self.query_one(ScrollText)
        fixed = edge + 3 + sum(1 for _ in self.query("#fields > *"))
        needed = text.needed(width - edge - 2)
        self.set_class(not plain and rows - fixed - needed >= _AIR, "-airy")
        text.styles.height = max(1, min(needed, rows - fixed))
        self.call_after_refresh(self.show_rest)

    def show_rest(self) -> None:
        """Draw the text, and say how much of it lies below."""
        text = self.query_one(ScrollText)
        text.redraw()
        self.query_one(FootLine).show(text.below)

    @property
    def scrolls(self) -> bool:
        """Whether there is more text than is shown."""
        text = self.query_one(ScrollText)
        return bool(text.top or text.below)

    def scroll_lines(self, lines: int) -> None:
        """Move the text by so many lines."""
        self.query_one(ScrollText).scroll_by(lines)
        self.show_rest()

    def scroll_pages(self, pages: int) -> None:
        """Move the text by what is shown of it."""
        self.scroll_lines(pages * max(1, self.query_one(ScrollText).size.height - 1))
