"""Screens to read: a text that scrolls over the whole terminal, such as the help, a finding, or what F1 explains."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from textual.app import App, ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.dom import DOMNode
from textual.screen import ModalScreen, Screen

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.vitals import saving
from redis_oom_tui.models.verdict import Finding, Verdict
from redis_oom_tui.rules.tuning import SETTINGS
from redis_oom_tui.tui.commands import live, words
from redis_oom_tui.tui.dialogs.base import EXPLAIN, Dialog
from redis_oom_tui.tui.drawing import DrawStyle, Line, Piece, clip, pad, wrap
from redis_oom_tui.tui.header_model import finding_mark, level_role, level_word
from redis_oom_tui.tui.host import Host, host_of
from redis_oom_tui.tui.messages import ApplyRemedy
from redis_oom_tui.tui.widgets.cursor_list import ScrollingText
from redis_oom_tui.tui.widgets.fields import PushButton, Toggle
from redis_oom_tui.tui.widgets.keybar import KeyBar

SAFETY = (
    "Nothing changes without confirmation. Cancel is the default; no single keystroke confirms.",
    "What runs is exactly the list that was shown; each key is checked again right before it is deleted.",
    "Reading leaves no trace: unless you ask for it, nothing resets idle times or frequencies.",
    "Keys are backed up before deletion unless you opt out; a setting can be undone with one key.",
    "Every action is recorded in the audit log.",
)


class ReaderScreen(ModalScreen[None]):
    """Covers the panes until Escape. A subclass gives `text`, in lines of a width."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter", "dismiss", "close"), EXPLAIN]

    def __init__(self) -> None:
        super().__init__()
        self.reader = ScrollingText(self.text)

    @property
    def host(self) -> Host:
        """The server on screen."""
        return host_of(self)

    def text(self, width: int) -> Sequence[Line]:
        """All that there is to read."""
        del width
        return ()

    def compose(self) -> ComposeResult:
        yield self.reader
        yield KeyBar()


class VerdictScreen(ReaderScreen):
    """The verdict on the server called `where` in full: its reason, what to do first, the evidence."""

    def __init__(self, verdict: Verdict, where: str) -> None:
        super().__init__()
        self._verdict = verdict
        self._where = where

    def text(self, width: int) -> Sequence[Line]:
        """Reason, first step, evidence, and what could not be judged."""
        verdict = self._verdict
        badge = (f" {level_word(verdict.level, self.host.style.glyphs)} ", level_role(verdict.level))
        return [
            *_headed(badge, verdict.reason, width),
            *_paragraph("First step", verdict.first_step, width),
            *_paragraph("Server", self._where, width),
            *_bullets("Evidence", verdict.evidence, width, self.host.style),
            *_bullets("To confirm it by hand", verdict.confirm, width, self.host.style),
            *_bullets("Not judged", verdict.not_judged, width, self.host.style),
        ]


class FindingScreen(ReaderScreen):
    """A finding with all that is known of it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "fix", "fix", tooltip="Go to the fix; nothing is changed yet")
    ]

    def __init__(self, finding: Finding) -> None:
        super().__init__()
        self._finding = finding

    def text(self, width: int) -> Sequence[Line]:
        """Title, advice, evidence, what the application can do."""
        finding, style = self._finding, self.host.style
        sign = (f" {finding_mark(finding.level, style.glyphs)} ", level_role(finding.level))
        return [
            *_headed(sign, finding.title, width),
            *_paragraph("Fix", finding.advice, width),
            *_paragraph("Frees", saving(finding), width),
            *_bullets("Evidence", finding.evidence, width, style),
            *_paragraph("Prevent it (application)", finding.in_the_application, width),
        ]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what is fixed elsewhere leads there."""
        del parameters
        return action != "fix" or self._finding.remedy is not None

    def action_fix(self) -> None:
        """Go where it is fixed."""
        self.dismiss()
        if self._finding.remedy is not None:
            self.app.post_message(ApplyRemedy(self._finding.remedy))


def _headed(sign: Piece, title: str, width: int) -> list[Line]:
    """A sign and beside it the title, over as many lines as it takes."""
    first, *rest = wrap(safe_text(title, 600), max(8, width - 4 - len(sign[0])))
    return [clip((sign, (first, "title")), width), *((((" " * len(sign[0])) + line, "title"),) for line in rest), ()]


def _paragraph(word: str, text: str, width: int) -> list[Line]:
    if not text:
        return []
    lines = wrap(safe_text(text, 900), max(8, width - 4))
    return [((f" {word}", "dim"),), *(((f"  {line}", "text"),) for line in lines), ()]


def _bullets(word: str, sentences: Sequence[str], width: int, style: DrawStyle) -> list[Line]:
    if not sentences:
        return []
    out: list[Line] = [((f" {word}", "dim"),)]
    for sentence in sentences:
        first, *rest = wrap(safe_text(sentence, 600), max(8, width - 6))
        out += [((f"  {style.glyphs.bullet} ", "dim"), (first, "text")), *(((f"    {line}", "text"),) for line in rest)]
    return [*out, ()]


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
            for keys, sentence in entries:
                first, *more = wrap(sentence, max(8, width - 20))
                out.append(((f"  {pad(keys, 16)} ", "key"), (first, "text")))
                out += [((f"{' ' * 19}{line}", "text"),) for line in more]
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
