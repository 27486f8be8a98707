"""Where redis-py's errors become ours: each one plain sentence of what, where and what to try."""

import contextlib
import re
from collections.abc import Iterator

from redis import exceptions

from redis_oom_tui.models import errors
from redis_oom_tui.words.hostile import safe_text

_ABSENT = re.compile(
    r"unknown (sub)?command|unsupported config|try (config|client|object|memory|acl) help", re.IGNORECASE
)
_QUOTED = re.compile(r",? with args beginning with:.*", re.DOTALL)
_LOGIN = re.compile(
    r"WRONGPASS|NOAUTH|invalid username-password|^authentication required|client already authenticated", re.IGNORECASE
)
_MAY_NOT_RUN = re.compile(r"permissions? to run", re.IGNORECASE)
# What to try where a command that nothing can replace is not there at all.
_INSTEAD = {
    "INFO": "; try the server's own port instead of a proxy's",
    "SCAN": "; load its dump into a server of your own, and scan that",
}
SILENCE = "did not answer in time"
"""In the sentence about every server that said nothing for as long as it may."""
_BLOCKED = ("MISCONF", "NOREPLICAS", "READONLY")


@contextlib.contextmanager
def translated(where: object, doing: str = "") -> Iterator[None]:
    """Raise one of `models.errors` for anything that redis-py raises inside; `where` is the server's address."""
    try:
        yield
    except (exceptions.RedisError, exceptions.RedisClusterException, OSError) as error:
        raise as_ours(error, where, doing) from None


def as_ours(error: BaseException, where: object, doing: str = "") -> errors.TriageError:
    """The error of our own family for one of redis-py's; `doing` names the command where it is known."""
    text = said(error)
    if isinstance(error, exceptions.BusyLoadingError):
        return errors.ServerBusy(f"{where} is loading its data from disk: it answers when that is done")
    # The pool hands a refused login on as a plain ConnectionError: then only its text tells.
    if isinstance(error, (exceptions.AuthenticationError, exceptions.AuthorizationError)) or _LOGIN.search(text):
        return _login(text, where)
    if isinstance(error, exceptions.ResponseError):
        return _refusal(error, text, where, doing)
    if isinstance(error, exceptions.InvalidResponse) or "protocol error" in text.lower():
        return errors.NotRedis(f"{where} answers, but not as Redis does: check the port, and whether it wants --tls")
    if isinstance(error, (exceptions.TimeoutError, TimeoutError)):
        return errors.ServerUnreachable(f"{where} {SILENCE}: it may be blocked, or a firewall drops packets")
    return errors.ServerUnreachable(_unreachable(text, where))


def said(error: BaseException, limit: int = 300) -> str:
    """The server's own words, without the arguments that it quotes of a command it does not know.

    >>> said(exceptions.ResponseError("unknown command 'MEMORY', with args beginning with: 'USAGE' 'k' "))
    "unknown command 'MEMORY'"
    """
    return safe_text(_QUOTED.sub("", str(error)), limit)


def _login(text: str, where: object) -> errors.TriageError:
    if "WRONGPASS" in text or "invalid" in text.lower():
        return errors.LoginRefused(f"{where} refused this user name or password: check --user, -a and REDISCLI_AUTH")
    return errors.LoginRefused(f"{where} wants a password: give it by REDISCLI_AUTH, -a or --user with -a")


def _refusal(
    error: exceptions.ResponseError, text: str, where: object, doing: str
) -> errors.CommandRefused | errors.ServerBusy:
    what = doing or "a command"
    said = {"command": doing, "text": text}
    if isinstance(error, exceptions.NoPermissionError):
        return errors.PermissionRefused(
            f"{where} does not let this user run {what}: {text}{_grant(doing, text)}", **said
        )
    if isinstance(error, exceptions.OutOfMemoryError):
        return errors.OutOfMemory(f"{where} refused {what}: it is over maxmemory", **said)
    if isinstance(error, exceptions.ReadOnlyError) or text.startswith(_BLOCKED):
        return errors.WritesBlocked(f"{where} accepts no writes now: {text}", **said)
    # A MovedError is an AskError in redis-py.
    if isinstance(error, exceptions.MovedError):
        return errors.KeyMoved(f"the key is {errors.MOVED} now ({text})", **said)
    if isinstance(error, (exceptions.AskError, exceptions.TryAgainError)):
        asked = "ASK " if isinstance(error, exceptions.AskError) else ""
        return errors.KeyMoved(f"the key is {errors.MOVED}, as its slot is half moved ({asked}{text})", **said)
    if text.startswith("BUSY "):
        return errors.ServerBusy(f"{where} is busy running a script: {text}")
    if _ABSENT.search(text):
        return errors.CommandMissing(f"{where} has no {what}: {text}{_INSTEAD.get(doing, '')}", **said)
    return errors.CommandRefused(f"{where} refused {what}: {text}", **said)


def _grant(doing: str, text: str) -> str:
    """What an administrator could do for a user who may not run `doing` at all."""
    if not doing or not _MAY_NOT_RUN.search(text):
        return ""
    return f"; log in as a user who may, or allow it by ACL SETUSER with +{doing.lower().replace(' ', '|')}"


def _unreachable(text: str, where: object) -> str:
    # The server's name stands in the text, and may be made of any of these words.
    name = str(where).removeprefix("unix:")
    lowered = text.replace(name, "").replace(name.rpartition(":")[0] or name, "").lower()
    if "certificate" in lowered or "ssl" in lowered:
        return _untrusted(text, where)
    if "refused" in lowered or "error 111" in lowered:
        return f"{where} refuses connections: is the server up, and are host and port right?"
    if "no such file" in lowered:
        return f"{where} does not exist: is the server up, and is the socket's path right?"
    if "name or service" in lowered or "resolution" in lowered or "getaddrinfo" in lowered:
        return f"{where} has no address: the host name is not known here"
    if any(word in lowered for word in ("closed", "reset", "lost", "broken pipe")):
        # TLS 1.3 refuses a missing certificate after the handshake: often all that is seen of it is the close.
        return (
            f"{where} closed the connection: it may be restarting, full of clients, want --tls, "
            "or want a client certificate (--cert and --key)"
        )
    return f"{where} cannot be reached: {text}"


def _untrusted(text: str, where: object) -> str:
    lowered = text.lower()
    if "mismatch" in lowered or "is not valid for" in lowered:
        return f"{where} has a TLS certificate for another name: give the name that it is for with --sni ({text})"
    if "certificate_required" in lowered or "certificate required" in lowered or "unknown ca" in lowered:
        return f"{where} wants a client certificate that it trusts: give one with --cert and --key ({text})"
    if "certificate" in lowered:
        return f"{where} has a TLS certificate that cannot be trusted: name its authority with --cacert ({text})"
    return f"{where} does not speak TLS as asked: check the port, --tls, --cert and --key ({text})"
