"""How asking a server can fail. Each error's text is one plain sentence: what, where, what to try."""

import re


class TriageError(Exception):
    """Anything that a person is told in a sentence instead of a traceback."""


class BadInput(TriageError):
    """An option, a size, a pattern or a file that cannot be used; nothing was changed."""


class ServerUnreachable(TriageError):
    """No connection, or one that was lost or stayed silent past its timeout."""


class LoginRefused(TriageError):
    """The server wants another user name or password."""


class NotRedis(TriageError):
    """Something answered that does not speak Redis's protocol."""


class ServerBusy(TriageError):
    """The server answers, but not with data yet: it is loading, or busy in a script."""


class CommandRefused(TriageError):
    """The server refused one command. `text` is its own answer, `command` what it was asked."""

    def __init__(self, sentence: str, *, command: str = "", text: str = "") -> None:
        super().__init__(sentence)
        self.command = command
        self.text = text


class PermissionRefused(CommandRefused):
    """This user may not run that command, or may not touch that key (NOPERM)."""


MOVED = "served by another node"
_ASK = re.compile(rf"{MOVED}, as its slot is half moved \(ASK \d+ (\S*:\d+)\)")


class KeyMoved(CommandRefused):
    """This node does not serve the key (MOVED, ASK, TRYAGAIN): nothing was done to it. Its text holds `MOVED`."""


def asks(sentence: str) -> str | None:
    """HOST:PORT of the node that a KeyMoved's sentence sends on to by ASK; None where it does not. HOST may be empty.

    >>> asks("the key is served by another node, as its slot is half moved (ASK 7 10.0.0.5:6379)")
    '10.0.0.5:6379'
    """
    found = _ASK.search(sentence)
    return None if found is None else found[1]


class CommandMissing(CommandRefused):
    """This server has no such command: too old, renamed away, or managed."""


class OutOfMemory(CommandRefused):
    """The server refused a write because it is over maxmemory."""


class WritesBlocked(CommandRefused):
    """The server accepts no writes now: MISCONF, NOREPLICAS or READONLY."""


class MonitorBroken(TriageError):
    """What watches the server during a scan or an action ended by a defect of its own: nothing would brake any more."""


class ReadOnlyMode(TriageError):
    """The tool runs with --read-only, so it does not even send this."""


class NotAllowed(TriageError):
    """A command outside the tool's allow-list: a defect of ours, stopped before it was sent."""
