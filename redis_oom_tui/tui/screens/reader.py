"""Screens to read: a text that scrolls over the whole terminal, such as the help, the verdict or a finding."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.screen import ModalScreen, Screen

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.vitals import saving
from redis_oom_tui.models.verdict import Finding, Verdict
from redis_oom_tui.tui.commands import live, words
from redis_oom_tui.tui.dialogs.base import EXPLAIN
from redis_oom_tui.tui.drawing import DrawStyle, Line, Piece, clip, pad, wrap
from redis_oom_tui.tui.header_model import finding_mark, level_role, level_word
from redis_oom_tui.tui.host import Host, host_of
from redis_oom_tui.tui.messages import ApplyRemedy
from redis_oom_tui.tui.widgets.cursor_list import ScrollingText
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
    """The verdict in full: its reason, what to do first, the evidence."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__()
        self._verdict = verdict

    def text(self, width: int) -> Sequence[Line]:
        """Reason, first step, evidence, and what could not be judged."""
        verdict = self._verdict
        badge = (f" {level_word(verdict.level, self.host.style.glyphs)} ", level_role(verdict.level))
        return [
            *_headed(badge, verdict.reason, width),
            *_paragraph("First step", verdict.first_step, width),
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
