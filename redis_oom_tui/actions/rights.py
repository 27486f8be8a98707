"""What may be done to a server: asked of it once, and refused with the same reason everywhere."""

from redis_oom_tui.actions.context import ActionContext
from redis_oom_tui.models.action import Action, BackupChoice
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.errors import CommandMissing, ReadOnlyMode
from redis_oom_tui.models.plan import Criteria, Operation, Plan
from redis_oom_tui.models.snapshot import Server, Snapshot
from redis_oom_tui.rules import plan_warnings, providers
from redis_oom_tui.rules.cluster import actions_on
from redis_oom_tui.rules.policies import keeps_last_use
from redis_oom_tui.rules.providers import provider_of, where_to_set
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations.rights import deletion_refused, probe_rights

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

    @property
    def _replica(self) -> bool:
        """Whether it was a replica at the last look."""
        seen = self._server.seen
        return seen is not None and seen.role in {"slave", "replica"}

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
                known = await probe_rights(self._server, known)
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
        if action in _WRITES and self._replica:
            return f"{self._server.address} is a replica and takes no writes: connect to its primary"
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
