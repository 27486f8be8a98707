"""Check keys and then act on them in two steps, where EVAL is refused: a change within that moment would go unseen."""

from collections.abc import Sequence
from typing import Any

from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.rules.recheck import SHARED_USERS, difference, may_be_shared
from redis_oom_tui.store.changing.channel import Channel, Command
from redis_oom_tui.store.changing.packing import Check
from redis_oom_tui.store.changing.replies import Said, Saved, digest, said, saved
from redis_oom_tui.store.changing.scripts import Reply

_DIFFERENCES = {
    "gone": Reply.GONE,
    "type": Reply.TYPE,
    "ttl": Reply.TTL,
    "used": Reply.USED,
    "size": Reply.SIZE,
}


class Steps:
    """What `scripts` do to keys, by single commands on `channel`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def act(self, checks: Sequence[Check], commands: Sequence[Command | None]) -> list[Said]:
        """Send the command of each key that looks as expected; a key without one is EARLIER."""
        told: list[Said] = [*await self._differences(checks)]
        acting = [at for at, reply in enumerate(told) if reply is Reply.DONE and commands[at] is not None]
        for at, reply in enumerate(told):
            if reply is Reply.DONE and commands[at] is None:
                told[at] = Reply.EARLIER
        replies = await self._channel.call([command for at in acting if (command := commands[at]) is not None])
        for at, reply in zip(acting, replies, strict=True):
            told[at] = said(reply)
        return told

    async def save(self, checks: Sequence[Check]) -> list[Saved | Said]:
        """The value of each key that looks as expected."""
        told: list[Saved | Said] = [*await self._differences(checks, saving=True)]
        acting = [at for at, reply in enumerate(told) if reply is Reply.DONE]
        commands: list[Command] = []
        for at in acting:
            name = checks[at].id.key
            commands += [("OBJECT", "IDLETIME", name), ("OBJECT", "FREQ", name), ("PTTL", name), ("DUMP", name)]
        replies = await self._channel.call(commands)
        for number, at in enumerate(acting):
            idle, frequency, ttl, payload = replies[4 * number : 4 * number + 4]
            if isinstance(payload, bytes):
                known = [reply if isinstance(reply, int) else -1 for reply in (ttl, idle, frequency)]
                told[at] = saved([payload, *known])
            else:
                told[at] = Reply.GONE if payload is None else payload
        return told

    async def _differences(self, checks: Sequence[Check], *, saving: bool = False) -> list[Said]:
        """DONE for each key that looks as expected."""
        commands: list[Command] = []
        for check in checks:
            name = check.id.key
            commands += [("TYPE", name), ("PTTL", name), ("OBJECT", "IDLETIME", name), ("MEMORY", "USAGE", name)]
        replies = await self._channel.call(commands)
        # After the idle times: a key that came to share a number since then was changed within that moment.
        unseen = await self._unseen(checks)
        told: list[Said] = []
        for at, check in enumerate(checks):
            kind, ttl, idle, size = replies[4 * at : 4 * at + 4]
            if isinstance(kind, TriageError) or isinstance(ttl, TriageError):
                told.append(kind if isinstance(kind, TriageError) else ttl)
                continue
            differs = difference(
                check.expected,
                None if kind == b"none" or ttl == -2 else kind.decode("ascii", "replace"),
                None if ttl < 0 else ttl,
                idle if isinstance(idle, int) and at not in unseen else None,
                size if isinstance(size, int) else None,
            )
            allowed = saving or bool(check.expected.digest)
            same = Reply.DONE if allowed else unseen.get(at, Reply.DONE)
            told.append(same if differs is None else _DIFFERENCES[differs])
        return await self._same_content(checks, told)

    async def _unseen(self, checks: Sequence[Check]) -> dict[int, Reply]:
        """The keys whose idle time is not, or may not be, their own, and why; by position."""
        asked = [at for at, check in enumerate(checks) if may_be_shared(check.expected, len(check.id.key))]
        users = await self._of("REFCOUNT", [checks[at] for at in asked])
        unseen = {at: Reply.SHARED for at, number in zip(asked, users, strict=True) if _is_shared(number)}
        refused = [at for at, number in zip(asked, users, strict=True) if isinstance(number, TriageError)]
        for at, encoding in zip(refused, await self._of("ENCODING", [checks[at] for at in refused]), strict=True):
            if encoding == b"int" or isinstance(encoding, TriageError):
                unseen[at] = Reply.UNSURE
        return unseen

    async def _of(self, fact: str, checks: Sequence[Check]) -> list[Any]:
        return await self._channel.call([("OBJECT", fact, check.id.key) for check in checks])

    async def _same_content(self, checks: Sequence[Check], told: list[Said]) -> list[Said]:
        """`told`, with CONTENT for the keys that are no longer as they were saved."""
        kept = [at for at, reply in enumerate(told) if reply is Reply.DONE and checks[at].expected.digest]
        dumps = await self._channel.call([("DUMP", checks[at].id.key) for at in kept])
        for at, payload in zip(kept, dumps, strict=True):
            if payload is None:
                told[at] = Reply.GONE
            elif not isinstance(payload, bytes) or digest(payload) != checks[at].expected.digest:
                told[at] = Reply.CONTENT
        return told


def _is_shared(users: Any) -> bool:
    return isinstance(users, int) and users > SHARED_USERS
