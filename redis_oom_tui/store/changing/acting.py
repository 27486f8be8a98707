"""Check each key again, and delete it, let it expire or save it: by script in one step, else as close as it goes."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from redis_oom_tui.models.errors import PermissionRefused, TriageError
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.rules.recheck import Expected, difference
from redis_oom_tui.store.changing import scripts
from redis_oom_tui.store.changing.channel import Channel, Command
from redis_oom_tui.store.changing.scripts import Reply

KEYS_PER_CALL = 100
_DIFFERENCES = {
    "gone": Reply.GONE,
    "type": Reply.TYPE,
    "ttl": Reply.TTL,
    "used": Reply.USED,
    "size": Reply.SIZE,
}
_REPLIES = {reply.value: reply for reply in Reply}
Said = Reply | TriageError | str
"""What became of one key: a Reply, an error of ours, or the server's own words from inside a script."""


class Check(NamedTuple):
    """A key and how it must look for anything to be done to it."""

    id: KeyId
    expected: Expected


class Saved(NamedTuple):
    """A key's value as DUMP gives it, with what DUMP leaves out; None where the key has none or it is not known."""

    payload: bytes
    ttl_ms: int | None
    idle_seconds: int | None
    frequency: int | None

    @property
    def digest(self) -> str:
        """What `scripts` compare before they delete."""
        return _digest(self.payload)


def _digest(payload: bytes) -> str:
    return hashlib.sha1(payload, usedforsecurity=False).hexdigest()


