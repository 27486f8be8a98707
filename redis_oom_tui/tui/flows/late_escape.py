"""An Escape that was meant to end something, and comes in the moment after that has ended by itself."""

from typing import ClassVar

from textual.timer import Timer

from redis_oom_tui.tui.host import Workers


class LateEscape:
    """For `SECONDS` after the end of what Escape ends, Escape does nothing else: what has just come is still unread."""

    SECONDS: ClassVar[float] = 1.0

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._where = self._words = ""
        self._timer: Timer | None = None

    def expect(self, where: str, words: str) -> None:
        """What Escape would have ended on screen `where` has ended now; `words` tell so."""
        self.forget()
        if self.SECONDS > 0:
            self._where, self._words = where, words
            self._timer = self._workers.set_timer(self.SECONDS, self.forget)

    def forget(self) -> None:
        """From now on Escape does what it does."""
        self._where = self._words = ""
        if self._timer is not None:
            self._timer.stop()

    def taken(self, where: str) -> str:
        """What to say in place of doing what Escape does on screen `where`; '' where it is no late one."""
        return self._words if where == self._where else ""
