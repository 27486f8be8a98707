"""The settings of one server as an action: written down before and after, undone, and returned by themselves."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from redis_oom_tui.actions.context import ActionContext
from redis_oom_tui.actions.limits import LimitsReader, SettingWriter, must_know_old, way_back
from redis_oom_tui.actions.rights import Rights
from redis_oom_tui.files.audit import AuditFailed
from redis_oom_tui.files.audit_lines import change_fields
from redis_oom_tui.formatting.settings import shown_value
from redis_oom_tui.models.action import Action, Limits
from redis_oom_tui.models.errors import BadInput, ServerUnreachable, TriageError
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.settings import Change, ChangeResult
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import tuning
from redis_oom_tui.rules.limit_change import with_changes
from redis_oom_tui.server.live import LiveServer

# A connection that lay idle until the time came may have been closed, and a server may be away for a moment.
_TRY_AGAIN = (0.5, 2.0, 0.0)
# Settings that are due within so many seconds are of one trial.
_ONE_TRIAL = 10.0
TakeBack = Callable[[ChangeResult], Awaitable[ChangeResult]]
"""Sets the old value of a change again, and tells how that ended; a failure is told, too, and not raised."""


class TimedReturns:
    """The timed returns of one server's settings, at most one for each."""

    def __init__(self, take_back: TakeBack) -> None:
        self._take_back = take_back
        self._due: dict[str, ChangeResult] = {}
        self._times: dict[str, float] = {}
        self._tasks: dict[str, asyncio.Task[ChangeResult]] = {}
        self._forwarded: dict[str, ChangeResult] = {}

    def arrange(self, result: ChangeResult, seconds: float) -> None:
        """Take `result` back after `seconds`, in place of what was arranged for that setting before."""
        name = result.change.name
        self.call_off(name)
        self._forwarded.pop(name, None)
        self._due[name] = result
        self._times[name] = asyncio.get_running_loop().time() + seconds
        self._tasks[name] = asyncio.create_task(self._later(result, seconds), name="timed revert")

    def call_off(self, name: str) -> bool:
        """Let the present value stay; False where none was to return, or it is on its way."""
        if self._due.pop(name, None) is None:
            return False
        self._tasks.pop(name).cancel()
        return True

    async def ended(self, name: str) -> ChangeResult | None:
        """How the return of that setting ended, once it has; None where none was arranged, or it was called off."""
        task = self._tasks.get(name)
        if name in self._forwarded:
            return self._forwarded[name]
        return None if task is None else await asyncio.shield(task)

    async def close(self) -> None:
        """Bring each forward, the last that was set first, and return when all have ended."""
        due = list(self._due.items())
        for name, _ in due:
            self.call_off(name)
        # What is on its way was set after what still waits.
        await asyncio.gather(*self._tasks.values())
        for name, result in reversed(due):
            self._forwarded[name] = await self._take_back(result)

    async def _later(self, result: ChangeResult, seconds: float) -> ChangeResult:
        await asyncio.sleep(seconds)
        name = result.change.name
        # What was set after it returns first, as an old policy would evict under a limit that is still the lower one.
        names = list(self._due)
        after = [each for each in names[names.index(name) + 1 :] if self._times[each] < self._times[name] + _ONE_TRIAL]
        if after:
            await asyncio.wait([self._tasks[each] for each in after])
        self._due.pop(name, None)
        return await self._take_back(result)


