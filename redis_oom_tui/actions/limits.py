"""The settings of one server: read, previewed with what they would do, set, and read back."""

import asyncio

from redis_oom_tui.actions.context import ActionContext
from redis_oom_tui.files.server_host import config_file, host_memory
from redis_oom_tui.formatting.settings import shown_value
from redis_oom_tui.models.action import AuditEntry, HostMemory, Limits, SettingView
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.errors import (
    BadInput,
    CommandMissing,
    CommandRefused,
    PermissionRefused,
    ServerUnreachable,
    TriageError,
)
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.settings import Change, ChangeResult, Setting
from redis_oom_tui.models.snapshot import NodeView, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import tuning, whatif
from redis_oom_tui.rules.breakdown import room_for_data
from redis_oom_tui.rules.cluster import under_one_name
from redis_oom_tui.rules.info_fields import with_settings
from redis_oom_tui.rules.providers import where_to_set
from redis_oom_tui.rules.report import left_behind
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations import settings

# INFO tells them.
_ASKED_OF_REPLICAS = frozenset({"maxmemory", "maxmemory-policy"})


class LimitsReader:
    """Reads the settings of `server`, and tells what a change of one would mean there."""

    def __init__(self, context: ActionContext, server: LiveServer) -> None:
        self._context = context
        self._server = server

    async def read(
        self, snapshot: Snapshot, capabilities: Capabilities, scan: ScanView | None, refused: str | None
    ) -> Limits:
        """Policies, settings and what-if as the server stands; `refused` is why settings cannot be changed there."""
        names = tuple(tuning.SETTINGS)
        found = await settings.read_settings(self._server, names)
        snapshot = with_settings(snapshot, {one.name: one.value for one in found if one.value is not None})
        history = await asyncio.to_thread(self._history, snapshot)
        return Limits(
            maxmemory_bytes=snapshot.memory.maxmemory_bytes,
            limit_source=snapshot.memory.limit_source,
            policy=snapshot.memory.policy,
            policies=whatif.policy_views(capabilities.policies, snapshot, scan),
            settings=tuple(_view(setting, capabilities.policies) for setting in found),
            path=whatif.write_path(snapshot),
            host_memory=await self._host_memory(snapshot),
            over_bytes=snapshot.memory.over(),
            data_room_bytes=room_for_data(snapshot.memory, snapshot.activity),
            scanned=scan is not None,
            unsized=whatif.why_unsized(capabilities, scan),
            refused=refused,
            unreturned=left_behind(history, str(self._server.address), found, self._context.wall()),
        )

    def _history(self, snapshot: Snapshot) -> tuple[AuditEntry, ...]:
        return under_one_name(self._context.audit.history(), str(self._server.address), snapshot.server.run_id)

    async def _host_memory(self, snapshot: Snapshot) -> HostMemory:
        pid, _ = await settings.process(self._server)
        return host_memory(self._server.address, pid, snapshot.memory.host_bytes)

    async def propose(
        self, name: str, new: str, snapshot: Snapshot, capabilities: Capabilities, scan: ScanView | None
    ) -> Change:
        """Setting `name` to `new` as a change with its consequence; raises BadInput for what cannot be meant."""
        asked = name.strip().lower()
        tuning.check_name(asked)
        found = await settings.read_settings(self._server, [asked])
        if not found:
            raise BadInput(f"This server has no setting {asked!r}: it is too old, or another product")
        pid, path = await settings.process(self._server)
        change = tuning.propose(
            asked,
            found[0].value,
            new,
            snapshot,
            policies=capabilities.policies,
            host_memory=host_memory(self._server.address, pid, snapshot.memory.host_bytes),
            scan=scan,
            replicas=await self._replicas(asked, snapshot),
        )
        if capabilities.why_not(Feature.CONFIG_REWRITE):
            return change
        return replace(change, freezes=await self._freezes(asked, snapshot, pid, path))

    async def _replicas(self, name: str, snapshot: Snapshot) -> tuple[NodeView, ...]:
        """The replicas that a failover would turn to, asked for what they have; a cluster has them among its nodes."""
        if (
            name not in _ASKED_OF_REPLICAS
            or snapshot.server.mode == "cluster"
            or not snapshot.activity.connected_replicas
        ):
            return ()
        try:
            return await self._server.replicas()
        except TriageError:
            return ()

    async def _freezes(self, name: str, snapshot: Snapshot, pid: int | None, path: str | None) -> tuple[str, ...]:
        """What CONFIG REWRITE would write into the server's file beside `name`."""
        seen = None if not path else await asyncio.to_thread(config_file, self._server.address, pid, path)
        file = tuning.ServerFile(path, seen)
        found = await settings.read_settings(self._server, tuning.settings_to_compare(file))
        running = {setting.name: setting.value for setting in found if setting.value is not None}
        return tuning.rewrite_effects(name, file, running, self._done_here(snapshot))

    def _done_here(self, snapshot: Snapshot) -> list[Change]:
        """What the audit file tells of settings changed here since the server started, oldest first."""
        since = self._context.wall() - (snapshot.server.uptime_seconds or 0)
        own = [entry for entry in self._history(snapshot) if entry.server == str(self._server.address)]
        return [
            entry.change.change
            for entry in reversed(own)
            if entry.change is not None and entry.change.may_stand and entry.at >= since
        ]


