"""Child processes of ours that own a private server, and end with us, however we end.

The parent holds one end of a pipe: the child's standard input ends when the parent does, SIGKILL included.
"""

import selectors
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

# sockaddr_un holds 108 bytes; a long TMPDIR would not fit.
_LONGEST_SOCKET_PATH = 100


def spawn(module: str, *arguments: str) -> subprocess.Popen[str]:
    """A child in a session of its own: neither Ctrl+C nor a hangup of our terminal reaches it."""
    return subprocess.Popen(  # noqa: S603 - our own modules
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def next_line(process: subprocess.Popen[str], seconds: float) -> str:
    """What the child says next; empty if it ends or stays silent. It says one line at a time."""
    stdout = process.stdout
    if stdout is None:
        return ""
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        return stdout.readline().strip() if selector.select(seconds) else ""


def end(process: subprocess.Popen[str]) -> None:
    """Close its standard input, which is its sign to leave, and see to it that it does."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait(5)


def outlive_signals() -> None:
    """In the child: only SIGTERM and the end of standard input end it, and it cleans up."""
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(ignored, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)


def _leave(_signal: int, _frame: object) -> None:
    raise SystemExit(0)


def private_directory(prefix: str) -> Path:
    """A new directory that only this user can enter (mkdtemp makes it 0700)."""
    base = tempfile.gettempdir()
    if len(base) + len(prefix) + len("/12345678/valkey.sock") > _LONGEST_SOCKET_PATH:
        base = "/tmp"  # noqa: S108 - mkdtemp makes a private directory in it
    return Path(tempfile.mkdtemp(prefix=prefix, dir=base))
