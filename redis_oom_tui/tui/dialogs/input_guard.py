"""A question is deaf for its first moment: keys that were meant for what was on screen before do not answer it."""

from typing import ClassVar, Generic, TypeVar

from textual.screen import ModalScreen

T = TypeVar("T")


class InputGuard(ModalScreen[T | None], Generic[T]):
    """A modal screen that does nothing for `GUARD_SECONDS`, while it cannot have been read yet."""

    GUARD_SECONDS: ClassVar[float] = 0.3

    def __init__(self) -> None:
        super().__init__()
        self.guarded = self.GUARD_SECONDS > 0

    def listen_soon(self) -> None:
        """Begin to listen after the first moment."""
        if self.guarded:
            self.set_timer(self.GUARD_SECONDS, self._listen)

    def _listen(self) -> None:
        self.guarded = False

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing is heard while it is fresh."""
        del action, parameters
        return not self.guarded
