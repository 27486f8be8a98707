"""What a server can do, found by trying: COMMAND and version numbers tell too little (REDIS_FACTS.md §6, §14)."""

import contextlib
import hashlib
import os
import re
from collections.abc import Sequence
from types import MappingProxyType

from redis import exceptions
from redis.asyncio import Redis

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.server.client import borrowed
from redis_oom_tui.server.errors import own_words, translated, waits
from redis_oom_tui.server.replies import settings_in

# Each of these is answered without a trace, whether or not the key exists.
MISSING_KEY = b"redis-oom-tui:no-such-key:" + os.urandom(8).hex().encode()
_READS: tuple[tuple[Feature, tuple[str | bytes | int, ...]], ...] = (
    (Feature.SCAN, ("SCAN", "0", "COUNT", "1")),
    (Feature.TYPE, ("TYPE", MISSING_KEY)),
    (Feature.TTL, ("PTTL", MISSING_KEY)),
    (Feature.MEMORY_USAGE, ("MEMORY", "USAGE", MISSING_KEY)),
    (Feature.OBJECT_ENCODING, ("OBJECT", "ENCODING", MISSING_KEY)),
    (Feature.OBJECT_IDLETIME, ("OBJECT", "IDLETIME", MISSING_KEY)),
    (Feature.OBJECT_FREQ, ("OBJECT", "FREQ", MISSING_KEY)),
    (Feature.CLIENT_LIST, ("CLIENT", "LIST", "ID", "0")),
    (Feature.CONFIG_GET, ("CONFIG", "GET", "maxmemory")),
    (Feature.MEMORY_STATS, ("MEMORY", "STATS")),
)
# Answered by an error in every case: what it says tells whether the command is there, and which policies are.
_NONSENSE_POLICY = ("CONFIG", "SET", "maxmemory-policy", "redis-oom-tui-asks-for-the-list")
_NO_WRITES = ("EVAL", "#!lua flags=no-writes\nreturn 1", "0")
_BY_SHA: tuple[tuple[str, ...], ...] = (
    ("SCRIPT", "LOAD", "return 1"),
    ("EVALSHA", hashlib.sha1(b"return 1", usedforsecurity=False).hexdigest(), "0"),
)
_ABSENT = re.compile(
    r"unknown (sub)?command|unsupported|no permissions|NOPERM|not allowed|disabled|not supported|command not found",
    re.IGNORECASE,
)
# This user may run the command, only not on the key that was asked about.
_OTHER_KEYS = re.compile(r"permissions to access (a|one of the) keys?", re.IGNORECASE)
_POLICIES = re.compile(r"one of the following: (.+)$")


async def probe_reads(client: "Redis", where: object, refused_setup: dict[str, str] | None = None) -> Capabilities:
    """What may be read at `where`; `refused_setup` are the refusals that the connection met as it was set up.

    Raises one of `models.errors`; ServerBusy where the server says just now that it carries out nothing.
    OBJECT IDLETIME and FREQ exclude each other by policy; both count as there where the server knows the command.
    """
    missing: dict[Feature, str] = {}
    replies = await _asked(client, where, [command for _, command in _READS])
    for (feature, _), reply in zip(_READS, replies, strict=True):
        if reason := _refusal(reply):
            missing[feature] = reason
    for command, text in (refused_setup or {}).items():
        if command in ("CLIENT NO-TOUCH", "CLIENT NO-EVICT"):
            missing[Feature(command)] = safe_text(text, 200)
    return Capabilities(MappingProxyType(missing))


async def probe_changes(client: "Redis", where: object, known: Capabilities) -> Capabilities:
    """`known`, with what may be changed as well; `client` needs an allowlist that changes. Asking changes nothing.

    Raises as `probe_reads` does.
    EVAL runs `return 1`, or EVALSHA does behind SCRIPT LOAD where that is refused; CONFIG SET is asked for a policy
    that cannot exist, and its refusal lists those that do. The script is marked as one that does not write: others wait
    while clients are paused (CLIENT PAUSE). 6.2 knows no such mark: it calls that an error in the script, so it has
    EVAL.
    """
    missing = dict(known.missing)
    script, policy = await _asked(client, where, [_NO_WRITES, _NONSENSE_POLICY])
    if (reason := _refusal(script)) and any(map(_refusal, await _asked(client, where, _BY_SHA))):
        missing[Feature.SCRIPT] = reason
    return _with_settings(missing, policy)


async def probe_settings(client: "Redis", where: object, known: Capabilities) -> Capabilities:
    """`known`, with what may be set alone: asks nothing that waits for the end of a pause. Raises as `probe_reads`."""
    (policy,) = await _asked(client, where, [_NONSENSE_POLICY])
    return _with_settings(dict(known.missing), policy)


def _with_settings(missing: dict[Feature, str], policy: object) -> Capabilities:
    """What the answer to a policy that cannot exist tells."""
    policies: tuple[str, ...] = ()
    if reason := _refusal(policy):
        missing[Feature.CONFIG_SET] = reason
    elif isinstance(policy, exceptions.ResponseError) and (listed := _POLICIES.search(str(policy))):
        policies = tuple(name.strip().lower() for name in listed[1].rstrip(".").split(","))
    return Capabilities(MappingProxyType(missing), policies)


async def _asked(client: "Redis", where: object, commands: Sequence[tuple[str | bytes | int, ...]]) -> list[object]:
    """The replies to `commands`, refusals in their places."""
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    with translated(where):
        replies = await pipeline.execute(raise_on_error=False)
        for reply in replies:
            # What a busy server refuses says nothing of what it can do.
            if isinstance(reply, Exception) and (waits(reply) or not isinstance(reply, exceptions.ResponseError)):
                raise reply
    return list(replies)


def _refusal(reply: object) -> str | None:
    """The server's words where `reply` says that a command is not to be had; None where it is."""
    if isinstance(reply, exceptions.ResponseError) and _OTHER_KEYS.search(str(reply)):
        return None
    if isinstance(reply, exceptions.NoPermissionError):
        return own_words(reply, 200)
    if isinstance(reply, exceptions.ResponseError) and _ABSENT.search(str(reply)):
        return own_words(reply, 200)
    return None


# Valkey has a number of databases in a cluster as well (9.0); Redis takes no SELECT there.
_NO_SUCH_DATABASE = (
    "index is out of range",
    "value is out of range",
    "value is not an integer",
    "SELECT is not allowed in cluster mode",
)


async def require_database(client: Redis, asker: Redis, where: object, db: int, *, clustered: bool) -> None:
    """Raise BadInput where the server has no database `db`, which `client` is of; `asker` asks how many there are."""
    try:
        async with borrowed(client):
            return
    except exceptions.RedisError as error:
        # Anything else is told by whoever asks next.
        if not any(words in str(error) for words in _NO_SUCH_DATABASE):
            return
    there, setting = "", "cluster-databases" if clustered else "databases"
    with contextlib.suppress(exceptions.RedisError):
        number = settings_in([await asker.execute_command("CONFIG GET", setting)]).get(setting, "1" * clustered)
        there = f" (0 to {int(number) - 1})" if number.isdigit() else ""
        there = ": this cluster has database 0 only" if clustered and number == "1" else there
    raise BadInput(f"{where} has no database {db}{there}")
