"""What is typed, made into keys, one after the other, also where many come in one packet."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from textual._xterm_parser import XTermParser
from textual.events import Key, Paste

if TYPE_CHECKING:
    from textual.app import App
    from textual.message_pump import MessagePump

_ESCAPE = "\x1b"
# How long a key waits for the one before it at most: what takes longer moves no focus.
_PATIENCE_SECONDS = 0.25
# What is handled by a widget may post a message, which goes up from widget to widget once more.
_TURNS = 2
# Alt+Tab and Alt+Backspace as some terminals send them: Shift+Tab, and the word before the cursor.
_KEPT = frozenset({"\t", "\x7f", _ESCAPE})


class KeyParser(XTermParser):
    """Textual's, but Escape and a key in one packet, as over a slow link, are Escape and that key.

    Textual makes Alt and the key of it, and nothing here is bound to Alt. Where a line is typed (`typing`), the few
    that move in it stay as they are.
    """

    def __init__(self, debug: bool = False, *, typing: Callable[[], bool] = lambda: False) -> None:
        super().__init__(debug)
        self._typing = typing

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[Key]:
        pair = len(sequence) == 2 and sequence[0] == _ESCAPE and sequence[1] not in _KEPT
        if alt or (pair and sequence[1].isprintable() and self._stands_alone(sequence)):
            yield Key("escape", _ESCAPE)
            yield from super()._sequence_to_key_events(sequence[-1])
        else:
            yield from super()._sequence_to_key_events(sequence)

    def _stands_alone(self, sequence: str) -> bool:
        """Whether Textual has a meaning of its own for these two, which no line that is typed needs."""
        return not self._typing() and any(True for _ in super()._sequence_to_key_events(sequence))


def is_typing(app: "App[Any]") -> bool:
    """Whether a line of text has the focus."""
    from textual.widgets import Input  # noqa: PLC0415 - not before the first frame

    return isinstance(app.focused, Input)


class KeyQueue:
    """Gives away keys, and what is pasted, one by one: each to what has the focus once the one before was handled.

    Over a slow link many keys come in one packet: `/user` and Enter. Textual gives all of them to the widget that had
    the focus at the first, where `user` is not text but four commands. Only with `give` does a key reach a widget.
    """

    def __init__(self, app: "App[Any]", give: Callable[[Key | Paste], Awaitable[None]]) -> None:
        self._app = app
        self._give = give
        self._waiting: deque[Key | Paste] = deque()
        self._task: asyncio.Task[None] | None = None

    async def put(self, key: Key | Paste) -> None:
        """Give it away now, or after those that came before."""
        self._waiting.append(key)
        if self._task is None:
            focused = await self._give_next()
            self._task = asyncio.create_task(self._follow(focused))
            self._task.add_done_callback(self._followed)

    async def _give_next(self) -> "MessagePump":
        focused = self._app.focused or self._app.screen
        await self._give(self._waiting.popleft())
        return focused

    async def _follow(self, focused: "MessagePump") -> None:
        try:
            await self._handled(focused)
            while self._waiting:
                await self._handled(await self._give_next())
        finally:
            self._task = None  # In the same turn as the last look: a key that comes now begins a new one.

    def _followed(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._app._handle_exception(error)  # type: ignore[arg-type]

    async def _handled(self, focused: "MessagePump") -> None:
        """Wait until all up to the app have handled what came of a key."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                for _ in range(_TURNS):
                    node: MessagePump | None = focused
                    while node is not None:
                        await _idle(node)
                        node = node._parent


async def _idle(node: "MessagePump") -> None:
    """Return once the node has handled all that was sent to it before."""
    done = asyncio.Event()
    if node.is_running and node.call_later(done.set):
        await done.wait()
