"""What this user may change here: asked without changing anything, and as far as can be without a write."""

import re
from types import MappingProxyType
from typing import Any

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.errors import CommandMissing, ErrorClass, PermissionRefused, TriageError
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations.connections import Command, ExclusiveConnection
from redis_oom_tui.server.probing import MISSING_KEY, probe_changes

_ASKED: tuple[tuple[Feature, Command], ...] = (
    (Feature.UNLINK, ("UNLINK", MISSING_KEY)),
    (Feature.EXPIRE, ("PEXPIREAT", MISSING_KEY, 1)),
    (Feature.DUMP, ("DUMP", MISSING_KEY)),
    (Feature.RESTORE, ("RESTORE", MISSING_KEY, 0, b"x")),
    (Feature.CONFIG_REWRITE, ("CONFIG", "REWRITE")),
    (Feature.CLIENT_KILL, ("CLIENT", "KILL", "ID", 0)),
    (Feature.MEMORY_PURGE, ("MEMORY", "PURGE")),
)
_COMMAND = re.compile(r"permissions to run|permission to run", re.IGNORECASE)


async def probe_rights(server: LiveServer, known: Capabilities) -> Capabilities:
    """`known`, with what may be changed. A user without write rights is found out by ACL DRYRUN, which runs nothing;
    where that is not to be had (6.2, or no right to it), UNLINK and PEXPIREAT of a key that is not there tell.
    """
    found = await probe_changes(server.client(changing=True), server.address, known)
    missing = dict(found.missing)
    async with ExclusiveConnection(server, changing=True) as channel:
        for feature, reason in (await _refused(channel)).items():
            missing.setdefault(feature, reason)
    return Capabilities(MappingProxyType(missing), found.policies)


async def deletion_refused(server: LiveServer) -> TriageError | None:
    """Why the server deletes nothing now, whatever the key (MISCONF, NOREPLICAS): told by UNLINK of a key that
    is not there. Raises one of `models.errors` where the server does not answer.
    """
    async with ExclusiveConnection(server, changing=True) as channel:
        (reply,) = await channel.call([("UNLINK", MISSING_KEY)])
    stops = isinstance(reply, TriageError) and reply.error_class is ErrorClass.STOP
    return reply if isinstance(reply, TriageError) and stops else None


async def _refused(channel: ExclusiveConnection) -> dict[Feature, str]:
    who = (await channel.call([("ACL", "WHOAMI")]))[0]
    if isinstance(who, bytes):
        replies = await channel.call([("ACL", "DRYRUN", who, *command) for _, command in _ASKED])
        if not any(isinstance(reply, TriageError) for reply in replies):
            return {
                feature: reason for (feature, _), reply in zip(_ASKED, replies, strict=True) if (reason := _dry(reply))
            }
    asked = [
        (feature, command) for feature, command in _ASKED if feature in {Feature.UNLINK, Feature.EXPIRE, Feature.DUMP}
    ]
    replies = await channel.call([command for _, command in asked])
    return {feature: reason for (feature, _), reply in zip(asked, replies, strict=True) if (reason := _tried(reply))}


def _dry(reply: Any) -> str | None:
    """DRYRUN answers OK, or the refusal as a plain string; a refusal of the key says nothing about the command."""
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else str(reply)
    return safe_text(text, 200) if _COMMAND.search(text) else None


def _tried(reply: Any) -> str | None:
    if isinstance(reply, CommandMissing):
        return reply.text
    if isinstance(reply, PermissionRefused) and _COMMAND.search(reply.text):
        return reply.text
    return None
