"""Where redis-py's errors become ours: each one plain sentence of what, where and what to try."""

import contextlib
import re
from collections.abc import Iterator

from redis import exceptions

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models import errors
from redis_oom_tui.resilience import is_oom

_ABSENT = re.compile(
    r"unknown (sub)?command|unsupported config|try (config|client|object|memory|acl) help", re.IGNORECASE
)
_QUOTED = re.compile(r",? with args beginning with:.*", re.DOTALL)
_LOGIN = re.compile(
    r"WRONGPASS|NOAUTH|invalid username-password|^authentication required|client already authenticated"
    r"|without any password",
    re.IGNORECASE,
)
_NO_PASSWORD = re.compile(r"without any password configured|no password is set", re.IGNORECASE)
_MAY_NOT_RUN = re.compile(r"permissions? to run", re.IGNORECASE)
_NAMED = re.compile(r"permissions? to run the '([a-z|_.-]+)' command", re.IGNORECASE)
_UNKNOWN = re.compile(r"unknown command ['`]([a-z_.-]+)['`]", re.IGNORECASE)
# What to try where a command that nothing can replace is not there at all.
_INSTEAD = {
    "INFO": "; try the server's own port instead of a proxy's",
    "SCAN": "; load its dump into a server of your own, and scan that",
}
# Refusals from inside a script stand behind a dash, and on Redis 6.2 behind the script's name as well.
_IN_SCRIPT = re.compile(r"^(?:@user_script\S*(?: \S+)?: )?-?")
# What the server says at the start of a refusal that is not about the command or its key.
_BLOCKED = ("MISCONF", "NOREPLICAS", "READONLY", "CLUSTERDOWN")
_BUSY = ("BUSY ", "TRYAGAIN", "MASTERDOWN")
_FULL = "max number of clients reached"

FAILURES = (exceptions.RedisError, exceptions.RedisClusterException, OSError)
"""What an exchange with the server fails by."""


@contextlib.contextmanager
def translated(where: object, doing: str = "") -> Iterator[None]:
    """Raise one of `models.errors` for anything that redis-py raises inside; `where` is the server's address."""
    try:
        yield
    except FAILURES as error:
        raise as_ours(error, where, doing) from None


def as_ours(error: BaseException, where: object, doing: str = "") -> errors.TriageError:
    """Our own error for one of redis-py's; `doing` names the command where it is known."""
    # redis-py wraps a refusal that the handshake of a connection met, as of SELECT, in a plain ConnectionError.
    inner = error.args[0] if isinstance(error, exceptions.ConnectionError) and error.args else None
    if isinstance(inner, exceptions.ResponseError):
        error = inner
    text = own_words(error)
    if isinstance(error, exceptions.BusyLoadingError) or text.startswith("LOADING "):
        return errors.ServerBusy(f"{where} is loading its data from disk: it answers when that is done")
    # The pool hands a refused login on as a plain ConnectionError: then only its text tells.
    if isinstance(error, (exceptions.AuthenticationError, exceptions.AuthorizationError)) or _LOGIN.search(text):
        return _login(text, where)
    if isinstance(error, exceptions.ResponseError):
        return _refusal(error, text, where, doing)
    if isinstance(error, exceptions.InvalidResponse) or "protocol error" in text.lower():
        return not_redis(where)
    if isinstance(error, (exceptions.TimeoutError, TimeoutError)):
        return errors.ServerUnreachable(
            f"{where} did not answer in time: it may be blocked or paused (CLIENT PAUSE), or a firewall drops packets",
            silent=True,
        )
    return errors.ServerUnreachable(_unreachable(text, where))


def not_redis(where: object) -> errors.NotRedis:
    """Something answered that no server of this kind answers."""
    check = "the socket's path" if _is_socket(where) else "the port, and whether it requires --tls"
    return errors.NotRedis(f"{where} does not speak the Redis protocol: check {check}")


def _is_socket(where: object) -> bool:
    return str(where).startswith("unix:")


