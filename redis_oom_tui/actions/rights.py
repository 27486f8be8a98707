"""What may be done to a server: asked of it once, without a change, and refused with the same reason everywhere."""

import re
from types import MappingProxyType
from typing import Any

from redis_oom_tui.actions.context import ActionContext
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.action import Action, BackupChoice
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.errors import (
    CommandMissing,
    ErrorClass,
    PermissionRefused,
    ReadOnlyMode,
    ServerUnreachable,
    TriageError,
)
from redis_oom_tui.models.plan import Criteria, Operation, Plan
from redis_oom_tui.models.snapshot import Server, Snapshot
from redis_oom_tui.rules import plan_warnings, providers
from redis_oom_tui.rules.cluster import actions_on
from redis_oom_tui.rules.policies import keeps_last_use
from redis_oom_tui.rules.providers import provider_of, where_to_set
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations.connections import Command, ExclusiveConnection
from redis_oom_tui.server.probing import MISSING_KEY, probe_changes, probe_settings

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


async def _probed(server: LiveServer, known: Capabilities) -> Capabilities:
    """The rights; where only these questions wait, as on 6.2 while clients are paused, what may be set. Whether more
    is refused is told when it is tried.
    """
    try:
        return await probe_rights(server, known)
    except ServerUnreachable as lost:
        if not lost.silent:
            raise
        return await probe_settings(server.client(changing=True), server.address, known)


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


NOTHING_PREPARED = "No emergency cleanup is configured: name one of your plans under [emergency] in the configuration"
_NEEDS = {
    Action.DELETE: (Feature.UNLINK,),
    Action.EXPIRE: (Feature.EXPIRE,),
    Action.SHRINK: (Feature.SCRIPT,),
    Action.FINISH: (Feature.SCRIPT, Feature.UNLINK),
    Action.RESTORE: (Feature.RESTORE,),
    Action.REWRITE: (Feature.CONFIG_REWRITE,),
    Action.KILL_CLIENT: (Feature.CLIENT_KILL,),
    Action.PURGE: (Feature.MEMORY_PURGE,),
    Action.REAP: (Feature.SCAN,),
}
_WRITES = frozenset({Action.DELETE, Action.EXPIRE, Action.SHRINK, Action.FINISH, Action.RESTORE, Action.REAP})
# Errors that refuse every write, by their first word.
_REFUSE_ALL = ("MISCONF", "NOREPLICAS", "READONLY", "CLUSTERDOWN")
_READ_ONLY = "The tool runs with --read-only: nothing on the server is changed"
_WEAKER = (
    "Scripts are refused here, so each key is read again and deleted in two steps: a change within that moment would go"
    " unseen."
)


