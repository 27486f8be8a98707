"""Textual's Linux driver, safe for bad links: writing never blocks, a hangup ends the app, each key typed arrives."""

import asyncio
import codecs
import contextlib
import os
import selectors
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, TextIO, cast

from textual._xterm_parser import XTermParser
from textual.drivers import linux_driver
from textual.drivers.linux_driver import LinuxDriver
from textual.events import Key, Paste

from redis_oom_tui.tui.terminal.link import LinkWriter
from redis_oom_tui.tui.terminal.safe_run import SafeApp
from redis_oom_tui.tui.terminal.splash import ALTERNATE, SplashScreen

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


HANGUP_CODE = 129
_SELECT_SECONDS = 0.1
_READ_BYTES = 4096


class TriageDriver(LinuxDriver):
    """What the stock driver does, but for a blocking queue, a strict decoder and a deaf ear to hangups."""

    _asleep = False
    _on_stage = False

    @property
    def waiting(self) -> int:
        """Bytes that the terminal has not taken yet."""
        writer: Any = self._writer_thread
        return writer.waiting if isinstance(writer, LinkWriter) else 0

    def _enable_mouse_support(self) -> None:
        """Clicks, drags and the wheel: reports of each movement would only fill the line."""
        if self._mouse:
            self.write("\x1b[?1000h\x1b[?1002h\x1b[?1015h\x1b[?1006h")

    def start_application_mode(self) -> None:
        """Start, writing through a queue that never blocks: the splash's where one hangs, whose frame then stays.

        Reports of the window's focus are switched off: one that comes in parts over a slow link is typed in as keys.
        """
        textual: Any = linux_driver
        stock = textual.WriterThread
        textual.WriterThread = self._link_writer
        try:
            super().start_application_mode()  # type: ignore[no-untyped-call]
        finally:
            textual.WriterThread = stock
        if self._writer_thread is not None:
            self.write("\x1b[?1004l")
        if self._splash is not None and self._splash.saved is not None:
            self.attrs_before = self._splash.saved

    def _link_writer(self, file: TextIO) -> LinkWriter:
        writer = None if self._splash is None else self._splash.hand_over()
        self._on_stage = writer is not None
        return writer or LinkWriter(file)

    @property
    def _splash(self) -> SplashScreen | None:
        return cast("SafeApp", self._app).splash

    def write(self, data: str) -> None:
        """Queue it. The alternate screen is not entered twice: some terminals would clear it."""
        if self._on_stage and data == ALTERNATE:
            self._on_stage = False
        else:
            super().write(data)

    def stop_application_mode(self) -> None:
        """Stop; also what the stock driver leaves on."""
        self.write("\x1b[?1002l\x1b[?1016l\x1b[0m")
        super().stop_application_mode()

    def _sigtstp_application(self, *args: object) -> None:
        if self._writer_thread is None and self._splash is not None:
            self._splash.sleep()
            return
        self._asleep = True
        super()._sigtstp_application(*args)

    def _sigcont_application(self, *args: object) -> None:
        # After a SIGSTOP from outside the terminal was never given back, so there is nothing to take again.
        if self._asleep:
            self._asleep = False
            super()._sigcont_application(*args)

    def run_input_thread(self) -> None:
        """Read keys until the end; bytes that are no UTF-8 become a replacement character."""
        parser = KeyParser(self._debug, typing=lambda: is_typing(self._app))
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                if selector.select(_SELECT_SECONDS):
                    data = self._read()
                    if not data:
                        cast("SafeApp", self._app).leave(HANGUP_CODE)
                        return
                    for event in parser.feed(decode(data)):
                        self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)

    def _read(self) -> bytes:
        """What was typed; nothing once the terminal has hung up."""
        with contextlib.suppress(OSError):
            return os.read(self.fileno, _READ_BYTES)
        return b""