class SettingWriter:
    """Sets the settings of `server`, and reads them back."""

    def __init__(self, server: LiveServer) -> None:
        self._server = server

    async def set(self, change: Change) -> ChangeResult:
        """Set it, read it back, and tell what came of it; where it cannot be read back, that is unknown."""
        try:
            await settings.set_one(self._server, change.name, change.new)
        except ServerUnreachable as error:
            return await self._found_out(change, error)
        except CommandRefused as error:
            where = where_to_set(self._server.address, change.name, change.new)
            hint = f": {where}" if isinstance(error, (CommandMissing, PermissionRefused)) else ""
            return ChangeResult(change, took=False, now=change.old, detail=f"{error}{hint}")
        read = await self._read(change.name)
        now = read.value
        if now is None:
            return _unread(change, "the server answered OK, and it could not be read back", read.why)
        took = now.lower() == change.new.lower()
        where = where_to_set(self._server.address, change.name, change.new)
        kept = f"The server answered OK and kept the old value: it is managed elsewhere, so {where}."
        return ChangeResult(change, took=took, now=now, detail="" if took else kept)

    async def _found_out(self, change: Change, lost: ServerUnreachable) -> ChangeResult:
        """What became of a change whose answer was lost."""
        now = await self.value(change.name)
        if now is None:
            return _unread(change, "the answer was lost, and it could not be read back", str(lost))
        took = now.lower() == change.new.lower()
        return ChangeResult(change, took=took, now=now, detail=f"{lost}: it was read again afterwards")

    async def rewrite(self) -> str:
        """CONFIG REWRITE, and the answer."""
        try:
            return await settings.rewrite(self._server)
        except ServerUnreachable as error:
            return f"{error}: whether the file was written is not known"

    async def must_still_be(self, change: Change) -> None:
        """Raise BadInput where the setting is not what it was when the change was shown."""
        found = await settings.read_settings(self._server, [change.name])
        now = found[0].value if found else None
        if now is not None and change.old is not None and now != change.old:
            is_now, was = shown_value(change.name, now), shown_value(change.name, change.old)
            raise BadInput(f"{change.name} is {is_now} by now, not {was} as it was shown: check again")

    async def after_return(self, result: ChangeResult, why: str) -> ChangeResult:
        """Whether the old value is there again, by reading it; `why` it may not be."""
        now = await self.value(result.change.name)
        if now is not None and now == result.change.old:
            return ChangeResult(way_back(result), took=True, now=now)
        return ChangeResult(way_back(result), took=False, now=now, detail=why, unread=now is None)

    async def value(self, name: str) -> str | None:
        """The value as it reads; None where nobody tells."""
        return (await self._read(name)).value

    async def _read(self, name: str) -> Setting:
        try:
            found = await settings.read_settings(self._server, [name])
        except TriageError as error:
            return Setting(name, None, str(error))
        return found[0] if found else Setting(name, None, "CONFIG GET does not list it")


def _unread(change: Change, what: str, why: str | None) -> ChangeResult:
    """A change of which nobody tells whether it took."""
    doubt = f"whether {change.name} is {shown_value(change.name, change.new)} now is not known: check again"
    reason = f" ({why.rstrip('.')})" if why else ""
    return ChangeResult(change, took=False, now=None, detail=f"unknown: {what}{reason}; {doubt}", unread=True)


def way_back(result: ChangeResult) -> Change:
    """The change that sets the old value again."""
    change = result.change
    return Change(change.name, result.now or change.new, change.old or "", consequence="Back to the old value.")


def must_know_old(result: ChangeResult) -> None:
    """Raise BadInput where there is no old value to set again."""
    if result.change.old is None:
        raise BadInput(f"The old value of {result.change.name} was not readable, so it cannot be set again")


def _view(setting: Setting, policies: tuple[str, ...]) -> SettingView:
    known = tuning.SETTINGS[setting.name]
    return SettingView(setting, known.sentence, policies if setting.name == "maxmemory-policy" else known.choices)
