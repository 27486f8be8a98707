"""`redis-oom-tui demo` in a real terminal: it opens on a server that refuses writes, and leaves nothing behind."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tmux import opened, terminals

pytestmark = pytest.mark.e2e


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name, as pytest's own does not."""
    folder = Path(tempfile.mkdtemp(prefix="rot-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def demo_folders(base: Path) -> list[Path]:
    return list(base.glob("oom-demo-*"))


def wait_until_gone(base: Path) -> None:
    end = time.monotonic() + 20
    while demo_folders(base):
        assert time.monotonic() < end, demo_folders(base)
        time.sleep(0.05)


@pytest.fixture(params=terminals())
def tmux(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("ending", ["q", "hangup", signal.SIGTERM, signal.SIGKILL], ids=str)
def test_the_demo_opens_at_oom_and_is_gone_afterwards(tmux: str, short_tmp: Path, ending: str | signal.Signals) -> None:
    with opened(tmux, "demo", "--keys", "3000", env={"TMPDIR": str(short_tmp)}) as terminal:
        terminal.wait_for("noeviction", "Refusing writes")
        (folder,) = demo_folders(short_tmp)
        if ending == "q":
            terminal.press("q")
            terminal.wait_for("EXIT=0")
        elif isinstance(ending, signal.Signals):
            os.kill(command_pid(terminal.pane_pid()), ending)
            terminal.wait_for("EXIT=")
        else:
            terminal.close()
        wait_until_gone(short_tmp)
        assert not folder.exists()


def command_pid(shell: int) -> int:
    """The one child of the terminal's shell."""
    (child,) = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
    return int(child)