class NodeSettings:
    """Changes the settings of one server. Implements `ports.SettingChanges`."""

    def __init__(self, context: ActionContext, server: LiveServer, rights: Rights) -> None:
        self._context = context
        self._audit = context.audit
        self._server = server
        self._rights = rights
        self._reader = LimitsReader(context, server)
        self._writer = SettingWriter(server)
        self._returns = TimedReturns(self._take_back)

    async def limits(self, scan: ScanView | None = None) -> Limits:
        known = await self._rights.learn()
        refused = self._rights.why_not(Action.SET)
        return await self._reader.read(await self._server.snapshot(), known, scan, refused)

    async def propose(self, name: str, new: str, scan: ScanView | None = None, after: Sequence[Change] = ()) -> Change:
        """What setting `name` to `new` means here, after other changes; raises BadInput for what cannot be meant."""
        known = await self._rights.learn()
        snapshot = with_changes(await self._server.snapshot(), after)
        return await self._reader.propose(name, new, snapshot, known, scan)

    async def propose_on(
        self, _node: str, name: str, new: str, scan: ScanView | None = None, after: Sequence[Change] = ()
    ) -> Change:
        """There is no other."""
        return await self.propose(name, new, scan, after)

    async def apply(self, change: Change, *, persist: bool = False, revert_after: float | None = None) -> ChangeResult:
        """Set it, read it back, write it down; raises BadInput where the old value is another by now."""
        await self._rights.learn()
        self._rights.must(Action.SET)
        await self._writer.must_still_be(change)
        self._returns.call_off(change.name)
        if change.old is None:
            revert_after = None
        result = await self._set(change, "set", persist=persist, revert_after=revert_after)
        if revert_after is None or not result.may_stand:
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
            audit, kept = self._audit, f"{name} stays {shown_value(name, result.now or result.change.new)}"
            audit.result(self._context.begin(self._server, "keep", kept), ok=True, result=kept)
        return True

    async def returned(self, result: ChangeResult) -> ChangeResult:
        ended = await self._returns.ended(result.change.name)
        return await self._writer.after_return(result, "It was not to revert by itself") if ended is None else ended

    async def values_by_node(self, result: ChangeResult) -> dict[str, str | None]:
        """It has no nodes."""
        del result
        return {}

    async def value(self, name: str) -> str | None:
        """The setting as it reads now; None where nobody tells."""
        return await self._writer.value(name)

    async def propose_back(self, result: ChangeResult, scan: ScanView | None = None) -> Change:
        """What `undo` would mean as the server stands; raises BadInput where it could not be."""
        must_know_old(result)
        back = way_back(result)
        await self._writer.must_still_be(back)
        try:
            seen = await self.propose(back.name, tuning.as_typed(back.name, back.new), scan)
        except BadInput:
            # The server took it once, though nobody would be let type it.
            return back
        return replace(seen, old=back.old, freezes=())

    async def undo(self, result: ChangeResult) -> ChangeResult:
        """Set the old value again; raises BadInput where it was never known, or the value is another by now."""
        self._rights.must(Action.SET)
        return await self._undo(result)

    async def _undo(self, result: ChangeResult) -> ChangeResult:
        must_know_old(result)
        back = way_back(result)
        self._returns.call_off(back.name)
        await self._writer.must_still_be(back)
        return await self._set(back, "undo", persist=False)

    async def close(self) -> None:
        """Bring every timed return forward: who leaves without saying keep gets the old values back."""
        await self._returns.close()

    async def _set(
        self, change: Change, action: str, *, persist: bool, revert_after: float | None = None
    ) -> ChangeResult:
        old, new = shown_value(change.name, change.old), shown_value(change.name, change.new)
        back = "" if revert_after is None else f", reverted in {revert_after:.0f}s unless kept"
        action_id = self._context.begin(
            self._server,
            action,
            f"{change.name}: {old} to {new}{back}",
            before=change.old,
            persist=persist,
            reverts_in_seconds=revert_after,
            # Where the tool is killed before the end is written, this tells what to look for.
            change=change_fields(ChangeResult(change, took=False, now=None)),
        )
        try:
            result = await self._writer.set(change)
        except TriageError as error:
            self._audit.result(action_id, ok=False, result=str(error))
            raise
        except asyncio.CancelledError:
            self._return_in_doubt(ChangeResult(change, took=False, now=None), revert_after)
            self._audit.result(action_id, ok=False, result="The tool ended while this ran: check the setting")
            raise
        if persist and result.took:
            result = replace(result, persisted=await self._writer.rewrite())
        if result.unread:
            left_out = "; CONFIG REWRITE was not sent" if persist else ""
            in_doubt = self._return_in_doubt(result, revert_after)
            result = replace(result, detail=f"{result.detail}{left_out}{in_doubt}")
        sentence = (
            result.detail
            or f"{change.name} is {new if result.now is None else shown_value(change.name, result.now)} now"
        )
        try:
            fields = change_fields(result)
            self._audit.result(action_id, ok=result.took, result=sentence, after=result.now, change=fields)
        except AuditFailed:
            if result.may_stand:
                self._return_in_doubt(result, revert_after)
            raise
        return result

    def _return_in_doubt(self, result: ChangeResult, revert_after: float | None) -> str:
        """Arrange the timed return of what may have been set, as was agreed to: what to say of that."""
        if revert_after is None:
            return ""
        self._returns.arrange(result, revert_after)
        old = shown_value(result.change.name, result.change.old)
        return f". Where it was set, it reverts to {old} in {revert_after:.0f}s"

    async def _take_back(self, result: ChangeResult) -> ChangeResult:
        """Set the old value again, whatever it takes; whoever changed it since knows better than a timer."""
        why = ""
        for pause in _TRY_AGAIN:
            try:
                back = await self._undo(result)
                if not back.unread:
                    return back
                why = back.detail
                await asyncio.sleep(pause)
            except ServerUnreachable as error:
                why = str(error)
                await asyncio.sleep(pause)
            except AuditFailed as error:
                # That it would return was written down with the change, and agreed to.
                back = await self._returning(result)
                return replace(back, detail=f"{back.detail} {error}".strip())
            except BadInput:
                why = "somebody else changed it"
                break
            except TriageError as error:
                why = str(error)
                break
        ended = await self._writer.after_return(result, why)
        if not ended.took:
            self._note_stuck(ended)
        return ended

    def _note_stuck(self, ended: ChangeResult) -> None:
        """Write down that an old value did not return, where that can be written."""
        change = ended.change
        what = f"{change.name}: back to {shown_value(change.name, change.new)}"
        with contextlib.suppress(TriageError):
            action_id = self._context.begin(self._server, "undo", what)
            came = "Whether it reverted is not known" if ended.unread else "It did not revert"
            self._audit.result(action_id, ok=False, result=f"{came}: {ended.detail}", after=ended.now)

    async def _returning(self, result: ChangeResult) -> ChangeResult:
        try:
            return await self._writer.set(way_back(result))
        except TriageError as error:
            return await self._writer.after_return(result, str(error))
