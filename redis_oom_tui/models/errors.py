"""How asking a server can fail. Each error's text is one plain sentence: what, where, what to try."""

from enum import StrEnum
from typing import ClassVar

from redis_oom_tui.models.address import Address


class ErrorClass(StrEnum):
    """What an error calls for, decided once, where it comes in: no caller reads sentences for that.

    WAIT: the server carries out nothing just now (a script, loading): hold, and send the same again. STOP: everything
    else would meet the same until somebody acts: the rest is not attempted. KEY: this key or command alone.
    """

    WAIT = "wait"
    STOP = "stop"
    KEY = "key"


class TriageError(Exception):
    """Anything that a person is told in a sentence instead of a traceback."""

    error_class: ClassVar[ErrorClass] = ErrorClass.STOP


class BadInput(TriageError):
    """An option, a size, a pattern or a file that cannot be used; nothing was changed."""


class ServerUnreachable(TriageError):
    """No connection, or one that was lost or stayed silent past its timeout (then `silent`)."""

    def __init__(self, sentence: str, *, silent: bool = False) -> None:
        super().__init__(sentence)
        self.silent = silent


class OtherServer(TriageError):
    """The address is answered by another server now, or by the same one restarted: what was known does not hold."""

    @classmethod
    def at(cls, address: Address) -> "OtherServer":
        """The same, in a sentence."""
        return cls(
            f"{address} is another server than before, or was restarted (its run id changed): check again before acting"
        )


class LoginRefused(TriageError):
    """The server wants another user name or password."""


class NotRedis(TriageError):
    """Something answered that does not speak Redis's protocol."""


class ServerBusy(TriageError):
    """The server answers, but carries out nothing yet: it is loading, busy in a script, or in a failover."""

    error_class = ErrorClass.WAIT


class SlotMoving(ServerBusy):
    """The keys of one command are on two nodes while their slot moves (TRYAGAIN): nothing was done to any of them."""


class CommandRefused(TriageError):
    """The server refused one command. `text` is its own answer, `command` what it was asked."""

    error_class = ErrorClass.KEY

    def __init__(self, sentence: str, *, command: str = "", text: str = "") -> None:
        super().__init__(sentence)
        self.command = command
        self.text = text


class PermissionRefused(CommandRefused):
    """This user may not run that command, or may not touch that key (NOPERM)."""


class KeyMoved(CommandRefused):
    """This node does not serve the key (MOVED, ASK): nothing was done to it.

    `asks` is HOST:PORT of the node that it is to be asked of behind ASKING, None where there is none; HOST may be
    empty.
    """

    def __init__(self, sentence: str, *, command: str = "", text: str = "", asks: str | None = None) -> None:
        super().__init__(sentence, command=command, text=text)
        self.asks = asks


class CommandMissing(CommandRefused):
    """This server has no such command: too old, renamed away, or managed."""


class OutOfMemory(CommandRefused):
    """The server refused a write because it is over maxmemory."""

    error_class = ErrorClass.STOP


class WritesBlocked(CommandRefused):
    """The server accepts no writes now: MISCONF, NOREPLICAS, READONLY or CLUSTERDOWN."""

    error_class = ErrorClass.STOP


class MonitorBroken(TriageError):
    """What watches the server during a scan or an action ended by a defect: nothing would throttle it any more."""


class ReadOnlyMode(TriageError):
    """The tool runs with --read-only, so it does not even send this."""


class NotAllowed(TriageError):
    """A command outside the tool's allow-list: a defect of ours, stopped before it was sent."""


def refuses_connections(where: object) -> str:
    """The sentence where nobody listens."""
    right = "is the socket's path right" if str(where).startswith("unix:") else "are host and port right"
    return f"{where} refuses connections: is the server running, and {right}?"


def does_not_exist(where: object) -> str:
    """The sentence where there is no such socket."""
    return f"{where} does not exist: is the server running, and is the socket's path right?"


def cannot_be_resolved(where: object) -> str:
    """The sentence where the host's name has no address."""
    return f"{where} cannot be resolved: the host name is not known here"
