"""Settings: shown with what they would do, set with the old value in hand, read back, and taken back."""

import asyncio
import contextlib

from redis_oom_tui.actions.context import ActionContext
from redis_oom_tui.actions.timed_returns import TimedReturns
from redis_oom_tui.files.audit import AuditFailed
from redis_oom_tui.files.audit_lines import change_fields
from redis_oom_tui.files.server_host import config_file, room
from redis_oom_tui.formatting.settings import shown_value
from redis_oom_tui.models.action import Limits, Room, SettingView
from redis_oom_tui.models.address import Address
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
from redis_oom_tui.rules.earlier_runs import left_behind
from redis_oom_tui.rules.info_checks import with_settings
from redis_oom_tui.rules.providers import provider_of, where_to_set
from redis_oom_tui.server.mutations import settings

# A connection that lay idle until the time came may have been closed, and a server may be away for a moment.
_TRY_AGAIN = (0.5, 2.0, 0.0)


class SettingsChanger:
    """Reads and sets the settings of one server."""

    def __init__(self, desk: ActionContext) -> None:
        self._desk = desk
        self._server = desk.server
        self._returns = TimedReturns(self._take_back)

    async def limits(self, snapshot: Snapshot, capabilities: Capabilities, scan: ScanView | None) -> Limits:
        """Policies, settings and what-if as the server stands."""
        names = tuple(tuning.SETTINGS)
        found = await settings.read_settings(self._server, names)
        snapshot = with_settings(snapshot, {one.name: one.value for one in found if one.value is not None})
        history = await asyncio.to_thread(self._desk.audit.history)
        return Limits(
            maxmemory_bytes=snapshot.memory.maxmemory_bytes,
            limit_source=snapshot.memory.limit_source,
            policy=snapshot.memory.policy,
            policies=whatif.policy_views(capabilities.policies, snapshot, scan),
            settings=tuple(_view(setting, capabilities.policies) for setting in found),
            path=whatif.write_path(snapshot),
            room=await self._room(snapshot),
            over_bytes=whatif.over_bytes(snapshot.memory),
            scanned=scan is not None,
            unsized=whatif.why_unsized(capabilities, scan),
            refused=why_not_set(self._server.connection.read_only, capabilities, self._server.address),
            unreturned=left_behind(history, str(self._server.address), found, self._desk.wall()),
        )

    async def _room(self, snapshot: Snapshot) -> Room:
        pid, _ = await settings.process(self._server)
        return room(self._server.address, pid, snapshot.memory.host_bytes)

    async def propose(
        self, name: str, new: str, snapshot: Snapshot, capabilities: Capabilities, scan: ScanView | None
    ) -> Change:
        """Setting `name` to `new` as a change with its consequence; raises BadInput for what cannot be meant."""
        asked = name.strip().lower()
        tuning.check_name(asked)
        found = await settings.read_settings(self._server, [asked])
        if not found:
            raise BadInput(f"This server has no setting {asked!r}: it is too old, or of another family")
        pid, path = await settings.process(self._server)
        change = tuning.propose(
            asked,
            found[0].value,
            new,
            snapshot,
            policies=capabilities.policies,
            room=room(self._server.address, pid, snapshot.memory.host_bytes),
            scan=scan,
            replicas=await self._replicas(asked, snapshot),
        )
        if capabilities.why_not(Feature.CONFIG_REWRITE):
            return change
        return replace(change, freezes=await self._freezes(asked, snapshot, pid, path))

    async def _replicas(self, name: str, snapshot: Snapshot) -> tuple[NodeView, ...]:
        """The replicas that a failover would turn to, asked for their own limit; a cluster has them among its nodes."""
        if name != "maxmemory" or snapshot.server.mode == "cluster" or not snapshot.activity.connected_replicas:
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
        since = self._desk.wall() - (snapshot.server.uptime_seconds or 0)
        own = [entry for entry in self._desk.audit.history() if entry.server == str(self._server.address)]
        return [
            entry.change.change
            for entry in reversed(own)
            if entry.change is not None and entry.change.took and entry.at >= since
        ]

    async def apply(self, change: Change, *, persist: bool, revert_after: float | None) -> ChangeResult:
        """Set it, read it back, write it down; raises BadInput where the old value is another by now."""
        await self._still(change)
        self._returns.call_off(change.name)
        if change.old is None:
            revert_after = None
        result = await self._set(change, "set", persist=persist, revert_after=revert_after)
        if revert_after is None or not result.took:
            return result
        self._returns.arrange(result, revert_after)
        return replace(result, reverts_in_seconds=revert_after)

    def keep(self, result: ChangeResult) -> bool:
        """Call off the timed return of the old value, and write that down; False where it is too late for that."""
        name = result.change.name
        if not self._returns.call_off(name):
            return False
        # It stays whether or not that can be written down.
        with contextlib.suppress(TriageError):
            audit, kept = self._desk.audit, f"{name} stays {shown_value(name, result.now or result.change.new)}"
            server = str(self._server.address)
            audit.result(audit.intent("keep", server=server, who=self._desk.who, what=kept), ok=True, result=kept)
        return True

    async def returned(self, result: ChangeResult) -> ChangeResult:
        """How the timed return of the old value ended, once it has: it took where that was read back."""
        ended = await self._returns.ended(result.change.name)
        return await self._as_it_stands(result, "It was not to return by itself") if ended is None else ended

    async def propose_back(
        self, result: ChangeResult, snapshot: Snapshot, capabilities: Capabilities, scan: ScanView | None
    ) -> Change:
        """What `undo` would mean as the server stands; raises BadInput where it could not be."""
        _must_know_old(result)
        back = _back(result)
        await self._still(back)
        try:
            seen = await self.propose(back.name, tuning.as_typed(back.name, back.new), snapshot, capabilities, scan)
        except BadInput:
            # The server took it once, though nobody would be let type it.
            return back
        return replace(seen, old=back.old, freezes=())

    async def undo(self, result: ChangeResult) -> ChangeResult:
        """Set the old value again; raises BadInput where it was never known, or the value is another by now."""
        _must_know_old(result)
        back = _back(result)
        self._returns.call_off(back.name)
        await self._still(back)
        return await self._set(back, "undo", persist=False)

    async def close(self) -> None:
        """Bring every timed return forward: who leaves without saying keep gets the old values back."""
        await self._returns.close()

    async def _still(self, change: Change) -> None:
        found = await settings.read_settings(self._server, [change.name])
        now = found[0].value if found else None
        if now is not None and change.old is not None and now != change.old:
            is_now, was = shown_value(change.name, now), shown_value(change.name, change.old)
            raise BadInput(f"{change.name} is {is_now} by now, not {was} as it was shown: look again")

    async def _set(
        self, change: Change, action: str, *, persist: bool, revert_after: float | None = None
    ) -> ChangeResult:
        old, new = shown_value(change.name, change.old), shown_value(change.name, change.new)
        back = "" if revert_after is None else f", and back in {revert_after:.0f} s unless kept"
        action_id = self._desk.audit.intent(
            action,
            server=str(self._server.address),
            who=self._desk.who,
            what=f"{change.name}: {old} to {new}{back}",
            before=change.old,
            persist=persist,
            reverts_in_seconds=revert_after,
            # Where the tool is killed before the end is written, this tells what to look for.
            change=change_fields(ChangeResult(change, took=False, now=None)),
        )
        try:
            result = await self._asked(change)
        except ServerUnreachable as error:
            doubt = ServerUnreachable(
                f"{error}{self._return_in_doubt(ChangeResult(change, took=False, now=None), revert_after)}"
            )
            self._desk.audit.result(action_id, ok=False, result=str(doubt))
            raise doubt from None
        except TriageError as error:
            self._desk.audit.result(action_id, ok=False, result=str(error))
            raise
        except asyncio.CancelledError:
            self._return_in_doubt(ChangeResult(change, took=False, now=None), revert_after)
            self._desk.audit.result(action_id, ok=False, result="The tool ended while this ran: look at the setting")
            raise
        if persist and result.took:
            result = replace(result, persisted=await self._rewritten())
        said = (
            result.detail
            or f"{change.name} is {new if result.now is None else shown_value(change.name, result.now)} now"
        )
        try:
            fields = change_fields(result)
            self._desk.audit.result(action_id, ok=result.took, result=said, after=result.now, change=fields)
        except AuditFailed:
            if result.took:
                self._return_in_doubt(result, revert_after)
            raise
        return result

    def _return_in_doubt(self, result: ChangeResult, revert_after: float | None) -> str:
        """Arrange the timed return of what may have been set, as was agreed to: what to say of that."""
        if revert_after is None:
            return ""
        self._returns.arrange(result, revert_after)
        old = shown_value(result.change.name, result.change.old)
        return f". Where it took, it goes back to {old} in {revert_after:.0f} s"

    async def _asked(self, change: Change) -> ChangeResult:
        try:
            now = await settings.set_one(self._server, change.name, change.new)
        except ServerUnreachable as error:
            return await self._found_out(change, error)
        except CommandRefused as error:
            where = where_to_set(self._server.address, change.name, change.new)
            hint = f": {where}" if isinstance(error, (CommandMissing, PermissionRefused)) else ""
            return ChangeResult(change, took=False, now=change.old, detail=f"{error}{hint}")
        if now is None:
            return ChangeResult(
                change, took=True, now=None, detail="The server answered OK; it cannot be read back here."
            )
        took = now.lower() == change.new.lower()
        where = where_to_set(self._server.address, change.name, change.new)
        kept = f"The server answered OK and kept the old value: it is managed elsewhere, so {where}."
        return ChangeResult(change, took=took, now=now, detail="" if took else kept)

    async def _found_out(self, change: Change, lost: ServerUnreachable) -> ChangeResult:
        """What became of a change whose answer was lost. Raises ServerUnreachable where nobody tells."""
        now = await self._now(change.name)
        if now is None:
            doubt = f"whether {change.name} is {shown_value(change.name, change.new)} now is not known: look again"
            raise ServerUnreachable(f"{str(lost).rstrip('.')}: {doubt}")
        took = now.lower() == change.new.lower()
        return ChangeResult(change, took=took, now=now, detail=f"{lost}: it was read again afterwards")

    async def _rewritten(self) -> str:
        try:
            return await settings.rewrite(self._server)
        except ServerUnreachable as error:
            return f"{error}: whether the file was written is not known"

    async def _take_back(self, result: ChangeResult) -> ChangeResult:
        """Set the old value again, whatever it takes; whoever changed it since knows better than a timer."""
        why = ""
        for pause in _TRY_AGAIN:
            try:
                return await self.undo(result)
            except ServerUnreachable as error:
                why = str(error)
                await asyncio.sleep(pause)
            except AuditFailed as error:
                # That it would return was written down with the change, and agreed to.
                back = await self._returning(result)
                return replace(back, detail=f"{back.detail} {error}".strip())
            except BadInput:
                why = "somebody else changed it meanwhile"
                break
            except TriageError as error:
                why = str(error)
                break
        ended = await self._as_it_stands(result, why)
        if not ended.took:
            self._note_stuck(ended)
        return ended

    def _note_stuck(self, ended: ChangeResult) -> None:
        """Write down that an old value did not return, where that can be written."""
        change = ended.change
        what = f"{change.name}: back to {shown_value(change.name, change.new)}"
        with contextlib.suppress(TriageError):
            server = str(self._server.address)
            action_id = self._desk.audit.intent("undo", server=server, who=self._desk.who, what=what)
            self._desk.audit.result(action_id, ok=False, result=f"It did not go back: {ended.detail}", after=ended.now)

    async def _returning(self, result: ChangeResult) -> ChangeResult:
        try:
            return await self._asked(_back(result))
        except TriageError as error:
            return await self._as_it_stands(result, str(error))

    async def _as_it_stands(self, result: ChangeResult, why: str) -> ChangeResult:
        """Whether the old value is there again, by reading it; `why` it may not be."""
        now = await self._now(result.change.name)
        if now is not None and now == result.change.old:
            return ChangeResult(_back(result), took=True, now=now)
        return ChangeResult(_back(result), took=False, now=now, detail=why)

    async def _now(self, name: str) -> str | None:
        """The value as it reads; None where nobody tells."""
        try:
            found = await settings.read_settings(self._server, [name])
        except TriageError:
            return None
        return found[0].value if found else None


def _back(result: ChangeResult) -> Change:
    change = result.change
    return Change(change.name, result.now or change.new, change.old or "", consequence="The old value again.")


def _must_know_old(result: ChangeResult) -> None:
    if result.change.old is None:
        raise BadInput(f"The old value of {result.change.name} was not readable, so it cannot be set again")


def why_not_set(read_only: bool, capabilities: Capabilities, address: Address) -> str | None:
    """Why settings cannot be changed here, and what to do instead; None where they can."""
    if read_only:
        return "The tool runs with --read-only: nothing on the server is changed"
    reason = capabilities.why_not(Feature.CONFIG_SET)
    if reason is None:
        return None
    other = "log in as a user who may, or " if "permission" in reason and provider_of(address) is None else ""
    return f"CONFIG SET is refused here ({reason}): {other}{where_to_set(address, 'maxmemory-policy')}"


def _view(setting: Setting, policies: tuple[str, ...]) -> SettingView:
    known = tuning.SETTINGS[setting.name]
    return SettingView(setting, known.sentence, policies if setting.name == "maxmemory-policy" else known.choices)