def in_script(text: str) -> errors.TriageError:
    """Our own error for a refusal that a command met inside a script; it keeps the server's own words.

    >>> in_script("-MISCONF Redis is configured to save RDB snapshots").error_class
    <ErrorClass.STOP: 'stop'>
    >>> in_script("NOPERM this user has no permissions to access one of the keys")
    PermissionRefused('NOPERM this user has no permissions to access one of the keys')
    """
    words = _IN_SCRIPT.sub("", text, count=1)
    details = {"command": "", "text": text}
    if words.startswith(_BLOCKED):
        return errors.WritesBlocked(f"The server accepts no writes now: {words}", **details)
    if words.startswith("OOM ") or is_oom(exceptions.ResponseError(words)):
        return errors.OutOfMemory(text, **details)
    if words.startswith(("NOPERM", "The user executing the script")) or _MAY_NOT_RUN.search(words):
        return errors.PermissionRefused(text, **details)
    if words.startswith("Unknown Redis command") or _ABSENT.search(words):
        return errors.CommandMissing(text, **details)
    return errors.CommandRefused(text, **details)


def waits(error: BaseException) -> bool:
    """Whether redis-py's `error` says that the server carries out nothing just now, so that asking again helps."""
    if isinstance(error, exceptions.ResponseError):
        return isinstance(error, (exceptions.TryAgainError, exceptions.MasterDownError)) or str(error).startswith(_BUSY)
    return isinstance(error, exceptions.BusyLoadingError)


def own_words(error: BaseException, limit: int = 300) -> str:
    """The server's own words, without the arguments that it quotes of a command it does not know.

    >>> own_words(exceptions.ResponseError("unknown command 'MEMORY', with args beginning with: 'USAGE' 'k' "))
    "unknown command 'MEMORY'"
    """
    return safe_text(_QUOTED.sub("", str(error)).strip(), limit)


def _login(text: str, where: object) -> errors.TriageError:
    if _NO_PASSWORD.search(text):
        return errors.LoginRefused(
            f"{where} has no password, and one was given: leave out -a, and unset REDISCLI_AUTH (for a user of its own"
            " give --user as well)"
        )
    if "WRONGPASS" in text or "invalid" in text.lower():
        return errors.LoginRefused(f"{where} refused this user name or password: check --user, -a and REDISCLI_AUTH")
    return errors.LoginRefused(f"{where} requires a password: give it by REDISCLI_AUTH, -a or --user with -a")


def _refusal(error: exceptions.ResponseError, text: str, where: object, doing: str) -> errors.TriageError:
    if waits(error):
        return _busy(error, text, where)
    named = _NAMED.search(text)
    unknown = _UNKNOWN.search(text)
    if unknown is not None and not doing.upper().startswith(unknown[1].upper()):
        doing = unknown[1].upper()
    # What was asked may begin with another command, such as SELECT: the server names the one that it refuses.
    what = named[1].replace("|", " ").upper() if named else doing or "a command"
    details = {"command": doing, "text": text}
    if isinstance(error, exceptions.NoPermissionError):
        return errors.PermissionRefused(
            f"{where} does not let this user run {what}: {text}{_grant(what if named else doing, text)}", **details
        )
    if isinstance(error, exceptions.OutOfMemoryError):
        return errors.OutOfMemory(f"{where} refused {what}: it is over maxmemory", **details)
    if is_oom(error):
        return errors.OutOfMemory(f"{where} refused {what}, for it has no room: {text}", **details)
    if isinstance(error, exceptions.ClusterDownError):
        return errors.WritesBlocked(f"{where} serves no keys now (CLUSTERDOWN): {text}", **details)
    if isinstance(error, exceptions.ReadOnlyError) or text.startswith(_BLOCKED):
        return errors.WritesBlocked(f"{where} accepts no writes now: {text}", **details)
    if isinstance(error, exceptions.AskError):
        return _moved(error, text, details)
    if _ABSENT.search(text):
        return errors.CommandMissing(f"{where} has no {what}: {text}{_INSTEAD.get(doing, '')}", **details)
    return errors.CommandRefused(f"{where} refused {what}: {text}", **details)


