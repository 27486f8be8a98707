"""Typing a new value for a setting: what cannot be meant is said at once, and nothing is sent but questions."""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from textual import on
from textual.widget import Widget
from textual.widgets import Input
from textual.worker import WorkType

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.settings import shown_value
from redis_oom_tui.models.action import SettingView
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.settings import Change
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.dialogs.controls import Field, marked, paragraph
from redis_oom_tui.tui.drawing import Line


class ValueDialog(Dialog[Change]):
    """Answers with the change that `propose` made of what was typed."""

    AUTO_FOCUS = "#value"

    def __init__(self, view: SettingView, propose: Callable[[str], Awaitable[Change]], hints: Sequence[str]) -> None:
        super().__init__(f"New value of {safe_text(view.setting.name, 40)}", act="Look at it")
        self.view = view
        self.propose = propose
        self.hints = hints
        self.error = ""

    def body(self, width: int) -> Sequence[Line]:
        """The sentence, the present value, what may be typed, what was wrong."""
        setting = self.view.setting
        lines = paragraph(safe_text(self.view.sentence), width)
        lines += paragraph(f"Now: {shown_value(setting.name, setting.value)}", width, "title")
        for hint in self.hints:
            lines += paragraph(safe_text(hint), width, "dim")
        if self.error:
            lines += marked("! ", safe_text(self.error), width, "warn", "warn")
        return lines

    def fields(self) -> Iterable[Widget]:
        """Where it is typed."""
        yield Field(id="value", placeholder="then Enter; nothing is changed yet")

    def order(self) -> list[Widget]:
        """The field comes first here: what follows is only a look at what the value would do."""
        return [self.query_one("#value"), self.query_one("#act"), self.query_one("#cancel")]

    @on(Input.Submitted, "#value")
    def _entered(self, message: Input.Submitted) -> None:
        message.stop()
        self.conclude()

    def conclude(self) -> None:
        """Ask what the value would mean; a later press supersedes an earlier one."""
        looking: WorkType[None] = self._look
        self.run_worker(looking, name="look at a value", group="propose", exclusive=True, exit_on_error=False)

    async def _look(self) -> None:
        try:
            change = await self.propose(self.query_one("#value", Input).value)
        except TriageError as error:
            self.error = str(error)
            self.refit()
        else:
            self.dismiss(change)