class Rights:
    """What may be done to `server`, as far as it is known: nothing is refused before `learn`, but under --read-only."""

    def __init__(self, server: LiveServer) -> None:
        self._server = server
        self._capabilities: Capabilities | None = None
        self._learnt_of: Server | None = None

    @property
    def _known(self) -> Capabilities:
        return self._capabilities or Capabilities()

    def _is_another(self) -> bool:
        """Whether the server was restarted, promoted or demoted since this was learnt, as far as a look has shown."""
        seen, before = self._server.seen, self._learnt_of
        if seen is None or before is None:
            return False
        restarted = seen.run_id != before.run_id and None not in (seen.run_id, before.run_id)
        return restarted or seen.role != before.role or seen.address != before.address

    async def learn(self) -> Capabilities:
        """Find out, once for each run and role of the server, what may be changed here; under --read-only nothing but
        reads is asked.
        """
        if self._capabilities is not None and self._is_another():
            self._capabilities = None
            self._server.known = None
        if self._capabilities is None:
            known = await self._server.capabilities()
            self._learnt_of = (await self._server.snapshot()).server
            if not self._server.connection.read_only:
                known = await _probed(self._server, known)
            self._server.known = known
            self._capabilities = known
        return self._capabilities

    def why_read_only(self) -> str | None:
        """Why nothing at all is changed, where that is so."""
        return _READ_ONLY if self._server.connection.read_only else None

    def why_not(self, action: Action) -> str | None:
        """Why `action` cannot be used here, in a sentence; None if it can, as far as is known."""
        if reason := self.why_read_only():
            return reason
        seen = self._server.seen
        if action in _WRITES and seen is not None and seen.is_replica:
            primary = f", {safe_text(seen.primary, 60)}" if seen.primary else ""
            return f"{self._server.address} is a replica and takes no writes: connect to its primary{primary}"
        if action is Action.SET:
            return why_not_set(self._known, self._server.address)
        for feature in _NEEDS.get(action, ()):
            if reason := self._known.why_not(feature):
                return providers.refused_feature(feature, reason, self._known)
        return None

    def must(self, action: Action) -> None:
        """Raise ReadOnlyMode or CommandMissing where `action` may not be."""
        reason = self.why_not(action)
        if reason is not None:
            kind = ReadOnlyMode if self._server.connection.read_only else CommandMissing
            raise kind(reason)

    def must_copy(self, plan: Plan, backup: BackupChoice) -> None:
        """Raise CommandMissing where `plan` deletes keys that are to be copied before, and none can be."""
        uncopied = providers.no_copy(self._known)
        if uncopied is not None and backup.wanted and plan.operation is Operation.DELETE:
            raise CommandMissing(uncopied)

    def weaknesses(self, action: Action) -> tuple[str, ...]:
        """What stands against running a plan for `action` here, or makes its promise weaker."""
        if self._server.connection.read_only:
            return ()
        if reason := self.why_not(action):
            return (f"This plan cannot be run from here. {reason}.",)
        found = () if self._known.has(Feature.SCRIPT) else (_WEAKER,)
        uncopied = providers.no_copy(self._known) if action is Action.DELETE else None
        return found if uncopied is None else (*found, f"{uncopied}.")


def why_not_set(capabilities: Capabilities, address: Address) -> str | None:
    """Why settings cannot be changed here, and what to do instead; None where they can."""
    reason = capabilities.why_not(Feature.CONFIG_SET)
    if reason is None:
        return None
    other = "log in as a user with permission, or " if "permission" in reason and provider_of(address) is None else ""
    return f"CONFIG SET is refused here ({reason}): {other}{where_to_set(address, 'maxmemory-policy')}"


async def prepared(
    context: ActionContext, server: LiveServer, rights: Rights, criteria: Criteria, action: Action, snapshot: Snapshot
) -> tuple[bool, tuple[str, ...]]:
    """Whether an LFU or LRM policy is known to have been on since the server started, and what else to say of a plan.

    Raises BadInput for criteria that need what the server does not tell.
    """
    plan_warnings.refuse_unknown(criteria, await rights.learn())
    weaknesses = rights.weaknesses(action)
    if rights.why_not(action) is None and _suspicious(snapshot):
        refused = await deletion_refused(server)
        if refused is not None:
            weaknesses = (
                f"The server refuses deletions just now, so this plan would do nothing: {str(refused).rstrip('.')}.",
                *weaknesses,
            )
    return _lfu_before(context, str(server.address), snapshot), weaknesses


def _suspicious(snapshot: Snapshot) -> bool:
    """Whether anything hints at a server that refuses every write, deletions too."""
    errors = snapshot.counters.errors_by_kind
    activity = snapshot.activity
    return (
        activity.last_save_failed or activity.good_replicas is not None or any(errors.get(kind) for kind in _REFUSE_ALL)
    )


def _lfu_before(context: ActionContext, server: str, snapshot: Snapshot) -> bool:
    """As far as the audit file tells: the policies that were set from here."""
    uptime = snapshot.server.uptime_seconds
    since = 0.0 if uptime is None else context.wall() - uptime
    return any(
        entry.change is not None
        and entry.change.change.name == "maxmemory-policy"
        and entry.at >= since
        and not (keeps_last_use(entry.change.change.old or "") and keeps_last_use(entry.change.change.new))
        for entry in actions_on(snapshot, context.audit.history(), server)
    )