def _busy(error: exceptions.RedisError, text: str, where: object) -> errors.ServerBusy:
    if isinstance(error, exceptions.MasterDownError):
        return errors.ServerBusy(f"{where} serves nothing while it has no link to its primary: {text}")
    if isinstance(error, exceptions.TryAgainError):
        return errors.SlotMoving(f"{where} is moving these keys to another node: {text}")
    if "module command" in text.lower():
        return errors.ServerBusy(f"{where} is busy running a module's command: wait for it")
    kill = "FUNCTION KILL" if "FUNCTION KILL" in text else "SCRIPT KILL"
    return errors.ServerBusy(f"{where} is busy running a script: wait for it, or {kill} ends one that has not written")


def _moved(error: exceptions.AskError, text: str, details: dict[str, str]) -> errors.KeyMoved:
    # A MovedError is an AskError in redis-py.
    if isinstance(error, exceptions.MovedError):
        return errors.KeyMoved(f"the key is served by another node now ({text})", **details)
    return errors.KeyMoved(
        f"the key is served by another node, as its slot is being moved (ASK {text})",
        asks=f"{error.host}:{error.port}",
        **details,
    )


def _grant(doing: str, text: str) -> str:
    """What an administrator could do for a user who may not run `doing` at all."""
    if not doing or not _MAY_NOT_RUN.search(text):
        return ""
    alone = ", or read database 0 alone with -n 0" if doing == "SELECT" else ""
    allowed = doing.lower().replace(" ", "|")
    return f"; log in as a user with permission, or allow it by ACL SETUSER with +{allowed}{alone}"


def _unreachable(text: str, where: object) -> str:
    # The server's name stands in the text, and may be made of any of these words.
    name = str(where).removeprefix("unix:")
    lowered = text.replace(name, "").replace(name.rpartition(":")[0] or name, "").lower()
    if "certificate" in lowered or "ssl" in lowered:
        return _untrusted(text, where)
    if _FULL in lowered:
        return (
            f"{where} has no connection left (maxclients): close idle clients, or raise maxclients; a scan or a cleanup"
            " needs 3 connections"
        )
    if "refused" in lowered or "error 111" in lowered:
        return errors.refuses_connections(where)
    if "no such file" in lowered:
        return errors.does_not_exist(where)
    if "name or service" in lowered or "resolution" in lowered or "getaddrinfo" in lowered:
        return errors.cannot_be_resolved(where)
    if any(word in lowered for word in ("closed", "reset", "lost", "broken pipe")):
        if _is_socket(where):
            return f"{where} closed the connection: it may be restarting, or at maxclients"
        # TLS 1.3 refuses a missing certificate after the handshake: often all that is seen of it is the close.
        return (
            f"{where} closed the connection: it may be restarting, at maxclients, or require --tls "
            "or a client certificate (--cert and --key)"
        )
    return f"{where} cannot be reached: {text}"


# What OpenSSL says of a certificate that no other option would cure. An alert is the server's word on the client's.
_CERTIFICATES = (
    ("alert certificate expired", "refused the client certificate as expired: give a valid one with --cert and --key"),
    ("certificate has expired", "has a TLS certificate that has expired, or a CA of it has: renew it there"),
    ("certificate is not yet valid", "has a TLS certificate that is not valid yet: compare the clocks of both hosts"),
    ("key values mismatch", "was not asked: --key is not the key of the certificate in --cert"),
    ("no certificate or crl found", "was not asked: the file of --cacert holds no certificate"),
    ("pem lib", "was not asked: --cert or --key is not in PEM format, or its key has a password"),
)


def _untrusted(text: str, where: object) -> str:
    lowered = text.lower()
    for words, advice in _CERTIFICATES:
        if words in lowered:
            return f"{where} {advice} ({text})"
    if "mismatch" in lowered or "is not valid for" in lowered:
        return f"{where} has a TLS certificate for another name: give the name that it is for with --sni ({text})"
    if "certificate_required" in lowered or "certificate required" in lowered or "unknown ca" in lowered:
        return f"{where} requires a client certificate that it trusts: give one with --cert and --key ({text})"
    if "certificate" in lowered:
        return f"{where} has a TLS certificate that cannot be trusted: give its CA with --cacert ({text})"
    return f"{where} does not speak TLS as asked: check the port, --tls, --cert and --key ({text})"