class Hands:
    """Acts on keys of one database. `scripted` is False where EVAL is refused; `alone` sends each key by itself.

    `window` is how many calls may lie in the server's queue at once: it works off all that one client has sent before
    it turns to others, so over a short link one is kindest, and over a long one more are needed.

    Without scripts a key is read again and deleted in two steps: a change within that moment would go unseen.
    """

    def __init__(self, channel: Channel, *, scripted: bool, alone: bool = False, window: int = 10) -> None:
        self._channel = channel
        self._scripted = scripted
        self._per_call = 1 if alone else KEYS_PER_CALL
        self._window = KEYS_PER_CALL if alone else window

    async def delete(self, checks: Sequence[Check]) -> list[Said]:
        """UNLINK each key that still looks as expected. Raises ServerUnreachable where replies were lost."""
        if self._scripted:
            return [_said(reply) for reply in await self._run(scripts.DELETE, checks)]
        return await self._two_steps(checks, [("UNLINK", check.id.key) for check in checks])

    async def expire(self, checks: Sequence[Check], due_ms: Sequence[int], now_ms: int) -> list[Said]:
        """Give each unchanged key its end at `due_ms` (Unix milliseconds), unless it ends sooner already."""
        if self._scripted:
            more = [(due, max(0, due - now_ms)) for due in due_ms]
            return [_said(reply) for reply in await self._run(scripts.EXPIRE, checks, more)]
        commands: list[Command | None] = []
        for check, due in zip(checks, due_ms, strict=True):
            sooner = 0 <= check.expected.ttl_ms <= due - now_ms
            commands.append(None if sooner else ("PEXPIREAT", check.id.key, due))
        return await self._two_steps(checks, commands)

    async def save(self, checks: Sequence[Check]) -> list[Saved | Said]:
        """The value of each key that still looks as expected."""
        if not self._scripted:
            return await self._save_in_steps(checks)
        replies = await self._run(scripts.SAVE, checks)
        return [_saved(reply) if isinstance(reply, list) else _said(reply) for reply in replies]

    async def lives(self, keys: Sequence[KeyId]) -> list[int | None]:
        """The PTTL of each key, -1 where it does not expire, None where it is gone."""
        replies = await self._channel.call([("PTTL", key.key) for key in keys])
        return [None if reply == -2 else reply if isinstance(reply, int) else -1 for reply in replies]

    async def _run(self, script: str, checks: Sequence[Check], more: Sequence[tuple[int, ...]] = ()) -> list[Any]:
        parts = [checks[at : at + self._per_call] for at in range(0, len(checks), self._per_call)]
        extra = [more[at : at + self._per_call] for at in range(0, len(checks), self._per_call)]
        commands = [_eval(script, part, rest) for part, rest in zip(parts, extra, strict=True)]
        answers: list[Any] = []
        for at in range(0, len(commands), self._window):
            answers += await self._channel.call(commands[at : at + self._window])
        replies: list[Any] = []
        for part, rest, reply in zip(parts, extra, answers, strict=True):
            if isinstance(reply, PermissionRefused) and len(part) > 1:
                # One key that this user may not touch refuses the whole call: nothing of it ran.
                singly = [_eval(script, [check], rest[at : at + 1]) for at, check in enumerate(part)]
                replies += [one[0] if isinstance(one, list) else one for one in await self._channel.call(singly)]
            else:
                replies += reply if isinstance(reply, list) else [reply] * len(part)
        return replies

    async def _two_steps(self, checks: Sequence[Check], commands: Sequence[Command | None]) -> list[Said]:
        said: list[Said] = [*await self._differences(checks)]
        acting = [at for at, reply in enumerate(said) if reply is Reply.DONE and commands[at] is not None]
        for at, reply in enumerate(said):
            if reply is Reply.DONE and commands[at] is None:
                said[at] = Reply.EARLIER
        replies = await self._channel.call([command for at in acting if (command := commands[at]) is not None])
        for at, reply in zip(acting, replies, strict=True):
            said[at] = _said(reply)
        return said

    async def _differences(self, checks: Sequence[Check]) -> list[Said]:
        """DONE for each key that looks as expected."""
        commands: list[Command] = []
        for check in checks:
            name = check.id.key
            commands += [("TYPE", name), ("PTTL", name), ("OBJECT", "IDLETIME", name), ("MEMORY", "USAGE", name)]
        replies = await self._channel.call(commands)
        said: list[Said] = []
        for at, check in enumerate(checks):
            kind, ttl, idle, size = replies[4 * at : 4 * at + 4]
            if isinstance(kind, TriageError) or isinstance(ttl, TriageError):
                said.append(kind if isinstance(kind, TriageError) else ttl)
                continue
            differs = difference(
                check.expected,
                None if kind == b"none" or ttl == -2 else kind.decode("ascii", "replace"),
                None if ttl < 0 else ttl,
                idle if isinstance(idle, int) else None,
                size if isinstance(size, int) else None,
            )
            said.append(Reply.DONE if differs is None else _DIFFERENCES[differs])
        return await self._same_content(checks, said)

    async def _same_content(self, checks: Sequence[Check], said: list[Said]) -> list[Said]:
        """`said`, with CONTENT for the keys that are no longer as they were saved."""
        saved = [at for at, reply in enumerate(said) if reply is Reply.DONE and checks[at].expected.digest]
        dumps = await self._channel.call([("DUMP", checks[at].id.key) for at in saved])
        for at, payload in zip(saved, dumps, strict=True):
            if payload is None:
                said[at] = Reply.GONE
            elif not isinstance(payload, bytes) or _digest(payload) != checks[at].expected.digest:
                said[at] = Reply.CONTENT
        return said

    async def _save_in_steps(self, checks: Sequence[Check]) -> list[Saved | Said]:
        said: list[Saved | Said] = [*await self._differences(checks)]
        acting = [at for at, reply in enumerate(said) if reply is Reply.DONE]
        commands: list[Command] = []
        for at in acting:
            name = checks[at].id.key
            commands += [("OBJECT", "IDLETIME", name), ("OBJECT", "FREQ", name), ("PTTL", name), ("DUMP", name)]
        replies = await self._channel.call(commands)
        for number, at in enumerate(acting):
            idle, frequency, ttl, payload = replies[4 * number : 4 * number + 4]
            if isinstance(payload, bytes):
                known = [reply if isinstance(reply, int) else -1 for reply in (ttl, idle, frequency)]
                said[at] = _saved([payload, *known])
            else:
                said[at] = Reply.GONE if payload is None else payload
        return said


def _eval(script: str, checks: Sequence[Check], more: Sequence[tuple[int, ...]]) -> Command:
    wants = [(*check.expected, *extra) for check, extra in zip(checks, more or [()] * len(checks), strict=True)]
    return ("EVAL", script, len(checks), *(check.id.key for check in checks), json.dumps(wants, separators=(",", ":")))


def _said(reply: Any) -> Said:
    if isinstance(reply, int):
        return _REPLIES[reply]
    if isinstance(reply, TriageError):
        return reply
    return bytes(reply).decode("utf-8", "replace")


def _saved(reply: Sequence[Any]) -> Saved:
    payload, ttl, idle, frequency = reply
    return Saved(
        payload,
        None if ttl < 0 else ttl,
        None if idle < 0 else idle,
        None if frequency < 0 else frequency,
    )
