"""The help: every key that works, read from the live bindings so that it cannot go stale, and the safety rules."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import App
from textual.binding import ActiveBinding, Binding, BindingType
from textual.screen import Screen

from redis_oom_tui.tui.commands import live, words
from redis_oom_tui.tui.drawing import Line, pad, wrap
from redis_oom_tui.tui.screens.reader import ReaderScreen

SAFETY = (
    "Nothing changes without confirmation. Cancel is the default; no single keystroke confirms.",
    "What runs is exactly the list that was shown; each key is checked again right before it is deleted.",
    "Reading leaves no trace: no command here resets idle times or frequencies.",
    "Keys are backed up before deletion unless you opt out; a setting can be undone with one key.",
    "Every action is recorded in the audit log.",
)


class HelpScreen(ReaderScreen):
    """All keys that work on the screen below."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark", "dismiss", "close", show=False)]

    def text(self, width: int) -> list[Line]:
        """Every key by its place, then the safety rules."""
        # Whether this screen is on the stack already depends on how eagerly its tasks are run: Python 3.12 and later.
        below = next((screen for screen in reversed(self.app.screen_stack) if screen is not self), self)
        out: list[Line] = []
        for title, entries in sections(list(below.active_bindings.values())):
            out.append(((f" {title}", "title"),))
            out += [((f"  {pad(keys, 16)} ", "key"), (words, "text")) for keys, words in entries]
            out.append(())
        out.append(((" Safety", "title"),))
        for rule in SAFETY:
            out += [((f"  {line}", "text"),) for line in wrap(rule, width - 4)]
        return out


def sections(bindings: Sequence[ActiveBinding]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Bindings by the place where they are declared: the pane first, then what the focus is in, then everywhere."""
    grouped: dict[str, list[tuple[str, str]]] = {}
    for active, keys in sorted(live(bindings), key=lambda item: _rank(item[0])):
        grouped.setdefault(_place(active), []).append((" ".join(keys[:4]), words(active)))
    return list(grouped.items())


def _rank(active: ActiveBinding) -> int:
    if isinstance(active.node, (App, Screen)):
        return 2
    return 0 if getattr(active.node, "title", "") else 1


def _place(active: ActiveBinding) -> str:
    if isinstance(active.node, (App, Screen)):
        return "Global"
    title = getattr(active.node, "title", "")
    return title if isinstance(title, str) and title else "List"
