"""How long this process itself kept an answer waiting: on a crowded machine it is late for what is long there."""

import asyncio
from types import TracebackType
from typing import Self

_BEAT_SECONDS = 0.05


class LoopLag:
    """Around a question: `seconds` by which the event loop was late meanwhile, which are not the server's."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._loop = asyncio.get_running_loop()
        self._due = 0.0
        self._beat: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._beat is not None:
            self._beat.cancel()
        self._note()

    def _wait(self) -> None:
        self._due = self._loop.time() + _BEAT_SECONDS
        self._beat = self._loop.call_at(self._due, self._beaten)

    def _beaten(self) -> None:
        self._note()
        self._wait()

    def _note(self) -> None:
        self.seconds += max(0.0, self._loop.time() - self._due)
