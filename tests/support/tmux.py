"""A real terminal for the tests: tmux on a socket of its own, typed into and read back."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

TMUX = shutil.which("tmux")
COMMAND = Path(sys.executable).with_name("redis-oom-tui")
PATIENCE_SECONDS = 30.0


def terminals() -> list[str]:
    """The terminal multiplexers to test in: none where tmux is not installed."""
    return [] if TMUX is None else [TMUX]


class Terminal:
    """One tmux session with one program in it. Its exit code appears on the screen once it ends."""

    def __init__(
        self, tmux: str, folder: Path, command: list[str], size: tuple[int, int], env: Mapping[str, str]
    ) -> None:
        self._tmux = [tmux, "-S", str(folder / "tmux"), "-f", "/dev/null"]
        # The shell outlives a Ctrl+C to tell how the command ended.
        script = f"trap : INT; {shlex.join(command)}; printf '\\nEXIT=%s\\n' $?; exec sleep 600"
        self._environment = {**os.environ, "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"), **env}
        for name in ("NO_COLOR", "REDIS_URL", "REDISCLI_AUTH", "TMUX"):
            self._environment.pop(name, None)
        width, height = size
        self.run("new-session", "-d", "-x", str(width), "-y", str(height), "sh", "-c", script)

    def run(self, *arguments: str) -> str:
        """One tmux command's output."""
        done = subprocess.run(
            [*self._tmux, *arguments], env=self._environment, capture_output=True, text=True, timeout=20, check=False
        )
        return done.stdout

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names: `Enter`, `Tab`, `Escape`, `C-c`, `x`."""
        self.run("send-keys", *keys)

    def type(self, text: str) -> None:
        """Type text as it is."""
        self.run("send-keys", "-l", text)

    def screen(self) -> str:
        """What stands on the screen now."""
        return self.run("capture-pane", "-p")

    def wait_for(self, *texts: str, gone: bool = False, patience: float = PATIENCE_SECONDS) -> str:
        """The screen, once all of the texts stand on it (or none does, with `gone`)."""
        end = time.monotonic() + patience
        while True:
            screen = self.screen()
            if all((text in screen) is not gone for text in texts):
                return screen
            if time.monotonic() > end:
                raise AssertionError(f"no {texts} on the screen:\n{screen}")
            time.sleep(0.05)

    def pane_pid(self) -> int:
        """The shell's process id."""
        return int(self.run("display-message", "-p", "#{pane_pid}"))

    def close(self) -> None:
        """End the session and everything in it, as a closed window would."""
        self.run("kill-server")


@contextmanager
def opened(
    tmux: str, *arguments: str, size: tuple[int, int] = (80, 24), env: Mapping[str, str] | None = None
) -> Iterator[Terminal]:
    """The built command with these arguments in a terminal of that size, closed afterwards."""
    with showing(tmux, [str(COMMAND), *arguments], size, env) as terminal:
        yield terminal


@contextmanager
def showing(
    tmux: str, command: list[str], size: tuple[int, int] = (80, 24), env: Mapping[str, str] | None = None
) -> Iterator[Terminal]:
    """Any command likewise."""
    folder = Path(tempfile.mkdtemp(prefix="rot-tty-"))
    terminal = Terminal(tmux, folder, command, size, env or {})
    try:
        yield terminal
    finally:
        terminal.close()
        shutil.rmtree(folder, ignore_errors=True)
