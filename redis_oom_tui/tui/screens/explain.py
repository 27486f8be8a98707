"""What F1 explains: a short text for each thing that can have the focus, and the screen that shows it."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.screen import Screen

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.rules.tuning import SETTINGS
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.drawing import Line, wrap
from redis_oom_tui.tui.screens.reader import ReaderScreen
from redis_oom_tui.tui.widgets.fields import PushButton, Toggle


@runtime_checkable
class HasTopics(Protocol):
    """What has more to explain than itself: a list its columns, or what its cursor is on."""

    def topics(self) -> Sequence[str]:
        """The names of the texts."""


@cache
def texts() -> Mapping[str, tuple[str, str]]:
    """Title and text by name, as the file beside this one has them."""
    tables = tomllib.loads(Path(__file__).with_name("explanations.toml").read_text(encoding="utf-8"))
    return {name: (table.get("title", ""), " ".join(table["text"].split())) for name, table in tables.items()}


def text_for(node: DOMNode, screen: Screen[object]) -> tuple[str, str] | None:
    """The text for a widget or a screen; None where there is none."""
    classes = [kind.__name__ for kind in type(node).__mro__]
    names = [f"{type(screen).__name__}#{node.id}", f"#{node.id}", *classes]
    return next((texts()[name] for name in names if name in texts()), None)


def _topic(name: str) -> tuple[str, str] | None:
    setting = SETTINGS.get(name.removeprefix("setting."))
    return texts().get(name) if setting is None else (name.removeprefix("setting."), setting.sentence)


def explanation(screen: Screen[object]) -> list[tuple[str, str]]:
    """Title and text of what has the focus on `screen`, from the thing itself to the screen."""
    found = list(dict.fromkeys(_explained(screen)))
    return [*found, texts()["Header"]] if screen.query("Header") else found


def _explained(screen: Screen[object]) -> Iterator[tuple[str, str]]:
    focused = screen.focused
    for node in (screen,) if focused is None else focused.ancestors_with_self:
        named = text_for(node, screen)
        if named is not None:
            yield named[0] or _label(node), named[1]
        for topic in node.topics() if isinstance(node, HasTopics) else ():
            if (text := _topic(topic)) is not None:
                yield text
        if node is screen:
            return


def _label(node: DOMNode) -> str:
    if isinstance(node, PushButton | Toggle):
        return safe_text(str(node.label), 80)
    return ""


class ExplainScreen(ReaderScreen):
    """What has the focus on the screen below, which stays as it is."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f1", "dismiss", "close", show=False)]

    def __init__(self, below: Screen[object]) -> None:
        super().__init__()
        self._texts = explanation(below)
        title = below.title_text if isinstance(below, Dialog) else ""
        self._title = safe_text(title, 80)
        self._more = "Esc returns to it." if below.is_modal else "? lists all keys there."
        if self._title:
            self._more = "Esc returns to the question, which has not changed."

    def text(self, width: int) -> Sequence[Line]:
        """Each title with its text."""
        out: list[Line] = [((f" {self._title}", "title"),), ()] if self._title else []
        for title, text in self._texts:
            out.append(((f" {title}", "key"),))
            out += [((f"  {line}", "text"),) for line in wrap(text, max(8, min(width, 100) - 4))]
            out.append(())
        return [*out, ((f" {self._more}", "dim"),)]
