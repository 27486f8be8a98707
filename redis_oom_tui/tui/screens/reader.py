"""Screens to read: a text that scrolls over the whole terminal, such as the help, the verdict or a finding."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.vitals import saving
from redis_oom_tui.models.verdict import Finding, Verdict
from redis_oom_tui.tui.drawing import DrawStyle, Line, Piece, clip, wrap
from redis_oom_tui.tui.header_model import level_role, level_word
from redis_oom_tui.tui.host import Host, host_of
from redis_oom_tui.tui.messages import ApplyRemedy
from redis_oom_tui.tui.widgets.keybar import KeyBar
from redis_oom_tui.tui.widgets.scrolling import ScrollingText


class ReaderScreen(ModalScreen[None]):
    """Covers the panes until Escape. A subclass gives `text`, in lines of a width."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter", "dismiss", "close")]

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
        badge = (f" {level_word(verdict.level, self.host.pen.glyphs)} ", level_role(verdict.level))
        return [
            *_headed(badge, verdict.reason, width),
            *_paragraph("First step", verdict.first_step, width),
            *_bullets("Evidence", verdict.evidence, width, self.host.pen),
            *_bullets("To confirm it by hand", verdict.confirm, width, self.host.pen),
            *_bullets("Not judged", verdict.not_judged, width, self.host.pen),
        ]


class FindingScreen(ReaderScreen):
    """A finding with all that is known of it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "fix", "fix", tooltip="Go to the fix; nothing is changed yet"),
    ]

    def __init__(self, finding: Finding) -> None:
        super().__init__()
        self._finding = finding

    def text(self, width: int) -> Sequence[Line]:
        """Title, advice, evidence, what the application can do."""
        finding, pen = self._finding, self.host.pen
        sign = (f" {pen.glyphs.state(finding.level)} ", level_role(finding.level))
        return [
            *_headed(sign, finding.title, width),
            *_paragraph("Fix", finding.advice, width),
            *_paragraph("Frees", saving(finding), width),
            *_bullets("Evidence", finding.evidence, width, pen),
            *_paragraph("Prevent it (application)", finding.in_the_application, width),
        ]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what is mended elsewhere leads there."""
        del parameters
        return action != "fix" or self._finding.remedy is not None

    def action_fix(self) -> None:
        """Go where it is mended."""
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


def _bullets(word: str, sentences: Sequence[str], width: int, pen: DrawStyle) -> list[Line]:
    if not sentences:
        return []
    out: list[Line] = [((f" {word}", "dim"),)]
    for sentence in sentences:
        first, *rest = wrap(safe_text(sentence, 600), max(8, width - 6))
        out += [((f"  {pen.glyphs.bullet} ", "dim"), (first, "text")), *(((f"    {line}", "text"),) for line in rest)]
    return [*out, ()]
